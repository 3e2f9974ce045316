"""Memory over time: what a process holds while it does a job step by step.

In: a worker with the phase "follow", which says each step before it begins. Out: a
:class:`~pelemay.bench.results.Timeline`. The parent looks every five milliseconds; the worker
stops at the beginning of a step only, and nothing else is measured in that process.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import pairwise

from pelemay.bench.results import Step, Timeline
from pelemay.bench.watch import Reading, read_statm

INTERVAL_S = 0.005
MOST_READINGS = 300
"""Readings that a timeline keeps at most."""

At = tuple[int, Reading]
"""Microseconds, and what was held."""


class Follower:
    """Reads what a worker holds from its first event to its last.

    It is a callback for :func:`pelemay.bench.process.run_worker`.
    """

    def __init__(self, read: Callable[[int], Reading] = read_statm) -> None:
        self._read = read
        self._readings: list[At] = []
        self._steps: list[Step] = []
        self._began_ns: int | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def __call__(self, event: str, pid: int) -> None:
        if self._began_ns is None:
            self._began_ns = time.monotonic_ns()
        self._note(pid)
        if event == "end":
            self.close()
            return
        self._steps.append(Step(event, self._readings[-1][0] if self._readings else 0))
        if self._thread is None:
            self._thread = threading.Thread(target=self._watch, args=(pid,), daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Stop reading."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def timeline(self) -> Timeline | None:
        """What was seen, thinned; None if the process was gone before it was seen twice."""
        if len(self._readings) < 2:
            return None
        readings = thin(sorted(self._readings, key=lambda r: r[0]), MOST_READINGS)
        return Timeline(
            at_us=tuple(at for at, _ in readings),
            anonymous=tuple(reading.anonymous for _, reading in readings),
            file_backed=tuple(reading.file_backed for _, reading in readings),
            steps=tuple(self._steps),
        )

    def _watch(self, pid: int) -> None:
        while not self._stop.wait(INTERVAL_S):
            self._note(pid)

    def _note(self, pid: int) -> None:
        with suppress(OSError, ValueError):
            reading = self._read(pid)
            at = (time.monotonic_ns() - (self._began_ns or 0)) // 1000
            self._readings.append((at, reading))


def thin(readings: Sequence[At], most: int) -> list[At]:
    """Keep the first, the last, and of each stretch of time the highest and the lowest reading.

    Parameters
    ----------
    readings : sequence of (int, Reading)
        In order of time, at least one.
    most : int
        How many to keep at most, at least 4.

    Returns
    -------
    list of (int, Reading)
        Where nothing changed, only the two ends of that stretch.

    Examples
    --------
    >>> readings = [(at, Reading(held, 0)) for at, held in enumerate([1, 1, 1, 1, 5, 2])]
    >>> [at for at, _ in thin(readings, 100)]
    [0, 3, 4, 5]
    """
    changes = _without_repeats(readings)
    if len(changes) <= most:
        return changes
    first, last = changes[0][0], changes[-1][0]
    stretches = (most - 2) // 2
    sorted_out: dict[int, list[At]] = {}
    for at, reading in changes[1:-1]:
        place = (at - first) * stretches // (last - first + 1)
        sorted_out.setdefault(place, []).append((at, reading))
    kept = [changes[0]]
    for stretch in sorted_out.values():
        ends = {max(stretch, key=_height)[0], min(stretch, key=_height)[0]}
        kept += [r for r in stretch if r[0] in ends]
    return [*kept, changes[-1]]


def _height(reading: At) -> int:
    return reading[1].rss


def _without_repeats(readings: Sequence[At]) -> list[At]:
    inner = zip(pairwise(readings), readings[2:], strict=False)
    kept = [b for (a, b), c in inner if not a[1] == b[1] == c[1]]
    return [readings[0], *kept, *readings[-1:]] if len(readings) > 1 else list(readings)
