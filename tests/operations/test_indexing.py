"""Gathering and scattering: over every namespace, against plain loops, and onnxruntime."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pelemay.graph.operations.indexing import ROWS

F = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
M = np.arange(9, dtype=np.float32).reshape(3, 3)


def n(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


E = np.array([[[0, -1, 2], [1, 0, -3]]], np.int64)
TUPLES = np.array([[0, 1], [-1, -2], [0, 1]], np.int64)
UPDATES = np.float32([[1, 2, 3, 4], [5, 6, 7, 8], [3, 1, 9, 0]])

CASES = [
    ("Gather", (F, np.array([[0, -1]], np.int32)), {"axis": 2}),
    ("Gather", (F, np.array(1)), {"axis": -2}),
    ("GatherElements", (F, E), {"axis": 1}),
    ("GatherND", (F, TUPLES), {}),
    ("GatherND", (F, n(1, -1)[:, None]), {"batch_dims": 1}),
    ("ScatterElements", (F, E, -np.ones((1, 2, 3), np.float32)), {"axis": 2}),
    ("ScatterElements", (M, np.zeros((3, 3), np.int64), M), {"reduction": "add"}),
    ("ScatterElements", (M, np.zeros((3, 3), np.int64), M), {"reduction": "mul", "axis": 1}),
    ("ScatterND", (F, TUPLES[:2], UPDATES[:2]), {}),
    ("ScatterND", (F, TUPLES, UPDATES), {"reduction": "add"}),
    ("ScatterND", (F, TUPLES, UPDATES), {"reduction": "max"}),
    ("ScatterND", (F, TUPLES, UPDATES), {"reduction": "min"}),
    ("ScatterND", (F, TUPLES[:0], UPDATES[:0]), {}),
    ("TensorScatter", (F, -F[:, :, :2], n(1, 2)), {"axis": 2}),
    ("TensorScatter", (F, -F[:, :2], n(2, 1)), {"mode": "circular"}),
    ("TensorScatter", (F, -F[:, :2]), {}),
    ("ReverseSequence", (M, n(1, 2, 3)), {}),
    ("ReverseSequence", (F, n(1, 3)), {"batch_axis": 0, "time_axis": 1}),
    ("OneHot", (np.array([[0, -1], [9, 2]]), n(3), np.float32([5, 7])), {}),
    ("OneHot", (np.float32([0, 2]), n(3), n(0, 1)), {"axis": 0}),
    ("Where", (M > 4, M, -M[:1]), {}),
    ("Trilu", (F, np.array(-1)), {}),
    ("Trilu", (M > 1, np.array(1)), {"upper": 0}),
    ("NonZero", (M,), {}),
    ("NonZero", (np.array(3.0),), {}),
    ("Compress", (M, np.array([True, False])), {"axis": 1}),
    ("Compress", (M, np.array([False, True, True])), {}),
    ("Unique", (n(2, 1, 1, 3, 2),), {"sorted": 0}),
    ("Unique", (np.int64([[1, 1, 0], [1, 1, 0]]),), {"axis": 1}),
]


@pytest.mark.parametrize(("name", "inputs", "attributes"), CASES)
def test_every_namespace_gives_what_numpy_gives(agree, name, inputs, attributes):
    agree(name, *inputs, **attributes)


def test_every_operation_has_a_case():
    assert {row.name for row in ROWS} == {name for name, _, _ in CASES}


@pytest.mark.parametrize(
    ("name", "inputs", "attributes", "outputs"),
    [
        ("Gather", (F, np.array([[0, -2]])), {"axis": 1}, 1),
        ("GatherElements", (F, E), {"axis": 2}, 1),
        ("GatherND", (F, np.array([[[0], [-1]], [[1], [1]]])), {"batch_dims": 1}, 1),
        ("ScatterElements", (M, np.array([[0, -1, 0]]), M[:1]), {}, 1),
        ("ScatterElements", (M, np.array([[1, 1, 1]]), M[1:2]), {"axis": 1, "reduction": "add"}, 1),
        ("ScatterElements", (M, np.array([[1, 1, 1]]), M[1:2]), {"axis": 1, "reduction": "max"}, 1),
        ("ScatterND", (F, TUPLES, UPDATES), {"reduction": "mul"}, 1),
        ("OneHot", (np.array([0, -3, 3, -4]), np.array(3), np.float32([5, 7])), {"axis": 0}, 1),
        ("ReverseSequence", (M, n(3, 1, 2)), {"batch_axis": 0, "time_axis": 1}, 1),
        ("Trilu", (F, np.array(9)), {}, 1),
        ("Trilu", (F, np.array(-2)), {"upper": 0}, 1),
        ("Unique", (np.float32([3, 1, 3, 2, 1]),), {"sorted": 0}, 4),
        ("Unique", (np.float32([[3, 1], [0, 0], [3, 1]]),), {"axis": 0}, 4),
        ("Compress", (F, np.array([False, True])), {"axis": 1}, 1),
        ("NonZero", (M,), {}, 1),
    ],
)
def test_edges_are_onnxruntimes(like_onnxruntime, name, inputs, attributes, outputs):
    like_onnxruntime(name, *inputs, outputs=outputs, **attributes)


@given(st.lists(st.tuples(st.integers(-5, 4), st.integers(-9, 9)), max_size=20))
@pytest.mark.parametrize(
    ("reduction", "combine"),
    [
        ("none", lambda old, new: new),
        ("add", lambda old, new: old + new),
        ("mul", lambda old, new: old * new),
        ("max", max),
        ("min", min),
    ],
)
def test_scatter_is_a_loop_over_updates(run, reduction, combine, updates):
    x = np.arange(1, 6)
    expected = x.tolist()
    for index, value in updates:
        expected[index] = combine(expected[index], value)
    index = np.array([i for i, _ in updates], np.int64)
    values = np.array([v for _, v in updates], np.int64)
    for name, at in (("ScatterElements", index), ("ScatterND", index[:, None])):
        assert run(name, x, at, values, reduction=reduction)[0].tolist() == expected


def test_strings_are_gathered_and_chosen(run):
    x = np.array(["a", "b", "c"], object)
    assert run("Gather", x, n(-1, 0))[0].tolist() == ["c", "a"]
    assert run("Where", np.array([True, False, True]), x, x[::-1])[0].tolist() == ["a", "b", "c"]
    assert run("ScatterND", x, n(1)[:, None], np.array(["z"], object))[0].tolist() == list("azc")
