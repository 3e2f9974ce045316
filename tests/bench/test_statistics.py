from __future__ import annotations

import math
import statistics as oracle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pelemay.bench.statistics import compare, percentile, summarize

values = st.lists(st.floats(1e-3, 1e12), min_size=1, max_size=60)


@given(values)
def test_agrees_with_the_standard_library(samples: list[float]) -> None:
    found = summarize(samples)
    assert found.average == pytest.approx(oracle.fmean(samples))
    assert found.median == pytest.approx(oracle.median(samples))
    assert (found.minimum, found.maximum) == (min(samples), max(samples))
    assert found.sample_size == len(samples)
    spread = oracle.stdev(samples) if len(samples) > 1 else 0.0
    assert found.deviation == pytest.approx(spread, rel=1e-6, abs=1e-6 * max(samples))
    assert found.deviation_ratio == pytest.approx(found.deviation / found.average)
    assert found.per_second() == pytest.approx(1e9 / found.average)


@given(values, st.floats(1, 99))
def test_percentile_is_numpys_weibull(samples: list[float], rank: float) -> None:
    expected = np.percentile(samples, rank, method="weibull")
    assert percentile(sorted(samples), rank) == pytest.approx(expected, rel=1e-9)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=30))
def test_modes_are_those_that_occur_most_and_more_than_once(samples: list[int]) -> None:
    modes = oracle.multimode(samples)
    is_repeated = samples.count(modes[0]) > 1
    assert set(summarize(samples).mode) == (set(modes) if is_repeated else set())


def test_examples_of_statistex() -> None:
    found = summarize([200, 400, 400, 400, 500, 500, 500, 700, 900])
    assert (found.average, found.deviation, found.deviation_ratio) == (500, 200, 0.4)
    assert found.mode == (400, 500)
    assert found.outliers == ()
    found = summarize([1, 3.0, 2.35, 11.0, 1.37, 35, 5.5, 10, 0, 2.35])
    assert found.deviation == pytest.approx(10.47189577445799)
    assert found.median == 2.675
    assert percentile([1, 1, 3, 3, 3, 4, 5, 5], 12.5) == 1.0


def test_outliers_lie_beyond_one_and_a_half_quartile_ranges() -> None:
    samples = [10.0, 11, 12, 13, 14, 15, 16, 100]
    kept = summarize(samples)
    assert kept.outliers == (100,)
    assert kept.sample_size == 8
    cleaned = summarize(samples, exclude_outliers=True)
    assert cleaned.outliers == (100,)
    assert (cleaned.sample_size, cleaned.maximum, cleaned.average) == (7, 16, 13)


@given(values)
def test_excluding_outliers_keeps_the_middle(samples: list[float]) -> None:
    cleaned = summarize(samples, exclude_outliers=True)
    assert cleaned.sample_size + len(cleaned.outliers) == len(samples)
    assert cleaned.sample_size >= 1


@given(st.dictionaries(st.text(min_size=1, max_size=3), st.floats(1, 1e9), min_size=1))
def test_comparison_is_with_the_least(samples: dict[str, float]) -> None:
    compared = compare(samples)
    assert compared[0].ratio == 1
    assert [c.value for c in compared] == sorted(samples.values())
    for c in compared:
        assert c.ratio == pytest.approx(c.value / compared[0].value)
        assert c.difference == c.value - compared[0].value


def test_comparison_with_zero_is_infinite() -> None:
    assert [c.ratio for c in compare({"a": 0.0, "b": 2.0})] == [1, math.inf]


def test_no_samples() -> None:
    with pytest.raises(ValueError, match="no samples"):
        summarize([])
