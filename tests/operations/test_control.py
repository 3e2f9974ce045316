"""Control flow over Python callables that stand for graphs."""

from __future__ import annotations

import numpy as np
import pytest

from pelemay.errors import ExecutionError
from pelemay.graph import DType, TensorType


def doubling(i, going, x):
    return going, x + x, x


def test_if_runs_one_branch(run):
    branches = {"then_branch": lambda: ("then",), "else_branch": lambda: ("else",)}
    assert run("If", np.array(True), **branches) == ("then",)
    assert run("If", np.array([False]), **branches) == ("else",)


def test_loop_by_count(run):
    last, seen = run("Loop", np.array(3), None, np.array([1, 2]), body=doubling)
    assert last.tolist() == [8, 16]
    assert seen.tolist() == [[1, 2], [2, 4], [4, 8]]


def test_loop_by_condition(run):
    def body(i, going, x):
        return np.asarray(x * 3 < 20), x * 3

    assert run("Loop", None, np.array(True), np.array(1), body=body) == (27,)
    assert run("Loop", np.array(2), np.array(True), np.array(1), body=body) == (9,)
    assert run("Loop", None, np.array(False), np.array(1), body=body) == (1,)


def test_a_condition_that_was_not_asked_for_is_ignored(run):
    def body(i, going, x):
        return np.asarray(False), x + i

    assert run("Loop", np.array(4), None, np.array(0), body=body) == (6,)


def test_loop_without_rounds_has_empty_scanned_outputs(run):
    def body(i, going, x):
        raise AssertionError("the body must not run")

    body.outputs = {"going": None, "x": None, "seen": TensorType(DType.INT8, (3, "n"))}
    last, seen = run("Loop", np.array(0), None, np.array(5), body=body)
    assert last == 5
    assert (seen.dtype, seen.shape) == (np.int8, (0, 3, 0))
    body.outputs["seen"] = None
    with pytest.raises(ExecutionError):
        run("Loop", np.array(0), None, np.array(5), body=body)


def test_loop_carries_sequences(run):
    def body(i, going, items):
        return going, [*items, i]

    assert [int(i) for i in run("Loop", np.array(3), None, [], body=body)[0]] == [0, 1, 2]


def test_scan_axes_and_directions(run):
    def body(total, x, y):
        return total + x, x - y

    x = np.arange(6).reshape(2, 3)
    y = np.arange(3)[:, None] * np.ones(2, int)
    attributes = {
        "num_scan_inputs": 2,
        "scan_input_axes": (1, 0),
        "scan_input_directions": (1, 0),
        "scan_output_axes": (-1,),
        "scan_output_directions": (1,),
    }
    total, seen = run("Scan", np.zeros(2, int), x, y, body=body, **attributes)
    assert total.tolist() == [3, 12]
    steps = [x[:, 2 - i] - y[i] for i in range(3)]
    np.testing.assert_array_equal(seen, np.stack(steps[::-1], axis=-1))


def test_sequence_map_zips_sequences_and_repeats_tensors(run):
    def body(a, b, c):
        return a + b, a * c

    sums, products = run("SequenceMap", [1, 2], [10, 20], 3, body=body)
    assert (sums, products) == ([11, 22], [3, 6])
    assert run("SequenceMap", [], body=body) == ([],)
