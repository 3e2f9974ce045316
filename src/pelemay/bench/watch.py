"""A process' memory over a stretch of time, sampled from outside.

In: a process id, start and stop. Out: :class:`Watched`. The kernel keeps an exact high-water
mark of resident memory only, not of its parts; those are sampled here every two milliseconds,
by the parent, so that the measured process does nothing for it.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

INTERVAL_S = 0.002
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


@dataclass(frozen=True)
class Reading:
    """Resident bytes of a process at one moment."""

    anonymous: int
    file_backed: int

    @property
    def rss(self) -> int:
        """All resident bytes."""
        return self.anonymous + self.file_backed


class Watcher:
    """Samples a process between ``before_sample`` and ``after_sample``.

    It is a callback for :func:`pelemay.bench.process.run_worker`.
    """

    def __init__(self) -> None:
        self.readings: list[Reading] = []
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def __call__(self, event: str, pid: int) -> None:
        if event == "before_sample":
            self._stop.clear()
            self._thread = threading.Thread(target=self._sample, args=(pid,), daemon=True)
            self._thread.start()
        else:
            self.close()

    def close(self) -> None:
        """Stop sampling."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _sample(self, pid: int) -> None:
        with suppress(OSError, ValueError):
            while not self._stop.wait(INTERVAL_S):
                self.readings.append(read_statm(pid))


def read_statm(pid: int) -> Reading:
    """Read what a process holds; ``statm`` is cheaper to read than ``status``."""
    resident, shared = map(int, Path(f"/proc/{pid}/statm").read_bytes().split()[1:3])
    return Reading(anonymous=(resident - shared) * _PAGE_BYTES, file_backed=shared * _PAGE_BYTES)
