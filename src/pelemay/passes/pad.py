"""Padding becomes the padding of the convolution or pool that reads it.

In: Pad with zeros along spatial axes, read by the dialect's convolutions and pools, or with the
zero point by those of 8-bit integers. Out: those with larger ``pads``. A maximum over padding never
wins, so zeros suit it only where no element is below zero, and every window has an element.

>>> import numpy as np
>>> from pelemay.graph import ArrayConstant, DType, Graph, Node, TensorType
>>> x, p, w = (TensorType(DType.FLOAT32, s) for s in ((1, 4, 2), (1, 6, 2), (2, 2, 3)))
>>> pads = ArrayConstant.of(np.asarray([0, 1, 0, 0, 1, 0]))
>>> nodes = (
...     Node("Pad", ("x", "pads"), ("p",)),
...     Node("Conv", ("p", "w"), ("y",), domain="pelemay"),
... )
>>> g = Graph("g", {"x": x, "w": w}, {"y": x}, nodes, {"pads": pads}, {"p": p})
>>> fuse_pads(g).nodes[1].attributes["pads"]
(1, 1)
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from pelemay.graph import Graph, Node
from pelemay.graph.operations.fused import DOMAIN
from pelemay.graph.operations.quantized import BYTES, range_of
from pelemay.graph.operations.windows import extent_of
from pelemay.passes.matching import dtype_of, integers, is_standard, operand, scalar, shape_of
from pelemay.passes.rewrite import Rewriter

CONVS = ("Conv", "QConv")
MEANS = ("AveragePool", "QAveragePool")
POOLS = (*MEANS, "LpPool", "MaxPool")
ZERO_POINTS = {"QConv": 4, "QAveragePool": 2}
"""Numbers of the inputs that padding counts as; 0 for others."""
LOWEST = float(np.finfo(np.float32).min)
NOT_NEGATIVE = ("Relu", "Sigmoid", "HardSigmoid", "Softplus", "Abs", "Exp", "Softmax", "Sqrt")
MAX_DEPTH = 8


def fuse_pads(graph: Graph) -> Graph:
    """Take Pad into the convolutions and pools of the dialect.

    Requires static types. Guarantees that a Pad which something else reads too stays for that.
    """
    rewriter = Rewriter(graph)
    for index, node in enumerate(graph.nodes):
        if node.domain == DOMAIN and node.op in (*CONVS, *POOLS):
            fused = _fused(rewriter, node)
            if fused is not None:
                rewriter.replace(index, fused)
    return rewriter.graph_after()


def _fused(rewriter: Rewriter, node: Node) -> Node | None:
    pad = rewriter.maker(node.inputs[0])
    if pad is None or not is_standard(pad, "Pad"):
        return None
    amounts = _spatial_amounts(rewriter.graph, pad)
    if amounts is None:
        return None
    own: Any = node.attributes.get("pads") or (0,) * len(amounts)
    total = tuple(a + b for a, b in zip(own, amounts, strict=True))
    attributes = {**node.attributes, "pads": total}
    if node.op in POOLS and node.attributes.get("ceil_mode", 0):
        return None
    if node.op in MEANS:
        if any(own) and not node.attributes.get("count_include_pad", 0):
            return None
        attributes["count_include_pad"] = 1
    value = scalar(rewriter.graph, operand(pad, 2)) if operand(pad, 2) else 0.0
    suits = (
        _suits_maximum(rewriter, node, pad, (total, value))
        if node.op == "MaxPool"
        else value is not None and value == _zero(rewriter.graph, node)
    )
    inputs = (pad.inputs[0], *node.inputs[1:])
    return replace(node, inputs=inputs, attributes=attributes) if suits else None


def _zero(graph: Graph, node: Node) -> float | None:
    """The number that padding counts as; None if only the run knows it."""
    name = operand(node, ZERO_POINTS[node.op]) if node.op in ZERO_POINTS else ""
    return scalar(graph, name) if name else 0.0


def _spatial_amounts(graph: Graph, pad: Node) -> tuple[int, ...] | None:
    """How much is added before and behind each spatial axis; None if anything else happens."""
    shape = shape_of(graph, pad.inputs[0])
    amounts = integers(graph, operand(pad, 1))
    axes = integers(graph, operand(pad, 3))
    if shape is None or amounts is None or (axes is None and operand(pad, 3)):
        return None
    if pad.attributes.get("mode", "constant") != "constant" or min(amounts) < 0:
        return None
    rank = len(shape)
    places = tuple(range(rank)) if axes is None else tuple(axis % rank for axis in axes)
    half = len(places)
    before = dict(zip(places, amounts[:half], strict=True))
    behind = dict(zip(places, amounts[half:], strict=True))
    if any(side.get(axis, 0) for side in (before, behind) for axis in (0, rank - 1)):
        return None
    spatial = range(1, rank - 1)
    return tuple(side.get(axis, 0) for side in (before, behind) for axis in spatial)


def _suits_maximum(
    rewriter: Rewriter, node: Node, pad: Node, padding: tuple[tuple[int, ...], float | None]
) -> bool:
    """Whether a maximum is the same over this padding and over none."""
    pads, value = padding
    if value is None or value == -np.inf:
        return value is not None
    a: Any = node.attributes
    kernel = a["kernel_shape"]
    dilations = a.get("dilations") or (1,) * len(kernel)
    extents = [extent_of(k, d) for k, d in zip(kernel, dilations, strict=True)]
    filled = all(amount < extent for amount, extent in zip(pads, extents * 2, strict=True))
    plain = all(d == 1 for d in dilations)
    dtype = dtype_of(rewriter.graph, pad.inputs[0])
    least = range_of(dtype)[0] if dtype in BYTES else LOWEST
    low = value <= least or (value <= 0 and is_not_negative(rewriter, pad.inputs[0]))
    return filled and plain and low


def is_not_negative(rewriter: Rewriter, name: str, depth: int = MAX_DEPTH) -> bool:
    """Whether no element of a value can be below zero, as far as the operations before it tell."""
    node = rewriter.maker(name)
    if node is None or depth == 0:
        return False
    if node.domain == DOMAIN and node.op in ("MaxPool", "AveragePool"):
        return is_not_negative(rewriter, node.inputs[0], depth - 1)
    if not is_standard(node, node.op):
        return False
    if node.op == "Clip":
        low = scalar(rewriter.graph, operand(node, 1))
        return low is not None and low >= 0
    if node.op == "Concat":
        return all(is_not_negative(rewriter, part, depth - 1) for part in node.inputs)
    return node.op in NOT_NEGATIVE
