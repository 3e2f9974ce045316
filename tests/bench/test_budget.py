from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pelemay.bench import (
    DEFAULT_JOBS,
    JOBS,
    Options,
    default_suite_options,
    estimate_seconds,
)
from pelemay.bench.budget import LEAST_FACTOR, Cost

costs = st.lists(
    st.builds(Cost, st.sampled_from(sorted(JOBS)), st.floats(0.1, 5), st.floats(0.01, 5)),
    min_size=1,
    max_size=40,
)


@given(costs, st.floats(1, 1000), st.floats(0, 100))
def test_phases_shrink_alike_and_never_grow(
    costs: list[Cost], budget_s: float, spent_s: float
) -> None:
    asked = Options(budget_s=budget_s)
    used = shrink(asked, costs, spent_s)
    factor = used.time_s / asked.time_s
    assert LEAST_FACTOR <= factor <= 1
    assert used.warmup_s == pytest.approx(factor * asked.warmup_s)
    assert used.memory_time_s == pytest.approx(factor * asked.memory_time_s)
    least = sum(cost.least_seconds(used) for cost in costs)
    if factor > LEAST_FACTOR:
        assert spent_s + least + used.phases_s * len(costs) <= budget_s * 1.001


@given(costs)
def test_without_a_budget_nothing_shrinks(costs: list[Cost]) -> None:
    asked = Options()
    assert shrink(asked, costs, spent_s=1e6) == asked


def test_the_heap_of_loading_goes_first_when_processes_alone_take_too_long() -> None:
    costs = [Cost(job, 1.0, 1.0) for job in DEFAULT_JOBS] * 3
    assert shrink(Options(budget_s=60), costs, 0.0).no_heap == ()
    used = shrink(Options(budget_s=30), costs, 0.0)
    assert used.no_heap == ("load+first run",)
    assert not used.follows_heap("load+first run")
    assert used.follows_heap("import+serialize")


def test_estimates() -> None:
    full = Options()
    one = estimate_seconds(["run"], 1, 1, full)
    assert one > full.phases_s
    assert estimate_seconds(["run"], 2, 3, full) == pytest.approx(6 * one)
    assert estimate_seconds(["run"], 1, 1, Options(fit=True)) > one
    assert estimate_seconds(DEFAULT_JOBS, 3, 7, default_suite_options()) == 150
