"""The heap that one sample asks for, followed by memray.

In: a function. Out: the bytes that it asked for in all, and the most that it held at once.
The process that does this is never timed: memray slows it down.

Native code is counted: memray sits under malloc, calloc, realloc, the aligned variants and
mmap. Objects of CPython of up to 512 bytes are counted by the arenas that CPython takes for
them, not one by one: tracing each (``trace_python_allocators``) makes element-by-element
decoding about eight times as long, and reading such a trace takes longer still. A mapped file
is not heap, but memray records it as one mmap more, so mappings of files are taken out here.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from typing import Any, NamedTuple

from pelemay.bench import resident

WHY_NOT = "memray is not installed; install it with: pip install 'pelemay[bench]'"


class HeapUse(NamedTuple):
    """Bytes of heap of one sample."""

    allocated: int
    peak: int


class Record(NamedTuple):
    """One call of an allocator: ``kind`` is "heap", "map", "free" or "unmap"."""

    kind: str
    address: int
    size: int


def available() -> bool:
    """Whether memray can be used here."""
    return find_spec("memray") is not None


def track(sample: Callable[[], Any], mapped_sizes: list[int], folder: str) -> HeapUse:
    """Run ``sample`` once under memray.

    Parameters
    ----------
    sample : callable
        What to follow.
    mapped_sizes : list of int
        The list that :func:`note_mapped_files` fills.
    folder : str
        Where the trace may lie for a while.

    Returns
    -------
    HeapUse
        Bytes asked for during the call, whether freed or not, and the most held at one time.
    """
    import memray

    mapped_sizes.clear()
    path = os.path.join(folder, "trace.bin")  # noqa: PTH118
    with memray.Tracker(path, memory_interval_ms=1000):
        result = sample()
    ranges = resident.mapped_ranges()
    del result
    with memray.FileReader(path) as reader:
        records = _records(reader.get_allocation_records())
        use = add_up(records, file_sizes=mapped_sizes, file_ranges=ranges)
    os.unlink(path)  # noqa: PTH108
    return use


def note_mapped_files() -> list[int]:
    """Have Python tell of every file that it maps from now on.

    Returns
    -------
    list of int
        It grows by the bytes of each mapping. An audit hook stays for the life of the process.
    """
    sizes: list[int] = []

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event == "mmap.__new__" and args[0] != -1:
            fileno, length, _access, offset = args
            sizes.append(length or os.fstat(fileno).st_size - offset)

    sys.addaudithook(hook)
    return sizes


def _records(trace: Iterable[Any]) -> Iterable[Record]:
    from memray import AllocatorType as Kind

    kinds = {Kind.FREE: "free", Kind.PYMALLOC_FREE: "free", Kind.MMAP: "map", Kind.MUNMAP: "unmap"}
    return (Record(kinds.get(r.allocator, "heap"), r.address, r.size) for r in trace)


def add_up(
    records: Iterable[Record],
    *,
    file_sizes: Iterable[int] = (),
    file_ranges: Iterable[tuple[int, int]] = (),
) -> HeapUse:
    """Add up what was asked for and find the most that was held, without mapped files.

    Parameters
    ----------
    records : iterable of Record
        In the order of the calls.
    file_sizes : iterable of int
        Bytes of each file that Python mapped.
    file_ranges : iterable of (int, int)
        First address, and address after the last, of the files mapped at the end.

    Examples
    --------
    >>> calls = [Record("heap", 8, 100), Record("free", 8, 0), Record("map", 4096, 70)]
    >>> add_up(calls)
    HeapUse(allocated=170, peak=100)
    >>> add_up(calls, file_sizes=[70])
    HeapUse(allocated=100, peak=100)
    """
    total = _Total(list(file_sizes), list(file_ranges))
    for record in records:
        total.take(record)
    return HeapUse(allocated=total.allocated, peak=total.peak)


class _Total:
    def __init__(self, sizes: list[int], ranges: list[tuple[int, int]]) -> None:
        self.allocated = self.peak = self._held = 0
        self._blocks: dict[int, int] = {}
        self._maps: dict[int, int] = {}
        self._sizes, self._ranges = sizes, ranges

    def take(self, record: Record) -> None:
        if record.kind == "free":
            self._held -= self._blocks.pop(record.address, 0)
        elif record.kind == "unmap":
            self._unmap(record.address, record.address + record.size)
        elif record.kind == "heap":
            self._add(self._blocks, record)
        elif not self._is_file(record):
            self._add(self._maps, record)

    def _add(self, place: dict[int, int], record: Record) -> None:
        self._held += record.size - place.get(record.address, 0)
        place[record.address] = record.size
        self.allocated += record.size
        self.peak = max(self.peak, self._held)

    def _is_file(self, record: Record) -> bool:
        if record.size in self._sizes:
            self._sizes.remove(record.size)
            return True
        return any(start <= record.address < stop for start, stop in self._ranges)

    def _unmap(self, start: int, stop: int) -> None:
        """Give back [start, stop), which may be a part of a mapping."""
        for address, size in list(self._maps.items()):
            low, high = max(start, address), min(stop, address + size)
            if low < high:
                self._held -= high - low
                del self._maps[address]
                if address < low:
                    self._maps[address] = low - address
                if high < address + size:
                    self._maps[high] = address + size - high
