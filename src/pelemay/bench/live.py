"""What running processes hold now: a process with all that it has started, its limit, its progress.

In: process ids. Out: a frozen :class:`View`. Reads ``/proc`` only, so the processes do nothing for
it; how far a run is they write where ``PELEMAY_TOP`` says (:mod:`pelemay.progress`).
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pelemay import progress
from pelemay.bench.cgroups import limit_of
from pelemay.progress import Progress

_FIELDS = {
    "RssAnon": "anonymous",
    "RssFile": "file_backed",
    "RssShmem": "shared",
    "VmSwap": "swapped",
    "VmHWM": "peak_rss",
}


@dataclass(frozen=True)
class Holding:
    """What one process holds, in bytes; ``peak_rss`` is the most since it began."""

    pid: int
    command: str
    anonymous: int = 0
    file_backed: int = 0
    shared: int = 0
    swapped: int = 0
    peak_rss: int = 0

    @property
    def rss(self) -> int:
        """All resident bytes."""
        return self.anonymous + self.file_backed + self.shared


@dataclass(frozen=True)
class View:
    """Processes at one moment.

    ``limit_bytes`` is the least limit of their cgroups, None if they have none. Sums count pages
    that several processes share several times.
    """

    at_ns: int
    processes: tuple[Holding, ...]
    machine_bytes: int
    limit_bytes: int | None = None
    engines: tuple[Progress, ...] = ()

    @property
    def anonymous(self) -> int:
        """Of all processes."""
        return sum(process.anonymous for process in self.processes)

    @property
    def file_backed(self) -> int:
        """Of all processes."""
        return sum(process.file_backed for process in self.processes)

    @property
    def shared(self) -> int:
        """Of all processes."""
        return sum(process.shared for process in self.processes)

    @property
    def rss(self) -> int:
        """Of all processes."""
        return sum(process.rss for process in self.processes)

    @property
    def running(self) -> Progress | None:
        """The engine that began a run last."""
        return max(self.engines, key=lambda engine: engine.began_ns, default=None)


def look(roots: Iterable[int], folder: str | None = None) -> View:
    """Read processes and all below them.

    Parameters
    ----------
    roots : iterable of int
        Process ids; those that are gone are left out.
    folder : str, optional
        Where their engines show progress; what each has in its environment if not given.
    """
    parents = _parents()
    pids = [pid for root in roots for pid in _below(root, parents)]
    found = [held for pid in dict.fromkeys(pids) if (held := holding(pid)) is not None]
    limits = [limit for held in found if (limit := limit_of(held.pid)) is not None]
    engines = [
        engine
        for held in found
        if (where := folder or _variable(held.pid))
        for engine in progress.read(where, held.pid)
    ]
    return View(
        time.monotonic_ns(), tuple(found), _machine_bytes(), min(limits, default=None),
        tuple(engines),
    )  # fmt: skip


def holding(pid: int) -> Holding | None:
    """What a process holds, None if it is gone or has become a zombie."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(errors="replace")
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return None
    read = {
        _FIELDS[name]: int(kib) * 1024
        for name, kib in re.findall(r"^(\w+):\s+(\d+) kB$", status, re.MULTILINE)
        if name in _FIELDS
    }
    if not read:
        return None
    return Holding(
        pid, command_of([word.decode(errors="replace") for word in words if word]), **read
    )


def command_of(words: Sequence[str]) -> str:
    """A command line as people write it: without folders, interpreters and ``-m``.

    >>> command_of(["/usr/bin/python3.11", "-P", "-m", "pelemay.bench.worker", "5"])
    'pelemay.bench.worker 5'
    >>> command_of(["/usr/bin/python3", "/opt/bin/pelemay", "run", "net.onnx"])
    'pelemay run net.onnx'
    """
    left = list(words)
    if len(left) > 1 and re.fullmatch(r"python[\d.]*", Path(left[0]).name):
        left.pop(0)
        while len(left) > 1 and left[0].startswith("-"):
            left.pop(0)
    return " ".join([Path(left[0]).name, *left[1:]]) if left else ""


def _parents() -> dict[int, int]:
    """Process id to that of its parent, of all processes."""
    found = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with suppress(OSError, IndexError, ValueError):
                stat = Path(f"/proc/{entry.name}/stat").read_text(errors="replace")
                found[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])
    return found


def _below(root: int, parents: dict[int, int]) -> Iterator[int]:
    """A process, and all that it and those below it have started."""
    yield root
    for pid, parent in parents.items():
        if parent == root:
            yield from _below(pid, parents)


def _variable(pid: int) -> str | None:
    """The folder that is in a process' environment."""
    with suppress(OSError):
        for word in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
            name, _, value = word.partition(b"=")
            if name.decode(errors="replace") == progress.VARIABLE and value:
                return os.fsdecode(value)
    return None


def running() -> list[int]:
    """Processes of this user that have the engine loaded or run ``pelemay``, the eldest first."""
    parents = _parents()
    above = _above(os.getpid(), parents)
    found = [pid for pid in sorted(parents) if pid not in above and _is_ours(pid)]
    return [pid for pid in found if parents[pid] not in found]


def _above(pid: int, parents: dict[int, int]) -> set[int]:
    found = {pid}
    while (pid := parents.get(pid, 0)) and pid not in found:
        found.add(pid)
    return found


def _is_ours(pid: int) -> bool:
    with suppress(OSError):
        if Path(f"/proc/{pid}").stat().st_uid != os.getuid():
            return False
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        names = [Path(os.fsdecode(word)).name for word in words[:5]]
        if any(name in ("pelemay", "pelemay-run") or name.startswith("pelemay.") for name in names):
            return True
        return "pelemay/_native." in Path(f"/proc/{pid}/maps").read_text(errors="replace")
    return False


def _machine_bytes() -> int:
    pages = os.sysconf("SC_PHYS_PAGES") if "SC_PHYS_PAGES" in os.sysconf_names else 0
    return pages * os.sysconf("SC_PAGE_SIZE")
