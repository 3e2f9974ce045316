"""Binding: shapes for names, values for inputs, and what does not fit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pelemay.errors import GraphError, InputError
from pelemay.graph import DType, Graph, Node, SequenceType, TensorType, check
from pelemay.passes import bind, open_sizes

F32 = DType.FLOAT32


def test_a_name_is_one_number_everywhere(graph_of: Callable[..., Graph]) -> None:
    graph = graph_of("""g (float[n,3] x, float[n,k] z) => (float[n,a] y) {
        y = Concat<axis = 1>(x, z)
    }""")
    assert open_sizes(graph) == {"x": ("n", 3), "z": ("n", "k")}
    after = bind(graph, {"x": (4, 3)})
    assert str(after.inputs["z"]) == "float32[4, k]"
    assert open_sizes(after) == {"z": (4, "k")}
    after = bind(after, {"z": [4, 2]})
    assert str(after.outputs["y"]) == "float32[4, 5]"
    assert open_sizes(after) == {}
    check(after)


def test_stale_types_of_a_model_made_for_one_batch_are_replaced() -> None:
    one = TensorType(F32, (1, 3))
    nodes = (Node("Relu", ("x",), ("r",)), Node("Exp", ("r",), ("y",)))
    inputs = {"x": TensorType(F32, ("n", 3))}
    graph = Graph("g", inputs, {"y": one}, nodes, types={"r": one})
    after = bind(graph, {"x": (8, 3)})
    assert [str(after.type_of(name)) for name in "xry"] == ["float32[8, 3]"] * 3


def test_types_inside_of_sub_graphs_are_bound(graph_of: Callable[..., Graph]) -> None:
    graph = graph_of("""g (float[n] x, bool c) => (y) {
        y = If (c) <
            then_branch = a () => (float[n] r) { r = Relu(x) },
            else_branch = b () => (float[n] r) { r = Exp(x) }
        >
    }""")
    after = bind(graph, {"x": (5,)})
    branch = after.nodes[0].attributes["then_branch"]
    assert isinstance(branch, Graph)
    assert str(branch.outputs["r"]) == "float32[5]"
    assert str(after.outputs["y"]) == "float32[5]"


def test_a_value_makes_an_input_a_constant(graph_of: Callable[..., Graph]) -> None:
    graph = graph_of("g (float[6] x, int64[k] s) => (y) { y = Reshape(x, s) }")
    after = bind(graph, {}, {"s": np.array([2, -1])})
    assert list(after.inputs) == ["x"]
    assert after.constants["s"].array().tolist() == [2, -1]
    assert str(after.outputs["y"]) == "float32[2, 3]"


@pytest.mark.parametrize(
    ("shapes", "values", "what"),
    [
        ({"nothing": (1,)}, {}, "there is no input 'nothing'. inputs are 'x', 'z', 's', 'q'"),
        ({"x": (2, 4)}, {}, "has 4 instead of 3"),
        ({"x": (2, 3, 1)}, {}, "does not fit"),
        ({"x": (-2, 3)}, {}, "does not fit"),
        ({"x": (2, 3), "z": (5,)}, {}, "has 5 instead of 'n', which is 2"),
        ({"q": (1,)}, {}, "'q' is no tensor, so it has no shape"),
        ({}, {"q": np.zeros(2)}, "'q' is no tensor, so its value cannot be bound"),
        ({}, {"s": np.zeros(2, np.int32)}, "input 's' is int64\\[2\\], not int32"),
        ({}, {"s": np.zeros(3, np.int64)}, "has 3 instead of 2"),
    ],
)
def test_what_does_not_fit_is_refused(
    shapes: dict[str, Any], values: dict[str, Any], what: str
) -> None:
    inputs = {
        "x": TensorType(F32, ("n", 3)),
        "z": TensorType(F32, ("n",)),
        "s": TensorType(DType.INT64, (2,)),
        "q": SequenceType(TensorType(F32)),
    }
    graph = Graph("g", inputs, {"y": None}, (Node("Relu", ("x",), ("y",)),))
    with pytest.raises(InputError, match=what):
        bind(graph, shapes, values)


def test_shapes_that_contradict_the_graph_name_the_node(graph_of: Callable[..., Graph]) -> None:
    graph = graph_of("g (float[n] x, float[m] z) => (y) { y = Add(x, z) }")
    with pytest.raises(GraphError, match="Add 'y'"):
        bind(graph, {"x": (2,), "z": (3,)})
