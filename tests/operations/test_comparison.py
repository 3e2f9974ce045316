"""Comparison and logic: the same over every namespace."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from pelemay.graph.operations.comparison import ROWS

F = np.array([[-1.0, 0.0, np.nan], [np.inf, -np.inf, 2.0]], np.float32)
G = np.array([0.0, 0.0, 2.0], np.float32)
L = np.array([True, True, False, False])
M = np.array([True, False, True, False])

CASES = [
    ("Equal", (F, G), {}),
    ("Equal", (L, M), {}),
    ("Greater", (F, G), {}),
    ("GreaterOrEqual", (F, G), {}),
    ("Less", (F, G), {}),
    ("LessOrEqual", (F, G), {}),
    ("And", (L, M), {}),
    ("Or", (L, M), {}),
    ("Xor", (L, M), {}),
    ("Not", (L,), {}),
    ("IsNaN", (F,), {}),
    ("IsInf", (F,), {}),
    ("IsInf", (F,), {"detect_negative": 0}),
    ("IsInf", (F,), {"detect_positive": 0}),
    ("IsInf", (F,), {"detect_positive": 0, "detect_negative": 0}),
]


@pytest.mark.parametrize(("name", "inputs", "attributes"), CASES)
def test_every_namespace_gives_what_numpy_gives(agree, name, inputs, attributes):
    agree(name, *inputs, **attributes)


def test_every_operation_has_a_case():
    assert {row.name for row in ROWS} == {name for name, _, _ in CASES}


def test_equality_of_strings(run):
    found = run("Equal", np.array(["a", "b"], object), np.array(["a", "c"], object))[0]
    np.testing.assert_array_equal(found, [True, False])


def test_small_floats_have_nan_but_no_infinity(run):
    x = np.array([np.nan, 1.0]).astype(ml_dtypes.float8_e4m3fn)
    np.testing.assert_array_equal(run("IsNaN", x)[0], [True, False])
    np.testing.assert_array_equal(run("IsInf", x)[0], [False, False])
