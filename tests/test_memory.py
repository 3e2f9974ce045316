"""Limits on the memory of the whole process: kept, or refused with the smallest that works."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pelemay import cache
from pelemay.compilation import compile_graph
from pelemay.errors import InputError, MemoryLimitError
from pelemay.memory import MIB, limit_of
from pelemay.program.describe import metadata
from pelemay.program.scratch import needs_of
from pelemay.program.write import write_program
from pelemay.session import InferenceSession
from pelemay.signature import Signature
from pelemay.target import Target
from support import integers
from support.plans import Builder
from support.processes import environment


def network() -> Any:
    """More weights than fit, and more values."""
    b = Builder()
    x = b.input(1, 96, 96, 16)
    for width in (16, 32):
        x = b.conv(x, width)
    for _ in range(2):
        height, wide = b.shape(x)[1:3]
        pool = {"kernel_shape": (2, 2), "strides": (2, 2)}
        x = b.add(
            "MaxPool", (x,), (1, height // 2, wide // 2, b.shape(x)[-1]), domain="pelemay", **pool
        )
        x = b.conv(x, b.shape(x)[-1] * 4)
    return b.graph(b.conv(x, 256))


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("limits")
    path = folder / "network.plm"
    least = needs_of(compile_graph(network()), 2)
    assert least.most > 6 << 20, least
    assert least.arena > 1 << 20, least
    graph = network()
    signature = Signature(graph.inputs, graph.outputs, name="g")
    made = compile_graph(
        graph, target=Target(budget_bytes=5 << 20), metadata=metadata(signature.to_metadata())
    )
    write_program(made, path)
    ran(path, folder, "64MiB")  # Whatever comes after finds the bytecode of all modules.
    return path


def feed(seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal((1, 96, 96, 16)).astype(np.float32)


RUN = """
import json, sys
import numpy as np
from pelemay.session import InferenceSession
from pelemay.errors import MemoryLimitError
from pelemay.engine import native

path, limit, runs = sys.argv[1], sys.argv[2], int(sys.argv[3])
x = np.load(sys.argv[4])
try:
    session = InferenceSession(path, threads=2, memory_limit=limit)
except MemoryLimitError as error:
    print(json.dumps({"least": error.least_bytes}))
    sys.exit(0)
held = []
for _ in range(runs):
    y = session.run(None, {"in0": x})[0]
    memory = native().memory()
    held.append(memory["anonymous"] + memory["shared"] + memory["page_tables"])
