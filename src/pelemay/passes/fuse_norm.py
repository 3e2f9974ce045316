"""Normalisations written out, operation by operation, become one operation each.

In: mean, difference, square, root and quotient as exporters write LayerNormalization and
RMSNormalization. Out: those operations, with the product and sum that follow as scale and bias.

>>> import numpy as np
>>> from pelemay.graph import ArrayConstant, DType, Graph, Node, TensorType
>>> x, m = TensorType(DType.FLOAT32, (2, 8)), TensorType(DType.FLOAT32, (2, 1))
>>> axes, e = ArrayConstant.of([1], np.int64), ArrayConstant.of(1e-6, np.float32)
>>> nodes = (
...     Node("Mul", ("x", "x"), ("q",)),
...     Node("ReduceMean", ("q", "axes"), ("v",)),
...     Node("Add", ("v", "e"), ("w",)),
...     Node("Sqrt", ("w",), ("s",)),
...     Node("Div", ("x", "s"), ("y",)),
... )
>>> types = {"q": x, "v": m, "w": m, "s": m}
>>> g = Graph("g", {"x": x}, {"y": x}, nodes, {"axes": axes, "e": e}, types)
>>> fuse_norms(g).nodes[-1].op
'RMSNormalization'
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pelemay.graph import ArrayConstant, Constant, DType, Graph, Node, TensorType
from pelemay.passes.derived import broadcast
from pelemay.passes.matching import (
    followed,
    integers,
    is_float32,
    is_standard,
    operand,
    scalar,
    shape_of,
    with_scalar,
)
from pelemay.passes.rewrite import Rewriter

Shape = tuple[int, ...]


def fuse_norms(graph: Graph) -> Graph:
    """Recognise LayerNormalization and RMSNormalization.

    Requires static types. Guarantees that what is read elsewhere is still made; what nothing
    reads any more stays for dead code removal. A normalisation along one axis that is not the
    last gets a Transpose on either side.
    """
    rewriter = Rewriter(graph)
    for index, node in enumerate(graph.nodes):
        if is_standard(node, "Div", "Mul") and is_float32(graph, node.outputs[0]):
            _fuse(rewriter, index)
    return rewriter.graph_after()


@dataclass(frozen=True)
class _Norm:
    """A normalisation found: of which value, along which axes."""

    x: str
    centred: bool
    axes: tuple[int, ...]
    epsilon: float


def _fuse(rewriter: Rewriter, index: int) -> None:
    graph = rewriter.graph
    shape = shape_of(graph, graph.nodes[index].outputs[0])
    norm = next(_norms(rewriter, graph.nodes[index]), None)
    if norm is None or shape is None or shape != shape_of(graph, norm.x):
        return
    trailing = norm.axes == tuple(range(len(shape) - len(norm.axes), len(shape)))
    if not trailing and len(norm.axes) > 1:
        return
    last, scale = followed(rewriter, index, "Mul", shape, norm.axes)
    bias = None
    if norm.centred:
        last, bias = followed(rewriter, last, "Add", shape, norm.axes)
    sizes = tuple(shape[axis] for axis in norm.axes)
    ones = broadcast(ArrayConstant.of(1, np.float32), sizes)
    _replace(rewriter, last, norm, shape, [c for c in (scale or ones, bias) if c is not None])


def _norms(rewriter: Rewriter, node: Node) -> Iterator[_Norm]:
    """The normalisation that a quotient or product computes, if it does."""
    for data, variance in _quotients(rewriter, node):
        mean, epsilon = _with_epsilon(rewriter, variance)
        found = _mean(rewriter, mean)
        if found is None or not _is_square(rewriter, found[0], data):
            continue
        axes = found[1]
        centred = rewriter.maker(data)
        if is_standard(centred, "Sub"):
            assert centred is not None
            x, middle = centred.inputs
            if _mean(rewriter, middle) == (x, axes):
                yield _Norm(x, True, axes, epsilon)
                return
        yield _Norm(data, False, axes, epsilon)


def _quotients(rewriter: Rewriter, node: Node) -> Iterator[tuple[str, str]]:
    """Pairs (a, b) for which the node computes ``a / sqrt(b)``."""
    a, b = node.inputs[:2]
    if node.op == "Div":
        root = rewriter.maker(b)
        if is_standard(root, "Sqrt"):
            assert root is not None
            yield a, root.inputs[0]
        return
    for data, factor in ((a, b), (b, a)):
        inside = _inverse_root(rewriter, factor)
        if inside:
            yield data, inside


def _inverse_root(rewriter: Rewriter, name: str) -> str:
    """What a value is the reciprocal of the square root of; ``""`` if it is not."""
    graph, node = rewriter.graph, rewriter.maker(name)
    if is_standard(node, "Pow") and node is not None:
        return node.inputs[0] if scalar(graph, node.inputs[1]) == -0.5 else ""
    inner = ""
    if is_standard(node, "Reciprocal") and node is not None:
        inner = node.inputs[0]
    elif is_standard(node, "Div") and node is not None and scalar(graph, node.inputs[0]) == 1:
        inner = node.inputs[1]
    root = rewriter.maker(inner)
    return root.inputs[0] if is_standard(root, "Sqrt") and root is not None else ""


def _with_epsilon(rewriter: Rewriter, name: str) -> tuple[str, float]:
    node = rewriter.maker(name)
    if is_standard(node, "Add") and node is not None:
        found = with_scalar(rewriter.graph, node)
        if found is not None:
            return found
    return name, 0.0


def _mean(rewriter: Rewriter, name: str) -> tuple[str, tuple[int, ...]] | None:
    """What a value is the mean of, and along which axes, if these are kept."""
    graph, node = rewriter.graph, rewriter.maker(name)
    if node is None or not is_standard(node, "ReduceMean"):
        return None
    axes, shape = integers(graph, operand(node, 1)), shape_of(graph, node.inputs[0])
    if not axes or shape is None or not node.attributes.get("keepdims", 1):
        return None
    return node.inputs[0], tuple(sorted(axis % len(shape) for axis in axes))


def _is_square(rewriter: Rewriter, name: str, data: str) -> bool:
    """Whether a value is the square of ``data``, or of the same difference made once more."""
    graph, node = rewriter.graph, rewriter.maker(name)
    if node is None or not is_standard(node, "Mul", "Pow"):
        return False
    base, other = node.inputs[:2]
    twice = other == base if node.op == "Mul" else scalar(graph, other) == 2
    return twice and (base == data or _same(rewriter.maker(base), rewriter.maker(data)))


def _same(a: Node | None, b: Node | None) -> bool:
    return (
        a is not None
        and b is not None
        and is_standard(a, "Sub")
        and is_standard(b, "Sub")
        and a.inputs == b.inputs
    )


def _replace(
    rewriter: Rewriter, last: int, norm: _Norm, shape: Shape, parameters: list[Constant]
) -> None:
    """Put the operation in the place of the last one that it takes in."""
    node = rewriter.graph.nodes[last]
    y = node.outputs[0]
    labels = zip(("scale", "bias"), parameters, strict=False)
    names = [rewriter.constant(f"{y}::{label}", constant) for label, constant in labels]
    op = "LayerNormalization" if norm.centred else "RMSNormalization"
    axis = len(shape) - len(norm.axes)
    attributes = {"axis": axis, "epsilon": norm.epsilon}
    if norm.axes[0] == axis:
        rewriter.replace(last, Node(op, (norm.x, *names), (y,), attributes, name=node.name))
        return
    there = (*(i for i in range(len(shape)) if i not in norm.axes), *norm.axes)
    back = tuple(there.index(i) for i in range(len(shape)))
    moved = TensorType(DType.FLOAT32, tuple(shape[i] for i in there))
    x, z = rewriter.value(f"{y}::moved", moved), rewriter.value(f"{y}::normal", moved)
    rewriter.replace(
        last,
        Node("Transpose", (norm.x,), (x,), {"perm": there}),
        Node(op, (x, *names), (z,), attributes, name=node.name),
        Node("Transpose", (z,), (y,), {"perm": back}),
    )
