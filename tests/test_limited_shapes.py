"""Many shapes under one limit: one window, one memory, whatever comes; the kernel agrees."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import pytest
from onnx import numpy_helper

from pelemay import InferenceSession, cache, pipeline
from pelemay.backends.plans import PlansRunnable
from pelemay.cases import cases_of
from pelemay.engine import open_program
from pelemay.memory import MIB, held, limit_of
from pelemay.target import Target

NETWORK = """<ir_version: 8, opset_import: ["" : 17]>
network (float[n, width, 512] x) => (float[n, width, 512] y) {
  a = MatMul(x, w0)  b = Relu(a)
  c = MatMul(b, w1)  d = Relu(c)  e = MatMul(d, w2)  y = Relu(e) }"""

RUN = """
import json, os, sys
import numpy as np
from pelemay.session import InferenceSession
from pelemay.engine import native

session = InferenceSession(sys.argv[1], threads=2, memory_limit=sys.argv[2])
held, threads, sums = [], set(), []
for n in (*range(1, 26), 3, 25, 1):
    for width in (4, 9):
        x = np.sin(np.arange(n * width * 512, dtype=np.float32)).reshape(n, width, 512)
        sums.append(float(session.run(None, {"x": x})[0].sum()))
        memory = native().memory()
        held.append(memory["anonymous"] + memory["shared"] + memory["page_tables"])
        threads.add(len(os.listdir("/proc/self/task")))
print(json.dumps({"held": max(held), "threads": list(threads), "sums": sums}))
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """9 MiB of weights."""
    proto = onnx.parser.parse_model(NETWORK)
    generator = np.random.default_rng(0)
    for number, shape in enumerate(((512, 2048), (2048, 512), (512, 512))):
        values = generator.standard_normal(shape).astype(np.float32) / 30
        proto.graph.initializer.append(numpy_helper.from_array(values, f"w{number}"))
    path = tmp_path_factory.mktemp("shapes") / "network.onnx"
    onnx.save(proto, path)
    return path


@pytest.fixture(scope="module")
def program(model: Path) -> Path:
    cases = cases_of([("dim", "n=1..25"), ("dim", "width=4,9")])
    return pipeline.compile(model, model.with_suffix(".plm"), cases=cases).file.path


def ran(path: Path, limit: int, group: Path | None = None) -> Any:
    command = [sys.executable, "-c", RUN, str(path), str(limit)]
    if group is not None:
        command = ["sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "sh", *command]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, (done.returncode, done.stderr)
    return json.loads(done.stdout)


def expected(model: Path) -> list[float]:
    session = InferenceSession(model.with_suffix(".plm"), threads=2)
    found = []
    for n in (*range(1, 26), 3, 25, 1):
        for width in (4, 9):
            x = np.sin(np.arange(n * width * 512, dtype=np.float32)).reshape(n, width, 512)
            found.append(float(session.run(None, {"x": x})[0].sum()))
    return found


def test_fifty_shapes_in_a_group_of_the_limit(model: Path, program: Path, group: Path) -> None:
    """Plans of two widths in turn, so that a window begins anew with each call."""
    limit = 28 * MIB
    (group / "memory.limit_in_bytes").write_text(str(limit))
    found = ran(program, limit, group)
    assert found["held"] <= limit
    assert len(found["threads"]) == 1, "none is left of the windows before"
    assert int((group / "memory.max_usage_in_bytes").read_text()) <= limit
    assert "oom_kill 0" in (group / "memory.oom_control").read_text()
    assert found["sums"] == expected(model)


def test_shapes_that_are_compiled_when_they_come(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the program before took, 9 MiB of weights, is room for the one that is compiled."""
    budgets, compiled = [], cache.compiled

    def noted(path: Any, *, target: Target, **options: Any) -> Path:
        budgets.append(target.budget_bytes or 0)
        return compiled(path, target=target, **options)

    monkeypatch.setattr(cache, "compiled", noted)
    session = InferenceSession(model, threads=2, memory_limit=held() + 40 * MIB)
    runnable: Any = session._prepared.runnable
    engines = set()
    for n in (1, 2, 3):
        x = np.ones((n, 4, 512), np.float32)
        session.run(None, {"x": x})
        engines.add(id(runnable.program_for({"x": x}).engine))
    assert len(engines) == 1
    assert min(budgets) >= budgets[0] - 4 * MIB, budgets


def test_sizes_of_a_plan_share_what_is_in_memory(program: Path) -> None:
    """What the window has read lives on from size to size."""
    file = open_program(program, streamed=True)
    runnable = PlansRunnable(file, limit=limit_of(1 << 33), threads=1)

    def read_by(n: int, width: int) -> int:
        before = read_bytes()
        runnable.run({"x": np.ones((n, width, 512), np.float32)})
        return read_bytes() - before

    whole = read_by(20, 9)
    if not whole:
        pytest.skip("the file system of temporary files reads from no disk")
    assert whole >= 9 * MIB
    assert read_by(25, 9) == read_by(7, 9) == 0
    assert read_by(7, 4) == whole


def read_bytes() -> int:
    """What this process has had read from disks."""
    counts = Path("/proc/self/io").read_text()
    return int(counts.split("read_bytes: ")[1].split()[0])
