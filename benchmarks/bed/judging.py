"""One model judged, in a process of its own: ``judging.py answers|limits FILE`` prints JSON.

``answers``: the largest difference from onnxruntime's outputs, relative to their largest value; the
share of the time that native instructions take; nodes that run on the host, and why; the ratio of
latencies, ours / onnxruntime's, in turns; the arena. ``limits``: the least limit on the whole
process, and whether a process in a memory cgroup of that size ends with the same answer.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
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
ROUNDS, MOST_S = 15, 4.0
STEP = 256 << 10
LOCK = Path(tempfile.gettempdir()) / "pelemay-bed.lock"
PAUSE_S = 0.05
"""Before each run: threads of the runtime before it may still spin."""

# What the other benchmarks have: real-time scheduling, memory cgroups.
sys.path.append(str(Path(__file__).parents[1]))


def oracle(path: Path) -> Any:
    """onnxruntime on the file as it is."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = THREADS
    options.log_severity_level = 3
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def difference(ours: Any, theirs: Any) -> float:
    """The largest, relative to the largest value; infinite where there is nothing to compare."""
    if isinstance(theirs, list):
        theirs, ours = dict(enumerate(theirs)), dict(enumerate(ours))
    if isinstance(theirs, Mapping):
        if set(ours) != set(theirs):
            return float("inf")
        return max((difference(ours[key], theirs[key]) for key in theirs), default=0.0)
    a, b = np.asarray(ours), np.asarray(theirs)
    if a.shape != b.shape or a.dtype.kind != b.dtype.kind:
        return float("inf")
    if b.dtype.kind not in "fc":
        return float(np.any(a != b))
    wrong = ~((a == b) | (np.isnan(a) & np.isnan(b)))
    scale = np.abs(b[np.isfinite(b)]).max(initial=1e-30)
    with np.errstate(all="ignore"):
        gaps = np.abs(a[wrong].astype(np.float64) - b[wrong]) / scale
    return float(np.nan_to_num(gaps, nan=np.inf).max(initial=0.0))


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
    shown = facts(program, feeds)
    runs = (lambda: ours.run(None, feeds), lambda: theirs.run(None, feeds))
    return {"error": error, "file_bytes": path.stat().st_size, **shown, **latency(*runs)}


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


def latency(ours: Any, theirs: Any) -> dict[str, float]:
    """The median of the ratios, and of our times; A B A B, before all else on the machine."""
    from latency import schedule

    pairs: list[tuple[float, float]] = []
    with LOCK.open("w") as alone:
        # Another run of the bed would be timed with this one.
        fcntl.flock(alone, fcntl.LOCK_EX)
        with suppress(PermissionError):
            schedule(os.SCHED_FIFO)
        begin = time.perf_counter()
        while len(pairs) < 3 or (len(pairs) < ROUNDS and time.perf_counter() - begin < MOST_S):
            pairs.append((_seconds(ours), _seconds(theirs)))
        with suppress(PermissionError):
            schedule(os.SCHED_OTHER)
    return {
        "ratio": statistics.median(a / b for a, b in pairs),
        "ms": statistics.median(a for a, _ in pairs) * 1e3,
    }


def _seconds(run: Any) -> float:
    time.sleep(PAUSE_S)
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def limits(path: Path) -> dict[str, Any]:
    """The least limit that runs, by what refusals say, and a run in a cgroup of that size."""
    import limits as cgroups

    with tempfile.TemporaryDirectory() as folder:
        case = cgroups.Case(str(path), Path(folder), feeds_of(path))
        base = cgroups.base_of("python")
        found = cgroups.tried("python", case, base, base, 1)
        limit = -(-(found.least or base) // STEP) * STEP
        for _ in range(8):
            outcome = cgroups.tried("python", case, limit, base, 1)
            if outcome.result != "refused":
                break
            said = re.search(r"least=(\d+)", outcome.note)
            limit = max(limit + STEP, -(-int(said[1]) // STEP) * STEP if said else 0)
    return {"least": limit, "in_cgroup": outcome.result, "charged": outcome.charged}


if __name__ == "__main__":
    print(json.dumps({"answers": answers, "limits": limits}[sys.argv[1]](Path(sys.argv[2]))))
