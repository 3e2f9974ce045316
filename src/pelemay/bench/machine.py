"""The machine that a suite ran on, as far as it matters and without naming it.

In: ``/proc``, ``/sys`` and the installed packages. Out: a frozen :class:`Machine`.

>>> describe().cores >= 1
True
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path


@dataclass(frozen=True)
class Machine:
    """What figures depend on; 0 or empty where the system does not tell."""

    system: str = ""
    kernel: str = ""
    cpu: str = ""
    cores: int = 0
    memory_bytes: int = 0
    swap_bytes: int = 0
    governor: str = ""
    temperature_c: float | None = None
    load_average: float | None = None
    python: str = ""
    packages: Mapping[str, str] = field(default_factory=dict)
    date: str = ""


def describe() -> Machine:
    """Describe this machine now."""
    memory = _meminfo()
    return Machine(
        system=_system(),
        kernel=f"{platform.system()} {platform.release()} {platform.machine()}",
        cpu=_cpu(),
        cores=_cores(),
        memory_bytes=memory.get("MemTotal", 0),
        swap_bytes=memory.get("SwapTotal", 0),
        governor=_read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        temperature_c=_temperature(),
        load_average=round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        python=f"{platform.python_implementation()} {platform.python_version()}",
        packages=package_versions(),
        date=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def package_versions(package: str = "pelemay") -> dict[str, str]:
    """Versions of a package and of all that it names as a requirement or extra, if installed."""
    names = {package}
    with suppress(metadata.PackageNotFoundError):
        requirements = metadata.requires(package) or []
        names |= {re.split(r"[^\w.-]", text, maxsplit=1)[0] for text in requirements}
    versions = {}
    for name in sorted(names, key=str.lower):
        with suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return versions


def _read(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace").strip()
    except OSError:
        return ""


def _system() -> str:
    name = re.search(r'^PRETTY_NAME="?([^"\n]*)', _read("/etc/os-release"), re.MULTILINE)
    return name[1] if name else platform.system()


def _cpu() -> str:
    name = re.search(r"^(?:model name|Model)\s*:\s*(.+)$", _read("/proc/cpuinfo"), re.MULTILINE)
    return name[1] if name else platform.machine()


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 0


def _meminfo() -> dict[str, int]:
    rows = re.findall(r"^(\w+):\s+(\d+) kB$", _read("/proc/meminfo"), re.MULTILINE)
    return {name: int(kib) * 1024 for name, kib in rows}


def _temperature() -> float | None:
    text = _read("/sys/class/thermal/thermal_zone0/temp")
    return int(text) / 1000 if text.lstrip("-").isdigit() else None
