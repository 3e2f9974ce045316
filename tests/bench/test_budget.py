from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pelemay.bench import (
    DEFAULT_JOBS,
    JOBS,
    Options,
    Scenario,
    default_suite_options,
    estimate_seconds,
)
from pelemay.bench.budget import LEAST_FACTOR, Cost, Plan, plan_budget

LOADING = "load+first run"
costs = st.dictionaries(
    st.builds(Scenario, st.sampled_from(sorted(JOBS)), st.sampled_from("ab"), st.text(max_size=2)),
    st.builds(Cost, st.floats(0.1, 5), st.floats(0.01, 5)),
    min_size=1,
    max_size=40,
)


@given(costs, st.floats(-100, 1000))
def test_phases_shrink_alike_and_never_grow(costs: dict[Scenario, Cost], left_s: float) -> None:
    asked = Options()
    plan = plan_budget(asked, costs, left_s)
    used = plan.options
    factor = used.time_s / asked.time_s
    assert LEAST_FACTOR * 0.999 <= factor <= 1
    assert used.warmup_s == pytest.approx(factor * asked.warmup_s)
    assert used.memory_time_s == pytest.approx(factor * asked.memory_time_s)
    kept = {s: cost for s, cost in costs.items() if s not in plan.left_out}
    least = sum(cost.least_seconds(s.job, used) for s, cost in kept.items())
    if factor > LEAST_FACTOR * 1.001:
        assert least + used.phases_s * len(kept) <= left_s * 1.001
    assert {s.job for s in plan.left_out} <= {LOADING, "run"}
    if plan.left_out:
        assert {s.job for s in plan.left_out} <= set(used.no_heap)


@given(costs)
def test_without_a_budget_nothing_shrinks(costs: dict[Scenario, Cost]) -> None:
    asked = Options()
    assert plan_budget(asked, costs, math.inf) == Plan(asked)


def test_the_heap_of_loading_goes_first_when_processes_alone_take_too_long() -> None:
    costs = {Scenario(job, "net", name): Cost(1, 1) for job in DEFAULT_JOBS for name in "abc"}
    assert plan_budget(Options(), costs, 60).options.no_heap == ()
    plan = plan_budget(Options(), costs, 37)
    assert (plan.options.no_heap, plan.left_out) == ((LOADING,), ())
    assert not plan.options.follows_heap(LOADING)
    assert plan.options.follows_heap("import+serialize")


def test_then_the_longest_are_left_out() -> None:
    costs = {Scenario(LOADING, "net", name): Cost(1, n) for n, name in enumerate("abcd")}
    plan = plan_budget(Options(), costs, 13)
    assert [scenario.backend for scenario in plan.left_out] == ["d"]
    plan = plan_budget(Options(), costs, -87)
    assert len(plan.left_out) == 4
    assert plan.options.time_s == pytest.approx(5 * LEAST_FACTOR)


def test_estimates() -> None:
    full = Options()
    one = estimate_seconds(["run"], 1, 1, full)
    assert one > full.phases_s
    assert estimate_seconds(["run"], 2, 3, full) == pytest.approx(6 * one)
    assert estimate_seconds(["run"], 1, 1, Options(fit=True)) > one
    assert estimate_seconds(DEFAULT_JOBS, 3, 7, default_suite_options()) == 150
