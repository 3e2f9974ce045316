"""The checker: what makes a graph a graph.

In: a :class:`Graph`. Out: nothing, or a :class:`GraphError` that names the node and the rule.

>>> from pelemay.graph import Graph, Node
>>> check(Graph("g", inputs={}, outputs={"y": None}, nodes=()))  # doctest: +ELLIPSIS
Traceback (most recent call last):
pelemay.errors.GraphError: graph 'g': output 'y' is made by no node. every output must be an ...
"""

from __future__ import annotations

from collections.abc import Collection

from pelemay.errors import GraphError
from pelemay.graph.dtypes import DType
from pelemay.graph.ir import Graph, Node
from pelemay.graph.values import (
    Constant,
    MapType,
    OptionalType,
    SequenceType,
    SparseTensorType,
    TensorType,
    ValueType,
)

MAX_DEPTH = 64


def check(graph: Graph, outer: Collection[str] = ()) -> None:
    """Check names, order, nesting, types and attributes of ``graph`` and of its sub-graphs.

    The time is linear in the nodes and names; no element of a constant is read.

    Parameters
    ----------
    graph : Graph
        What to check.
    outer : collection of str
        Names that the graphs around it offer.

    Raises
    ------
    GraphError
        If a name is empty, defined twice, or read but not defined (a cycle or a wrong order shows
        as that); an attribute is of no type that :data:`~pelemay.graph.Attribute` lists; a size is
        negative; graphs or types nest deeper than 64.
    """
    _check_graph(graph, (frozenset(outer),), depth=0)


def _check_graph(graph: Graph, scopes: tuple[Collection[str], ...], depth: int) -> None:
    where = f"graph '{graph.name}'"
    if depth > MAX_DEPTH:
        raise GraphError(f"sub-graphs nest deeper than {MAX_DEPTH}", where=where)
    _check_values(graph, where)
    known = {*graph.inputs, *graph.constants}
    for node in graph.nodes:
        _check_node(node, where)
        _check_reads(graph, node, (*scopes, known), where)
        for inner in node.graphs:
            _check_graph(inner, (*scopes, known), depth + 1)
        _define(node, known, where)
    for name in graph.outputs:
        if not any(name in scope for scope in (known, *scopes)):
            raise GraphError(
                f"output '{name}' is made by no node",
                where=where,
                hint="every output must be an input, a constant or a node's output",
            )


def _check_values(graph: Graph, where: str) -> None:
    for what in ("inputs", "outputs", "constants"):
        if "" in getattr(graph, what):
            raise GraphError(f"one of the {what} has no name", where=where)
    for name in graph.constants:
        if name in graph.inputs:
            raise GraphError(f"'{name}' is both an input and a constant", where=where)
    for table in (graph.inputs, graph.outputs, graph.types):
        for name, kind in table.items():
            if kind is not None:
                _check_type(kind, f"{where}, '{name}'")
    for name, constant in graph.constants.items():
        _check_type(TensorType(constant.dtype, constant.shape), f"{where}, '{name}'")


def _check_type(kind: ValueType, where: str) -> None:
    for _ in range(MAX_DEPTH + 1):
        match kind:
            case SequenceType(inner) | OptionalType(inner) | MapType(_, inner):
                kind = inner
            case TensorType(_, shape) | SparseTensorType(_, shape):
                if any(isinstance(size, int) and size < 0 for size in shape or ()):
                    raise GraphError(f"{kind} has a negative size", where=where)
                return
    raise GraphError(f"its type nests deeper than {MAX_DEPTH}", where=where)


def _check_node(node: Node, where: str) -> None:
    if not node.op:
        raise GraphError(f"node '{node.name}' has no operation", where=where)
    if node.version < 0:
        raise GraphError(f"{node.label} has version {node.version}", where=where)
    for name, value in node.attributes.items():
        items = value if isinstance(value, tuple) else (value,)
        families = {_family(item) for item in items}
        if len(families) > 1 or None in families or not name:
            types = " and ".join(sorted({type(item).__name__ for item in items}))
            raise GraphError(
                f"attribute '{name}' of {node.label} holds {types}",
                where=where,
                hint="it can hold 64-bit integers, floats, strings, element types, types, "
                "constants or graphs, or a tuple of one kind of these",
            )
        for kind in items:
            if isinstance(kind, ValueType):
                _check_type(kind, f"{where}, {node.label}, attribute '{name}'")


def _family(value: object) -> str | None:
    """Which kind of attribute a value is; None if it is none."""
    match value:
        case int():
            return "number" if -(1 << 63) <= value < 1 << 64 else None
        case float():
            return "number"
        case str():
            return "string"
        case DType():
            return "dtype"
        case Graph():
            return "graph"
        case TensorType() | SparseTensorType() | SequenceType() | OptionalType() | MapType():
            return "type"
        case Constant():
            return "constant"
    return None


def _check_reads(graph: Graph, node: Node, scopes: tuple[Collection[str], ...], where: str) -> None:
    """``scopes`` go from the outermost to what this graph has made so far."""
    for name in node.inputs:
        if not name or name in scopes[-1]:
            continue
        if name in graph.producers:
            what = f"{node.label} reads '{name}' before it is made: a cycle, or a wrong order"
            raise GraphError(what, where=where)
        if not any(name in scope for scope in scopes):
            raise GraphError(f"{node.label} reads '{name}', which nothing makes", where=where)


def _define(node: Node, known: set[str], where: str) -> None:
    for name in node.outputs:
        if name in known:
            raise GraphError(f"{node.label} makes '{name}', which exists already", where=where)
        if name:
            known.add(name)
