"""Fewer forms: operations that others say as well are said by those.

In: a graph. Out: the graph in which Sum, Mean, Max and Min have two operands (Sum becomes Add), and
CastLike is a Cast, so that what follows has fewer operations to know.

>>> from pelemay.graph import DType, Graph, Node, TensorType
>>> x = TensorType(DType.FLOAT32, (2,))
>>> g = Graph("g", {"x": x}, {"y": x}, (Node("Sum", ("x", "x", "x"), ("y",)),))
>>> [node.op for node in canonical(g).nodes]
['Add', 'Add']
"""

from __future__ import annotations

from dataclasses import replace

from pelemay.graph import DType, Graph, Node, TensorType
from pelemay.graph.typing import infer
from pelemay.passes.rewrite import Rewriter

_PAIRS = {"Sum": "Add", "Max": "Max", "Min": "Min"}


def canonical(graph: Graph) -> Graph:
    """Say operations in fewer forms, with the same results bit for bit.

    Requires nothing; the types that it needs are inferred. Guarantees that no Sum, no CastLike
    to a known type, and no Max, Min or float Mean of more than two operands is left.

    Parameters
    ----------
    graph : Graph
        A checked graph.

    Returns
    -------
    Graph
        The graph itself, with its types inferred, if it is in this form.
    """
    rewriter = Rewriter(infer(graph))
    for index, node in enumerate(rewriter.graph.nodes):
        if node.domain or node.version:
            continue
        if node.op in _PAIRS and (len(node.inputs) > 2 or node.op == "Sum"):
            if len(node.inputs) > 1:
                rewriter.replace(index, *_pairs(rewriter, node, _PAIRS[node.op], node.outputs[0]))
        elif node.op == "Mean" and len(node.inputs) > 1 and _is_wide(rewriter.graph, node):
            rewriter.replace(index, *_mean(rewriter, node))
        elif node.op == "CastLike":
            kind = rewriter.graph.type_of(node.inputs[1])
            if isinstance(kind, TensorType):
                attributes = {**node.attributes, "to": kind.dtype}
                inputs = node.inputs[:1]
                rewriter.replace(
                    index, replace(node, op="Cast", inputs=inputs, attributes=attributes)
                )
    return rewriter.graph_after()


def _is_wide(graph: Graph, node: Node) -> bool:
    """Narrow floats are averaged in float32, which sums of two would round in between."""
    kind = graph.type_of(node.inputs[0])
    return isinstance(kind, TensorType) and kind.dtype in (DType.FLOAT32, DType.FLOAT64)


def _pairs(rewriter: Rewriter, node: Node, op: str, output: str) -> list[Node]:
    """One node for each operand after the first, from left to right."""
    nodes: list[Node] = []
    total = node.inputs[0]
    for index, name in enumerate(node.inputs[1:], start=1):
        last = index == len(node.inputs) - 1
        made = output if last else rewriter.value(f"{node.outputs[0]}::{index}")
        nodes.append(Node(op, (total, name), (made,), name=node.name))
        total = made
    return nodes


def _mean(rewriter: Rewriter, node: Node) -> list[Node]:
    kind = rewriter.graph.type_of(node.inputs[0])
    assert isinstance(kind, TensorType)
    total = rewriter.value(f"{node.outputs[0]}::total")
    count = rewriter.constant(f"{node.outputs[0]}::count", len(node.inputs), kind.dtype.numpy)
    divided = Node("Div", (total, count), node.outputs, name=node.name)
    return [*_pairs(rewriter, node, "Add", total), divided]
