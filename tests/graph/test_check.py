"""The checker: one broken graph for each rule, and graphs that look broken but are not."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from pelemay.errors import GraphError
from pelemay.graph import (
    ArrayConstant,
    DType,
    Graph,
    MapType,
    Node,
    OptionalType,
    TensorType,
    check,
)

X = TensorType(DType.FLOAT32, (2,))
ONE = ArrayConstant.of(np.ones(2, np.float32))


def graph(*nodes: Node, **changes: Any) -> Graph:
    fields: dict[str, Any] = {"inputs": {"x": X}, "outputs": {}, "nodes": nodes, **changes}
    return Graph("g", **fields)


def node(inputs: str, outputs: str, **attributes: Any) -> Node:
    """A node of values with names of one letter; ``-`` is one that is left out."""
    names = [tuple("" if c == "-" else c for c in text) for text in (inputs, outputs)]
    return Node("Op", names[0], names[1], attributes)


def nested(levels: int) -> Graph:
    inner = Graph("innermost", {}, {}, ())
    for _ in range(levels):
        inner = Graph("around", {}, {}, (node("", "", body=inner),))
    return inner


def deep_type(levels: int) -> Any:
    kind: Any = X
    for level in range(levels):
        kind = OptionalType(kind) if level % 2 else MapType(DType.INT64, kind)
    return kind


BROKEN = {
    "a name that nothing makes": (graph(node("a", "y")), "Op 'y' reads 'a', which nothing makes"),
    "a wrong order": (
        graph(node("a", "y"), node("x", "a")),
        "Op 'y' reads 'a' before it is made: a cycle, or a wrong order",
    ),
    "a cycle": (graph(node("b", "a"), node("a", "b")), "Op 'a' reads 'b' before it is made"),
    "a node that reads itself": (graph(node("a", "a")), "reads 'a' before it is made"),
    "two makers": (
        graph(node("x", "a"), node("x", "a")),
        "Op 'a' makes 'a', which exists already",
    ),
    "one node, one name twice": (graph(node("x", "aa")), "makes 'a', which exists already"),
    "an input made again": (graph(node("x", "x")), "makes 'x', which exists already"),
    "a constant made again": (graph(node("x", "c"), constants={"c": ONE}), "makes 'c', which"),
    "an input that is a constant": (
        graph(constants={"x": ONE}),
        "'x' is both an input and a constant",
    ),
    "an output that nothing makes": (graph(outputs={"y": None}), "output 'y' is made by no node"),
    "an input without a name": (graph(inputs={"": X}), "one of the inputs has no name"),
    "an output without a name": (graph(outputs={"": X}), "one of the outputs has no name"),
    "a constant without a name": (graph(constants={"": ONE}), "one of the constants has no name"),
    "a negative size": (
        graph(inputs={"x": TensorType(DType.INT8, (2, -1))}),
        "graph 'g', 'x': int8[2, -1] has a negative size",
    ),
    "a negative size between": (
        graph(types={"a": OptionalType(TensorType(DType.INT8, (-1,)))}),
        "'a': int8[-1] has a negative size",
    ),
    "a negative size in an attribute": (
        graph(node("x", "y", type=TensorType(DType.INT8, (-1,)))),
        "attribute 'type': int8[-1] has a negative size",
    ),
    "a type that nests too deeply": (
        graph(outputs={"x": deep_type(65)}),
        "'x': its type nests deeper than 64",
    ),
    "graphs that nest too deeply": (nested(65), "sub-graphs nest deeper than 64"),
    "graphs that nest very deeply": (nested(5000), "sub-graphs nest deeper than 64"),
    "no operation": (graph(Node("", ("x",), ("y",), name="n")), "node 'n' has no operation"),
    "a negative version": (graph(Node("Op", (), ("y",), version=-1)), "Op 'y' has version -1"),
    "a NumPy integer": (
        graph(node("x", "y", axis=np.int64(1))),
        "attribute 'axis' of Op 'y' holds",
    ),
    "a list": (graph(node("x", "y", axes=[1])), "holds list"),
    "None": (graph(node("x", "y", axis=None)), "holds NoneType"),
    "an array": (graph(node("x", "y", value=np.ones(2))), "holds ndarray"),
    "a tuple in a tuple": (graph(node("x", "y", axes=((1,),))), "holds tuple"),
    "two kinds in a tuple": (graph(node("x", "y", a=(1, "b"))), "holds int and str"),
    "an integer above 64 bits": (graph(node("x", "y", a=1 << 64)), "holds int"),
    "an attribute without a name": (graph(Node("Op", (), ("y",), {"": 1})), "attribute '' of Op"),
    "a name of a later node, read inside": (
        graph(node("x", "y", body=Graph("b", {}, {}, (node("z", "w"),))), node("x", "z")),
        "graph 'b': Op 'w' reads 'z', which nothing makes",
    ),
    "an outer name that the inner graph makes later": (
        graph(node("x", "y", body=Graph("b", {}, {}, (node("x", "a"), node("a", "x"))))),
        "graph 'b': Op 'a' reads 'x' before it is made",
    ),
    "an inner name, read outside": (
        graph(
            node("x", "y", body=Graph("b", {}, {}, (node("x", "a"),))),
            node("a", "z"),
        ),
        "graph 'g': Op 'z' reads 'a', which nothing makes",
    ),
    "an inner output that nothing makes": (
        graph(node("x", "y", body=(Graph("b", {}, {"q": None}, ()),))),
        "graph 'b': output 'q' is made by no node",
    ),
    "the output of the node around": (
        graph(node("x", "y", body=Graph("b", {}, {"y": None}, ()))),
        "graph 'b': output 'y' is made by no node",
    ),
}


@pytest.mark.parametrize(("broken", "message"), BROKEN.values(), ids=BROKEN)
def test_a_broken_graph_is_refused(broken: Graph, message: str) -> None:
    with pytest.raises(GraphError) as caught:
        check(broken)
    assert message in str(caught.value)
    assert str(caught.value).startswith("graph '")


SOUND = {
    "an input is an output": graph(outputs={"x": X}),
    "a constant is an output": graph(outputs={"c": None}, constants={"c": ONE}),
    "optional values are left out": graph(node("x--", "-y"), node("-y", "--z")),
    "a body reads values around it": graph(
        node("x", "a"), node("", "y", body=Graph("b", {}, {"a": None}, (node("x", "w"),)))
    ),
    "two bodies use the same names": graph(
        node("", "y", a=Graph("b", {}, {}, (node("x", "w"),))),
        node("", "z", a=Graph("b", {}, {}, (node("x", "w"),))),
    ),
    "a body uses the name of an outer value for its own": graph(
        node("x", "a"), node("", "y", body=Graph("b", {"a": None}, {}, (node("a", "x"),)))
    ),
    "every kind of attribute": graph(
        Node("Op", (), (), {"a": 1, "b": 0.5, "c": "s", "d": DType.INT4, "e": X, "f": ONE})
    ),
    "tuples of every kind": graph(
        Node("Op", (), (), {"a": (1, 0.5), "c": ("s",), "d": (), "e": (X, X), "f": (ONE,)})
    ),
    "graphs nest 64 deep": nested(64),
    "a type nests 64 deep": graph(outputs={"x": deep_type(64)}),
    "sizes of nothing": graph(inputs={"x": TensorType(DType.INT8, (0, "n", None))}),
}  # fmt: skip


@pytest.mark.parametrize("sound", SOUND.values(), ids=SOUND)
def test_a_sound_graph_passes(sound: Graph) -> None:
    check(sound)


def test_outer_names_may_be_given() -> None:
    inner = graph(node("o", "y"))
    check(inner, ["o"])
    with pytest.raises(GraphError, match="reads 'o'"):
        check(inner)


def test_constants_are_not_read() -> None:
    class Unreadable:
        dtype, shape, nbytes = DType.FLOAT32, (2,), 8

        def array(self) -> Any:
            raise AssertionError("read")

    check(graph(node("c", "y", value=Unreadable()), constants={"c": Unreadable()}))


def test_many_nodes_with_sub_graphs_take_linear_work() -> None:
    """Each name is looked up a few times however many others there are."""
    lookups = 0

    class Name(str):
        __slots__ = ()

        def __hash__(self) -> int:
            nonlocal lookups
            lookups += 1
            return super().__hash__()

    def work(count: int) -> int:
        nonlocal lookups
        names = [Name(f"v{i}") for i in range(count + 1)]
        nodes = tuple(
            Node("Op", (a,), (b,), {"body": Graph("b", {}, {a: None}, ())})
            for a, b in pairwise(names)
        )
        whole = Graph("g", {names[0]: X}, {names[-1]: X}, nodes)
        lookups = 0
        check(whole)
        return lookups

    assert 0 < work(2000) <= 2.1 * work(1000)
