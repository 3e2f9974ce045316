"""Reductions: the same over every namespace, and like onnxruntime at the edges."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from pelemay.graph.operations.reduction import ROWS

F = np.linspace(-2, 3, 24, dtype=np.float32).reshape(2, 3, 4)
P = np.abs(F) + 0.5
I = np.arange(-6, 6, dtype=np.int32).reshape(3, 4)  # noqa: E741
T = np.float32([[3, 1, 3, 2], [0, 0, -1, 0]])
L = np.array([[True, False], [False, False]])


def axes(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


CASES = [
    ("ReduceSum", (F, axes(1)), {}),
    ("ReduceSum", (F, axes(-1, 0)), {"keepdims": 0}),
    ("ReduceSum", (F,), {"keepdims": 0}),
    ("ReduceSum", (F, axes()), {"noop_with_empty_axes": 1}),
    ("ReduceSum", (F.astype(np.float16), axes(1)), {}),
    ("ReduceSum", (I, axes(0)), {}),
    ("ReduceProd", (P, axes(0, 2)), {}),
    ("ReduceProd", (I, axes(1)), {"keepdims": 0}),
    ("ReduceMean", (F, axes(0, 1)), {"keepdims": 0}),
    ("ReduceMean", (I, axes(1)), {}),
    ("ReduceL1", (F, axes(2)), {}),
    ("ReduceL1", (F,), {"noop_with_empty_axes": 1}),
    ("ReduceL2", (F, axes(2)), {}),
    ("ReduceL2", (I, axes(0)), {}),
    ("ReduceSumSquare", (F, axes(2)), {}),
    ("ReduceSumSquare", (I,), {"noop_with_empty_axes": 1}),
    ("ReduceLogSum", (P, axes(1)), {}),
    ("ReduceLogSumExp", (F * 100, axes(1)), {}),
    ("ReduceLogSumExp", (F, axes(1, 2)), {"keepdims": 0}),
    ("ReduceMax", (F, axes(1)), {}),
    ("ReduceMax", (L, axes(1)), {}),
    ("ReduceMax", (np.zeros((2, 0), np.int32), axes(1)), {}),
    ("ReduceMin", (F, axes(0, 2)), {"keepdims": 0}),
    ("ReduceMin", (L,), {"keepdims": 0}),
    ("ReduceMin", (np.zeros((2, 0), np.float32), axes(1)), {"keepdims": 0}),
    ("ArgMax", (T,), {"axis": 1}),
    ("ArgMax", (T,), {"axis": -1, "select_last_index": 1, "keepdims": 0}),
    ("ArgMin", (T,), {"axis": 1, "select_last_index": 1}),
    ("ArgMin", (T,), {}),
    ("CumSum", (F, axes(1)), {}),
    ("CumSum", (I, np.array(1)), {"exclusive": 1, "reverse": 1}),
    ("CumProd", (P, np.array(-1)), {"reverse": 1}),
    ("CumProd", (P, np.array(0)), {"exclusive": 1}),
    ("TopK", (T, axes(3)), {}),
    ("TopK", (T, axes(2)), {"largest": 0, "axis": 1}),
    ("TopK", (I, axes(2)), {"axis": 0}),
]


@pytest.mark.parametrize(("name", "inputs", "attributes"), CASES)
def test_every_namespace_gives_what_numpy_gives(agree, name, inputs, attributes):
    agree(name, *inputs, **attributes)


def test_every_operation_has_a_case():
    assert {row.name for row in ROWS} == {name for name, _, _ in CASES}


@pytest.mark.parametrize(
    ("name", "inputs", "attributes", "outputs"),
    [
        ("ReduceMean", (np.int32([[-7, 2], [3, 4]]), axes(1)), {}, 1),
        ("ReduceSum", (np.float32(3.0), None), {}, 1),
        ("ReduceL2", (np.int32([[3, 4]]), axes(1)), {}, 1),
        ("ArgMax", (T,), {"axis": 1, "select_last_index": 1}, 1),
        ("CumSum", (T, axes(1)[0]), {"exclusive": 1}, 1),
        ("CumSum", (T, axes(-1)[0]), {"exclusive": 1, "reverse": 1}, 1),
        ("TopK", (T, axes(4)), {"axis": -1}, 2),
        ("TopK", (T, axes(4)), {"axis": -1, "largest": 0}, 2),
    ],
)
def test_edges_are_onnxruntimes(like_onnxruntime, name, inputs, attributes, outputs):
    like_onnxruntime(name, *inputs, outputs=outputs, **attributes)


def test_log_sum_exp_of_far_numbers(run):
    x = np.float32([[1000, 1000], [-np.inf, -np.inf], [np.inf, 0]])
    expected = np.float32([1000 + np.log(2), -np.inf, np.inf])
    np.testing.assert_array_equal(run("ReduceLogSumExp", x, axes(1), keepdims=0)[0], expected)


def test_narrow_sums_are_rounded_once(run):
    x = np.full(4096, 1.0).astype(ml_dtypes.bfloat16)
    assert float(run("ReduceSum", x, keepdims=0)[0]) == 4096
    assert run("ReduceMean", np.full(9, 60000, np.float16), keepdims=0)[0] == 60000


def test_doubles_stay_doubles(run):
    x = np.array([1.0, 1e-12])
    assert run("ReduceSum", x, keepdims=0)[0] == 1.0 + 1e-12


@pytest.mark.parametrize("largest", [0, 1])
@pytest.mark.parametrize("last", [0.0, np.nan])
def test_a_long_vector_is_like_a_row_of_a_matrix(run, largest, last):
    """Of which all places are sorted; of equals the first is first."""
    x = np.random.default_rng(2).integers(0, 20, 1000).astype(np.float32)
    x[-1] = last
    values, indices = run("TopK", x, np.int64([70]), largest=largest)
    expected = run("TopK", x[None], np.int64([70]), largest=largest)
    np.testing.assert_array_equal(values, expected[0][0])
    np.testing.assert_array_equal(indices, expected[1][0])
