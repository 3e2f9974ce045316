"""Sums and products of two quantized values, means of windows, and parts put together.

In: operations over real values that stand for integers, and the grid that the result goes to. Out:
``QBinary``, ``QAveragePool``, or Concat of integers that are brought to one grid first.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pelemay.graph import Attribute, Node
from pelemay.graph.operations.fused import DOMAIN
from pelemay.passes.matching import integers, is_standard, operand, rank_of, shape_of
from pelemay.passes.quantized.products import Bounds, held
from pelemay.passes.quantized.tables import requantized
from pelemay.passes.quantized.values import Grid, Walk


def binary(walk: Walk, node: Node, target: Grid, bounds: Bounds, output: str) -> Node | None:
    """Add, Sub or Mul of two."""
    if not is_standard(node, "Add", "Sub", "Mul"):
        return None
    a, b = map(walk.read, node.inputs)
    if a is None or b is None:
        return None
    other = replace(b.grid, scale=-b.grid.scale) if node.op == "Sub" else b.grid
    attributes: dict[str, Attribute] = {"operation": "Mul" if node.op == "Mul" else "Add"}
    inputs = (a.integers, *walk.given(a.grid), b.integers, *walk.given(other), *walk.given(target))
    return walk.node("QBinary", inputs, output, attributes | held(target, bounds))


def mean(walk: Walk, node: Node, target: Grid, output: str) -> Node | None:
    """Averages over windows, and over whole images."""
    window = _window(walk, node)
    found = None if window is None else walk.read(node.inputs[0])
    if found is None or window is None:
        return None
    multiplier = walk.constant("multiplier", np.float32(found.grid.scale / target.scale))
    zeros = (walk.given(found.grid)[1], walk.given(target)[1])
    return walk.node("QAveragePool", (found.integers, multiplier, *zeros), output, window)


def _window(walk: Walk, node: Node) -> dict[str, Attribute] | None:
    if node.domain == DOMAIN and node.op == "AveragePool":
        return dict(node.attributes)
    rank = rank_of(walk.graph, node.inputs[0]) or 0
    if not is_standard(node, "ReduceMean") or rank < 3:
        return None
    if not node.attributes.get("keepdims", 1):
        return None
    axes = integers(walk.graph, operand(node, 1)) or ()
    shape = shape_of(walk.graph, node.inputs[0])
    if shape is None or sorted(axis % rank for axis in axes) != list(range(1, rank - 1)):
        return None
    return {"kernel_shape": shape[1:-1]}


def concatenated(walk: Walk, node: Node, target: Grid, output: str) -> tuple[Node, ...] | None:
    """Concat of parts, each brought to the grid of the whole."""
    if not is_standard(node, "Concat"):
        return None
    nodes: list[Node] = []
    parts: list[str] = []
    for name in node.inputs:
        found = walk.read(name)
        if found is None:
            return None
        if found.grid == target:
            parts.append(found.integers)
            continue
        part = walk.value(name, target)
        made = requantized(walk, name, target, part)
        if made is None:
            return None
        nodes.append(made)
        parts.append(part)
    return (*nodes, replace(node, inputs=tuple(parts), outputs=(output,)))
