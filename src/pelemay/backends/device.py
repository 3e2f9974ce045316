"""Arrays that live elsewhere than in NumPy: which values move there, and which stay.

In: a graph, and an operation table over another namespace. Out: an executor that keeps the
parameters on the device, and brings back what an operation reads as numbers.

>>> from pelemay.graph import Graph, Node
>>> nodes = (Node("Concat", ("n", "two"), ("shape",)), Node("Reshape", ("x", "shape"), ("y",)))
>>> names = dict.fromkeys(("x", "n", "two"))
>>> sorted(host_names(Graph("g", names, {"y": None}, nodes)))
['n', 'shape', 'two']
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pelemay.graph import Constant, Graph, Node
from pelemay.graph.evaluate import Table, Value
from pelemay.graph.ir import reads, walk
from pelemay.graph.operations import find

LITERAL_BYTES = 1024
"""Constants up to this size are literals: compilers fold them, and shapes are made of them."""


@dataclass(frozen=True)
class DeviceExecutor:
    """The operation table over a device, with the parameters already there.

    Parameters
    ----------
    table : Table
        Runs the nodes.
    to_host : callable
        Makes a NumPy array of a device's array; gives every other value back as it is.
    placed : mapping
        ``id`` of a constant to its array on the device; the graph keeps the constants alive.
    """

    table: Table
    to_host: Callable[[Value], Value]
    placed: Mapping[int, Value] = field(default_factory=dict)

    def constant(self, constant: Constant) -> Value:
        """The constant on the device, or in NumPy if it is not placed there."""
        found = self.placed.get(id(constant))
        return constant.array() if found is None else found

    def run(self, node: Node, inputs: list[Value], attributes: dict[str, Any]) -> tuple[Value, ...]:
        """Apply the node; what it reads on the host is brought there."""
        hosted = host_inputs(node)
        moved = [self.to_host(x) if i in hosted else x for i, x in enumerate(inputs)]
        return self.table.run(node, moved, attributes)


def host_inputs(node: Node) -> Collection[int]:
    """Which inputs a node reads as numbers; not those of which it only needs the shape."""
    row = find(node.op, node.domain) if node.version == 0 else None
    if row is None or row.name in ("Shape", "Size"):
        return ()
    return range(len(node.inputs)) if row.on_host else row.host


def host_names(graph: Graph, besides: Collection[str] = ()) -> frozenset[str]:
    """Values that decide about a shape or the like, so must be known before compilation.

    Parameters
    ----------
    graph : Graph
        Its sub-graphs are looked through, too.
    besides : collection of str
        Operations whose host inputs do not count.

    Returns
    -------
    frozenset of str
        Names of values; going up from them ends where only a shape is read.
    """
    nodes = [node for _, node in walk(graph)]
    found: set[str] = set()
    for node in nodes:
        if node.op not in besides:
            found.update(node.inputs[i] for i in host_inputs(node) if i < len(node.inputs))
    before = -1
    while before != len(found):
        before = len(found)
        for node in reversed(nodes):
            if node.op not in ("Shape", "Size") and not found.isdisjoint(node.outputs):
                found.update(reads(node))
                found.update(name for inner in node.graphs for name in inner.outputs)
    return frozenset(found - {""})


def large_constants(graph: Graph, besides: Collection[str] = ()) -> Iterator[Constant]:
    """The constants of a graph and of its sub-graphs that are no literals.

    Parameters
    ----------
    graph : Graph
        Where they are.
    besides : collection of str
        Names of constants to leave out.
    """
    graphs = {id(graph): graph}
    for _, node in walk(graph):
        graphs.update((id(inner), inner) for inner in node.graphs)
    seen: set[int] = set()
    for each in graphs.values():
        for name, constant in each.constants.items():
            if constant.nbytes > LITERAL_BYTES and name not in besides and id(constant) not in seen:
                seen.add(id(constant))
                yield constant
