"""Dead code: what no output needs is taken away.

In: a graph. Out: the graph without nodes, outputs of nodes, constants and types that nothing reads.

>>> from pelemay.graph import DType, Graph, Node, TensorType
>>> x = TensorType(DType.FLOAT32, (2,))
>>> nodes = (Node("Relu", ("x",), ("y",)), Node("Exp", ("x",), ("unread",)))
>>> len(remove_dead(Graph("g", {"x": x}, {"y": x}, nodes)).nodes)
1
"""

from __future__ import annotations

from dataclasses import replace

from pelemay.graph import Graph, Node, reads


def remove_dead(graph: Graph) -> Graph:
    """Take away what no output of the graph needs; inputs stay.

    Requires nothing. Guarantees that each node has an output that is read, and that outputs at the
    end of a node's list are read. Sub-graphs are cleaned in the same way.

    Parameters
    ----------
    graph : Graph
        A checked graph.

    Returns
    -------
    Graph
        The graph itself if there is nothing to take away.
    """
    needed = set(graph.outputs)
    kept: list[Node] = []
    for node in reversed(graph.nodes):
        if needed.isdisjoint(node.outputs):
            continue
        alive = _cleaned(_trimmed(node, needed))
        kept.append(alive)
        needed.update(reads(alive))
    nodes = tuple(reversed(kept))
    constants = {name: value for name, value in graph.constants.items() if name in needed}
    made = {output for node in nodes for output in node.outputs}
    types = {name: kind for name, kind in graph.types.items() if name in made}
    same = len(constants) == len(graph.constants) and len(types) == len(graph.types)
    if same and len(nodes) == len(graph.nodes) and all(map(_is, nodes, graph.nodes)):
        return graph
    return replace(graph, nodes=nodes, constants=constants, types=types)


def _is(a: Node, b: Node) -> bool:
    return a is b


def _trimmed(node: Node, needed: set[str]) -> Node:
    """The node without the outputs at the end that nothing reads."""
    count = len(node.outputs)
    while node.outputs[count - 1] not in needed:
        count -= 1
    if count == len(node.outputs):
        return node
    if node.version or node.op in _ALL_OUTPUTS or any(node.graphs):
        return node
    attributes = dict(node.attributes)
    if node.op == "MaxPool" and not node.domain:
        attributes["num_outputs"] = count
    return replace(node, outputs=node.outputs[:count], attributes=attributes)


_ALL_OUTPUTS = frozenset({"Split", "Loop", "Scan", "If", "SequenceMap"})
"""Operations whose number of outputs says something."""


def _cleaned(node: Node) -> Node:
    """The node with its sub-graphs cleaned."""
    if not any(node.graphs):
        return node
    attributes = {
        name: remove_dead(value) if isinstance(value, Graph) else value
        for name, value in node.attributes.items()
    }
    if all(attributes[name] is value for name, value in node.attributes.items()):
        return node
    return replace(node, attributes=attributes)
