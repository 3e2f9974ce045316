"""Run a program once for each call that may fail: the first fails, then the second, and so on.

LD_PRELOAD=failing.so python every_call.py memory|reads PROGRAM STEP

After all of them a run must work again. Says, as JSON, what came of how many.
"""

from __future__ import annotations

import ctypes
import json
import sys
from collections import Counter
from itertools import count
from typing import Any

import numpy as np

from pelemay.engine import Engine, open_program
from pelemay.errors import PelemayError

KINDS = {"memory": 0, "reads": 1}


def use(path: str, *, streamed: bool) -> Any:
    """Open a program and run it twice."""
    program = open_program(path, streamed=streamed)
    budget = program.stream_need()["least"] + 4096 if streamed else None
    engine = Engine(program, threads=2, weights_bytes=budget)
    x = np.ones(program.inputs[0][2], np.float32)
    return [engine.run([x])[0] for _ in range(2)]


class Failing:
    """The calls of ``failing.c``."""

    def __init__(self, kind: str) -> None:
        self.kind = KINDS[kind]
        self.fail_at = ctypes.CDLL(None).fail_at
        self.fail_at.argtypes = [ctypes.c_int, ctypes.c_long]
        self.fail_at.restype = ctypes.c_long

    def stop(self) -> int:
        """Let all go well; how many calls there were. The call that fails may be this one's own."""
        while True:
            try:
                return int(self.fail_at(self.kind, -1))
            except (MemoryError, ctypes.ArgumentError):
                continue


def outcome(failing: Failing, nth: int, path: str, *, streamed: bool, wanted: Any) -> str:
    """What came of it that a call failed; "" if there are not so many."""
    try:
        failing.fail_at(failing.kind, nth)
        answers = use(path, streamed=streamed)
        came = "right answer"
    except (PelemayError, MemoryError, OSError, ctypes.ArgumentError) as error:
        came, answers = type(error).__name__, []
    except SystemError:  # Python's own, where it has no memory to say that it has none
        came, answers = "SystemError of Python", []
    if failing.stop() <= nth:
        came = ""
    assert all(np.array_equal(answer, wanted) for answer in answers)
    return came


def main(kind: str, path: str, step: int) -> Counter[str]:
    failing = Failing(kind)
    wanted = use(path, streamed=False)[0]
    seen: Counter[str] = Counter()
    for streamed in (False, True):
        for nth in count(0, step):
            try:
                came = outcome(failing, nth, path, streamed=streamed, wanted=wanted)
            except MemoryError:  # between the run and the end of the count
                came = "MemoryError"
                failing.stop()
            if not came:
                break
            seen[came] += 1
        assert np.array_equal(use(path, streamed=streamed)[0], wanted)
    return seen


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
