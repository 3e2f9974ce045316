from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pelemay.bench import Hooks, ModelInfo, Options, Progress, Scenario, Suite, run_suite
from pelemay.bench.results import Fit
from pelemay.errors import InputError

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
QUICK = Options(warmup_s=0, time_s=0.05, memory_time_s=0, min_samples=2, max_samples=4)


def _fakes(*names: str) -> list[str]:
    return [f"fakes:{name}" for name in names]


def test_every_scenario_ends_and_failures_are_reported(model: Path, inputs_of: Any) -> None:
    jobs = ["import+serialize", "run"]
    backends = _fakes("Sleepy", "Plain", "Killed", "Raising")
    suite = run_suite(jobs, [model], backends, QUICK, inputs_of=inputs_of)
    found = {(r.scenario.job, r.scenario.backend[6:]): r for r in suite.results}
    assert len(found) == 8
    for name in ("Sleepy", "Plain"):
        assert all(found[job, name].is_ok and found[job, name].samples_ns for job in jobs)
    assert found["import+serialize", "Killed"].status == "killed"
    assert found["run", "Killed"].is_ok
    assert found["run", "Raising"].reason == "ValueError: no such thing"
    assert found["import+serialize", "Raising"].status == "unsupported"
    assert not suite.is_ok
    assert min(found["run", "Sleepy"].samples_ns) > 20e6
    assert max(found["run", "Plain"].samples_ns) < min(found["run", "Sleepy"].samples_ns)


def test_a_process_that_dies_later_is_an_error_of_its_scenario(model: Path, inputs_of: Any) -> None:
    suite = run_suite(["import"], [model], _fakes("FailsInTime", "Plain"), QUICK)
    assert [r.status for r in suite.results] == ["killed", "ok"]


def test_a_wrong_answer_is_never_timed(model: Path, inputs_of: Any) -> None:
    suite = run_suite(["run"], [model], _fakes("Plain", "Wrong"), QUICK, inputs_of=inputs_of)
    right, wrong = suite.results
    assert (right.status, wrong.status) == ("ok", "wrong")
    assert wrong.samples_ns == ()
    assert wrong.memory is None


def test_load_and_first_run_has_a_process_for_each_sample(model: Path, inputs_of: Any) -> None:
    options = Options(warmup_s=0, time_s=30, memory_time_s=0, max_samples=2)
    suite = run_suite(["load+first run"], [model], _fakes("Plain"), options, inputs_of=inputs_of)
    assert len(suite.results[0].samples_ns) == 2


def test_heap_is_measured_apart(model: Path) -> None:
    pytest.importorskip("memray")
    options = Options(warmup_s=0, time_s=0, memory_time_s=0.01)
    result = run_suite(["import"], [model], _fakes("Allocating"), options).results[0]
    assert result.samples_ns == ()
    assert result.heap is not None
    assert 80 << 20 <= result.heap.allocated[0] < 81 << 20
    assert result.heap.peak[0] == pytest.approx(result.heap.allocated[0], rel=0.01)


def test_hooks_see_scenarios_and_samples_and_cost_no_time(model: Path) -> None:
    seen: list[str] = []

    def note(name: str) -> Any:
        def hook(about: Any) -> None:
            seen.append(name)
            time.sleep(0.05)

        return hook

    names = ("before_scenario", "after_scenario", "before_sample", "after_sample")
    hooks = Hooks(**{name: note(name) for name in names})
    options = Options(warmup_s=0, time_s=30, memory_time_s=0, max_samples=3, pre_check=False)
    suite = run_suite(["import"], [model], _fakes("Plain"), options, hooks=hooks)
    assert seen == ["before_scenario", *["before_sample", "after_sample"] * 4, "after_scenario"]
    assert max(suite.results[0].samples_ns) < 50e6


def test_progress_counts_scenarios(model: Path) -> None:
    news: list[Progress] = []
    run_suite(["import"], [model], _fakes("Plain", "Sleepy"), QUICK, on_progress=news.append)
    kinds = [n.kind for n in news]
    assert kinds == [
        "begun", "checked", "checked", "planned",
        "measuring", "measured", "measuring", "measured",
    ]  # fmt: skip
    assert [(n.number, n.total) for n in news if n.kind == "measured"] == [(1, 2), (2, 2)]
    assert news[0].suite is not None
    assert news[0].suite.estimate_s > 0


def test_a_budget_shrinks_the_phases(model: Path) -> None:
    options = Options(budget_s=2.5)
    suite = run_suite(["import"], [model], _fakes("Plain"), options)
    used = suite.used["import"]
    assert used.time_s < options.time_s
    assert used.warmup_s / used.time_s == pytest.approx(2 / 5)
    assert suite.elapsed_s < 8


