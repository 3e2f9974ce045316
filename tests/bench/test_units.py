from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pelemay.bench import units


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 B"),
        (44, "44 B"),
        (999, "999 B"),
        (1000, "1.00 kB"),
        (999_600, "1.00 MB"),
        (178_914_043, "179 MB"),
        (2_540_000_000, "2.54 GB"),
        (-1500, "-1.50 kB"),
    ],
)
def test_bytes(value: float, text: str) -> None:
    assert units.as_bytes(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0 ns"), (1.5, "1.50 ns"), (21_963, "22.0 µs"), (4e6, "4.00 ms"), (48e9, "48.0 s")],
)
def test_times(value: float, text: str) -> None:
    assert units.as_time(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.266, "1.27x"), (67.14, "67.1x"), (7234, "7,200x"), (math.inf, "∞x")],
)
def test_ratios(value: float, text: str) -> None:
    assert units.as_ratio(value) == text


@given(st.floats(1, 1e15))
def test_a_number_keeps_its_size(value: float) -> None:
    number, unit = units.as_time(value).split()
    scale = {"ns": 1, "µs": 1e3, "ms": 1e6, "s": 1e9}[unit]
    assert float(number.replace(",", "")) * scale == pytest.approx(value, rel=0.006)
    assert len(number) <= 4 or unit == "s"
