"""Operations that change nothing, and pairs that are one.

In: a graph with its types. Out: the graph without Identity, Dropout, and every Cast, Reshape,
Transpose, Expand, Tile, Pad, Slice, Split and Concat that gives back what it was given; Reshape of
Reshape and Transpose of Transpose become one; arithmetic with a neutral number goes.

>>> from pelemay.graph import DType, Graph, Node, TensorType
>>> x = TensorType(DType.FLOAT32, (2, 3))
>>> first, second = Node("Transpose", ("x",), ("t",)), Node("Transpose", ("t",), ("y",))
>>> g = Graph("g", {"x": x}, {"z": None}, (first, second, Node("Relu", ("y",), ("z",))))
>>> remove_identities(g).nodes[-1].inputs
('x',)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from pelemay.graph import Graph, Node, TensorType
from pelemay.graph.operations.common import axes_of
from pelemay.graph.typing import infer
from pelemay.passes.matching import integers, is_standard, operand, scalar, shape_of
from pelemay.passes.rewrite import Rewriter

VIEWS = frozenset({"Reshape", "Squeeze", "Unsqueeze", "Flatten"})
"""Operations that only say another shape."""

Rule = Callable[[Rewriter, Node], bool]
"""Whether the first output of a node is the same as its first input."""


def remove_identities(graph: Graph) -> Graph:
    """Take away operations that change nothing; join pairs of views and of transpositions.

    Requires nothing; the types that it needs are inferred. Guarantees that what is left of these
    operations changes shape, order, type or elements, or copies to an output of the graph.

    Parameters
    ----------
    graph : Graph
        A checked graph.

    Returns
    -------
    Graph
        The graph itself, with its types inferred, if there is nothing to take away.
    """
    rewriter = Rewriter(infer(graph))
    for index, node in enumerate(rewriter.graph.nodes):
        if node.domain or node.version:
            continue
        joined = _joined(rewriter, node) or node
        if _is_identity(rewriter, joined) and _can_go(rewriter.graph, joined):
            rewriter.remove(index)
            rewriter.forward(joined.outputs[0], joined.inputs[0])
        elif joined is not node:
            rewriter.replace(index, joined)
    return rewriter.graph_after()


def _can_go(graph: Graph, node: Node) -> bool:
    """Whether the output's name is free to go.

    An output of the graph needs a node that makes it: the one that makes the input, if that
    is no input, constant or output of the graph itself.
    """
    if any(name and name in graph.outputs for name in node.outputs[1:]):
        return False
    if node.outputs[0] not in graph.outputs:
        return True
    return node.inputs[0] in graph.producers and node.inputs[0] not in graph.outputs


def _is_identity(rewriter: Rewriter, node: Node) -> bool:
    if node.op in _NEUTRAL:
        return _is_neutral(rewriter, node)
    rule = _RULES.get(node.op)
    return rule is not None and bool(node.inputs) and rule(rewriter, node)


def _always(rewriter: Rewriter, node: Node) -> bool:
    return True


def _alone(rewriter: Rewriter, node: Node) -> bool:
    return len(node.inputs) == 1


def _same_type(rewriter: Rewriter, node: Node) -> bool:
    """The output has the static type of the input, and the operation moves no element."""
    kind = rewriter.graph.type_of(node.inputs[0])
    if not isinstance(kind, TensorType) or kind.nbytes is None:
        return False
    return kind == rewriter.graph.type_of(node.outputs[0])


def _same_dtype(rewriter: Rewriter, node: Node) -> bool:
    kinds = [rewriter.graph.type_of(name) for name in (node.inputs[0], node.outputs[0])]
    dtypes = [kind.dtype if isinstance(kind, TensorType) else None for kind in kinds]
    return dtypes[0] is not None and dtypes[0] is dtypes[1]


def _dropout(rewriter: Rewriter, node: Node) -> bool:
    """It drops nothing unless it is told to train; a mask that is read has to be made."""
    training = operand(node, 2)
    if training and scalar(rewriter.graph, training) != 0:
        return False
    mask = node.outputs[1] if len(node.outputs) > 1 else ""
    return not mask or (mask not in rewriter.users and mask not in rewriter.graph.outputs)


def _transpose(rewriter: Rewriter, node: Node) -> bool:
    order = _order(rewriter.graph, node)
    return order is not None and order == tuple(range(len(order)))


def _order(graph: Graph, node: Node) -> tuple[int, ...] | None:
    """A transposition's permutation."""
    shape = shape_of(graph, node.inputs[0])
    perm = node.attributes.get("perm")
    if shape is None:
        return None
    if not isinstance(perm, tuple):
        return tuple(reversed(range(len(shape))))
    return axes_of((int(axis) for axis in perm if isinstance(axis, int)), len(shape))


