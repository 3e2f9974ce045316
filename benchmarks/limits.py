"""Networks in memory cgroups of exactly the limit: does each run or is it refused, and rightly?

    python benchmarks/limits.py [--models NAME...] [--limits N]
                                [--runners python command pelemay-run]
                                [--weights int8] [--least-only] [--repeat N] [--json FILE]

Needs cgroups of version 1 that may be made (root). For every network the least limit is found
first: what the refusal of a far too small one says. Then N limits, from below it to above what
everything takes. Each run is a fresh process in a fresh cgroup whose memory.limit_in_bytes is the
limit; programs are compiled for it outside, from the cache. Judged are:

* ran: the answer is within 1e-4 of onnxruntime's, relative to its largest value; with other weights
  than float32, of that of the same weights without a limit;
* refused: nothing was read, exit code 1, and the limit is below the least;
* killed, wrong, exceeded: what must not happen.

Runners are a script with a session, the command ``pelemay run``, and the tool without Python.
Modules have their bytecode on disk, as pip leaves them: a process that compiles their text holds
half a MiB more.

``charged`` is memory.max_usage_in_bytes, page cache and kernel memory included.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from compare import difference

MODELS = (
    "squeezenet1.1-7",
    "mobilenetv2-12",
    "efficientnet_lite0",
    "resnet18-v1-7",
    "resnet50-v1-7",
    "resnet101-v1-7",
    "densenet121",
    "inception_v1",
    "vit_tiny",
    "vit_base",
    "bert_mini",
    "yolov8n",
)
RUNNERS = ("python", "command", "pelemay-run")
GROUPS = Path("/sys/fs/cgroup/memory")
MIB = 1 << 20
STEP = 256 << 10

PYTHON = """
import json, sys, time
import numpy as np
from pelemay.errors import MemoryLimitError
from pelemay.session import InferenceSession
path, limit, folder, names, repeat = *sys.argv[1:4], json.loads(sys.argv[4]), int(sys.argv[5])
try:
    session = InferenceSession(path, memory_limit=int(limit))
except MemoryLimitError as error:
    sys.stderr.write(f"refused least={error.least_bytes} {error}")
    sys.exit(1)
feeds = {n: np.load(f"{folder}/in{i}.npy", allow_pickle=True) for i, n in enumerate(names)}
times = []
for _ in range(repeat):
    begin = time.perf_counter()
    results = session.run(None, feeds)
    times.append((time.perf_counter() - begin) * 1e3)
for i, y in enumerate(results):
    np.save(f"{folder}/out{i}.npy", y)
