"""Multiply-accumulates of nodes in the form that models have them.

In: a graph whose values have types. Out: for each node how many products of two numbers are
summed; 0 for nodes that are no product, or whose sizes are not known.

>>> from pelemay.graph import DType, Graph, Node, TensorType
>>> a, b = TensorType(DType.FLOAT32, (2, 3)), TensorType(DType.FLOAT32, (3, 5))
>>> node = Node("MatMul", ("a", "b"), ("y",))
>>> graph = Graph("g", {"a": a, "b": b}, {"y": TensorType(DType.FLOAT32, (2, 5))}, (node,))
>>> macs(graph, node)
30
"""

from __future__ import annotations

import math
from collections.abc import Callable

from pelemay.graph import Graph, Node, TensorType

Ints = tuple[int, ...]
Rule = Callable[[Graph, Node], int]


def macs(graph: Graph, node: Node) -> int:
    """Multiply-accumulates of a node."""
    rule = RULES.get(node.op)
    try:
        return rule(graph, node) if rule else 0
    except _UnknownError:
        return 0


class _UnknownError(Exception):
    """A size that the count needs is not known."""


def _shape(graph: Graph, name: str) -> Ints:
    kind = graph.type_of(name)
    if not isinstance(kind, TensorType) or kind.shape is None:
        raise _UnknownError
    found = tuple(size for size in kind.shape if isinstance(size, int))
    if len(found) < len(kind.shape):
        raise _UnknownError
    return found


def _convolution(weights: int) -> Rule:
    """Each element of the output takes a filter, whose operand has that number."""

    def rule(graph: Graph, node: Node) -> int:
        filters = _shape(graph, node.inputs[weights])
        return math.prod(_shape(graph, node.outputs[0])) * math.prod(filters[1:])

    return rule


def _transposed(graph: Graph, node: Node) -> int:
    """Each element of the input takes a filter."""
    filters = _shape(graph, node.inputs[1])
    return math.prod(_shape(graph, node.inputs[0])) * math.prod(filters[1:])


def _product(graph: Graph, node: Node) -> int:
    return math.prod(_shape(graph, node.outputs[0])) * _shape(graph, node.inputs[0])[-1]


def _gemm(graph: Graph, node: Node) -> int:
    axis = 0 if node.attributes.get("transA") else 1
    return math.prod(_shape(graph, node.outputs[0])) * _shape(graph, node.inputs[0])[axis]


def _recurrent(graph: Graph, node: Node) -> int:
    """Each step takes both matrices, for each sequence of the batch."""
    batch = math.prod(_shape(graph, node.inputs[0])[:2])
    return batch * sum(math.prod(_shape(graph, name)) for name in node.inputs[1:3])


def _einsum(graph: Graph, node: Node) -> int:
    """All sizes that the letters stand for; an ellipsis is not counted."""
    left = str(node.attributes.get("equation", "")).replace(" ", "").partition("->")[0]
    sizes: dict[str, int] = {}
    for letters, name in zip(left.split(","), node.inputs, strict=False):
        if "." in letters:
            raise _UnknownError
        sizes.update(zip(letters, _shape(graph, name), strict=False))
    return math.prod(sizes.values()) if len(node.inputs) > 1 else 0


RULES: dict[str, Rule] = {
    "Conv": _convolution(1),
    "FusedConv": _convolution(1),
    "ConvInteger": _convolution(1),
    "QLinearConv": _convolution(3),
    "ConvTranspose": _transposed,
    "MatMul": _product,
    "FusedMatMul": _product,
    "MatMulInteger": _product,
    "QLinearMatMul": _product,
    "Gemm": _gemm,
    "FusedGemm": _gemm,
    "LSTM": _recurrent,
    "GRU": _recurrent,
    "RNN": _recurrent,
    "Einsum": _einsum,
}
"""How the products of an operation are counted; attention as one node is not."""
