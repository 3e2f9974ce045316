"""Resident memory, read from ``/proc``: what a process holds now and what it held at most.

In: a process id. Out: :class:`Resident` in bytes. Linux only; elsewhere reading raises OSError.

A worker imports this module before its baseline is taken, so it stays free of heavy imports.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_STATUS = "/proc/{}/status"
_NO_FILE = re.compile(r"/dev/zero|/memfd:|/SYSV").match  # Anonymous memory, shared.
_FIELDS = {"VmRSS": 0, "VmHWM": 1, "RssAnon": 2, "RssFile": 3, "RssShmem": 3}


class Resident(NamedTuple):
    """Bytes of a process that are in memory; ``peak`` is the most since the last reset."""

    rss: int
    peak: int
    anonymous: int
    file_backed: int


def parse_status(text: str) -> Resident:
    r"""Read the text of ``/proc/PID/status``.

    Examples
    --------
    >>> parse_status("VmHWM:\t 8 kB\nVmRSS:\t 7 kB\nRssAnon:\t 4 kB\nRssFile:\t 2 kB\n"
    ...              "RssShmem:\t 1 kB\n")
    Resident(rss=7168, peak=8192, anonymous=4096, file_backed=3072)
    """
    values = [0, 0, 0, 0]
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        if name in _FIELDS:
            values[_FIELDS[name]] += int(rest.split()[0]) * 1024
    return Resident(*values)


def read(pid: int | str = "self") -> Resident:
    """Read what a process holds now."""
    with open(_STATUS.format(pid), encoding="ascii", errors="replace") as status:  # noqa: PTH123
        return parse_status(status.read())


def reset_peak() -> bool:
    """Start the peak of this process anew; False where the kernel forbids it."""
    try:
        with open("/proc/self/clear_refs", "w", encoding="ascii") as clear:  # noqa: PTH123
            clear.write("5")
    except OSError:
        return False
    return True


def read_pss() -> int | None:
    """Proportional set size of this process in bytes: shared pages are divided by their users."""
    try:
        with open("/proc/self/smaps_rollup", encoding="ascii") as rollup:  # noqa: PTH123
            lines = rollup.read().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), None)


def _mappings() -> list[tuple[str, str]]:
    """Address range and path of what this process has mapped from files."""
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as maps:  # noqa: PTH123
        columns = [line.split(maxsplit=5) for line in maps]
    named = [(c[0], c[5].strip()) for c in columns if len(c) == 6]
    return [(bounds, path) for bounds, path in named if path.startswith("/") and not _NO_FILE(path)]


def mapped_files() -> list[str]:
    """Paths of the files that this process has mapped."""
    return sorted({path for _, path in _mappings()})


def mapped_ranges() -> list[tuple[int, int]]:
    """First address, and address after the last, of each mapping of a file."""
    bounds = (text.split("-") for text, _ in _mappings())
    return [(int(start, 16), int(stop, 16)) for start, stop in bounds]
