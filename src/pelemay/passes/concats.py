"""Concatenations that grow out of each other.

In: Concat of values that are concatenated elsewhere too, or are the pieces of one Split. Out:
Concat of what is whole already, so that a plan can let each value lie in its place in the largest
of them, and nothing is copied.

>>> from pelemay.graph import DType, Graph, Node, TensorType
>>> def t(n): return TensorType(DType.FLOAT32, (1, n))
>>> nodes = (
...     Node("Concat", ("a", "b"), ("y",), {"axis": 1}),
...     Node("Concat", ("a", "b", "c"), ("z",), {"axis": 1}),
... )
>>> g = Graph("g", {"a": t(2), "b": t(2), "c": t(2)}, {"y": t(4), "z": t(6)}, nodes)
>>> nest_concats(g).nodes[1].inputs
('y', 'c')
"""

from __future__ import annotations

from dataclasses import replace

from pelemay.graph import Graph, Node
from pelemay.passes.matching import is_standard, rank_of
from pelemay.passes.rewrite import Rewriter

Key = tuple[int, tuple[str, ...]]
"""An axis, and what is concatenated along it."""


def nest_concats(graph: Graph) -> Graph:
    """Concatenate wholes instead of their pieces.

    Requires types. Guarantees that no Concat has the operands of an earlier one as its first ones,
    nor all pieces of a Split in order. A whole may live longer than before, its pieces shorter.
    """
    rewriter = Rewriter(graph)
    known: dict[Key, str] = {}
    for index, node in enumerate(graph.nodes):
        if not is_standard(node, "Concat") or rank_of(graph, node.outputs[0]) is None:
            continue
        axis = _axis(graph, node)
        inputs = _with_wholes(rewriter, node, axis)
        shorter = _with_prefix(known, axis, inputs)
        known.setdefault((axis, inputs), node.outputs[0])
        if shorter != node.inputs:
            rewriter.replace(index, _concat(node, shorter))
    return rewriter.graph_after()


def _concat(node: Node, inputs: tuple[str, ...]) -> Node:
    if len(inputs) == 1:
        return Node("Identity", inputs, node.outputs, name=node.name)
    return replace(node, inputs=inputs)


def _axis(graph: Graph, node: Node) -> int:
    axis, rank = node.attributes.get("axis", 0), rank_of(graph, (node.inputs or node.outputs)[0])
    assert isinstance(axis, int)
    return axis % (rank or 1)


def _with_wholes(rewriter: Rewriter, node: Node, axis: int) -> tuple[str, ...]:
    """The operands, with all pieces of a Split in order replaced by what was split."""
    found: list[str] = []
    names = list(node.inputs)
    while names:
        cut = rewriter.maker(names[0])
        whole = cut is not None and _is_whole(rewriter.graph, cut, names, axis)
        found.append(cut.inputs[0] if cut is not None and whole else names[0])
        del names[: len(cut.outputs) if cut is not None and whole else 1]
    return tuple(found)


def _is_whole(graph: Graph, cut: Node, names: list[str], axis: int) -> bool:
    """Whether values begin with all pieces of a Split along an axis."""
    pieces = list(cut.outputs)
    return (
        is_standard(cut, "Split") and names[: len(pieces)] == pieces and _axis(graph, cut) == axis
    )


def _with_prefix(known: dict[Key, str], axis: int, inputs: tuple[str, ...]) -> tuple[str, ...]:
    """The operands, with the first ones replaced by the longest earlier concatenation of them."""
    for count in range(len(inputs), 1, -1):
        whole = known.get((axis, inputs[:count]))
        if whole is not None:
            return (whole, *inputs[count:])
    return inputs
