"""Comparing saved suites: the statistics against SciPy, and what is said of changes."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pelemay.bench import Suite, format_html
from pelemay.bench.comparison import Change, compare_suites, conclusion, differences
from pelemay.bench.reports.compared import comparison_json, format_comparison
from pelemay.bench.results import Heap
from pelemay.bench.significance import holm, mann_whitney, ratio_interval
from support.suites import fixed_suite

stats = pytest.importorskip("scipy.stats", reason="scipy comes with jax")
samples = st.lists(st.integers(0, 60), min_size=1, max_size=30)


@given(samples, samples)
def test_mann_whitney_is_that_of_scipy(a: list[int], b: list[int]) -> None:
    exact = len({*a, *b}) == len(a) + len(b) <= 40
    method = "exact" if exact else "asymptotic"
    if len({*a, *b}) == 1:
        assert mann_whitney(a, b) == 1
        return
    expected = stats.mannwhitneyu(a, b, method=method).pvalue
    assert mann_whitney(a, b) == pytest.approx(expected, rel=1e-6)


@given(st.lists(st.floats(0, 1), max_size=20))
def test_holm_only_raises_and_keeps_the_order(values: list[float]) -> None:
    found = holm(values)
    assert all(p <= q <= 1 for p, q in zip(values, found, strict=True))
    order = sorted(range(len(values)), key=values.__getitem__)
    assert [found[i] for i in order] == sorted(found)


def test_an_interval_holds_the_ratio() -> None:
    before = [100 + i % 7 for i in range(50)]
    low, high = ratio_interval(before, [2 * value for value in before]) or (0, 0)
    assert 1.9 < low <= 2 <= high < 2.1
    assert ratio_interval([1, 2], [1, 2, 3]) is None
    assert ratio_interval([0, 0, 0], [1, 2, 3]) is None
    assert ratio_interval([5] * 5000, [5] * 4000) == (1, 1)


def changed(factor: float) -> tuple[Suite, Suite]:
    """A suite, and one in which importing in place takes so many times as long."""
    before = replace(fixed_suite(), tag="before")
    times = tuple(50_000_000 + 10_000 * i for i in range(40))
    result = replace(before.results[0], samples_ns=times, heap=Heap((5, 5, 5), (5, 5, 5)))
    before = replace(before, results=(result, *before.results[1:]))
    slower = replace(result, samples_ns=tuple(int(factor * t) for t in times))
    return before, replace(before, tag="after", results=(slower, *before.results[1:]))


def by_figure(changes: list[Change], backend: str) -> dict[str, Change]:
    return {c.figure: c for c in changes if c.scenario.backend == backend}


def test_a_change_is_told_apart_from_chance() -> None:
    found = by_figure(compare_suites(*changed(1.5)), "reference")
    time = found["median time"]
    assert time.verdict == "more"
    assert time.ratio == pytest.approx(1.5)
    assert time.p is not None
    assert time.p < 1e-6
    assert found["allocated"].verdict == "no difference seen"
    assert found["peak RSS"].verdict == "not tested"
    assert found["peak RSS"].ratio == 1
    naive = by_figure(compare_suites(*changed(1.5)), "naive")
    assert naive["median time"].verdict == "not tested"


@pytest.mark.parametrize(
    ("factor", "verdict"),
    [(1.0, "no difference seen"), (1.015, "no difference seen"), (0.5, "less")],
)
def test_small_changes_are_none(factor: float, verdict: str) -> None:
    found = by_figure(compare_suites(*changed(factor)), "reference")
    assert found["median time"].verdict == verdict


def test_failures_and_strangers_are_left_out() -> None:
    before, after = changed(1.0)
    wrong = replace(before.results[0], status="wrong")
    changes = compare_suites(replace(before, results=(wrong, before.results[1])), after)
    assert {c.scenario.backend for c in changes} == {"naive"}
    assert "nothing can be compared" in conclusion([], "before")


def test_the_conclusion_is_of_what_changed_most() -> None:
    said = conclusion(compare_suites(*changed(2.0)), "before")
    assert said == (
        "1 of 3 tested figures differ from before; most of all median time of import+serialize "
        "with reference: 50.2 ms, now 100 ms, 2 times more."
    )
    assert conclusion(compare_suites(*changed(1.0)), "x").startswith("no difference from x")


def test_the_terminal_says_the_same_in_its_width() -> None:
    before, after = changed(1.5)
    for width in (80, 120):
        said = format_comparison(after, [before], width=width)
        assert all(len(line) <= width for line in said.splitlines())
    row = next(line for line in said.splitlines() if line.startswith("reference  median time"))
    assert row.split()[3:] == ["50.2", "ms", "75.3", "ms", "1.5x", "1.5-1.5", "<0.0001", "more"]
    assert "Mann-Whitney" in said
    other = replace(after, machine=replace(after.machine, cores=4))
    assert "The machine has changed: cores: 2, then 4" in format_comparison(other, [before])


def test_json_has_every_change() -> None:
    before, after = changed(1.5)
    (found,) = json.loads(comparison_json(after, [before]))
    assert (found["before"], found["after"]) == ("before", "after")
    first = found["changes"][0]
    assert (first["figure"], first["verdict"]) == ("median time", "more")


def test_the_page_begins_with_what_changed() -> None:
    before, after = changed(1.5)
    html = format_html(after, [before])
    assert "<h1>1 of 3 tested figures differ from before" in html
    assert html.count('class="ratio-row more"') == 1
    assert "11 figures have changed by 2% or less" in html
    assert "reference (before)" in html


def test_a_page_without_changes_says_so() -> None:
    before, after = changed(1.0)
    html = format_html(after, [before])
    assert "No figure has changed by more than 2%" in html
    assert "<h1>No difference from before is seen" in html


def test_differences_of_machines() -> None:
    machine = fixed_suite().machine
    assert differences(machine, machine) == []
    assert differences(machine, replace(machine, packages={"numpy": "3", "pelemay": "0.1.0"})) == [
        "numpy: 2.4.6, then 3"
    ]