print(json.dumps(times))
"""

HELD = """
import pelemay.session, pelemay.backends.native, {more}
from pelemay.memory import held
print(held())
"""


@dataclass(frozen=True)
class Outcome:
    """What one limit gave."""

    model: str
    runner: str
    limit: int
    result: str
    ms: float = 0.0
    charged: int = 0
    arena: int = 0
    least: int = 0
    note: str = ""


class Case:
    """A network with feeds and the answer that is expected."""

    def __init__(self, name: str, folder: Path, feeds: dict[str, Any] | None = None) -> None:
        import onnxruntime as ort

        from pelemay import models
        from pelemay.bench.inputs import inputs_of_model, make_feeds

        self.name, self.folder = name, folder
        self.path = Path(name) if name.endswith(".onnx") else models.get(name).path
        self.feeds = feeds or make_feeds(inputs_of_model(self.path), seed=0)
        self.shapes = {n: x.shape for n, x in self.feeds.items()}
        for i, x in enumerate(self.feeds.values()):
            np.save(folder / f"in{i}.npy", x)
        session = ort.InferenceSession(self.path, providers=["CPUExecutionProvider"])
        self.outputs = [y.name for y in session.get_outputs()]
        if WEIGHTS == "f32":
            self.expected = session.run(None, self.feeds)
            return
        import pelemay

        own = pelemay.InferenceSession(self.path, weights=WEIGHTS)
        self.expected = own.run(None, self.feeds)

    def program(self, budget: int) -> Path | int:
        """The program for a budget, or the least that there is one for."""
        from pelemay import cache
        from pelemay.errors import MemoryLimitError
        from pelemay.target import Target

        target = Target(budget_bytes=max(budget, 1) // STEP * STEP, weights=WEIGHTS)
        try:
            return cache.compiled(self.path, shapes=self.shapes, target=target)
        except MemoryLimitError as error:
            return error.least_bytes

    def error(self) -> float:
        """The largest difference from the expected outputs, relative to their largest value."""
        return max((self._gap(i, y) for i, y in enumerate(self.expected)), default=0.0)

    def _gap(self, index: int, expected: Any) -> float:
        found = self.found(index)
        return difference(list(found) if isinstance(expected, list) else found, expected)

    def found(self, index: int) -> Any:
        """An output as the run wrote it."""
        packed = self.folder / "out.npz"
        if packed.exists():
            return np.load(packed, allow_pickle=True)[self.outputs[index]]
        return np.load(self.folder / f"out{index}.npy", allow_pickle=True)


WEIGHTS = "f32"
TOLERANCE = 1e-4


def base_of(runner: str) -> int:
    """What a process of this kind holds before a run, about."""
    if runner == "pelemay-run":
        return MIB
    code = HELD.format(more="pelemay.cli.run" if runner == "command" else "sys")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return int(done.stdout)


def command(runner: str, case: Case, program: Path, limit: int, repeat: int) -> list[str]:
    """How the program is run."""
    if runner == "python":
        names = json.dumps(list(case.feeds))
        return [
            *(sys.executable, "-c", PYTHON, str(program), str(limit)),
            *(str(case.folder), names, str(repeat)),
        ]
    if runner == "command":
        named = [f"--input={n}={case.folder}/in{i}.npy" for i, n in enumerate(case.feeds)]
        more = [f"--output={case.folder}/out.npz", f"--memory-limit={limit}"]
        return [sys.executable, "-m", "pelemay", "run", str(program), *named, *more]
    tool = Path(sys.executable).with_name("pelemay-run")
    inputs = [f"--input={n}={case.folder}/in{i}.npy" for i, n in enumerate(case.feeds)]
    outputs = [f"--output={n}={case.folder}/out{i}.npy" for i, n in enumerate(case.outputs)]
    more = [f"--memory-limit={limit}", f"--repeat={repeat}", "--time"]
    return [str(tool), str(program), *inputs, *outputs, *more]


def in_group(argv: list[str], limit: int) -> tuple[subprocess.CompletedProcess[str], int, bool]:
    """Run in a cgroup: how it ended, the most that was charged, whether it was killed for that."""
    group = GROUPS / f"pelemay-limits-{os.getpid()}"
    group.mkdir()
    try:
        (group / "memory.limit_in_bytes").write_text(str(limit))
        enter = f'echo $$ > {group}/cgroup.procs && exec "$@"'
        whole = ["sh", "-c", enter, "sh", *argv]
        done = subprocess.run(whole, capture_output=True, text=True, check=False, timeout=600)
        charged = int((group / "memory.max_usage_in_bytes").read_text())
        killed = "oom_kill 0" not in (group / "memory.oom_control").read_text()
        return done, charged, killed or done.returncode < 0
    finally:
        time.sleep(0.05)
        group.rmdir()


def tried(runner: str, case: Case, limit: int, base: int, repeat: int) -> Outcome:
    """One limit."""
    program = case.program(limit - base)
    if isinstance(program, int):
        return Outcome(case.name, runner, limit, "refused", least=base + program)
    return ran(runner, case, program, limit, repeat)


def ran(runner: str, case: Case, program: Path, limit: int, repeat: int) -> Outcome:
    """A program run in a cgroup of the limit, and told of it."""
    from pelemay.engine import open_program

    arena = int(open_program(program).arena_bytes)
    for old in case.folder.glob("out*.np?"):
        old.unlink()
    done, charged, killed = in_group(command(runner, case, program, limit, repeat), limit)
    made = Outcome(case.name, runner, limit, "ran", 0.0, charged, arena)
    if killed:
        return Outcome(**{**asdict(made), "result": "killed", "note": done.stderr[-200:]})
    if done.returncode:
        return Outcome(**{**asdict(made), "result": "refused", "note": done.stderr[-300:].strip()})
    error = case.error()
    if not error <= TOLERANCE:
        return Outcome(**{**asdict(made), "result": "wrong", "note": f"{error:.2g}"})
    if charged > limit:
        return Outcome(**{**asdict(made), "result": "exceeded"})
    return Outcome(**{**asdict(made), "ms": milliseconds(runner, done), "note": f"{error:.1e}"})


def least_named(runner: str, case: Case, program: Path) -> int:
    """The least limit with which a program can be run, as the refusal of a far smaller one says."""
    argv = command(runner, case, program, 1, 1)
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    said = re.search(r"refused least=(\d+)", done.stderr)
    assert said, f"not refused, but: {done.stderr[-300:]}"
    return int(said[1])


def milliseconds(runner: str, done: subprocess.CompletedProcess[str]) -> float:
    """The median of the runs after the first."""
    if runner == "python":
        times = json.loads(done.stdout)
        return float(np.median(times[1:] or times))
    found = re.search(r"on average ([0-9.]+)|ran in ([0-9.]+)", done.stderr)
    return float(found[1] or found[2]) if found else 0.0


def least_limit(runner: str, case: Case, base: int) -> int:
    """The smallest limit that runs, to a quarter of a MiB, by bisection over real runs."""
    low, high = base, base + 512 * MIB
    found = tried(runner, case, low, base, 1)
    if found.least:
        high = -(-found.least // STEP) * STEP
        while (outcome := tried(runner, case, high, base, 1)).result != "ran":
            if outcome.result != "refused":
                raise SystemExit(f"{case.name}: {outcome}")
            low, high = high, high + 2 * STEP
    while high - low > STEP:
        middle = (low + high) // 2 // STEP * STEP
        if middle in (low, high):
            break
        if tried(runner, case, middle, base, 1).result == "ran":
            high = middle
        else:
            low = middle
    return high


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("--runners", nargs="+", default=["python", "pelemay-run"], choices=RUNNERS)
    parser.add_argument("--limits", type=int, default=12)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--weights", default="f32", choices=["f32", "f16", "bf16", "int8"])
    parser.add_argument("--least-only", action="store_true", help="only find the least limits")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    for runner in options.runners:
        base_of(runner)  # Writes the bytecode.
    global WEIGHTS
    WEIGHTS = options.weights
    found: list[Outcome] = []
    for name in options.models:
        for runner in options.runners:
            with tempfile.TemporaryDirectory() as folder:
                found += sweep(Case(name, Path(folder)), runner, options)
            if options.json:
                options.json.write_text(json.dumps([asdict(o) for o in found], indent=1))
    results = [o.result for o in found]
    print({result: results.count(result) for result in sorted(set(results))})
    if any(r in ("killed", "wrong", "exceeded") for r in results):
        sys.exit(1)


def sweep(case: Case, runner: str, options: Any) -> list[Outcome]:
    base = base_of(runner)
    least = least_limit(runner, case, base)
    print(f"{case.name} {runner}: the least limit is {least / MIB:.2f} MiB", flush=True)
    if options.least_only:
        limits = [least]
    else:
        most = base + case.path.stat().st_size + 16 * MIB
        inside = np.geomspace(least, most, options.limits - 2)
        limits = [least - 2 * MIB, least - MIB, *(int(x) for x in inside)]
    found = []
    for limit in limits:
        outcome = tried(runner, case, limit, base, options.repeat)
        if outcome.result == "refused" and limit >= least:
            outcome = Outcome(**{**asdict(outcome), "result": "refused wrongly"})
        if outcome.result == "ran" and limit < least:
            outcome = Outcome(**{**asdict(outcome), "result": "ran, though below the least"})
        found.append(outcome)
        print(
            f"  {limit / MIB:8.2f} MiB {outcome.result:10} {outcome.ms:9.1f} ms, charged "
            f"{outcome.charged / MIB:8.2f} MiB, arena {outcome.arena / MIB:6.2f} "
            f"{outcome.note[:90]}",
            flush=True,
        )
    return found


if __name__ == "__main__":
    main()
