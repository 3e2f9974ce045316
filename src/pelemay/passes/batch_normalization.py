"""Batch normalisation at inference is a product and a sum for each channel.

In: BatchNormalization nodes whose statistics are constants. Out: Mul and Add by constants, which
later passes fold into the weights of what stands before or behind.

>>> import numpy as np
>>> from pelemay.graph import ArrayConstant, DType, Graph, Node, TensorType
>>> x = TensorType(DType.FLOAT32, (1, 1, 4))
>>> one = ArrayConstant.of(np.ones(1, np.float32))
>>> node = Node("BatchNormalization", ("x", "s", "b", "m", "v"), ("y",))
>>> g = Graph("g", {"x": x}, {"y": x}, (node,), {name: one for name in "sbmv"})
>>> [node.op for node in expand_batch_normalization(g).nodes]
['Mul', 'Add']
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pelemay.graph import Constant, Graph, Node
from pelemay.passes.derived import derived
from pelemay.passes.matching import is_float32, is_standard, rank_of
from pelemay.passes.rewrite import Rewriter


def expand_batch_normalization(graph: Graph) -> Graph:
    """Write BatchNormalization as ``x * factor + shift``.

    Requires types. Guarantees that no float32 BatchNormalization in inference mode with constant
    parameters and an input of known rank is left.
    """
    rewriter = Rewriter(graph)
    for index, node in enumerate(graph.nodes):
        if is_standard(node, "BatchNormalization") and _is_constant(graph, node):
            _expand(rewriter, index, node)
    return rewriter.graph_after()


def _is_constant(graph: Graph, node: Node) -> bool:
    return (
        not node.attributes.get("training_mode", 0)
        and not any(node.outputs[1:])
        and all(name in graph.constants for name in node.inputs[1:5])
        and is_float32(graph, *node.inputs)
        and rank_of(graph, node.inputs[0]) is not None
    )


def _expand(rewriter: Rewriter, index: int, node: Node) -> None:
    x, y = node.inputs[0], node.outputs[0]
    scale, bias, mean, variance = (rewriter.graph.constants[name] for name in node.inputs[1:5])
    epsilon = node.attributes.get("epsilon", 1e-5)
    rank = rank_of(rewriter.graph, x) or 1
    shape = (*scale.shape, *(1,) * max(rank - 2, 0))
    factor = derived(
        "BatchNormalization factor",
        lambda s, v: (s / _deviation(v, epsilon)).reshape(shape),
        scale,
        variance,
        shape=shape,
    )
    product = rewriter.value(f"{y}::scaled", rewriter.graph.type_of(y))
    names = (
        rewriter.constant(f"{y}::factor", factor),
        rewriter.constant(f"{y}::shift", _shift((scale, bias, mean, variance), epsilon, shape)),
    )
    rewriter.replace(
        index,
        Node("Mul", (x, names[0]), (product,), name=node.name),
        Node("Add", (product, names[1]), (y,), name=node.name),
    )


def _shift(parameters: tuple[Constant, ...], epsilon: Any, shape: tuple[int, ...]) -> Constant:
    return derived(
        "BatchNormalization shift",
        lambda s, b, m, v: (b - m * (s / _deviation(v, epsilon))).reshape(shape),
        *parameters,
        shape=shape,
    )


def _deviation(variance: Any, epsilon: Any) -> Any:
    return np.sqrt(variance.astype(np.float64) + epsilon)
