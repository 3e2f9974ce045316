"""Reads a file past the page cache as fast as it comes, and looks at each byte once.

    python benchmarks/reading.py FILE      for each line of its input, the milliseconds it took

One MiB at a time into a window of large pages, three reads under way, which the kernel makes while
this process looks at what has come (Linux's native asynchronous reads; x86-64 and arm64).
"""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
import time
from typing import Any

import numpy as np

LARGE, PIECE, SLOTS, AT_ONCE = 2 << 20, 1 << 20, 6, 3
SETUP, GETEVENTS, SUBMIT = {"x86_64": (206, 208, 209), "aarch64": (0, 4, 2)}[os.uname().machine]


class Wanted(ctypes.Structure):
    """The kernel's ``struct iocb``."""

    _fields_ = (
        ("number", ctypes.c_uint64),
        ("key", ctypes.c_uint64),
        ("operation", ctypes.c_int16),
        ("priority", ctypes.c_int16),
        ("file", ctypes.c_uint32),
        ("to", ctypes.c_uint64),
        ("nbytes", ctypes.c_uint64),
        ("offset", ctypes.c_int64),
        ("more", ctypes.c_uint64 * 2),
    )


class Event(ctypes.Structure):
    """The kernel's ``struct io_event``."""

    _fields_ = (
        ("number", ctypes.c_uint64),
        ("wanted", ctypes.c_uint64),
        ("result", ctypes.c_int64),
        ("second", ctypes.c_int64),
    )


class Reading:
    """A file, and the window that it is read into."""

    def __init__(self, path: str) -> None:
        self._call: Any = ctypes.CDLL(None, use_errno=True).syscall
        self._file = os.open(path, os.O_RDONLY | os.O_DIRECT)
        pages = mmap.mmap(-1, SLOTS * PIECE + LARGE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        whole = np.frombuffer(pages, np.uint8)
        first = -whole.ctypes.data % LARGE
        pages.madvise(mmap.MADV_HUGEPAGE, first, SLOTS * PIECE)
        self._window = whole[first : first + SLOTS * PIECE].reshape(SLOTS, PIECE)
        self._window[:] = 0
        self._context = ctypes.c_uint64(0)
        if self._call(SETUP, AT_ONCE, ctypes.byref(self._context)):
            sys.exit("the kernel gives no asynchronous reads")

    def _begin(self, number: int) -> None:
        to = self._window[number % SLOTS].ctypes.data
        wanted = Wanted(number, file=self._file, to=to, nbytes=PIECE, offset=number * PIECE)
        pointer = ctypes.pointer(wanted)
        if self._call(SUBMIT, self._context, 1, ctypes.byref(pointer)) != 1:
            sys.exit("a read was refused")

    def whole(self) -> None:
        """All of the file."""
        pieces, event = -(-os.fstat(self._file).st_size // PIECE), Event()
        for number in range(min(AT_ONCE, pieces)):
            self._begin(number)
        for number in range(AT_ONCE, pieces + AT_ONCE):
            came = self._call(GETEVENTS, self._context, 1, 1, ctypes.byref(event), None)
            if came != 1 or event.result <= 0:
                sys.exit("a read failed")
            if number < pieces:
                self._begin(number)
            self._window[event.number % SLOTS, : event.result // 8 * 8].view(np.uint64).sum()


def main() -> None:
    reading = Reading(sys.argv[1])
    print("ready", flush=True)
    for _ in sys.stdin:
        begin = time.perf_counter()
        reading.whole()
        print((time.perf_counter() - begin) * 1e3, flush=True)


if __name__ == "__main__":
    main()
