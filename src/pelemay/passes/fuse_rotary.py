"""Rotary positions written out become one operation.

In: ``x * cos + concat(-x[half:], x[:half]) * sin`` over the last axis, as exporters of PyTorch's
models write it, with cosines and sines whose two halves are the same numbers. Out:
RotaryEmbedding, which takes one half of them. Su et al., RoFormer, arXiv 2104.09864.

>>> import numpy as np
>>> from pelemay.graph import ArrayConstant, DType, Graph, Node, TensorType
>>> x, half = TensorType(DType.FLOAT32, (1, 2, 3, 4)), TensorType(DType.FLOAT32, (1, 2, 3, 2))
>>> bounds = {str(n): ArrayConstant.of([n], np.int64) for n in (0, 2, 3, 4)}
>>> nodes = (
...     Node("Slice", ("x", "0", "2", "3"), ("low",)),
...     Node("Slice", ("x", "2", "4", "3"), ("high",)),
...     Node("Neg", ("high",), ("less",)),
...     Node("Concat", ("less", "low"), ("turned",), {"axis": -1}),
...     Node("Mul", ("x", "cos"), ("a",)),
...     Node("Mul", ("turned", "sin"), ("b",)),
...     Node("Add", ("a", "b"), ("y",)),
... )
>>> angles = np.tile(np.arange(6, dtype=np.float32).reshape(1, 1, 3, 2), 2)
>>> constants = {"cos": ArrayConstant.of(np.cos(angles)), "sin": ArrayConstant.of(np.sin(angles))}
>>> types = {"low": half, "high": half, "less": half, "turned": x, "a": x, "b": x}
>>> fuse_rotary(Graph("g", {"x": x}, {"y": x}, nodes, bounds | constants, types)).nodes[-1].op
'RotaryEmbedding'
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pelemay.graph import Graph, Node
from pelemay.passes.emitting import Emitter
from pelemay.passes.matching import (
    integers,
    is_float32,
    is_standard,
    operand,
    permutation,
    shape_of,
)
from pelemay.passes.rewrite import Rewriter

Shape = tuple[int, ...]

ALIKE = ("Cast", "Cos", "Identity", "Sin")
"""Operations that make the same of the same numbers."""


class _Turn(NamedTuple):
    """Rotary positions found: of which value, and by which cosines and sines."""

    x: str
    cosines: str
    sines: str


def fuse_rotary(graph: Graph) -> Graph:
    """Recognise RotaryEmbedding.

    Requires static types. Guarantees that what is read elsewhere is still made; what nothing
    reads any more stays for dead code removal.
    """
    rewriter = Rewriter(graph)
    for index, node in enumerate(graph.nodes):
        if is_standard(node, "Add") and is_float32(graph, *node.inputs):
            turn = _turn(rewriter, node)
            if turn is not None:
                rewriter.replace(index, *_nodes(rewriter, node, turn))
    return rewriter.graph_after()


def _turn(rewriter: Rewriter, node: Node) -> _Turn | None:
    for plain, crossed in (node.inputs, node.inputs[::-1]):
        first, second = rewriter.maker(plain), rewriter.maker(crossed)
        if first is None or second is None or not is_standard(first, "Mul"):
            continue
        if not is_standard(second, "Mul"):
            continue
        for turned, sines in (second.inputs, second.inputs[::-1]):
            x = _source(rewriter, turned)
            if x in first.inputs:
                cosines = first.inputs[1 - first.inputs.index(x)]
                found = _Turn(x, cosines, sines)
                return found if _fits(rewriter, found, node.outputs[0]) else None
    return None


def _source(rewriter: Rewriter, name: str) -> str | None:
    """The value whose last half, negative, and first half are joined."""
    join = rewriter.maker(name)
    shape = shape_of(rewriter.graph, name)
    if join is None or not is_standard(join, "Concat") or len(join.inputs) != 2 or not shape:
        return None
    less = rewriter.maker(join.inputs[0])
    size, last = shape[-1], len(shape) - 1
    if join.attributes.get("axis") not in (-1, last) or not is_standard(less, "Neg") or size % 2:
        return None
    assert less is not None
    high = _slice(rewriter, less.inputs[0], (size // 2, size))
    low = _slice(rewriter, join.inputs[1], (0, size // 2))
    same = high is not None and high == low and shape_of(rewriter.graph, high) == shape
    return high if same else None


def _slice(rewriter: Rewriter, name: str, bounds: tuple[int, int]) -> str | None:
    """What a Slice takes these places of the last axis from."""
    graph, node = rewriter.graph, rewriter.maker(name)
    shape = None if node is None else shape_of(graph, node.inputs[0])
    if node is None or not is_standard(node, "Slice") or shape is None:
        return None
    start, end, axes = (integers(graph, operand(node, i)) for i in (1, 2, 3))
    steps = integers(graph, operand(node, 4)) if operand(node, 4) else (1,)
    if start is None or end is None or axes not in ((-1,), (len(shape) - 1,)) or steps != (1,):
        return None
    first, last, _ = slice(start[0], end[0]).indices(shape[-1])
    return node.inputs[0] if (first, last) == bounds else None


def _fits(rewriter: Rewriter, turn: _Turn, y: str) -> bool:
    """Whether the angles are those of RotaryEmbedding: one for a token, the same in both halves."""
    shape = shape_of(rewriter.graph, turn.x)
    if shape is None or len(shape) != 4 or shape != shape_of(rewriter.graph, y):
        return False
    for name in turn[1:]:
        table = _four(shape_of(rewriter.graph, name))
        if table is None or table[0] not in (1, shape[0]) or table[1:] != (1, *shape[2:]):
            return False
    return all(_is_doubled(rewriter, name) for name in turn[1:])


def _four(shape: Shape | None) -> Shape | None:
    if shape is None or len(shape) > 4:
        return None
    return (*(1,) * (4 - len(shape)), *shape)


def _is_doubled(rewriter: Rewriter, name: str) -> bool:
    """Whether the last axis has the same numbers twice."""
    graph, node = rewriter.graph, rewriter.maker(name)
    shape = shape_of(graph, name)
    if not shape or shape[-1] % 2:
        return False
    if name in graph.constants:
        low, high = np.split(graph.constants[name].array(), 2, axis=-1)
        return bool(np.array_equal(low, high))
    if node is None:
        return False
    if is_standard(node, "Concat"):
        last = node.attributes.get("axis") in (-1, len(shape) - 1)
        return last and len(node.inputs) == 2 and len(set(node.inputs)) == 1
    if is_standard(node, "Mul"):
        shapes = [shape_of(graph, given) for given in node.inputs]
        wide = [
            given
            for given, own in zip(node.inputs, shapes, strict=True)
            if own is None or own[-1:] == shape[-1:]
        ]
        return all(_is_doubled(rewriter, given) for given in wide)
    return _keeps_rows(graph, node, shape) and _is_doubled(rewriter, node.inputs[0])


def _keeps_rows(graph: Graph, node: Node, shape: Shape) -> bool:
    """Whether what a node makes has the same rows as what it reads, or the same of each number."""
    before = shape_of(graph, node.inputs[0])
    if not before or before[-1] != shape[-1]:
        return False
    if is_standard(node, "Transpose"):
        return permutation(node, len(shape))[-1] == len(shape) - 1
    if is_standard(node, "Gather"):
        return len(before) > 1 and node.attributes.get("axis", 0) in (0, -len(before))
    return is_standard(node, "Reshape", "Unsqueeze", "Squeeze", *ALIKE)


def _nodes(rewriter: Rewriter, node: Node, turn: _Turn) -> list[Node]:
    emitter = Emitter(rewriter, node.outputs[0])
    shape = emitter.shape(turn.x)
    half = shape[-1] // 2
    tables = []
    for name, label in zip(turn[1:], ("cosines", "sines"), strict=True):
        own = emitter.shape(name)
        bounds = ([0], [half], [len(own) - 1])
        given = [emitter.integers(f"{label}::{i}", numbers) for i, numbers in enumerate(bounds)]
        table = emitter.node("Slice", (name, *given), (*own[:-1], half), label=label)
        four = _four(own)
        assert four is not None
        tables.append(emitter.reshape(table, (four[0], four[2], half)))
    y = emitter.node("RotaryEmbedding", (turn.x, *tables), shape)
    emitter.finish(y)
    return emitter.nodes
