"""Memory over time: what is kept of it, and that a real process shows what it did."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pelemay.bench import Options, Suite, run_suite
from pelemay.bench.budget import Cost, plan_budget
from pelemay.bench.results import Timeline
from pelemay.bench.scenario import Scenario
from pelemay.bench.timeline import Follower, thin
from pelemay.bench.watch import Reading

heights = st.lists(st.integers(0, 9), min_size=1, max_size=300)


@given(heights, st.integers(4, 60))
def test_thinning_keeps_the_ends_and_the_extremes(held: list[int], most: int) -> None:
    readings = [(at, Reading(value, 0)) for at, value in enumerate(held)]
    kept = thin(readings, most)
    assert len(kept) <= most
    assert kept == sorted(set(kept), key=lambda r: r[0])
    assert (kept[0], kept[-1]) == (readings[0], readings[-1])
    values = [reading.rss for _, reading in kept]
    assert (max(values), min(values)) == (max(held), min(held))
    assert set(kept) <= set(readings)


def test_what_does_not_change_takes_two_readings() -> None:
    readings = [(at, Reading(5, 3)) for at in range(1000)]
    assert [at for at, _ in thin(readings, 300)] == [0, 999]


def test_a_process_that_is_gone_has_no_timeline() -> None:
    def gone(_pid: int) -> Reading:
        raise ProcessLookupError

    follower = Follower(gone)
    follower("packages", 1)
    follower.close()
    assert follower.timeline() is None


def held_in(timeline: Timeline, name: str) -> list[int]:
    """Anonymous bytes that were read during a step, and last before it."""
    begins = [step.begin_us for step in timeline.steps]
    number = [step.name for step in timeline.steps].index(name)
    end = begins[number + 1] if number + 1 < len(begins) else timeline.at_us[-1] + 1
    read = list(zip(timeline.at_us, timeline.anonymous, strict=True))
    before = [held for at, held in read if at <= begins[number]]
    return before[-1:] + [held for at, held in read if begins[number] <= at < end]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_real_process_shows_its_steps(model: Path, inputs_of: Any) -> None:
    options = Options(warmup_s=0, time_s=0, memory_time_s=0, timeline_s=0.05, pre_check=False)
    jobs = ["import+serialize", "load+first run"]
    fakes = ["fakes:Allocating", "fakes:Sleepy"]
    suite = run_suite(jobs, [model], fakes, options, inputs_of=inputs_of)
    lines = {(r.scenario.job, r.scenario.backend[6:]): r.timeline for r in suite.results}
    importing = lines[jobs[0], "Allocating"]
    assert importing is not None
    names = [step.name for step in importing.steps]
    assert names == ["packages", "import", "serialize", "steady"]
    assert max(held_in(importing, "import")) - importing.anonymous[0] >= 50 << 20
    running = lines[jobs[1], "Allocating"]
    assert running is not None
    assert [step.name for step in running.steps] == ["packages", "load", "first run", "steady"]
    growth = max(held_in(running, "steady")) - max(held_in(running, "load"))
    assert growth >= 40 << 20
    quiet = lines[jobs[1], "Sleepy"]
    assert quiet is not None
    assert max(quiet.anonymous) - quiet.anonymous[0] < 30 << 20
    assert quiet.at_us[-1] - quiet.steps[-1].begin_us >= 50_000
    assert Suite.from_json(suite.to_json()).results == suite.results


def test_a_failure_is_noted_and_costs_no_figure(model: Path) -> None:
    options = Options(
        warmup_s=0, time_s=0, memory_time_s=0, timeline_s=0.01, pre_check=False, max_samples=1
    )
    result = run_suite(["import"], [model], ["fakes:FailsInTime"], options).results[0]
    assert result.is_ok
    assert result.timeline is None
    assert "SIGKILL" in result.notes["timeline"]


def test_the_longest_timelines_are_left_out_first() -> None:
    costs = {Scenario("run", "net", name): Cost(1.0, float(name)) for name in "123"}
    _, middle, long = costs
    options = Options(timeline_s=0.3)
    needed_s = sum(cost.least_seconds("run", options) for cost in costs.values())
    assert plan_budget(options, costs, 200).no_timeline == ()
    assert plan_budget(options, costs, math.inf).no_timeline == ()
    plan = plan_budget(options, costs, needed_s + 15)
    assert plan.no_timeline == (long,)
    assert plan.options.phases_s * 3 == pytest.approx(15 - 3.3 - 5.3)
    assert plan_budget(options, costs, needed_s + 7).no_timeline == (middle, long)
    assert plan_budget(options, costs, needed_s).no_timeline == tuple(costs)


def test_what_has_no_time_says_so(model: Path) -> None:
    options = Options(
        warmup_s=0, time_s=0.1, memory_time_s=0, timeline_s=30, pre_check=False, budget_s=2
    )
    result = run_suite(["import"], [model], ["fakes:Plain"], options).results[0]
    assert result.is_ok
    assert result.timeline is None
    assert result.notes["timeline"] == "left out to keep the time budget"
