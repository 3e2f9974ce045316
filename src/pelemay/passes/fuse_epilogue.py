"""Activations and residual sums go into the convolution or product before them.

In: products and convolutions of the dialect, activations, sums of two values of one shape. Out: the
products with ``activation`` and ``residual``, which stand where the last operation stood that they
take in. Of two products that are summed, the later one takes the sum.

>>> from pelemay.graph import DType, Graph, Node, TensorType
>>> x = TensorType(DType.FLOAT32, (2, 2))
>>> nodes = (
...     Node("MatMul", ("x", "x"), ("p",), domain="pelemay"),
...     Node("Add", ("p", "x"), ("s",)),
...     Node("Relu", ("s",), ("y",)),
... )
>>> g = fuse_epilogues(Graph("g", {"x": x}, {"y": x}, nodes, types={"p": x, "s": x}))
>>> g.nodes[0].inputs, dict(g.nodes[0].attributes)
(('x', 'x', '', 'x'), {'activation': 'Relu'})
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from pelemay.graph import Attribute, Graph, Node
from pelemay.graph.operations.fused import DOMAIN
from pelemay.passes.matching import is_float32, is_standard, operand, scalar, shape_of
from pelemay.passes.rewrite import Rewriter

PRODUCTS = ("Conv", "ConvTranspose", "MatMul")

Factors = tuple[str, tuple[float, ...]]
"""An activation of the dialect, and its parameters."""


def fuse_epilogues(graph: Graph) -> Graph:
    """Take activations and residual sums into products and convolutions.

    Requires static types. Guarantees that only values that nothing else reads are no longer made.
    """
    rewriter = Rewriter(graph)
    for index in reversed(range(len(graph.nodes))):
        node = graph.nodes[index]
        if node.domain == DOMAIN and node.op in PRODUCTS and not rewriter.changed(index):
            _fuse(rewriter, index)
    return rewriter.graph_after()


def _fuse(rewriter: Rewriter, index: int) -> None:
    node, last = rewriter.graph.nodes[index], index
    if not is_float32(rewriter.graph, node.outputs[0]):
        return
    while (user := rewriter.only_user(node.outputs[0])) is not None:
        longer = None if rewriter.changed(user) else _with(rewriter.graph, node, user)
        if longer is None:
            break
        node, last = longer, user
        rewriter.remove(user)
    if last != index:
        rewriter.remove(index)
        rewriter.replace(last, node)


def _with(graph: Graph, node: Node, user: int) -> Node | None:
    """The product with one more operation, if there is room for it."""
    following = graph.nodes[user]
    active = bool(node.attributes.get("activation", ""))
    if is_standard(following, "Add"):
        return None if operand(node, 3) else _summed(graph, node, following, active=active)
    if active:
        return None
    found = activation_of(graph, following)
    if found is None or following.inputs[0] != node.outputs[0]:
        return None
    name, factors = found
    prefix = "act_" if node.op == "MatMul" else ""
    labels = (f"{prefix}alpha", f"{prefix}beta")
    attributes: dict[str, Attribute] = {**node.attributes, "activation": name}
    attributes.update(zip(labels, factors, strict=False))
    return replace(node, outputs=following.outputs, attributes=attributes)


def _summed(graph: Graph, node: Node, following: Node, *, active: bool) -> Node | None:
    own = node.outputs[0]
    a, b = following.inputs
    other = b if a == own else a
    shapes = {shape_of(graph, name) for name in (own, other, following.outputs[0])}
    if other == own or len(shapes) != 1 or None in shapes or not is_float32(graph, other):
        return None
    inputs = (*node.inputs, *("",) * (3 - len(node.inputs)), other)
    attributes = dict(node.attributes)
    if active:
        attributes["residual_position"] = "after"
    return replace(node, inputs=inputs, outputs=following.outputs, attributes=attributes)


PLAIN = ("Relu", "HardSwish", "Sigmoid", "Tanh", "Softplus", "Mish")
WITH_FACTORS: dict[str, tuple[tuple[str, float], ...]] = {
    "Elu": (("alpha", 1.0),),
    "HardSigmoid": (("alpha", 0.2), ("beta", 0.5)),
    "LeakyRelu": (("alpha", 0.01),),
    "Swish": (("alpha", 1.0),),
}


def activation_of(graph: Graph, node: Node) -> Factors | None:
    """The activation of the dialect that a standard node is, with its parameters."""
    if not is_standard(node, node.op):
        return None
    if node.op in PLAIN:
        return node.op, ()
    if node.op in WITH_FACTORS:
        given: Any = node.attributes
        return node.op, tuple(float(given.get(k, v)) for k, v in WITH_FACTORS[node.op])
    if node.op == "Gelu":
        return ("GeluTanh" if node.attributes.get("approximate") == "tanh" else "Gelu"), ()
    if node.op == "PRelu":
        slope = scalar(graph, node.inputs[1])
        return None if slope is None else ("LeakyRelu", (slope,))
    return _clip(graph, node) if node.op == "Clip" else None


def _clip(graph: Graph, node: Node) -> Factors | None:
    bounds = []
    for index, default in ((1, -math.inf), (2, math.inf)):
        name = operand(node, index)
        bound = scalar(graph, name) if name else default
        if bound is None:
            return None
        bounds.append(bound)
    return "Clip", tuple(bounds)
