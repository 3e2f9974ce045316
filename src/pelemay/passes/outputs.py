"""Outputs that have a place of their own.

In: a graph. Out: the graph in which each output that was a constant is made by an Identity, so that
a run has something to write it with.

>>> from pelemay.graph import ArrayConstant, DType, Graph, TensorType
>>> y = ArrayConstant.of([1.0, 2.0], "float32")
>>> g = Graph("g", {}, {"y": TensorType(DType.FLOAT32, (2,))}, (), {"y": y})
>>> separate_outputs(g).nodes[0].op
'Identity'
"""

from __future__ import annotations

from dataclasses import replace

from pelemay.graph import Graph, Node
from pelemay.passes.rewrite import Rewriter, rename_inputs


def separate_outputs(graph: Graph) -> Graph:
    """Make every output of the graph the output of a node, as far as names allow.

    Requires nothing. Guarantees that no output is a constant. An output that is also an input of
    the same name stays: whoever runs the graph has the value already.

    Parameters
    ----------
    graph : Graph
        A checked graph.

    Returns
    -------
    Graph
        The graph itself if all outputs are made by nodes.
    """
    shared = [name for name in graph.outputs if name in graph.constants]
    if not shared:
        return graph
    rewriter = Rewriter(graph)
    names = {name: rewriter.name(f"{name}::constant") for name in shared}
    constants = {names.get(name, name): value for name, value in graph.constants.items()}
    copies = [Node("Identity", (names[name],), (name,)) for name in shared]
    nodes = tuple(rename_inputs(node, names) for node in graph.nodes)
    return replace(graph, nodes=(*nodes, *copies), constants=constants)
