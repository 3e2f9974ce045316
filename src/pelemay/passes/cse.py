"""Common sub-expressions: what is computed twice is computed once.

In: a graph. Out: the graph in which of nodes with the same operation, inputs and attributes the
first stands for all, and of small constants with the same elements likewise.

>>> from pelemay.graph import DType, Graph, Node, TensorType
>>> x = TensorType(DType.FLOAT32, (2,))
>>> first, second = (Node("Exp", ("x",), (name,)) for name in "ab")
>>> g = Graph("g", {"x": x}, {"y": x}, (first, second, Node("Add", ("a", "b"), ("y",))))
>>> merge_common(g).nodes[-1].inputs
('a', 'a')
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from typing import Any

from pelemay.graph import Constant, DType, Graph, Node
from pelemay.graph.operations import find
from pelemay.passes.rewrite import Rewriter

COMPARED_BYTES = 1024
"""Constants up to this size are compared by their elements, larger ones by identity."""


def merge_common(graph: Graph) -> Graph:
    """Compute once what is computed twice.

    Requires nothing. Guarantees that no two nodes of the table's deterministic operations have the
    same inputs and attributes. A value may live longer than before, up to the last of its readers.

    Parameters
    ----------
    graph : Graph
        A checked graph.

    Returns
    -------
    Graph
        The graph itself if nothing is there twice.
    """
    rewriter = Rewriter(graph)
    merged = _same_constants(graph)
    for old, new in merged.items():
        rewriter.forward(old, new)
    same = dict(merged)
    seen: dict[Hashable, Node] = {}
    for index, node in enumerate(graph.nodes):
        key = _key(node, same)
        if key is None:
            continue
        first = seen.setdefault(key, node)
        if first is node:
            continue
        rewriter.remove(index)
        for old, new in zip(node.outputs, first.outputs, strict=True):
            if old:
                rewriter.forward(old, new)
                same[old] = new
    after = rewriter.graph_after()
    if not merged:
        return after
    constants = {name: value for name, value in after.constants.items() if name not in merged}
    return replace(after, constants=constants)


def _same_constants(graph: Graph) -> dict[str, str]:
    """Constant to an earlier one of the same elements."""
    seen: dict[Hashable, str] = {}
    found: dict[str, str] = {}
    for name, constant in graph.constants.items():
        if name in graph.outputs:
            continue
        first = seen.setdefault(_content(constant), name)
        if first != name:
            found[name] = first
    return found


def _content(constant: Constant) -> Hashable:
    if constant.dtype is DType.STRING or constant.nbytes > COMPARED_BYTES:
        return id(constant)
    return constant.dtype, constant.shape, constant.array().tobytes()


def _key(node: Node, same: dict[str, str]) -> Hashable:
    """What two nodes must have in common to be the same; None for a node that is like no other."""
    row = find(node.op, node.domain) if node.version == 0 else None
    if row is None or row.random or any(node.graphs):
        return None
    inputs = tuple(same.get(name, name) for name in node.inputs)
    attributes = tuple(sorted((name, _plain(value)) for name, value in node.attributes.items()))
    return node.op, node.domain, inputs, attributes, tuple(map(bool, node.outputs))


def _plain(value: Any) -> str:
    """An attribute as a text that is the same only for the same attribute."""
    if isinstance(value, tuple):
        return f"({', '.join(map(_plain, value))})"
    if isinstance(value, (int, float, str)) or not isinstance(value, Constant):
        return f"{type(value).__name__} {value!r}"
    return repr(_content(value))
