"""What the reference backend takes to run a graph, in bytes: an estimate.

In: a graph, some of whose values may have no size before they are made. Out: bytes that are alive
at once, without inputs and constants. What is made of open sizes is taken to be some times what
goes in: that holds for what selects (NonZero, TopK, NonMaxSuppression) and works on what was
selected; an Expand to a size that comes out of a run is not foreseen.

>>> from pelemay.graph import DType, Graph, Node, TensorType
>>> x, n = TensorType(DType.FLOAT32, (1000,)), TensorType(DType.INT64, (1, None))
>>> peak_bytes(Graph("g", {"x": x}, {"y": x}, (Node("Exp", ("x",), ("y",)),)))
28000
>>> peak_bytes(Graph("g", {"x": x}, {"y": n}, (Node("NonZero", ("x",), ("y",)),)))
68000
"""

from __future__ import annotations

from collections import Counter
from math import prod

from pelemay.graph import DType, Graph, Node, TensorType, reads

BESIDE = 3
"""Times a node's inputs and outputs, that NumPy takes beside them for copies and indices."""

OPEN = 6
"""Times what goes into a graph, that its values of open sizes take at once."""

OBJECT_BYTES = 128
"""Of a string, or an entry of a map, with what holds it."""


def peak_bytes(graph: Graph) -> int:
    """The most bytes that a graph's values take at once while it runs.

    Parameters
    ----------
    graph : Graph
        A checked graph.

    Returns
    -------
    int
        Bytes, without those of inputs and constants.
    """
    left = Counter(name for node in graph.nodes for name in set(reads(node)))
    left.update(list(graph.outputs))
    alive: dict[str, int] = {}
    peak, is_open = 0, False
    for node in graph.nodes:
        outputs = [name for name in node.outputs if name]
        is_open |= any(_bytes(graph, name) is None for name in outputs)
        alive |= {name: _bytes(graph, name) or _indices(graph, node) for name in outputs}
        peak = max(peak, sum(alive.values()) + _while(graph, node))
        left.subtract(set(reads(node)))
        alive = {name: nbytes for name, nbytes in alive.items() if left[name] > 0}
    taken = sum(_bytes(graph, name) or 0 for name in {*graph.inputs, *graph.free_names})
    return peak + (OPEN * taken if is_open else 0)


def _while(graph: Graph, node: Node) -> int:
    """What is taken while a node runs, beside its outputs."""
    values = (*node.inputs, *node.outputs)
    own = sum(_bytes(graph, name) or 0 for name in values if name)
    objects = sum(_count(graph, name) or 0 for name in node.inputs if _makes_objects(graph, node))
    inside = max(map(peak_bytes, node.graphs), default=0)
    own += _indices(graph, node)
    return BESIDE * own + OBJECT_BYTES * objects + inside


def _indices(graph: Graph, node: Node) -> int:
    """Of what a NonZero makes: an index for each axis of each element, at most."""
    if node.op != "NonZero":
        return 0
    kind = graph.type_of(node.inputs[0])
    rank = len(kind.shape or ()) if isinstance(kind, TensorType) else 0
    return 8 * rank * (_count(graph, node.inputs[0]) or 0)


def _makes_objects(graph: Graph, node: Node) -> bool:
    kinds = [graph.type_of(name) for name in (*node.inputs, *node.outputs) if name]
    return any(not isinstance(k, TensorType) or k.dtype is DType.STRING for k in kinds)


def _bytes(graph: Graph, name: str) -> int | None:
    kind = graph.type_of(name)
    return kind.nbytes if isinstance(kind, TensorType) else None


def _count(graph: Graph, name: str) -> int | None:
    """Elements of a value; None where they are open."""
    kind = graph.type_of(name)
    shape = (kind.shape if isinstance(kind, TensorType) else None) or ()
    sizes = [size for size in shape if isinstance(size, int)]
    return prod(sizes) if shape and len(sizes) == len(shape) else None
