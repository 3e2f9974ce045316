"""What planning needs to know of a graph, looked up once.

In: a graph with static types. Out: :class:`Facts`: sizes of values, and for each node what it
reads, which views it could be and what its kernel allows.

>>> from pelemay.graph import DType, Graph, Node, TensorType
>>> x = TensorType(DType.FLOAT32, (2, 3))
>>> facts = Facts.of(Graph("g", {"x": x}, {"y": x}, (Node("Relu", ("x",), ("y",)),)))
>>> facts.nodes[0].reads, facts.nbytes("y")
(('x',), 24)
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from pelemay.errors import UnsupportedError
from pelemay.graph import DType, Graph, Node, TensorType, reads
from pelemay.plan.aliasing import CHAIN, Ability, Form, ability, parts, shape_of, views
from pelemay.plan.layout import Ints, View, Window

Owner = Literal["input", "output", "constant"]


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What a node reads and makes, and what it may do with memory.

    Attributes
    ----------
    operands : tuple of str
        As the node has them; ``""`` for one that is left out.
    reads, makes : tuple of str
        Names of values, each once, without those left out.
    views : tuple of View or None
        For each output, which view of the first operand it is.
    parts : tuple of Window or None
        For each operand of a concatenation, which part of the output it is.
    ability : Ability
        What its kernel allows.
    in_place : tuple of str
        Values whose place the output may take, should they die here.
    """

    operands: tuple[str, ...]
    reads: tuple[str, ...]
    makes: tuple[str, ...]
    views: tuple[View, ...] | None
    parts: tuple[Window, ...] | None
    ability: Ability
    in_place: tuple[str, ...]


@dataclass(frozen=True)
class Facts:
    """What planning needs to know of a graph."""

    graph: Graph
    nodes: tuple[NodeFacts, ...]
    shapes: Mapping[str, Ints]
    itemsizes: Mapping[str, int]

    @classmethod
    def of(cls, graph: Graph) -> Facts:
        """Look everything up.

        Raises
        ------
        UnsupportedError
            If a value is not a tensor of a known size.
        """
        nodes = tuple(_examine(graph, node) for node in graph.nodes)
        used = {name for node in nodes for name in (*node.reads, *node.makes)}
        shapes, itemsizes = {}, {}
        for name in dict.fromkeys([*graph.inputs, *graph.outputs, *sorted(used)]):
            shapes[name], itemsizes[name] = _size(graph, name)
        return cls(graph, nodes, shapes, itemsizes)

    def nbytes(self, name: str) -> int:
        """Bytes of a value in memory."""
        return math.prod(self.shapes[name]) * self.itemsizes[name]

    @cached_property
    def owners(self) -> Mapping[str, Owner]:
        """Values whose memory is not the arena's, and whose it is."""
        graph = self.graph
        owners: dict[str, Owner] = dict.fromkeys(graph.outputs, "output")
        for name in self.shapes:
            if name in graph.constants:
                owners[name] = "constant"
        owners.update(dict.fromkeys(graph.inputs, "input"))
        return owners

    @cached_property
    def forms(self) -> Mapping[str, Form]:
        """The strictest layout that the kernels around each value ask for."""
        forms = dict.fromkeys(self.shapes, Form.ANY)
        for node in self.nodes:
            for name in (*node.reads, *node.makes):
                forms[name] = max(forms[name], node.ability.form)
        return forms


def _size(graph: Graph, name: str) -> tuple[Ints, int]:
    shape, kind = shape_of(graph, name), graph.type_of(name)
    if shape is None or not isinstance(kind, TensorType):
        raise UnsupportedError(
            f"the size of value '{name}' is not known before the run: {kind or 'no type'}",
            where=_maker(graph, name),
            hint="give every input a fixed shape, or use backend='reference'",
        )
    if kind.dtype is DType.STRING:
        raise UnsupportedError(
            f"value '{name}' holds strings, which have no place in an arena",
            where=_maker(graph, name),
            hint="use backend='reference'",
        )
    return shape, kind.dtype.numpy.itemsize


def _maker(graph: Graph, name: str) -> str:
    node = graph.producers.get(name)
    return node.label if node else f"graph '{graph.name}'"


def _lies_as(graph: Graph, name: str, other: str) -> bool:
    """Whether two values have the same shape, and elements of the same size."""
    kinds = graph.type_of(name), graph.type_of(other)
    bits = {kind.dtype.bits for kind in kinds if isinstance(kind, TensorType)}
    return len(bits) == 1 and shape_of(graph, name) == shape_of(graph, other)


def _examine(graph: Graph, node: Node) -> NodeFacts:
    can, seen, pieces = ability(graph, node), views(graph, node), parts(graph, node)
    if can.form is Form.ANY and seen is None and pieces is None:
        can = Ability()
    makes = tuple(filter(None, node.outputs))
    names = tuple(dict.fromkeys(reads(node)))
    given = [node.inputs[i] for i in can.in_place if i < len(node.inputs) and node.inputs[i]]
    # An operand that is broadcast is read again after its first element was replaced; so is one
    # whose elements are smaller.
    places = [name for name in given if _lies_as(graph, name, node.outputs[0])]
    elsewhere = {n for i, n in enumerate(node.inputs) if n and i not in can.in_place}
    free = tuple(dict.fromkeys(n for n in places if n not in elsewhere))
    alone = len(makes) == 1 or (node.domain, node.op) == CHAIN
    return NodeFacts(node.inputs, names, makes, seen, pieces, can, free if alone else ())
