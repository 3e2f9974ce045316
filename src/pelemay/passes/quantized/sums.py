"""Sums and products of two quantized values, means of windows, and parts put together.

In: operations over real values that stand for integers, and the grid that the result goes to. Out:
``QBinary``, ``QAveragePool``, or Concat of integers that are brought to one grid first.
"""

from __future__ import annotations

import math
from dataclasses import replace

import array_api_compat.numpy as xp
import numpy as np

from pelemay.graph import ArrayConstant, Attribute, Node, TensorType
from pelemay.graph.operations.fused import DOMAIN
from pelemay.graph.operations.quantized import q_binary
from pelemay.passes.derived import Dequantized
from pelemay.passes.matching import integers, is_standard, operand, rank_of, shape_of
from pelemay.passes.quantized.products import Bounds, held
from pelemay.passes.quantized.tables import requantized
from pelemay.passes.quantized.values import Grid, Walk, codes_of, zero_of


def binary(walk: Walk, node: Node, target: Grid, bounds: Bounds, output: str) -> Node | None:
    """Add, Sub or Mul of two."""
    if not is_standard(node, "Add", "Sub", "Mul"):
        return None
    a, b = map(walk.read, node.inputs)
    if a is None or b is None:
        return None
    if any(is_number(walk, name) for name in node.inputs):
        return _with_number(walk, node, target, bounds, output)
    other = replace(b.grid, scale=-b.grid.scale) if node.op == "Sub" else b.grid
    attributes: dict[str, Attribute] = {"operation": "Mul" if node.op == "Mul" else "Add"}
    inputs = (a.integers, *walk.given(a.grid), b.integers, *walk.given(other), *walk.given(target))
    return walk.node("QBinary", inputs, output, attributes | held(target, bounds))


def is_number(walk: Walk, name: str) -> bool:
    """Whether it is a constant of one element."""
    constant = walk.graph.constants.get(name)
    return constant is not None and math.prod(constant.shape) == 1


def _with_number(walk: Walk, node: Node, target: Grid, bounds: Bounds, output: str) -> Node | None:
    """A sum or product of data and one number, as ``QBinary`` has it for each of the 256."""
    data, number = sorted(node.inputs, key=lambda name: is_number(walk, name))
    a, b, constant = walk.read(data), walk.read(number), walk.graph.constants[number]
    shapes = {shape_of(walk.graph, name) for name in (data, node.outputs[0])}
    if node.op == "Sub" or a is None or b is None or not isinstance(constant, Dequantized):
        return None
    if is_number(walk, data) or len(shapes) > 1:
        return None
    made = q_binary(
        xp,
        *(codes_of(a.grid), a.grid.scale, zero_of(a.grid)),
        *(constant.integers.array().reshape(()), b.grid.scale, zero_of(b.grid)),
        *(target.scale, zero_of(target)),
        operation=node.op,
        **held(target, bounds),
    )
    table = walk.constant("table", ArrayConstant.of(np.asarray(made)))
    return walk.node("QTable", (a.integers, table), output)


def mean(walk: Walk, node: Node, target: Grid, output: str) -> tuple[Node, ...] | None:
    """Averages over windows, over whole images, and over any axes that lie together."""
    window, shape = _window(walk, node), _rows(walk, node)
    found = None if window is None and shape is None else walk.read(node.inputs[0])
    if found is None:
        return None
    multiplier = walk.constant("multiplier", np.float32(found.grid.scale / target.scale))
    ends = (multiplier, walk.given(found.grid)[1], walk.given(target)[1])
    if window is not None:
        return (walk.node("QAveragePool", (found.integers, *ends), output, window),)
    assert shape is not None
    x, y = (
        walk.rewriter.value(f"{output}::{name}", TensorType(grid.dtype, sizes))
        for name, grid, sizes in (
            ("rows", found.grid, shape),
            ("means", target, (shape[0], 1, shape[2])),
        )
    )
    result = shape_of(walk.graph, node.outputs[0]) or ()
    sizes = [
        walk.rewriter.constant(f"{name}::shape", list(of), "int64")
        for name, of in ((x, shape), (output, result))
    ]
    return (
        Node("Reshape", (found.integers, sizes[0]), (x,)),
        walk.node("QAveragePool", (x, *ends), y, {"kernel_shape": shape[1:2]}),
        Node("Reshape", (y, sizes[1]), (output,)),
    )


def _window(walk: Walk, node: Node) -> dict[str, Attribute] | None:
    """The attributes of a mean of windows of images with channels last."""
    if node.domain == DOMAIN and node.op == "AveragePool":
        return dict(node.attributes)
    shape, axes = shape_of(walk.graph, node.inputs[0]) or (), _axes(walk, node)
    if not axes or not node.attributes.get("keepdims", 1) or axes != _places(1, len(shape) - 1):
        return None
    return {"kernel_shape": shape[1:-1]}


def _rows(walk: Walk, node: Node) -> tuple[int, int, int] | None:
    """The sizes before, of, and behind the axes that a mean goes over, if they lie together."""
    shape, axes = shape_of(walk.graph, node.inputs[0]) or (), _axes(walk, node)
    if not axes or axes != _places(axes[0], axes[-1] + 1):
        return None
    parts = (shape[: axes[0]], shape[axes[0] : axes[-1] + 1], shape[axes[-1] + 1 :])
    before, size, behind = map(math.prod, parts)
    return (before, size, behind) if size else None


def _places(first: int, last: int) -> tuple[int, ...]:
    return tuple(range(first, last))


def _axes(walk: Walk, node: Node) -> tuple[int, ...]:
    """The axes of ReduceMean in their order; none if it is another operation."""
    rank = rank_of(walk.graph, node.inputs[0]) if is_standard(node, "ReduceMean") else None
    if not rank:
        return ()
    given = integers(walk.graph, operand(node, 1))
    if given is None and operand(node, 1):
        return ()
    if not given:
        return () if node.attributes.get("noop_with_empty_axes", 0) else _places(0, rank)
    return tuple(sorted(axis % rank for axis in given))


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
