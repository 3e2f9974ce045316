"""Quantized models on integers: what stands between DequantizeLinear and QuantizeLinear.

In: a graph in the dialect whose real values are made of integers and become integers again. Out:
convolutions, products, sums and means of the integers themselves, tables for what is elementwise,
and integers moved where real numbers were. What has no such form stays as it was: real, between the
two.

>>> from pelemay.graph import ArrayConstant, DType, Graph, Node, TensorType
>>> import numpy as np
>>> kind, real = TensorType(DType.UINT8, (4,)), TensorType(DType.FLOAT32, (4,))
>>> grid = {"s": ArrayConstant.of(np.float32(0.1)), "z": ArrayConstant.of(np.uint8(9))}
>>> nodes = (
...     Node("DequantizeLinear", ("x", "s", "z"), ("r",)),
...     Node("Sigmoid", ("r",), ("t",)),
...     Node("QuantizeLinear", ("t", "s", "z"), ("y",)),
... )
>>> g = Graph("g", {"x": kind}, {"y": kind}, nodes, grid, {"r": real, "t": real})
>>> fuse_quantized(g).nodes[-1].qualified
'pelemay::QTable'
"""

from __future__ import annotations

import math
from dataclasses import replace

from pelemay.graph import Graph, Node
from pelemay.graph.operations.fused import DOMAIN
from pelemay.passes.dead import remove_dead
from pelemay.passes.fuse_epilogue import activation_of
from pelemay.passes.matching import is_standard, operand, scalar
from pelemay.passes.quantized.products import (
    Bounds,
    integer_product,
    product_of,
    real_products,
)
from pelemay.passes.quantized.softmax import shares
from pelemay.passes.quantized.sums import binary, concatenated, mean
from pelemay.passes.quantized.tables import requantized, table
from pelemay.passes.quantized.values import Grid, Quantized, Walk

EVERYTHING: Bounds = (-math.inf, math.inf)

MOVES = (
    *("DepthToSpace", "Expand", "Flatten", "Gather", "GatherElements", "GatherND", "Identity"),
    *("Reshape", "Slice", "SpaceToDepth", "Split", "Squeeze", "Tile", "Transpose", "Unsqueeze"),
)
"""Operations whose result has elements of their first input and no others."""


def fuse_quantized(graph: Graph) -> Graph:
    """Compute on the integers of a quantized model.

    Requires static types, and convolutions and pools with channels last. Guarantees that a real
    value which something else reads is still made, and the others are not.
    """
    walk = Walk(graph)
    if not any(is_standard(node, "DequantizeLinear") for node in graph.nodes):
        return graph
    for index, node in enumerate(graph.nodes):
        walk.index = index
        if is_standard(node, "DequantizeLinear"):
            grid = walk.grid(node)
            if grid is not None:
                walk.know(node.outputs[0], node.inputs[0], grid)
        elif is_standard(node, "QuantizeLinear"):
            _quantize(walk, node)
        else:
            _move(walk, node)
    real_products(walk)
    return remove_dead(walk.rewriter.graph_after())


def _quantize(walk: Walk, node: Node) -> None:
    """Make the integers that QuantizeLinear makes, without the real value before them."""
    target = walk.grid(node)
    if target is None:
        return
    x, y = node.inputs[0], node.outputs[0]
    known = walk.read(x)
    if known is not None and known.grid == target:
        walk.rewriter.remove(walk.index)
        walk.rewriter.forward(y, known.integers)
        return
    made = requantized(walk, x, target, y) if known is not None else None
    nodes = (made,) if made is not None else _computed(walk, x, target, y)
    if nodes is not None:
        walk.rewriter.replace(walk.index, *nodes)


def _computed(walk: Walk, x: str, target: Grid, y: str) -> tuple[Node, ...] | None:
    """The nodes that make a value on a grid from integers."""
    inner, bounds, passed = _held(walk, x)
    if walk.rewriter.only_user(inner) is not None:
        product = product_of(walk, inner)
        made = None if product is None else integer_product(walk, product, y, target, bounds)
        if made is not None and product is not None:
            walk.taken.update({product.index, *passed})
            return (made,)
    maker = walk.rewriter.maker(inner)
    if maker is None:
        return None
    found = binary(walk, maker, target, bounds, y) or table(walk, x, target, y)
    if found is None and inner == x:
        found = shares(walk, maker, target, y)
    if found is not None:
        return (found,)
    if inner != x:
        return None
    return mean(walk, maker, target, y) or concatenated(walk, maker, target, y)


def _held(walk: Walk, name: str) -> tuple[str, Bounds, list[int]]:
    """The value before Relu and Clip that alone read it, what they hold it within, and they."""
    low, high = EVERYTHING
    passed: list[int] = []
    while walk.rewriter.only_user(name) is not None:
        index = walk.rewriter.makers.get(name)
        found = None if index is None else activation_of(walk.graph, walk.graph.nodes[index])
        if index is None or found is None or found[0] not in ("Relu", "Clip"):
            break
        lower, upper = found[1] if found[0] == "Clip" else (0.0, math.inf)
        low, high = (min(max(bound, low), high) for bound in (lower, upper))
        passed.append(index)
        name = walk.graph.nodes[index].inputs[0]
    return name, (low, high), passed


def _move(walk: Walk, node: Node) -> None:
    """Let operations that only move elements move integers."""
    places = _places(walk, node)
    found = [walk.read(node.inputs[place]) for place in places]
    known: list[Quantized] = [source for source in found if source is not None]
    if not known or len(known) < len(found) or len({source.grid for source in known}) > 1:
        return
    moved = _padded(walk, node, known[0].grid) if is_standard(node, "Pad") else node
    if moved is not None:
        walk.moved(moved, places, known)


def _places(walk: Walk, node: Node) -> tuple[int, ...]:
    """The inputs that a node moves; none if it does something else."""
    if is_standard(node, "Concat"):
        return tuple(range(len(node.inputs)))
    pool = node.domain == DOMAIN and node.op == "MaxPool"
    nearest = is_standard(node, "Resize") and node.attributes.get("mode", "nearest") == "nearest"
    return (0,) if pool or nearest or is_standard(node, *MOVES, "Pad") else ()


def _padded(walk: Walk, node: Node, grid: Grid) -> Node | None:
    """Pad with the integer that zero is; None where it pads with another number."""
    if node.attributes.get("mode", "constant") != "constant":
        return node
    value = operand(node, 2)
    if value and scalar(walk.graph, value) != 0:
        return None
    inputs = (*node.inputs[:2], walk.given(grid)[1], *node.inputs[3:])
    return replace(node, inputs=inputs)


__all__ = ["fuse_quantized"]