def test_each_stage_has_its_part_of_the_budget(model: Path, inputs_of: Any) -> None:
    options = replace(QUICK, budget_s=100)
    news: list[str] = []
    suite = run_suite(
        ["run", "import"],
        [model],
        _fakes("Plain"),
        options,
        inputs_of=inputs_of,
        on_progress=lambda n: news.append(n.scenario.job if n.scenario else n.kind),
    )
    assert news == [
        "begun", "checked", "planned", "import", "import", "checked", "planned", "run", "run",
    ]  # fmt: skip
    assert [r.scenario.job for r in suite.results] == ["run", "import"]
    assert suite.used == {"import": options, "run": options}


def test_fits_are_found_last_and_no_budget_counts_them(
    model: Path, inputs_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Fit(1 << 20, 1e6, None, "cgroup v1")
    monkeypatch.setattr("pelemay.bench.measure.find_fit", lambda *_, **__: found)
    monkeypatch.setattr("pelemay.bench.runner.find_controller", lambda: object())
    news: list[Progress] = []
    options = replace(QUICK, fit=True, budget_s=60)
    backends = _fakes("Plain", "Raising")
    suite = run_suite(
        ["import", "run"], [model], backends, options, inputs_of=inputs_of, on_progress=news.append
    )
    assert [n.kind for n in news][-4:] == ["fitting", "fitted"] * 2
    assert [r.fit for r in suite.results] == [found, None, found, None]


def test_a_budget_that_is_too_small_leaves_out_what_loads(model: Path, inputs_of: Any) -> None:
    jobs, options = ["import", "load+first run"], Options(budget_s=0.1)
    suite = run_suite(jobs, [model], _fakes("Plain"), options, inputs_of=inputs_of)
    assert [r.status for r in suite.results] == ["ok", "left out"]
    assert suite.results[1].reason == "to keep the time budget"
    assert suite.is_ok


def test_a_backend_that_is_too_slow_for_the_budget_is_not_waited_for(
    model: Path, inputs_of: Any
) -> None:
    backends, options = _fakes("Plain", "Slow"), Options(budget_s=15, memory_time_s=0)
    suite = run_suite(["load+first run"], [model], backends, options, inputs_of=inputs_of)
    assert [r.status for r in suite.results] == ["ok", "left out"]
    assert "did not answer within" in suite.results[1].reason
    assert suite.elapsed_s < 25


def test_a_model_without_inputs_still_has_its_parameters_imported(tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"\xff" * 100)
    suite = run_suite(["import", "run"], [broken], _fakes("Plain"), QUICK)
    assert [r.status for r in suite.results] == ["ok", "error"]
    assert "broken.onnx" in suite.results[1].reason


@pytest.mark.parametrize(
    ("jobs", "backends", "said"),
    [
        (["imprt"], ["reference"], "no job 'imprt'; allowed: import, "),
        (["import"], ["refrence"], "no backend 'refrence'; allowed: .*reference, "),
    ],
)
def test_unknown_names_are_refused(
    model: Path, jobs: list[str], backends: list[str], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        run_suite(jobs, [model], backends)


def test_models_need_names_of_their_own_and_files(model: Path) -> None:
    with pytest.raises(InputError, match="two models are called 'net'"):
        run_suite(["import"], [model, model], [])
    with pytest.raises(InputError, match="no such model file"):
        ModelInfo.of("nowhere.onnx")


def test_results_survive_a_file(model: Path, tmp_path: Path) -> None:
    suite = run_suite(["import"], [model], _fakes("Plain", "Raising"), QUICK)
    path = suite.save(tmp_path / "folder" / "suite.json", tag="now")
    found = Suite.load(path)
    assert found.results == suite.results
    assert found.tag == "now"
    assert found.machine == suite.machine


SCRIPT = """
import signal, sys
from pathlib import Path
from pelemay.bench import Options, run_suite
signal.signal(signal.SIGINT, signal.default_int_handler)  # A shell may have it ignored.
try:
    run_suite(["import"], [Path(sys.argv[1])], ["fakes:Endless"], Options(fit=True))
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_control_c_leaves_nothing_behind(
    model: Path, tmp_path: Path, is_alive: Any, number: signal.Signals, code: int
) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(model)], env={**os.environ, "TMPDIR": str(folder)}
    )
    pids = tmp_path / "pids"
    deadline = time.monotonic() + 30
    while not (pids.exists() and pids.read_text().count(" ")) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert list(folder.iterdir())
    process.send_signal(number)
    assert process.wait(30) == code
    assert not any(is_alive(pid) for pid in pids.read_text().split())
    assert not list(folder.iterdir())


def test_a_scenario_has_a_label() -> None:
    assert Scenario("run", "net", "torch", "v1").label == "torch (v1)"
