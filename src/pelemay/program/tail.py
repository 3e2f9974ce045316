"""The part of a graph whose values have no size before the run.

In: a graph, its types filled in. Out: the trunk, all of whose values can be given a place, and the
tail, which depends on values that cannot: the nodes after a NonZero or a NonMaxSuppression,
sequences, strings. The engine runs the trunk, the reference backend the tail on what that gives.

>>> from pelemay.graph import DType, Graph, Node, TensorType
>>> x, n = TensorType(DType.FLOAT32, (4,)), TensorType(DType.INT64, (1, None))
>>> nodes = (Node("Relu", ("x",), ("y",)), Node("NonZero", ("y",), ("z",)))
>>> trunk, tail = split(Graph("g", {"x": x}, {"z": n}, nodes, types={"y": x}))
>>> [node.op for node in trunk.nodes], list(trunk.outputs), [node.op for node in tail.nodes]
(['Relu'], ['y'], ['NonZero'])
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from pelemay.graph import Constant, Graph, Node, ValueType, reads
from pelemay.program.host import is_placeable


def split(graph: Graph) -> tuple[Graph, Graph | None]:
    """Cut off what cannot be planned.

    Parameters
    ----------
    graph : Graph
        A checked graph.

    Returns
    -------
    trunk : Graph
        Its outputs are those of the graph that it makes, in order, then what the tail reads. An
        output that is an input is left out: whoever runs it has the value.
    tail : Graph or None
        Its inputs are inputs of the graph and outputs of the trunk; its outputs are the rest of
        the graph's. None where there is nothing to cut off.
    """
    late = {name for name, kind in graph.inputs.items() if not is_placeable(kind)}
    first: list[Node] = []
    last: list[Node] = []
    for node in graph.nodes:
        if _is_late(graph, node, late):
            last.append(node)
            late.update(filter(None, node.outputs))
        else:
            first.append(node)
    if not last and not late:
        made = {name: kind for name, kind in graph.outputs.items() if name not in graph.inputs}
        return replace(graph, outputs=made), None
    return _parts(graph, first, last, late)


def _is_late(graph: Graph, node: Node, late: set[str]) -> bool:
    names = set(reads(node))
    if names & late:
        return True
    return not all(is_placeable(graph.type_of(name)) for name in node.outputs if name)


def why_late(graph: Graph, node: Node) -> str:
    """Why a node of the tail is there."""
    for name in node.outputs:
        if name and not is_placeable(kind := graph.type_of(name)):
            return f"'{name}' is {kind or 'of no known type'}: its bytes are not known before a run"
    for name in reads(node):
        if name in graph.producers or not is_placeable(graph.type_of(name)):
            return f"it reads '{name}', whose bytes are not known before a run"
    return "it depends on values whose bytes are not known before a run"


def _parts(
    graph: Graph, first: list[Node], last: list[Node], late: set[str]
) -> tuple[Graph, Graph]:
    made = {name for node in first for name in node.outputs if name}
    read = dict.fromkeys(name for node in last for name in reads(node))
    read.update((name, None) for name in graph.outputs if name in late & graph.inputs.keys())
    passed = [name for name in read if name in made]
    early = [name for name in graph.outputs if name not in late and name not in graph.inputs]
    outputs = dict.fromkeys([*early, *passed])
    trunk = replace(
        graph,
        inputs={name: kind for name, kind in graph.inputs.items() if name not in late},
        outputs={name: graph.type_of(name) for name in outputs},
        nodes=tuple(first),
        constants=_used(graph, first, outputs),
        types=_types(graph, first),
    )
    tail = Graph(
        graph.name,
        {name: graph.type_of(name) for name in read if name in made or name in graph.inputs},
        {name: kind for name, kind in graph.outputs.items() if name in late},
        tuple(last),
        _used(graph, last, ()),
        _types(graph, last),
    )
    return trunk, tail


def _used(graph: Graph, nodes: Iterable[Node], outputs: Iterable[str]) -> dict[str, Constant]:
    names = {name for node in nodes for name in reads(node)} | set(outputs)
    return {name: constant for name, constant in graph.constants.items() if name in names}


def _types(graph: Graph, nodes: Iterable[Node]) -> dict[str, ValueType]:
    names = (name for node in nodes for name in node.outputs)
    return {name: kind for name in names if name and (kind := graph.types.get(name))}
