"""Keys and values that grow become buffers that new ones are written into.

In: a decoder whose past keys and values are joined with the new ones by ``Concat``, as optimum
exports it. Out: the same in which a cache has as many rows as there will ever be, and
``TensorScatter`` writes new ones from the row on that the new input ``cache_rows`` names.

Attention does not ask in which row a key lies: positions are in the keys already, and which rows
are read is said by ``attention_mask``, whose columns are the cache's rows. The model's own
arithmetic of sizes sees what it saw before: a past of all rows but those of the new tokens. So a
piece of a prompt is written to the last rows, where each of its tokens sees those before it and
none behind.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from pelemay.decoding.roles import MASK, ROWS, TOKENS, Roles
from pelemay.errors import UnsupportedError
from pelemay.graph import ArrayConstant, DType, Graph, Node, TensorType
from pelemay.passes.matching import is_standard
from pelemay.passes.rewrite import Rewriter, rename_inputs

PLACES = f"{ROWS}::places"


def with_buffers(graph: Graph, roles: Roles) -> tuple[Graph, Roles]:
    """Let new keys and values be written into the past ones.

    Parameters
    ----------
    graph : Graph
        A decoder; its sizes may be open.
    roles : Roles
        Of its ends.

    Returns
    -------
    (Graph, Roles)
        Both as they were where no cache grows by a ``Concat``.

    Raises
    ------
    UnsupportedError
        If some do and others do not, or the model could not be told which rows to read.
    """
    rewriter = Rewriter(graph)
    grown = {past: _concat(rewriter, past, present) for past, present in roles.caches.items()}
    if not any(index is not None for index in grown.values()):
        return graph, roles
    for past, index in grown.items():
        if index is None:
            what = f"'{past}' is not joined with new keys or values along its tokens"
            raise UnsupportedError(what, hint="the other caches are")
    if MASK not in roles.inputs:
        what = f"the model has no input '{MASK}'"
        raise UnsupportedError(what, hint="without it the rows of a cache cannot be chosen")
    return _Buffers(rewriter, {p: i for p, i in grown.items() if i is not None}).made(roles)


def _concat(rewriter: Rewriter, past: str, present: str) -> int | None:
    """The node that joins a past with what is new, if that is how its present is made."""
    index = rewriter.makers.get(present)
    if index is None:
        return None
    node = rewriter.graph.nodes[index]
    if not is_standard(node, "Concat") or len(node.inputs) != 2:
        return None
    joined = _source(rewriter, node.inputs[0]) == past
    return index if joined and node.attributes.get("axis") in (2, -2) else None


def _source(rewriter: Rewriter, name: str) -> str:
    """The value that this one is, through nodes that change nothing."""
    node = rewriter.maker(name)
    while node is not None and is_standard(node, "Identity", "Concat") and len(node.inputs) == 1:
        name = node.inputs[0]
        node = rewriter.maker(name)
    return name


class _Buffers:
    """The rewriting of one graph."""

    def __init__(self, rewriter: Rewriter, concats: dict[str, int]) -> None:
        self.rewriter, self.concats = rewriter, concats
        self.graph = rewriter.graph
        self.views = {past: rewriter.name(f"{past}::past") for past in concats}

    def made(self, roles: Roles) -> tuple[Graph, Roles]:
        kind = TensorType(DType.INT64, (1,))
        nodes = (*self.lengths(), *self.nodes())
        graph = replace(
            self.graph,
            inputs={**self.graph.inputs, ROWS: kind},
            nodes=nodes,
            constants={**self.graph.constants, **self.numbers()},
        )
        return graph, replace(roles, inputs=(*roles.inputs, ROWS))

    def numbers(self) -> dict[str, ArrayConstant]:
        """Constants of the new nodes."""
        made = {"zero": 0, "one": 1, "two": 2}
        return {f"{ROWS}::{k}": ArrayConstant.of(np.array([v], np.int64)) for k, v in made.items()}

    def lengths(self) -> Iterator[Node]:
        """The past without the rows of the new tokens, for whoever reads its size."""
        shape, batch, tokens, end = (f"{ROWS}::{n}" for n in ("shape", "batch", "tokens", "end"))
        yield Node("Shape", (TOKENS,), (shape,))
        yield Node("Slice", (shape, f"{ROWS}::zero", f"{ROWS}::one"), (batch,))
        yield Node("Expand", (ROWS, batch), (PLACES,))
        yield Node("Slice", (shape, f"{ROWS}::one", f"{ROWS}::two"), (tokens,))
        yield Node("Neg", (tokens,), (end,))
        for past, view in self.views.items():
            bounds = (f"{ROWS}::zero", end, f"{ROWS}::two")
            yield Node("Slice", (past, *bounds), (view,))

    def nodes(self) -> Iterator[Node]:
        """The graph's nodes, the joining ones as writing ones."""
        joining = {index: past for past, index in self.concats.items()}
        for index, node in enumerate(self.graph.nodes):
            if index not in joining:
                yield rename_inputs(node, self.views)
                continue
            inputs = (joining[index], node.inputs[1], PLACES)
            yield Node("TensorScatter", inputs, node.outputs, {"axis": 2}, name=node.name)
