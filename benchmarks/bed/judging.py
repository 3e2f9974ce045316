"""One model judged, in a process of its own: ``judging.py STEP FILE`` prints JSON.

``answers``: the largest difference from onnxruntime's outputs, relative to their largest value; the
share of the time that native instructions take; nodes that run on the host, and why; the arena.
``ratios``: the ratio of latencies, ours / onnxruntime's, in turns, and how busy others kept the
machine. ``limits``: the least limit on the whole process, and whether a process in a memory cgroup
of that size ends with the same answer.
"""

from __future__ import annotations

import fcntl
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

THREADS = 2
ROUNDS, MOST_S = 9, 1.5
STEP = 256 << 10
LOCK = Path(tempfile.gettempdir()) / "pelemay-bed.lock"
PAUSE_S = 0.05
"""Before each run: threads of the runtime before it may still spin."""

# What the other benchmarks have: comparing, real-time scheduling, memory cgroups.
sys.path.append(str(Path(__file__).parents[1]))

from compare import difference  # noqa: E402


def oracle(path: Path) -> Any:
    """onnxruntime on the file as it is."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = THREADS
    options.log_severity_level = 3
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def feeds_of(path: Path) -> dict[str, Any]:
    return dict(np.load(path.with_suffix(".npz"), allow_pickle=True))


def answers(path: Path) -> dict[str, Any]:
    from pelemay import InferenceSession

    feeds = feeds_of(path)
    theirs, ours = oracle(path), InferenceSession(path, threads=THREADS)
    expected, found = theirs.run(None, feeds), ours.run(None, feeds)
    error = max(map(difference, found, expected), default=0.0)
    runnable = ours._prepared.runnable
    program = runnable.program_for(feeds) if hasattr(runnable, "program_for") else runnable
    return {"error": error, "file_bytes": path.stat().st_size, **facts(program, feeds)}


def facts(program: Any, feeds: Mapping[str, Any]) -> dict[str, Any]:
    """What a program says of itself, and the share of native instructions in the time of a run."""
    from pelemay.program.describe import fallbacks

    given = [program._checked(i, feeds) for i in range(len(program.inputs))]
    times = min((program.engine.profile(given) for _ in range(3)), key=sum)
    opcodes = [opcode for opcode, *_ in program.program.instructions]
    host = sum(t for t, opcode in zip(times, opcodes, strict=True) if opcode == "host")
    native = sum(times) - host
    tail = 0
    if program.metadata.get("tail"):
        whole = min(_seconds(lambda: program.run(feeds)) for _ in range(3))
        alone = min(_seconds(lambda: program.engine.run(given)) for _ in range(3))
        tail = max(0, int((whole - alone) * 1e9))
    left = fallbacks(program.metadata)
    return {
        "native_share": native / max(native + host + tail, 1) if left else 1.0,
        "nodes": int(program.metadata.get("nodes", 0)),
        "host": [f"{entry['node']}: {entry['reason']}" for entry in left],
        "arena_bytes": int(program.program.arena_bytes),
        "weights_bytes": int(program.program.weights_bytes),
    }


def ratios(path: Path) -> dict[str, float]:
    """The median of the ratios, and of our times; A B A B, before all else on the machine."""
    from latency import schedule

    from pelemay import InferenceSession

    feeds, pairs = feeds_of(path), []
    theirs, ours = oracle(path), InferenceSession(path, threads=THREADS)
    with LOCK.open("w") as alone:
        # Another run of the bed would be timed with this one.
        fcntl.flock(alone, fcntl.LOCK_EX)
        with suppress(PermissionError):
            schedule(os.SCHED_FIFO)
        for session in (ours, theirs):
            session.run(None, feeds)
        begin, busy = time.perf_counter(), _busy_of_others()
        while len(pairs) < 3 or (len(pairs) < ROUNDS and time.perf_counter() - begin < MOST_S):
            pairs.append([_seconds(lambda s=s: s.run(None, feeds)) for s in (ours, theirs)])
        there = (time.perf_counter() - begin) * (os.cpu_count() or 1)
        others = (_busy_of_others() - busy) / there
        with suppress(PermissionError):
            schedule(os.SCHED_OTHER)
    return {
        "ratio": statistics.median(a / b for a, b in pairs),
        "ms": statistics.median(a for a, _ in pairs) * 1e3,
        "others": max(0.0, others),
    }


def _busy_of_others() -> float:
    """Seconds that the processors have worked for anything but this process."""
    user, nice, system = map(int, Path("/proc/stat").read_text().split()[1:4])
    own = os.times()
    return (user + nice + system) / os.sysconf("SC_CLK_TCK") - own.user - own.system


def _seconds(run: Any) -> float:
    time.sleep(PAUSE_S)
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def limits(path: Path) -> dict[str, Any]:
    """The least limit that a process runs in, and how one ends that is given a step less.

    The program is the one of the least budget. A process that may hold nothing says with which
    limit it would run; the limits tried are that one and those a step below, as long as they run.
    """
    import limits as cgroups

    with tempfile.TemporaryDirectory() as folder:
        case = cgroups.Case(str(path), Path(folder), feeds_of(path))
        program = least_program(path, case.shapes, Path(folder) / "least.plm")
        limit = cgroups.least_named("python", case, program)
        found = cgroups.ran("python", case, program, limit, 1)
        below = found
        while below.result == "ran":
            found, below = below, cgroups.ran("python", case, program, below.limit - STEP, 1)
    told = {"least": found.limit, "in_cgroup": found.result, "charged": found.charged}
    return {**told, "below": below.result, "note": found.note or below.note}


def least_program(path: Path, shapes: Mapping[str, Any], output: Path) -> Path:
    """The program of the least budget, as ``pelemay compile --budget`` writes it."""
    from pelemay import pipeline
    from pelemay.errors import MemoryLimitError
    from pelemay.importers import load
    from pelemay.program.plans import Plans
    from pelemay.program.write import write_program

    model, least = load(path), 0
    budgets = pipeline.budgets(model, shapes)
    try:
        budgets.within(least)
    except MemoryLimitError as error:
        least = error.least_bytes or 0
    program = budgets.within(least).made.program
    write_program(Plans.of([program], model.release), output, source=model)
    return output


if __name__ == "__main__":
    steps = {"answers": answers, "ratios": ratios, "limits": limits}
    print(json.dumps(steps[sys.argv[1]](Path(sys.argv[2]))))