def _slice(rewriter: Rewriter, node: Node) -> bool:
    """All of it, forwards."""
    steps = operand(node, 4)
    forwards = not steps or all(s > 0 for s in integers(rewriter.graph, steps) or (0,))
    return forwards and _same_type(rewriter, node)


def _pad(rewriter: Rewriter, node: Node) -> bool:
    pads = integers(rewriter.graph, node.inputs[1])
    return pads is not None and not any(pads)


def _split(rewriter: Rewriter, node: Node) -> bool:
    return len(node.outputs) == 1 and _same_type(rewriter, node)


def _resize(rewriter: Rewriter, node: Node) -> bool:
    """The same sizes, by scales of 1 or by the sizes themselves."""
    if node.attributes.get("coordinate_transformation_mode") == "tf_crop_and_resize":
        return False
    scales = rewriter.graph.constants.get(operand(node, 2))
    if scales is not None and scales.array().size:
        return bool((scales.array() == 1).all())
    return _same_type(rewriter, node)


_RULES: dict[str, Rule] = {
    "BitCast": _same_dtype,
    "Cast": _same_dtype,
    "CastLike": _same_dtype,
    "CenterCropPad": _same_type,
    "Concat": _alone,
    "Dropout": _dropout,
    "Expand": _same_type,
    "Flatten": _same_type,
    "Identity": _always,
    "Max": _alone,
    "Mean": _alone,
    "Min": _alone,
    "Pad": _pad,
    "Reshape": _same_type,
    "Resize": _resize,
    "Slice": _slice,
    "Split": _split,
    "Squeeze": _same_type,
    "Sum": _alone,
    "Tile": _same_type,
    "Transpose": _transpose,
    "Unsqueeze": _same_type,
}

_NEUTRAL = {"Add": 0.0, "Sub": 0.0, "Mul": 1.0, "Div": 1.0, "Pow": 1.0}
"""Arithmetic, and the second operand that changes nothing."""


def _is_neutral(rewriter: Rewriter, node: Node) -> bool:
    graph = rewriter.graph
    return scalar(graph, node.inputs[1]) == _NEUTRAL[node.op] and _same_type(rewriter, node)


def _joined(rewriter: Rewriter, node: Node) -> Node | None:
    """One node for this one and those before it."""
    before = rewriter.maker(node.inputs[0]) if node.inputs else None
    if before is None:
        return None
    if is_standard(node, *VIEWS) and is_standard(before, *VIEWS):
        source = before.inputs[0]
        while (earlier := rewriter.maker(source)) is not None and is_standard(earlier, *VIEWS):
            source = earlier.inputs[0]
        return _as_reshape(rewriter, node, source)
    if is_standard(node, "Transpose") and is_standard(before, "Transpose"):
        return _transposed_once(rewriter, node, _joined(rewriter, before) or before)
    return None


def _as_reshape(rewriter: Rewriter, node: Node, source: str) -> Node | None:
    shape = shape_of(rewriter.graph, node.outputs[0])
    if shape is None:
        return None
    if shape == shape_of(rewriter.graph, source):
        return Node("Identity", (source,), node.outputs, name=node.name)
    name = rewriter.constant(f"{node.outputs[0]}::shape", np.asarray(shape, np.int64))
    return Node("Reshape", (source, name), node.outputs, {"allowzero": 1}, name=node.name)


def _transposed_once(rewriter: Rewriter, node: Node, before: Node) -> Node | None:
    first, second = (_order(rewriter.graph, n) for n in (before, node))
    if first is None or second is None:
        return None
    perm = tuple(first[axis] for axis in second)
    return replace(node, inputs=before.inputs, attributes={"perm": perm})
