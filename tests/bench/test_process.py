from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pelemay.bench import heap
from pelemay.bench.process import run_worker
from pelemay.bench.results import Memory
from pelemay.bench.watch import Watcher

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
MIB = 1 << 20
Spec = Callable[..., dict[str, Any]]


def _memory(spec: dict[str, Any]) -> Memory:
    watcher = Watcher()
    reply = run_worker(spec, timeout_s=30, on_sample=watcher)
    assert reply.status == "ok", reply.message
    return Memory.of(reply.answer, watcher.readings)


def test_a_peak_is_seen_and_what_is_left(spec: Spec) -> None:
    memory = _memory(spec("Allocating"))
    assert 79 * MIB <= memory.peak_rss < 82 * MIB
    assert 49 * MIB <= memory.end_anonymous < 52 * MIB
    assert 49 * MIB <= memory.peak_anonymous <= memory.peak_rss
    assert memory.file_backed < MIB


def test_mapped_pages_are_told_from_anonymous_ones(spec: Spec) -> None:
    memory = _memory(spec("Mapping"))
    assert 7.5 * MIB <= memory.file_backed < 9 * MIB
    assert memory.anonymous < MIB


def test_the_cost_of_importing_is_apart(spec: Spec, tmp_path: Path) -> None:
    memory = _memory(spec("Plain"))
    assert memory.baseline > memory.runtime_import
    assert 7.5 * MIB <= memory.peak_rss < 9 * MIB


def test_samples_are_timed_apart_from_the_first(spec: Spec) -> None:
    reply = run_worker(spec("Sleepy", min_samples=4, max_samples=9), timeout_s=30)
    assert reply.status == "ok"
    assert 20e6 < reply.answer["first_ns"] < 2e9
    assert len(reply.answer["samples_ns"]) in (1, 4)  # One, if a sample took longer than time_s.
    assert all(20e6 < ns < 2e9 for ns in reply.answer["samples_ns"])


@pytest.mark.parametrize(("time_s", "expected"), [(0, 0), (0.001, 1), (2, 3)])
def test_as_many_samples_as_asked_for_or_one_if_a_sample_is_longer(
    spec: Spec, time_s: float, expected: int
) -> None:
    asked = spec("Sleepy", time_s=time_s, min_samples=3, max_samples=3)
    reply = run_worker(asked, timeout_s=30)
    assert len(reply.answer["samples_ns"]) == expected


def test_hooks_run_around_every_sample_while_the_worker_waits(spec: Spec) -> None:
    events: list[str] = []
    asked = spec("Plain", job="run", hooked=True, warmup_s=0, time_s=9, max_samples=2)
    run_worker(asked, timeout_s=30, on_sample=lambda event, _pid: events.append(event))
    assert events == ["before_sample", "after_sample"] * 3


@pytest.mark.parametrize(
    ("fake", "status", "message"),
    [
        ("Raising", "unsupported", "keeps no parameters"),
        ("Missing", "unavailable", "not installed"),
        ("Crashing", "crashed", "SIGSEGV; it said: about to fall"),
        ("Killed", "killed", "SIGKILL"),
        ("Exiting", "crashed", "exit code 3"),
        ("NoSuchThing", "unavailable", "NoSuchThing"),
    ],
)
def test_failures_are_replies(spec: Spec, fake: str, status: str, message: str) -> None:
    reply = run_worker(spec(fake), timeout_s=30)
    assert reply.status == status
    assert message in reply.message


def test_an_exception_is_told_with_its_type(spec: Spec) -> None:
    reply = run_worker(spec("Raising", job="run"), timeout_s=30)
    assert (reply.status, reply.message) == ("error", "ValueError: no such thing")


def test_time_is_limited_and_children_are_killed(
    spec: Spec, tmp_path: Path, is_alive: Callable[[str], bool]
) -> None:
    reply = run_worker(spec("Endless"), timeout_s=1.5)
    assert reply.status == "timeout"
    assert reply.elapsed_s < 10
    pids = (tmp_path / "pids").read_text().split()
    assert len(pids) == 2
    # The worker was waited for; its child, killed at the same moment, may take one more to die.
    deadline = time.monotonic() + 10
    while any(is_alive(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(is_alive(pid) for pid in pids)


@pytest.mark.skipif(not heap.available(), reason="memray is not installed")
@pytest.mark.parametrize("time_s", [0, 0.2])
def test_what_is_loaded_once_is_no_sample_s_heap(spec: Spec, tmp_path: Path, time_s: float) -> None:
    asked = spec("Lazy", phase="heap", time_s=time_s, folder=str(tmp_path))
    reply = run_worker(asked, timeout_s=30)
    assert all(size < 20 * MIB for size in reply.answer["allocated"])


def test_a_check_saves_outputs_and_digests(spec: Spec, tmp_path: Path) -> None:
    target = tmp_path / "outputs.npz"
    asked = spec("Plain", phase="check", outputs=str(target))
    reply = run_worker({**asked, "part": "parameters"}, timeout_s=30)
    assert list(reply.answer["value"]) == ["w"]
    reply = run_worker({**asked, "part": "outputs"}, timeout_s=30)
    assert reply.answer["value"] == str(target)
    with np.load(target) as file:
        assert file["y"].tolist() == [2.0, 2.0, 2.0]


def test_a_worker_imports_little_before_its_baseline() -> None:
    heavy = {"numpy", "rich", "onnx", "memray", "dataclasses", "pelemay.bench.runner"}
    code = f"import sys, pelemay.bench.worker; print(*sorted({heavy} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stdout.strip() == ""