np.save(sys.argv[5], y)
print(json.dumps({"held": held, "mapped": "network.plm" in open("/proc/self/maps").read()}))
"""


def ran(program: Path, folder: Path, limit: str, runs: int = 1, group: Path | None = None) -> Any:
    np.save(folder / "x.npy", feed())
    arguments = [str(program), limit, str(runs), str(folder / "x.npy"), str(folder / "y.npy")]

    command = [sys.executable, "-c", RUN, *arguments]
    if group is not None:
        enter = f'echo $$ > {group}/cgroup.procs && exec "$@"'
        command = ["sh", "-c", enter, "sh", *command]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, env=environment()
    )
    assert done.returncode == 0, (done.returncode, done.stderr)
    return json.loads(done.stdout)


def test_the_answer_does_not_depend_on_the_limit(program: Path, tmp_path: Path) -> None:
    expected = InferenceSession(program).run(None, {"in0": feed()})[0]
    refused = ran(program, tmp_path, "8MiB")
    for limit in (refused["least"], refused["least"] + (4 << 20), 128 << 20):
        found = ran(program, tmp_path, str(limit), runs=3)
        assert max(found["held"]) <= limit
        assert not found["mapped"]
        np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), expected)


def test_the_smallest_limit_is_right(program: Path, tmp_path: Path) -> None:
    least = ran(program, tmp_path, "8MiB")["least"]
    assert "held" in ran(program, tmp_path, str(least))
    assert "least" in ran(program, tmp_path, str(least - MIB))


def test_nothing_grows(program: Path, tmp_path: Path) -> None:
    least = ran(program, tmp_path, "8MiB")["least"]
    held = ran(program, tmp_path, str(least + MIB), runs=100)["held"]
    assert held[-1] - held[9] <= 65536


@pytest.mark.parametrize("more", [-2, -1, 0, 1, 2, 4, 8, 32])
def test_the_kernel_agrees(program: Path, tmp_path: Path, group: Path, more: int) -> None:
    """A cgroup of exactly the limit: the run ends well in it, or is refused, and rightly."""
    least = -(-ran(program, tmp_path, "8MiB")["least"] // MIB) * MIB
    limit = least + more * MIB
    (group / "memory.limit_in_bytes").write_text(str(limit))
    found = ran(program, tmp_path, "auto", runs=3, group=group)
    assert ("held" in found) == (more >= 0), found
    assert int((group / "memory.max_usage_in_bytes").read_text()) <= limit
    assert "oom_kill 0" in (group / "memory.oom_control").read_text()


def test_a_model_is_compiled_for_the_room_that_there_is(tmp_path: Path) -> None:
    budgets = [4 << 20, 6 << 20, 64 << 20]
    needs = [needs_of(compile_graph(network(), target=Target(budget_bytes=b)), 2) for b in budgets]
    for budget, need in zip(budgets, needs, strict=True):
        assert need.fixed + need.least <= budget
    assert needs[0].arena < needs[-1].arena
    with pytest.raises(MemoryLimitError) as caught:
        compile_graph(network(), target=Target(budget_bytes=1 << 20))
    least = caught.value.least_bytes
    found = needs_of(compile_graph(network(), target=Target(budget_bytes=least)), 2)
    assert found.fixed + found.least <= least


@pytest.mark.parametrize(
    ("graph", "weights", "hint"),
    [
        (network, "f32", "store weights as f16 or int8"),
        (network, "f16", "store weights as int8"),
        (network, "int8", ""),
        (integers.network, "f32", ""),
    ],
)
def test_smaller_weights_are_advised_where_there_are_such(
    graph: Callable[[], Any], weights: str, hint: str
) -> None:
    with pytest.raises(MemoryLimitError) as caught:
        compile_graph(graph(), target=Target(budget_bytes=1000, weights=weights))
    allowed = f"allow {caught.value.least_bytes:,} bytes"
    assert caught.value.hint == (f"{allowed}, or {hint}" if hint else allowed)


def test_what_says_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PELEMAY_MEMORY_LIMIT", raising=False)
    assert limit_of() is None
    monkeypatch.setenv("PELEMAY_MEMORY_LIMIT", "64MiB")
    assert limit_of().nbytes == 64 * MIB  # type: ignore[union-attr]
    assert limit_of(1 << 20).nbytes == MIB  # type: ignore[union-attr]
    assert limit_of("auto").nbytes > 0  # type: ignore[union-attr]
    for wrong in ("much", "-4MiB", "0"):
        with pytest.raises(InputError):
            limit_of(wrong)


def test_a_refusal_crosses_processes() -> None:
    error = MemoryLimitError("too much", hint="allow more", least_bytes=7)
    made = cache._error(json.loads(json.dumps(cache.error_as_data(error))))
    assert isinstance(made, MemoryLimitError)
    assert (made.least_bytes, str(made)) == (7, str(error))


SESSIONS = """
import json, sys, threading
import numpy as np
from pelemay.errors import MemoryLimitError
from pelemay.session import InferenceSession
from pelemay.engine import native

path, limit = sys.argv[1:3]
x = np.load(sys.argv[3])
sessions = []
try:
    while len(sessions) < 50:
        sessions.append(InferenceSession(path, threads=1, memory_limit=limit))
except MemoryLimitError as error:
    pass
def run(session):
    for _ in range(10):
        session.run(None, {"in0": x})
threads = [threading.Thread(target=run, args=(session,)) for session in sessions]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
memory = native().memory()
held = memory["anonymous"] + memory["shared"] + memory["page_tables"]
print(json.dumps([len(sessions), held]))
"""


def test_many_sessions_share_a_limit(program: Path, tmp_path: Path) -> None:
    """None runs before the last is opened: what was promised to the others counts."""
    np.save(tmp_path / "x.npy", feed())
    limit = 48 * MIB
    command = [sys.executable, "-c", SESSIONS, str(program), str(limit), str(tmp_path / "x.npy")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    count, held = json.loads(done.stdout)
    assert 1 < count < 50
    assert held <= limit


def test_a_refusal_says_what_sets_it(program: Path) -> None:
    with pytest.raises(
        MemoryLimitError, match=r"smallest limit that works is .* set by the values"
    ):
        InferenceSession(program, memory_limit="4MiB")
