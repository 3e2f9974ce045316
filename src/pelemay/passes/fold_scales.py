"""Factors and sums for each channel go into the weights beside them.

In: products and convolutions of the dialect whose output is multiplied and added to by constants
that differ along the last axis only, or whose input is. Out: the same with other weights and
biases, which are computed from the stored ones whenever they are read.

>>> import numpy as np
>>> from pelemay.graph import ArrayConstant, DType, Graph, Node, TensorType
>>> x, w = TensorType(DType.FLOAT32, (1, 2)), ArrayConstant.of(np.eye(2, dtype=np.float32))
>>> nodes = (
...     Node("MatMul", ("x", "w"), ("p",), domain="pelemay"),
...     Node("Mul", ("p", "f"), ("y",)),
... )
>>> f = ArrayConstant.of(np.asarray([2, 3], np.float32))
>>> g = fold_scales(Graph("g", {"x": x}, {"y": x}, nodes, {"w": w, "f": f}, {"p": x}))
>>> [g.constants[name].array().tolist() for name in g.nodes[0].inputs[1:]]
[[[2.0, 0.0], [0.0, 3.0]]]
"""

from __future__ import annotations

from dataclasses import replace

from pelemay.graph import Constant, Graph, Node
from pelemay.graph.operations.fused import DOMAIN
from pelemay.passes.affine import Affine, affine_step
from pelemay.passes.derived import scaled, summed
from pelemay.passes.matching import is_float32, operand
from pelemay.passes.rewrite import Rewriter
from pelemay.passes.weights import Weights, weights_of

PRODUCTS = ("Conv", "ConvTranspose", "MatMul")


def fold_scales(graph: Graph) -> Graph:
    """Take factors and sums for each channel into weights and biases.

    Requires static types, and products without activation and residual; others stay. Guarantees
    that weights are still read where they are stored.
    """
    rewriter = Rewriter(graph)
    for index, node in enumerate(graph.nodes):
        if node.domain == DOMAIN and node.op in PRODUCTS and _is_open(graph, node):
            _fold(rewriter, index)
    return rewriter.graph_after()


def _is_open(graph: Graph, node: Node) -> bool:
    """Whether nothing is applied to the output yet, and the bias is a constant."""
    bias = operand(node, 2)
    return (
        not node.attributes.get("activation", "")
        and not operand(node, 3)
        and (not bias or bias in graph.constants)
        and is_float32(graph, *node.inputs)
    )


def _fold(rewriter: Rewriter, index: int) -> None:
    node = rewriter.graph.nodes[index]
    weights = weights_of(rewriter.graph, node)
    behind, chain = _behind(rewriter, index, movable=weights is not None)
    before, source = Affine(), node.inputs[0]
    if weights is not None and weights.takes_input_scale:
        before, source = _before(rewriter, source)
        if before.shift is not None and not weights.takes_input_shift:
            before, source = Affine(), node.inputs[0]
    if len(chain) == 1 and source == node.inputs[0]:
        return
    bias = rewriter.graph.constants.get(operand(node, 2))
    if weights is not None:
        weights, bias = _through(weights, bias, before, behind)
    elif behind.shift is not None:
        bias = behind.shift if bias is None else summed(bias, behind.shift)
    output = rewriter.graph.nodes[chain[-1]].outputs[0]
    inputs = [source, node.inputs[1]]
    if weights is not None and (before.factor or behind.factor):
        inputs[1] = rewriter.constant(f"{output}::weights", weights.constant)
    if bias is not None:
        inputs.append(rewriter.constant(f"{output}::bias", bias))
    for gone in chain:
        rewriter.remove(gone)
    rewriter.replace(chain[-1], replace(node, inputs=tuple(inputs), outputs=(output,)))


def _through(
    weights: Weights, bias: Constant | None, before: Affine, behind: Affine
) -> tuple[Weights, Constant | None]:
    """Weights and bias with what comes before and behind."""
    if before.shift is not None:
        moved = weights.applied_to(before.shift)
        bias = moved if bias is None else summed(bias, moved)
    if before.factor is not None:
        weights = weights.with_input_scale(before.factor)
    if behind.factor is not None:
        weights = weights.with_output_scale(behind.factor)
        bias = None if bias is None else scaled(bias, behind.factor)
    if behind.shift is not None:
        bias = behind.shift if bias is None else summed(bias, behind.shift)
    return weights, bias


def _behind(rewriter: Rewriter, index: int, *, movable: bool) -> tuple[Affine, list[int]]:
    """What is done to the output, and the indices of the product and what does it."""
    graph = rewriter.graph
    found, chain = Affine(), [index]
    while (user := rewriter.only_user(graph.nodes[chain[-1]].outputs[0])) is not None:
        node = graph.nodes[user]
        step = affine_step(graph, node, graph.nodes[chain[-1]].outputs[0])
        if step is None or rewriter.changed(user) or (node.op in ("Mul", "Div") and not movable):
            break
        after = found.then(node.op, step[0], first=step[1])
        if after is None or (after.factor is not None and not movable):
            break
        found = after
        chain.append(user)
    return found, chain


def _before(rewriter: Rewriter, name: str) -> tuple[Affine, str]:
    """What was done to an input that only one node reads, and to which value."""
    graph = rewriter.graph
    steps: list[tuple[str, Constant, bool]] = []
    while (index := rewriter.makers.get(name)) is not None:
        node = graph.nodes[index]
        if rewriter.only_user(name) is None or rewriter.changed(index):
            break
        values = [n for n in node.inputs if n not in graph.constants]
        step = affine_step(graph, node, values[0]) if len(values) == 1 else None
        if step is None:
            break
        steps.insert(0, (node.op, *step))
        name = values[0]
    found = Affine()
    for op, constant, first in steps:
        after = found.then(op, constant, first=first)
        assert after is not None
        found = after
    return found, name
