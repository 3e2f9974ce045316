"""Which values are wanted with channels last, before the walk begins.

In: a graph. Out: the names of values that a convolution or pool reads, or that go to one through
operations that work in any order.

>>> from pelemay.graph import DType, Graph, Node, TensorType
>>> x = TensorType(DType.FLOAT32, (1, 3, 8, 8))
>>> nodes = (Node("Relu", ("x",), ("r",)), Node("Conv", ("r", "w"), ("y",)))
>>> sorted(wanted_last(Graph("g", {"x": x}, {"y": x}, nodes, types={"r": x})))
['r', 'x']
"""

from __future__ import annotations

from pelemay.graph import Graph, Node
from pelemay.passes.layout import elementwise, windows
from pelemay.passes.matching import dtype_of, is_standard, rank_of

WINDOWS = ("Conv", "ConvInteger", "ConvTranspose", "MaxPool", "AveragePool", "LpPool")
ANY_ORDER = frozenset({*elementwise.RULES, "Concat", "Pad", "Resize"})


def wanted_last(graph: Graph) -> frozenset[str]:
    """Names of values that are wanted with channels last.

    Parameters
    ----------
    graph : Graph
        With the ranks of its values as far as they are known.
    """
    found: set[str] = set()
    for node in reversed(graph.nodes):
        found.update(_wanted(graph, node, found))
    return frozenset(found)


def _wanted(graph: Graph, node: Node, found: set[str]) -> list[str]:
    if is_standard(node, *WINDOWS):
        integers = node.op in ("ConvInteger", "MaxPool")
        kinds = windows.POOLED if integers else windows.POOLED[:1]
        moves = dtype_of(graph, node.inputs[0]) in kinds and not any(node.outputs[1:])
        return [node.inputs[0]] if moves else []
    if not is_standard(node, *ANY_ORDER) or node.outputs[0] not in found:
        return []
    rank = rank_of(graph, node.outputs[0])
    same = (name for name in node.inputs if rank is not None and rank_of(graph, name) == rank)
    return [name for name in same if name not in graph.constants]
