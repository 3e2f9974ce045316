"""All that makes a graph smaller, again and again until nothing changes.

In: a graph. Out: the graph with constants folded, branches inlined, identities and dead code gone,
and nothing computed twice.

>>> from pelemay.graph import DType, Graph, Node, TensorType
>>> x = TensorType(DType.FLOAT32, (2, 3))
>>> nodes = (
...     Node("Shape", ("x",), ("s",)),
...     Node("Reshape", ("x", "s"), ("r",)),
...     Node("Relu", ("r",), ("y",)),
... )
>>> [node.op for node in simplify(Graph("g", {"x": x}, {"y": x}, nodes)).nodes]
['Relu']
"""

from __future__ import annotations

from pelemay.graph import Graph
from pelemay.passes.canonical import canonical
from pelemay.passes.cse import merge_common
from pelemay.passes.dead import remove_dead
from pelemay.passes.fold import fold
from pelemay.passes.identities import remove_identities
from pelemay.passes.inline import inline_branches
from pelemay.passes.sequences import unpack_sequences

ROUNDS = 16
"""More rounds than any graph needs: each one undoes another layer of nesting."""

STEPS = (
    fold,
    inline_branches,
    unpack_sequences,
    remove_identities,
    canonical,
    merge_common,
    remove_dead,
)


def simplify(graph: Graph) -> Graph:
    """Fold, inline, remove and merge until nothing changes.

    Requires nothing. Guarantees what each of its steps does: host inputs such as axes and shapes
    are constants if they follow from constants and static shapes.

    Parameters
    ----------
    graph : Graph
        A checked graph.

    Returns
    -------
    Graph
        With its types inferred.
    """
    for _ in range(ROUNDS):
        before = graph
        for step in STEPS:
            graph = step(graph)
        if graph is before:
            break
    return graph
