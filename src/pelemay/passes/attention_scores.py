"""Attention's scores, followed back from the Softmax to the product of queries and keys.

In: the name of the value that a Softmax reads. Out: :class:`Scores`: queries, keys, the factor,
the masks and the cap that were applied on the way, or None if it is no such thing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from pelemay.graph import Node
from pelemay.passes.matching import is_float32, is_standard, scalar, shape_of, with_scalar
from pelemay.passes.rewrite import Rewriter

HIDDEN = -1e8
"""A score this low hides a key whatever is added to it in float32."""


class Mask(NamedTuple):
    """What is added to scores; or ``hidden`` where ``value``, a condition, is (not) true."""

    value: str
    hidden: float | None = None
    keeps: bool = True


@dataclass(frozen=True)
class Scores:
    """How scores are computed.

    Attributes
    ----------
    queries, keys : str
        ``queries @ keys``: the keys are transposed.
    scale : float
        What the product is multiplied by.
    softcap : float
        ``softcap * tanh(scores / softcap)`` if it is not 0; before the masks.
    masks : tuple of Mask
        Applied one after the other.
    """

    queries: str
    keys: str
    scale: float = 1.0
    softcap: float = 0.0
    masks: tuple[Mask, ...] = ()

    @property
    def is_bare(self) -> bool:
        """Whether a factor may still be taken into the scale."""
        return not self.masks and not self.softcap


def scores_of(rewriter: Rewriter, name: str) -> Scores | None:
    """Follow a value back to a product of two matrices."""
    node = rewriter.maker(name)
    if node is None or not is_standard(node, node.op):
        return None
    match node.op:
        case "MatMul":
            return _product(rewriter, node)
        case "Mul" | "Div":
            return _scaled(rewriter, node)
        case "Add":
            return _added(rewriter, node)
        case "Where":
            return _chosen(rewriter, node)
    return None


def _product(rewriter: Rewriter, node: Node) -> Scores | None:
    queries, keys = node.inputs
    if not is_float32(rewriter.graph, queries, keys):
        return None
    queries, first = unscaled(rewriter, queries)
    keys, second = unscaled(rewriter, keys)
    return Scores(queries, keys, first * second)


def unscaled(rewriter: Rewriter, name: str) -> tuple[str, float]:
    """A value without the constant factors that it was multiplied by, and their product."""
    factor = 1.0
    while (found := _factor(rewriter, rewriter.maker(name))) is not None:
        name, own = found
        factor *= own
    return name, factor


def _factor(rewriter: Rewriter, node: Node | None) -> tuple[str, float] | None:
    """A product or quotient with a constant number: the value, and the factor."""
    graph = rewriter.graph
    if node is None:
        return None
    if is_standard(node, "Mul"):
        found = with_scalar(graph, node)
        same = found is not None and shape_of(graph, found[0]) == shape_of(graph, node.outputs[0])
        return found if same else None
    if is_standard(node, "Div"):
        number = scalar(graph, node.inputs[1])
        if number and shape_of(graph, node.inputs[0]) == shape_of(graph, node.outputs[0]):
            return node.inputs[0], 1 / number
    return None


def _scaled(rewriter: Rewriter, node: Node) -> Scores | None:
    found = _factor(rewriter, node)
    if found is None:
        return None
    value, factor = found
    inner = rewriter.maker(value)
    if inner is not None and is_standard(inner, "Tanh"):
        capped, share = unscaled(rewriter, inner.inputs[0])
        if abs(share * factor - 1) > 1e-6:
            return None
        scores = scores_of(rewriter, capped)
        usable = scores is not None and scores.is_bare and factor > 0
        return replace(scores, softcap=factor) if usable and scores is not None else None
    scores = scores_of(rewriter, value)
    if scores is None or not scores.is_bare:
        return None
    return replace(scores, scale=scores.scale * factor)


def _added(rewriter: Rewriter, node: Node) -> Scores | None:
    shape = shape_of(rewriter.graph, node.outputs[0])
    for value, mask in (node.inputs, node.inputs[::-1]):
        if shape_of(rewriter.graph, value) != shape:
            continue
        scores = scores_of(rewriter, value)
        if scores is not None:
            return replace(scores, masks=(*scores.masks, Mask(mask)))
    return None


def _chosen(rewriter: Rewriter, node: Node) -> Scores | None:
    shape = shape_of(rewriter.graph, node.outputs[0])
    condition, yes, no = node.inputs
    for value, number, keeps in ((yes, no, True), (no, yes, False)):
        hidden = scalar(rewriter.graph, number)
        if hidden is None or hidden > HIDDEN or shape_of(rewriter.graph, value) != shape:
            continue
        scores = scores_of(rewriter, value)
        if scores is not None:
            return replace(scores, masks=(*scores.masks, Mask(condition, hidden, keeps)))
    return None
