"""``pelemay doctor``: what this machine has, and what is missing."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from pelemay.cli.output import add_json_flag, console, print_json, size, table
from pelemay.errors import PelemayError

HELP = "Show what this machine has: backends, memory, limits, and what is missing."
EXAMPLES = """\
  pelemay doctor
  pelemay doctor --json"""

_PACKAGES = (
    "pelemay",
    "numpy",
    "onnx",
    "ml-dtypes",
    "array-api-compat",
    "rich",
    "pooch",
    "pillow",
    "safetensors",
    "memray",
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_json_flag(parser)


def run(args: argparse.Namespace) -> int:
    """Print the findings."""
    findings = examine()
    if args.json:
        print_json(findings)
    else:
        _show(findings)
    return 0


def examine() -> dict[str, Any]:
    """Everything that the command says, as plain data."""
    from dataclasses import asdict

    from pelemay import backends
    from pelemay.bench.machine import describe

    machine = asdict(describe())
    return {
        "machine": {k: v for k, v in machine.items() if k not in ("packages", "date")},
        "limits": limits(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "backends": {
            name: {"available": reason is None, "reason": reason}
            for name, reason in backends.available().items()
        },
        "fit": _fit(),
        "cache": _cache(),
    }


def _fit() -> str:
    """How 'pelemay bench --fit' would limit memory here, or why it cannot."""
    from pelemay.bench.cgroups import find_controller

    try:
        return f"possible, with {find_controller().method}"
    except PelemayError as error:
        return f"not possible: {error}"


def limits() -> dict[str, int | None]:
    """Bytes of memory that the kernel would let this process take, by who says so."""
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return {
        "memory_available": _meminfo("MemAvailable"),
        "cgroup": _cgroup_limit(),
        "address_space": None if soft == resource.RLIM_INFINITY else soft,
    }


def _meminfo(key: str) -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    return next(
        (int(v.split()[0]) * 1024 for k, _, v in (x.partition(":") for x in lines) if k == key),
        None,
    )


def _cgroup_limit() -> int | None:
    """The lowest limit on the way from this process's cgroup to the root, version 1 or 2."""
    found = []
    for line in _read("/proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            root, name = Path("/sys/fs/cgroup"), "memory.max"
        elif "memory" in controllers.split(","):
            root, name = Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"
        else:
            continue
        inner = Path(path.lstrip("/"))
        found += [_read(root / p / name).strip() for p in (inner, *inner.parents)]
    numbers = [int(text) for text in found if text.isdigit()]
    return min((n for n in numbers if n < 1 << 60), default=None)


def _read(path: str | Path) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def _version(name: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _cache() -> dict[str, Any]:
    from pelemay.models import cache

    folder = cache.folder()
    files = [f for f in folder.rglob("*") if f.is_file()] if folder.is_dir() else []
    return {
        "folder": str(folder),
        "bytes": sum(f.stat().st_size for f in files),
        "writable": os.access(next(p for p in (folder, *folder.parents) if p.exists()), os.W_OK),
    }


def _show(findings: dict[str, Any]) -> None:
    out = console()
    rows = [
        (key, size(value) if key.endswith("_bytes") else str(value))
        for key, value in findings["machine"].items()
        if value not in ("", None)
    ]
    rows += [
        (f"limit: {key}", "none" if value is None else size(value))
        for key, value in findings["limits"].items()
    ]
    rows.append(("measuring 'fits in'", findings["fit"]))
    cache = findings["cache"]
    writable = "" if cache["writable"] else ", NOT WRITABLE (set PELEMAY_CACHE)"
    rows.append(("cache", f"{cache['folder']} ({size(cache['bytes'])}{writable})"))
    out.print(table("machine", "", rows=rows))
    rows = [
        (name, "ready" if b["available"] else b["reason"])
        for name, b in findings["backends"].items()
    ]
    out.print(table("backend", "state", rows=rows))
    packages = [(name, found or "not installed") for name, found in findings["packages"].items()]
    out.print(table("package", "version", rows=[("python", sys.version.split()[0]), *packages]))
