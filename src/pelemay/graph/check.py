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
from pelemay.graph.ir import Graph, Node

MAX_DEPTH = 64


def check(graph: Graph, outer: Collection[str] = (), depth: int = 0) -> None:
    """Check names, order and nesting of ``graph`` and of its sub-graphs.

    Parameters
    ----------
    graph : Graph
        What to check.
    outer : collection of str
        Names that the graphs around it offer.
    depth : int
        How many graphs stand around it.

    Raises
    ------
    GraphError
        If a name is defined twice, read but not defined (a cycle or a wrong order shows as
        that), or graphs nest deeper than 64.
    """
    where = f"graph '{graph.name}'"
    if depth > MAX_DEPTH:
        raise GraphError(f"sub-graphs nest deeper than {MAX_DEPTH}", where=where)
    known = {*graph.inputs, *graph.constants}
    made = {name for node in graph.nodes for name in node.outputs if name}
    outside = set(outer)
    for node in graph.nodes:
        _check_reads(node, known | outside, made, where)
        for inner in node.graphs:
            check(inner, known | outside, depth + 1)
        _define(node, known, where)
    for name in graph.outputs:
        if name not in known and name not in outside:
            raise GraphError(
                f"output '{name}' is made by no node",
                where=where,
                hint="every output must be an input, a constant or a node's output",
            )


def _check_reads(node: Node, known: set[str], made: set[str], where: str) -> None:
    for name in node.inputs:
        if not name or name in known:
            continue
        if name in made:
            what = f"{node.label} reads '{name}' before it is made: a cycle, or a wrong order"
        else:
            what = f"{node.label} reads '{name}', which nothing makes"
        raise GraphError(what, where=where)


def _define(node: Node, known: set[str], where: str) -> None:
    for name in node.outputs:
        if name in known:
            raise GraphError(f"{node.label} makes '{name}', which exists already", where=where)
        if name:
            known.add(name)
