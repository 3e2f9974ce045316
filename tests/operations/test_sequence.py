"""Sequences and optionals."""

from __future__ import annotations

import numpy as np
import pytest

from pelemay.errors import ExecutionError
from pelemay.graph.operations import find

A, B, C = (np.full((2, 2), v, np.float32) for v in (1, 2, 3))
X = np.arange(14).reshape(7, 2)


def values(items):
    return [float(np.asarray(item).reshape(-1)[0]) for item in items]


def test_insert_erase_and_read_change_no_list(run):
    items = [A, B]
    assert values(run("SequenceInsert", items, C)[0]) == [1, 2, 3]
    assert values(run("SequenceInsert", items, C, np.array(0))[0]) == [3, 1, 2]
    assert values(run("SequenceInsert", items, C, np.array(-1))[0]) == [1, 3, 2]
    assert values(run("SequenceErase", items)[0]) == [1]
    assert values(run("SequenceErase", items, np.array(-2))[0]) == [2]
    assert run("SequenceAt", items, np.array(-1))[0] is B
    assert run("SequenceLength", items)[0] == 2
    assert values(items) == [1, 2]
    assert values(run("SequenceConstruct", A, C)[0]) == [1, 3]
    assert run("SequenceEmpty")[0] == []


@pytest.mark.parametrize(
    ("name", "inputs"),
    [
        ("SequenceAt", ([A], np.array(1))),
        ("SequenceErase", ([A], np.array(-2))),
        ("SequenceErase", ([],)),
        ("SequenceInsert", ([A], B, np.array(2))),
        ("OptionalGetElement", (None,)),
        ("SplitToSequence", (X, np.array([3, 3]))),
    ],
)
def test_what_is_not_there_is_refused(run, name, inputs):
    with pytest.raises(ExecutionError):
        run(name, *inputs)


def test_splits(run):
    assert [len(p) for p in run("SplitToSequence", X, np.array(3))[0]] == [3, 3, 1]
    assert [len(p) for p in run("SplitToSequence", X, np.array([2, 5]))[0]] == [2, 5]
    assert [p.shape for p in run("SplitToSequence", X, axis=1)[0]] == [(7, 1)] * 2
    assert [p.shape for p in run("SplitToSequence", X, axis=-1, keepdims=0)[0]] == [(7,)] * 2


def test_joining_undoes_splitting(run):
    parts = run("SplitToSequence", X, np.array(2))[0]
    np.testing.assert_array_equal(run("ConcatFromSequence", parts, axis=0)[0], X)
    rows = run("SplitToSequence", X, keepdims=0)[0]
    np.testing.assert_array_equal(run("ConcatFromSequence", rows, axis=0, new_axis=1)[0], X)


def test_items_on_host_and_device_are_joined():
    torch = pytest.importorskip("torch")
    import array_api_compat.torch as xp

    joined = find("ConcatFromSequence").meaning(xp, [A, torch.full((1, 2), 5.0)], axis=0)
    assert isinstance(joined, torch.Tensor)
    assert joined.tolist() == [[1, 1], [1, 1], [5, 5]]


def test_optionals(run):
    assert run("OptionalHasElement", None)[0] == np.False_
    assert run("OptionalHasElement", A)[0] == np.True_
    assert run("OptionalHasElement")[0] == np.False_
    assert run("OptionalGetElement", [A])[0] == [A]
    assert run("Optional", A)[0] is A
    assert run("Optional")[0] is None
