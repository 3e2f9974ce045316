"""What is cut off because its size is not known before the run."""

from __future__ import annotations

import numpy as np
import pytest

from pelemay.backends.reference import GraphRunnable, numpy_table
from pelemay.graph import ArrayConstant, DType, Graph, Node, SequenceType, TensorType, check
from pelemay.program.tail import split

F32 = TensorType(DType.FLOAT32, (4,))
UNKNOWN = TensorType(DType.INT64, (1, None))


def detector() -> Graph:
    """A trunk that feeds a NonZero; what does not depend on it stays in the trunk."""
    nodes = (
        Node("Relu", ("x",), ("a",)),
        Node("NonZero", ("a",), ("found",)),
        Node("Mul", ("a", "two"), ("b",)),
        Node("Cast", ("found",), ("wide",), {"to": DType.FLOAT32}),
        Node("Add", ("wide", "scale"), ("z",)),
        Node("Neg", ("b",), ("y",)),
    )
    constants = {
        "two": ArrayConstant.of(np.float32([2])),
        "scale": ArrayConstant.of(np.float32([10])),
    }
    outputs = {"z": TensorType(DType.FLOAT32, (1, None)), "y": F32}
    types = {"a": F32, "b": F32, "found": UNKNOWN}
    return Graph("detector", {"x": F32}, outputs, nodes, constants, types)


def test_what_depends_on_an_unknown_size_is_the_tail() -> None:
    trunk, tail = split(detector())
    assert tail is not None
    assert [node.op for node in trunk.nodes] == ["Relu", "Mul", "Neg"]
    assert [node.op for node in tail.nodes] == ["NonZero", "Cast", "Add"]
    assert list(trunk.outputs) == ["y", "a"]
    assert (list(tail.inputs), list(tail.outputs)) == (["a"], ["z"])
    assert (list(trunk.constants), list(tail.constants)) == (["two"], ["scale"])
    check(trunk)
    check(tail)


def test_trunk_and_tail_together_are_the_graph() -> None:
    graph = detector()
    trunk, tail = split(graph)
    assert tail is not None
    x = np.float32([-1, 0, 2, 3])
    whole = GraphRunnable(graph, numpy_table()).run({"x": x})
    first = GraphRunnable(trunk, numpy_table()).run({"x": x})
    last = GraphRunnable(tail, numpy_table()).run({"a": first["a"]})
    np.testing.assert_array_equal(last["z"], whole["z"])
    np.testing.assert_array_equal(first["y"], whole["y"])


def test_a_static_graph_is_all_trunk() -> None:
    graph = Graph("g", {"x": F32}, {"y": F32}, (Node("Relu", ("x",), ("y",)),))
    assert split(graph) == (graph, None)


def test_an_output_that_is_an_input_is_nobodys_work() -> None:
    nodes = (Node("Relu", ("x",), ("y",)), Node("NonZero", ("y",), ("z",)))
    trunk, tail = split(Graph("g", {"x": F32}, {"x": F32, "y": F32}, nodes[:1]))
    assert (list(trunk.outputs), tail) == (["y"], None)
    trunk, tail = split(Graph("g", {"x": F32}, {"x": F32, "z": UNKNOWN}, nodes, types={"y": F32}))
    assert tail is not None
    assert (list(trunk.outputs), list(tail.outputs)) == (["y"], ["z"])


@pytest.mark.parametrize(
    "kind",
    [
        TensorType(DType.FLOAT32, ("n",)),
        TensorType(DType.FLOAT32, None),
        TensorType(DType.STRING, (2,)),
        TensorType(DType.INT4, (2,)),
        TensorType(DType.FLOAT32, (1,) * 9),
        TensorType(DType.COMPLEX64, (1,) * 8),
        SequenceType(F32),
        None,
    ],
    ids=str,
)
def test_inputs_that_have_no_place_go_to_the_tail(kind: TensorType | SequenceType | None) -> None:
    nodes = (Node("Identity", ("s",), ("t",)), Node("Relu", ("x",), ("y",)))
    trunk, tail = split(Graph("g", {"s": kind, "x": F32}, {"t": kind, "y": F32}, nodes))
    assert tail is not None
    assert (list(trunk.inputs), list(trunk.outputs)) == (["x"], ["y"])
    assert (list(tail.inputs), list(tail.outputs)) == (["s"], ["t"])


def test_an_input_may_go_to_both() -> None:
    nodes = (Node("NonZero", ("x",), ("z",)), Node("Relu", ("x",), ("y",)))
    trunk, tail = split(Graph("g", {"x": F32}, {"z": UNKNOWN, "y": F32}, nodes))
    assert tail is not None
    assert (list(trunk.inputs), list(trunk.outputs)) == (["x"], ["y"])
    assert list(tail.inputs) == ["x"]


def test_what_a_branch_reads_counts() -> None:
    branch = Graph("b", {}, {"r": None}, (Node("Relu", ("found",), ("r",)),))
    nodes = (
        Node("NonZero", ("x",), ("found",)),
        Node("If", ("c",), ("y",), {"then_branch": branch, "else_branch": branch}),
    )
    types = {"found": UNKNOWN}
    inputs = {"x": F32, "c": TensorType(DType.BOOL, ())}
    _, tail = split(Graph("g", inputs, {"y": F32}, nodes, types=types))
    assert tail is not None
    assert [node.op for node in tail.nodes] == ["NonZero", "If"]


def test_an_output_that_is_a_late_input_is_the_tails() -> None:
    kind = TensorType(DType.STRING, (2,))
    trunk, tail = split(Graph("g", {"s": kind}, {"s": kind}, ()))
    assert tail is not None
    assert list(tail.outputs) == ["s"]
    assert list(tail.inputs) == ["s"]
    assert not trunk.outputs
