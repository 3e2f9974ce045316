"""Nodes, graphs and types: what they say of themselves, and that they cannot be changed."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest

from pelemay.graph import (
    ArrayConstant,
    Constant,
    DType,
    Graph,
    MapType,
    Node,
    OptionalType,
    SequenceType,
    SparseTensorType,
    TensorType,
    reads,
    walk,
)

X = TensorType(DType.FLOAT32, (2, 3))


def loop() -> Graph:
    """A graph whose node holds a body, that holds a branch."""
    branch = Graph("branch", {}, {"r": None}, (Node("Add", ("x", "i"), ("r",)),))
    body = Graph(
        "body",
        {"i": None},
        {"s": None, "outer": None},
        (Node("If", ("c",), ("s",), {"then_branch": branch, "more": (branch,)}),),
        {"k": ArrayConstant.of([1])},
    )
    nodes = (Node("Loop", ("n", ""), ("y", ""), {"body": body}), Node("Neg", ("y",), ("z",)))
    return Graph("g", {"x": X}, {"z": X}, nodes, {"n": ArrayConstant.of([[5]])}, {"y": X})


def test_free_names_are_what_a_graph_reads_from_around_it() -> None:
    graph = loop()
    (body,) = graph.nodes[0].graphs
    branch, _ = body.nodes[0].graphs
    assert branch.free_names == {"x", "i"}
    assert body.free_names == {"x", "c", "outer"}
    assert graph.free_names == {"c", "outer"}


def test_reads_are_inputs_and_what_bodies_take() -> None:
    assert sorted(reads(loop().nodes[0])) == ["c", "n", "outer", "x"]


def test_producers_leave_out_what_has_no_name() -> None:
    graph = loop()
    assert dict(graph.producers) == {"y": graph.nodes[0], "z": graph.nodes[1]}


def test_type_of_looks_everywhere() -> None:
    graph = loop()
    assert graph.type_of("n") == TensorType(DType.INT64, (1, 1))
    assert [graph.type_of(name) for name in "xyz"] == [X, X, X]
    assert graph.type_of("elsewhere") is None


def test_walk_goes_into_sub_graphs_in_order() -> None:
    seen = [(graph.name, node.op) for graph, node in walk(loop())]
    assert seen == [
        ("g", "Loop"),
        ("body", "If"),
        ("branch", "Add"),
        ("branch", "Add"),
        ("g", "Neg"),
    ]


@pytest.mark.parametrize(
    ("node", "label"),
    [
        (Node("Add", (), ("y",), name="n"), "Add 'n'"),
        (Node("Add", (), ("", "y")), "Add 'y'"),
        (Node("Gelu", (), (), domain="com.microsoft"), "com.microsoft::Gelu ''"),
    ],
)
def test_label(node: Node, label: str) -> None:
    assert node.label == label


def test_graphs_cannot_be_changed() -> None:
    graph = loop()
    with pytest.raises(FrozenInstanceError):
        graph.name = "other"  # type: ignore[misc]
    with pytest.raises(TypeError):
        graph.inputs["more"] = X  # type: ignore[index]
    with pytest.raises(TypeError):
        graph.nodes[0].attributes["more"] = 1  # type: ignore[index]


def test_graphs_keep_nothing_of_the_mapping_they_were_given() -> None:
    inputs = {"x": X}
    graph = Graph("g", inputs, {}, ())  # type: ignore[arg-type]
    inputs["y"] = X
    assert list(graph.inputs) == ["x"]


def test_replace_makes_another_graph() -> None:
    graph = loop()
    assert graph.free_names
    assert replace(graph, nodes=()).free_names == {"z"}


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (TensorType(DType.INT4), "int4"),
        (TensorType(DType.INT4, ()), "int4[]"),
        (TensorType(DType.FLOAT32, (1, "n", None)), "float32[1, n, ?]"),
        (SparseTensorType(DType.BOOL, (2,)), "sparse(bool[2])"),
        (SequenceType(OptionalType(X)), "sequence(optional(float32[2, 3]))"),
        (MapType(DType.STRING, X), "map(string, float32[2, 3])"),
    ],
)
def test_types_as_text(kind: object, text: str) -> None:
    assert str(kind) == text


@pytest.mark.parametrize(
    ("kind", "nbytes"),
    [
        (TensorType(DType.FLOAT64, (2, 3)), 48),
        (TensorType(DType.INT4, (3,)), 2),
        (TensorType(DType.FLOAT6_E2M3FN, (4,)), 3),
        (TensorType(DType.FLOAT32, ()), 4),
        (TensorType(DType.FLOAT32, (0, 9)), 0),
        (TensorType(DType.FLOAT32, (2, "n")), None),
        (TensorType(DType.FLOAT32), None),
    ],
)
def test_bytes_of_a_type(kind: TensorType, nbytes: int | None) -> None:
    assert kind.nbytes == nbytes


def test_a_constant_is_a_read_only_view() -> None:
    value = np.ones((2, 3), np.float32)
    constant = ArrayConstant.of(value)
    assert isinstance(constant, Constant)
    assert (constant.dtype, constant.shape, constant.nbytes) == (DType.FLOAT32, (2, 3), 24)
    assert np.shares_memory(constant.array(), value)
    with pytest.raises(ValueError, match="read-only"):
        constant.array()[0, 0] = 2
    assert value.flags.writeable
