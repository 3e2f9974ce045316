"""The graph: nodes over named values, frozen.

In: nodes, types and constants. Out: a :class:`Graph`, which no room changes; a step that wants
another graph makes a new one with :func:`dataclasses.replace`.

>>> from pelemay.graph import DType, Graph, Node, TensorType
>>> x = TensorType(DType.FLOAT32, (2, 3))
>>> g = Graph("twice", inputs={"x": x}, outputs={"y": x}, nodes=(Node("Add", ("x", "x"), ("y",)),))
>>> g.producers["y"].op
'Add'
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import TypeAlias, TypeVar

from pelemay.graph.dtypes import DType
from pelemay.graph.values import Constant, TensorType, ValueType

T = TypeVar("T")
Scalar = int | float | str
Attribute: TypeAlias = (
    "Scalar | DType | Constant | ValueType | Graph | tuple[Scalar, ...] | tuple[Constant, ...]"
    " | tuple[Graph, ...] | tuple[ValueType, ...]"
)


def _frozen(mapping: Mapping[str, T]) -> Mapping[str, T]:
    return mapping if isinstance(mapping, MappingProxyType) else MappingProxyType(dict(mapping))


@dataclass(frozen=True)
class Node:
    """One operation applied.

    Parameters
    ----------
    op : str
        Name of the operation, as in the operation table.
    inputs, outputs : tuple of str
        Names of values; ``""`` stands for an optional one that is left out.
    attributes : mapping
        Only those that were given; the operation table knows the defaults.
    domain : str
        ``""`` for the standard operations.
    version : int
        Operator-set version whose meaning is meant; 0 means the operation table's own.
    name : str
        What the model calls the node; for messages only.
    """

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    domain: str = ""
    version: int = 0
    name: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "attributes", _frozen(self.attributes))

    @property
    def qualified(self) -> str:
        """The operation's name with its domain, if it has one."""
        return f"{self.domain}::{self.op}" if self.domain else self.op

    @property
    def label(self) -> str:
        """How messages name this node."""
        return f"{self.qualified} '{self.name or next(filter(None, self.outputs), '')}'"

    @property
    def graphs(self) -> Iterator[Graph]:
        """The graphs among the attributes: branches and loop bodies."""
        for value in self.attributes.values():
            for item in value if isinstance(value, tuple) else (value,):
                if isinstance(item, Graph):
                    yield item


@dataclass(frozen=True)
class Graph:
    """Nodes in an order in which every value is made before it is read.

    Parameters
    ----------
    name : str
        What the model calls it.
    inputs, outputs : mapping
        Name to type, in order. A sub-graph's inputs may have no type (None).
    nodes : tuple of Node
        In topological order.
    constants : mapping
        Name to tensor, known before the run.
    types : mapping
        Name to type of values between, as far as they are known.
    """

    name: str
    inputs: Mapping[str, ValueType | None]
    outputs: Mapping[str, ValueType | None]
    nodes: tuple[Node, ...]
    constants: Mapping[str, Constant] = field(default_factory=dict)
    types: Mapping[str, ValueType] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("inputs", "outputs", "constants", "types"):
            object.__setattr__(self, name, _frozen(getattr(self, name)))

    @cached_property
    def producers(self) -> Mapping[str, Node]:
        """Value name to the node that makes it."""
        return {output: node for node in self.nodes for output in node.outputs if output}

    @cached_property
    def free_names(self) -> frozenset[str]:
        """Names that this graph reads from the graphs around it."""
        own = {*self.inputs, *self.constants, *self.producers}
        read = {name for node in self.nodes for name in reads(node)} | set(self.outputs)
        return frozenset(read - own)

    def type_of(self, name: str) -> ValueType | None:
        """The type of a value, as far as it is known."""
        if constant := self.constants.get(name):
            return TensorType(constant.dtype, constant.shape)
        for table in (self.inputs, self.outputs, self.types):
            if found := table.get(name):
                return found
        return None


def reads(node: Node) -> Iterator[str]:
    """Names that a node reads: its inputs, and what its sub-graphs take from outside."""
    yield from filter(None, node.inputs)
    for graph in node.graphs:
        yield from graph.free_names


def walk(graph: Graph) -> Iterator[tuple[Graph, Node]]:
    """Every node of a graph and of its sub-graphs, with the graph that it stands in."""
    for node in graph.nodes:
        yield graph, node
        for inner in node.graphs:
            yield from walk(inner)
