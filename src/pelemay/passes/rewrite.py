"""Tools that passes rewrite graphs with: users of a value, nodes replaced, values renamed.

In: a graph, and what to change, gathered in a :class:`Rewriter`. Out: a new graph, made in one go
and in linear time however many changes there are.

>>> from pelemay.graph import DType, Graph, Node, TensorType
>>> x = TensorType(DType.FLOAT32, (2,))
>>> nodes = (Node("Identity", ("x",), ("i",)), Node("Relu", ("i",), ("y",)))
>>> r = Rewriter(Graph("g", {"x": x}, {"y": x}, nodes))
>>> r.remove(0)
>>> r.forward("i", "x")
>>> r.graph_after().nodes[0].inputs
('x',)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from pelemay.graph import ArrayConstant, Constant, Graph, Node, TensorType, ValueType, reads


def users(graph: Graph) -> dict[str, list[int]]:
    """Value name to the indices of the nodes that read it, sub-graphs included, each once."""
    found: dict[str, list[int]] = {}
    for index, node in enumerate(graph.nodes):
        for name in dict.fromkeys(reads(node)):
            found.setdefault(name, []).append(index)
    return found


def names_of(graph: Graph) -> set[str]:
    """Every name that a graph or one of its sub-graphs defines or reads."""
    found = {*graph.inputs, *graph.outputs, *graph.constants}
    for node in graph.nodes:
        found.update(node.inputs, node.outputs)
        for inner in node.graphs:
            found |= names_of(inner)
    return found


def is_static(kind: ValueType | None) -> bool:
    """Whether a type is a tensor's, with every size known.

    >>> from pelemay.graph import DType
    >>> is_static(TensorType(DType.FLOAT32, (2, 3))), is_static(TensorType(DType.FLOAT32, ("n",)))
    (True, False)
    """
    if not isinstance(kind, TensorType) or kind.shape is None:
        return False
    return all(isinstance(size, int) for size in kind.shape)


def rename_inputs(node: Node, names: Mapping[str, str]) -> Node:
    """A node that reads other values, in its sub-graphs too.

    Parameters
    ----------
    node : Node
        The node.
    names : mapping
        Value to the one to read instead; no sub-graph may define a new name itself.

    Returns
    -------
    Node
        The node itself where it reads none of them.
    """
    if not any(name in names for name in reads(node)):
        return node
    attributes = {
        key: tuple(_renamed(item, names) for item in value)
        if isinstance(value, tuple)
        else _renamed(value, names)
        for key, value in node.attributes.items()
    }
    inputs = tuple(names.get(name, name) for name in node.inputs)
    return replace(node, inputs=inputs, attributes=attributes)


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    if not isinstance(value, Graph):
        return value
    free = {old: new for old, new in names.items() if old in value.free_names}
    if not free:
        return value
    passed = [name for name in value.outputs if name in free]
    copies = [Node("Identity", (free[name],), (name,)) for name in passed]
    nodes = (*(rename_inputs(node, free) for node in value.nodes), *copies)
    return replace(value, nodes=nodes)


@dataclass
class Rewriter:
    """Changes to one graph, gathered, and then made at once by :meth:`graph_after`.

    Indices and names are those of the graph before, whatever has been gathered.

    Parameters
    ----------
    graph : Graph
        The graph before.
    """

    graph: Graph
    _nodes: dict[int, tuple[Node, ...]] = field(default_factory=dict)
    _forward: dict[str, str] = field(default_factory=dict)
    _constants: dict[str, Constant] = field(default_factory=dict)
    _types: dict[str, ValueType] = field(default_factory=dict)

    @cached_property
    def users(self) -> Mapping[str, list[int]]:
        """Value name to the indices of the nodes that read it."""
        return users(self.graph)

    @cached_property
    def makers(self) -> Mapping[str, int]:
        """Value name to the index of the node that makes it."""
        return {o: i for i, node in enumerate(self.graph.nodes) for o in node.outputs if o}

    @cached_property
    def _taken(self) -> set[str]:
        return names_of(self.graph)

    def maker(self, name: str) -> Node | None:
        """The node that makes a value; None for inputs and constants."""
        index = self.makers.get(name)
        return None if index is None else self.graph.nodes[index]

    def only_user(self, name: str) -> int | None:
        """The one node that reads a value which is no output of the graph; None if not so."""
        found = self.users.get(name, [])
        return found[0] if len(found) == 1 and name not in self.graph.outputs else None

    def changed(self, index: int) -> bool:
        """Whether the node of that index has been replaced or removed."""
        return index in self._nodes

    def replace(self, index: int, *nodes: Node) -> None:
        """Put ``nodes`` where the node of that index stands."""
        self._nodes[index] = nodes

    def remove(self, index: int) -> None:
        """Take a node away; its outputs must be forwarded, or read by no node that stays."""
        self._nodes[index] = ()

    def forward(self, old: str, new: str) -> None:
        """Whoever reads ``old`` shall read ``new``, which is made before it.

        An output of the graph keeps its name. Chains are followed.
        """
        self._forward[old] = new

    def name(self, base: str) -> str:
        """A name that nothing in the graph has, made from ``base``."""
        found, count = base, 0
        while found in self._taken:
            count += 1
            found = f"{base}.{count}"
        self._taken.add(found)
        return found

    def constant(self, base: str, value: Constant | Any, dtype: Any = None) -> str:
        """Add a constant under a new name made from ``base``, and return that name."""
        name = self.name(base)
        known = isinstance(value, Constant) and not isinstance(value, np.ndarray)
        self._constants[name] = value if known else ArrayConstant.of(np.asarray(value, dtype))
        return name

    def value(self, base: str, kind: ValueType | None = None) -> str:
        """A name for a new value, made from ``base``, and its type if it is known."""
        name = self.name(base)
        if kind is not None:
            self._types[name] = kind
        return name

    def graph_after(self) -> Graph:
        """The graph with all changes; the graph itself if there are none.

        Constants and types that nothing reads any more stay; dead code removal drops them.
        """
        if not (self._nodes or self._forward or self._constants or self._types):
            return self.graph
        names = {old: self._target(old) for old in self._forward}
        nodes = [
            new
            for index, node in enumerate(self.graph.nodes)
            for new in self._nodes.get(index, (node,))
        ]
        after = replace(
            self.graph,
            nodes=tuple(nodes),
            constants={**self.graph.constants, **self._constants},
            types={**self.graph.types, **self._types},
        )
        return rename(after, names) if names else after

    def _target(self, name: str) -> str:
        seen = {name}
        while name in self._forward:
            name = self._forward[name]
            if name in seen:
                raise AssertionError(f"'{name}' is forwarded to itself")
            seen.add(name)
        return name


def replace_nodes(graph: Graph, changes: Mapping[int, Iterable[Node]]) -> Graph:
    """The graph with other nodes at these indices; an empty list takes a node away."""
    if not changes:
        return graph
    nodes = [n for i, node in enumerate(graph.nodes) for n in changes.get(i, (node,))]
    return replace(graph, nodes=tuple(nodes))


def rename(graph: Graph, names: Mapping[str, str]) -> Graph:
    """Let every reader of an old value read the new one.

    The old values are no longer made by a node; a graph output of an old name
    is made again: the node that makes the new value makes it under the output's name where that
    name is free to be given, else an Identity copies it.

    Parameters
    ----------
    graph : Graph
        A graph.
    names : mapping
        Old name to new one; no new name is itself an old one.

    Returns
    -------
    Graph
        Reads of old names are gone from it.
    """
    hidden = inner_names(graph)
    given, copies = _outputs_kept(graph, names, hidden)
    copies.update({old: new for old, new in names.items() if new in hidden})
    readers = {old: given.get(new, new) for old, new in names.items() if new not in hidden}
    readers.update(given)
    nodes: list[Node] = []
    for node in graph.nodes:
        outputs = tuple(given.get(name, name) for name in node.outputs)
        read = rename_inputs(node, readers)
        nodes.append(read if outputs == node.outputs else replace(read, outputs=outputs))
    types = dict(graph.types)
    types.update({new: kind for old, new in given.items() if (kind := graph.type_of(old))})
    after = replace(graph, nodes=tuple(nodes), types=types)
    return _with_copies(after, {old: given.get(new, new) for old, new in copies.items()})


def inner_names(graph: Graph) -> set[str]:
    """Names that sub-graphs define; a value of the graph with such a name is hidden there."""
    found: set[str] = set()
    for node in graph.nodes:
        for inner in node.graphs:
            found.update(inner.inputs, inner.constants, inner.producers, inner_names(inner))
    return found


def _outputs_kept(
    graph: Graph, names: Mapping[str, str], hidden: set[str]
) -> tuple[dict[str, str], dict[str, str]]:
    """Names of graph outputs: those that the new value's node can give, and those to copy."""
    given: dict[str, str] = {}
    copies: dict[str, str] = {}
    made = {output for node in graph.nodes for output in node.outputs}
    for old in (name for name in graph.outputs if name in names):
        new = names[old]
        free = new in made and new not in graph.outputs and new not in given
        if free and old not in hidden:
            given[new] = old
        else:
            copies[old] = new
    return given, copies


def _with_copies(graph: Graph, copies: Mapping[str, str]) -> Graph:
    """Make values as copies of others, each as soon as the other is there."""
    if not copies:
        return graph
    waiting: dict[str, list[Node]] = {}
    for name, source in copies.items():
        waiting.setdefault(source, []).append(Node("Identity", (source,), (name,)))
    made = {output for node in graph.nodes for output in node.outputs}
    nodes = [copy for source, found in waiting.items() if source not in made for copy in found]
    for node in graph.nodes:
        nodes.append(node)
        nodes += [copy for output in node.outputs for copy in waiting.get(output, ())]
    return replace(graph, nodes=tuple(nodes))
