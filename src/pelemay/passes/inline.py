"""Branches whose condition is known: the one that is taken stands in the graph itself.

In: a graph. Out: the graph in which no If has a constant as its condition.

>>> import numpy as np
>>> from pelemay.graph import ArrayConstant, DType, Graph, Node, TensorType
>>> x = TensorType(DType.FLOAT32, (2,))
>>> then, other = (Graph(op, {}, {"r": None}, (Node(op, ("x",), ("r",)),)) for op in ("Exp", "Log"))
>>> node = Node("If", ("yes",), ("y",), {"then_branch": then, "else_branch": other})
>>> yes = ArrayConstant.of(np.asarray(True))
>>> [n.op for n in inline_branches(Graph("g", {"x": x}, {"y": x}, (node,), {"yes": yes})).nodes]
['Exp']
"""

from __future__ import annotations

from dataclasses import replace

from pelemay.graph import Graph, Node
from pelemay.passes.rewrite import Rewriter, inner_names, rename_inputs


def inline_branches(graph: Graph) -> Graph:
    """Put the branch that a constant condition chooses in the place of its If.

    Requires nothing. Guarantees that no If of the graph itself has a constant condition; those
    inside of other sub-graphs stay.

    Parameters
    ----------
    graph : Graph
        A checked graph.

    Returns
    -------
    Graph
        The graph itself if there is no such If.
    """
    while True:
        rewriter = Rewriter(graph)
        for index, node in enumerate(graph.nodes):
            branch = _taken(graph, node)
            if branch is not None:
                rewriter.replace(index, *_inlined(rewriter, node, branch))
        after = rewriter.graph_after()
        if after is graph:
            return graph
        graph = after


def _taken(graph: Graph, node: Node) -> Graph | None:
    if node.op != "If" or node.domain or node.version:
        return None
    condition = graph.constants.get(node.inputs[0])
    if condition is None:
        return None
    yes = bool(condition.array().reshape(-1)[0])
    branch = node.attributes["then_branch" if yes else "else_branch"]
    return branch if isinstance(branch, Graph) else None


def _inlined(rewriter: Rewriter, node: Node, branch: Graph) -> list[Node]:
    """The branch's nodes under names that nothing else has, and copies of what it passes on."""
    copies: list[Node] = []
    made = {output for inner in branch.nodes for output in inner.outputs if output}
    direct = made if inner_names(branch).isdisjoint(node.outputs) else set()
    results = list(zip(node.outputs, branch.outputs, strict=True))
    names = {result: output for output, result in results if output and result in direct}
    for name, constant in branch.constants.items():
        names[name] = rewriter.constant(name, constant)
    for name in sorted(made - set(names)):
        names[name] = rewriter.value(name, branch.type_of(name))
    for output, result in results:
        if output and result not in direct:
            copies.append(Node("Identity", (names.get(result, result),), (output,)))
    return [*(_renamed(inner, names) for inner in branch.nodes), *copies]


def _renamed(node: Node, names: dict[str, str]) -> Node:
    read = rename_inputs(node, names)
    return replace(read, outputs=tuple(names.get(name, name) for name in read.outputs))
