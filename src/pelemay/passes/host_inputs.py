"""Inputs whose values shape the run: they must be known before a plan can be made.

In: a graph. Out: names of its inputs that some operation reads as numbers: the shape of a Reshape,
the axes of a reduction, the scales of a Resize, or what these are computed from.

>>> from pelemay.graph import DType, Graph, Node, TensorType
>>> x, shape = TensorType(DType.FLOAT32, (2, 3)), TensorType(DType.INT64, (1,))
>>> nodes = (Node("Reshape", ("x", "shape"), ("y",)),)
>>> host_inputs(Graph("g", {"x": x, "shape": shape}, {"y": None}, nodes))
('shape',)
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from pelemay.graph import Graph, Node, TensorType, reads
from pelemay.graph.operations import find

MAX_ELEMENTS = 1024
"""An input with more elements is data, whatever reads it."""

_SHAPE_ONLY = frozenset({"Shape", "Size"})
"""Operations that read the shape of their input and not its elements."""


def host_inputs(graph: Graph) -> tuple[str, ...]:
    """Names of the inputs that have to be bound by value, in the graph's order.

    Parameters
    ----------
    graph : Graph
        A checked graph.

    Returns
    -------
    tuple of str
        Inputs with few elements that are read on the host, directly or through other operations.
    """
    needed: set[str] = set()
    for node in reversed(graph.nodes):
        needed.update(_read_on_host(node))
        if needed.intersection(node.outputs) and node.op not in _SHAPE_ONLY:
            needed.update(reads(node))
    return tuple(name for name in graph.inputs if name in needed and _is_small(graph, name))


def _read_on_host(node: Node) -> Iterator[str]:
    row = find(node.op, node.domain) if node.version == 0 else None
    if row is None:
        return
    for index in row.host:
        if index < len(node.inputs) and node.inputs[index]:
            yield node.inputs[index]


def _is_small(graph: Graph, name: str) -> bool:
    kind = graph.inputs[name]
    if not isinstance(kind, TensorType) or kind.shape is None:
        return False
    known = [d for d in kind.shape if isinstance(d, int)]
    return len(kind.shape) <= 1 and math.prod(known) <= MAX_ELEMENTS
