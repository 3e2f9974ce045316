"""The heap that one sample asks for, followed by memray.

In: a function. Out: the bytes that it allocated in all and the most that it held at once.
The process that does this is never timed: memray slows it down.

Native code is counted: memray sits under malloc, calloc, realloc, the aligned variants and
mmap. Objects of CPython of up to 512 bytes are counted by the arenas that CPython takes for
them, not one by one: tracing each (``trace_python_allocators``) makes element-by-element
decoding about eight times as long and the reading of the trace longer still.
"""

from __future__ import annotations

import importlib.util
import os
import tempfile
from collections.abc import Callable
from typing import Any, NamedTuple

WHY_NOT = "memray is not installed; install it with: pip install 'pelemay[bench]'"


class HeapUse(NamedTuple):
    """Bytes of heap of one sample."""

    allocated: int
    peak: int


def available() -> bool:
    """Whether memray can be used here."""
    return importlib.util.find_spec("memray") is not None


def track(sample: Callable[[], Any]) -> HeapUse:
    """Run ``sample`` once under memray.

    Returns
    -------
    HeapUse
        Bytes asked for during the call, whether freed or not, and the most held at one time.
    """
    import memray

    with tempfile.TemporaryDirectory(prefix="pelemay-heap-") as folder:
        path = os.path.join(folder, "trace.bin")  # noqa: PTH118
        with memray.Tracker(path, native_traces=False, memory_interval_ms=1000):
            result = sample()
        del result
        return _read(path)


def _read(path: str) -> HeapUse:
    import memray

    frees = {
        memray.AllocatorType.FREE,
        memray.AllocatorType.MUNMAP,
        memray.AllocatorType.PYMALLOC_FREE,
    }
    with memray.FileReader(path) as reader:
        peak = reader.metadata.peak_memory
        records = reader.get_allocation_records()
        allocated = sum(r.size for r in records if r.allocator not in frees)
    return HeapUse(allocated=allocated, peak=peak)
