"""How far a run is, shown to other processes: files in a folder, written by the engine as it runs.

In: an engine's program, and the folder that ``PELEMAY_TOP`` names. Out, in another process:
:class:`Progress`. For each engine there are two files: ``PID-N.json`` names the instructions, and
``PID-N.times`` is mapped memory into which the engine writes when each of them was done, behind the
last of them when the run began (nanoseconds of the monotonic clock). Nothing is sent, and nobody
waits. Where the variable is not set, this module is not loaded. ``pelemay-run`` writes the same
files (``native/run/show.c``).

>>> progress = Progress(1, ("a", "b"), (5, 9), 3)
>>> progress.done, progress.slowest(1)
(2, [('b', 4)])
"""

from __future__ import annotations

import itertools
import json
import mmap
import os
from array import array
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

VARIABLE = "PELEMAY_TOP"
MOST = 1 << 16
"""Instructions of a program that can be shown; pages of the file exist as far as they are used."""

_numbers = itertools.count()


class Shown:
    """The files of one engine.

    Parameters
    ----------
    folder : str
        Where they are made.

    Raises
    ------
    OSError
        If that cannot be written to.
    """

    def __init__(self, folder: str) -> None:
        os.makedirs(folder, mode=0o700, exist_ok=True)  # noqa: PTH103 - pathlib costs memory
        self._path = os.path.join(folder, f"{os.getpid()}-{next(_numbers)}")  # noqa: PTH118
        descriptor = os.open(f"{self._path}.times", os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.ftruncate(descriptor, 8 * (MOST + 1))
            self.memory = mmap.mmap(descriptor, 8 * (MOST + 1))
        finally:
            os.close(descriptor)

    def describe(self, instructions: Sequence[Sequence[Any]]) -> None:
        """Name the instructions: opcode, then name or None, of each."""
        names = [f"{opcode}  {name}" if name else opcode for opcode, name, *_ in instructions]
        temporary = f"{self._path}.new"
        with open(temporary, "w", encoding="utf-8") as file:  # noqa: PTH123
            json.dump({"instructions": names}, file)
        os.replace(temporary, f"{self._path}.json")  # noqa: PTH105

    def remove(self) -> None:
        """Remove the files; the memory stays until nobody uses it."""
        for ending in ("json", "times"):
            with suppress(OSError):
                os.unlink(f"{self._path}.{ending}")  # noqa: PTH108


@dataclass(frozen=True)
class Progress:
    """One engine of a process: names of instructions, and when each was done last."""

    pid: int
    names: tuple[str, ...]
    times_ns: tuple[int, ...]
    began_ns: int

    @property
    def done(self) -> int:
        """How many instructions of the latest run are done."""
        return next((i for i, t in enumerate(self.times_ns) if t < self.began_ns), len(self.names))

    @property
    def operation(self) -> str | None:
        """The instruction that runs now; None between runs."""
        return self.names[self.done] if self.done < len(self.names) else None

    @property
    def since_ns(self) -> int:
        """When that instruction began, or when the last one was done."""
        return self.times_ns[self.done - 1] if self.done else self.began_ns

    def slowest(self, count: int) -> list[tuple[str, int]]:
        """Instructions of the latest run that took longest so far, with their nanoseconds."""
        starts = (self.began_ns, *self.times_ns)
        took = [self.times_ns[i] - starts[i] for i in range(self.done)]
        order = sorted(range(self.done), key=lambda i: -took[i])
        return [(self.names[i], took[i]) for i in order[:count]]


def read(folder: str, pid: int) -> list[Progress]:
    """The engines of a process that have begun a run, as far as their files can be read."""
    found = []
    with suppress(OSError):
        for name in sorted(os.listdir(folder)):  # noqa: PTH208
            if name.startswith(f"{pid}-") and name.endswith(".json"):
                with suppress(OSError, ValueError, KeyError, TypeError):
                    found.append(_read(folder, name, pid))
    return [progress for progress in found if progress.began_ns]


def _read(folder: str, name: str, pid: int) -> Progress:
    path = os.path.join(folder, name)  # noqa: PTH118
    with open(path, encoding="utf-8") as file:  # noqa: PTH123
        names = tuple(map(str, json.load(file)["instructions"]))
    times = array("Q")
    with open(path.removesuffix("json") + "times", "rb") as file:  # noqa: PTH123
        times.frombytes(file.read(8 * (len(names) + 1)))
    return Progress(pid, names, tuple(times[:-1]), times[-1])
