"""Pasts that attention itself joins with new keys and values are joined before it.

In: a decoder in operator set 23, whose ``Attention`` takes past keys and values and gives all of
them. Out: the same in which they are joined by ``Concat``, as :mod:`pelemay.decoding.buffers` takes
it. Where nothing but causality hides keys, there is no mask by which free rows of a buffer could be
hidden: there ``TensorScatter`` writes them to the rows named by ``write_indices``, and
``nonpad_kv_seqlen`` says how many are read, as in operator set 24.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from pelemay.decoding.roles import COUNTS, PLACES, Roles
from pelemay.errors import UnsupportedError
from pelemay.graph import ArrayConstant, DType, Graph, Node, TensorType
from pelemay.graph.typing import infer
from pelemay.passes.matching import is_standard, operand

PAST, PRESENT = (4, 5), (1, 2)
"""Where keys and values of the past stand among Attention's inputs, all among its outputs."""

WINDOWS = ("left_window_size", "right_window_size")
NUMBERS = {"two": [2], "three": [3]}


def with_pasts_apart(graph: Graph, roles: Roles) -> tuple[Graph, Roles]:
    """Let pasts be joined with what is new outside of attention.

    Parameters
    ----------
    graph : Graph
        A decoder; its sizes may be open.
    roles : Roles
        Of its ends.

    Returns
    -------
    (Graph, Roles)
        Both as they were where no attention takes a cache.

    Raises
    ------
    UnsupportedError
        If some attention has a mask and some has none, or one hides keys in another way.
    """
    found = [node for node in graph.nodes if _takes_past(node, roles)]
    if not found:
        return graph, roles
    masked = {bool(operand(node, 3)) for node in found}
    if len(masked) > 1 or not all(map(_is_known, found)):
        what = "attention with a past, of several kinds, of a window, or without mask and causality"
        raise UnsupportedError(what, hint="which rows of a cache are free could not be told")
    step = _Apart(infer(graph), masked.pop())
    nodes = [each for node in graph.nodes for each in (step.of(node) if node in found else (node,))]
    numbers = {f"{PLACES}::{k}": ArrayConstant.of(v, np.int64) for k, v in NUMBERS.items()}
    constants = {**graph.constants, **numbers, **step.shapes}
    if step.masked:
        return replace(graph, nodes=tuple(nodes), constants=constants), roles
    batch = TensorType(DType.INT64, ("batch",))
    inputs = {**graph.inputs, PLACES: batch, COUNTS: batch}
    changed = replace(graph, nodes=tuple(nodes), constants=constants, inputs=inputs)
    return changed, replace(roles, inputs=(*roles.inputs, PLACES, COUNTS))


def _takes_past(node: Node, roles: Roles) -> bool:
    return is_standard(node, "Attention") and operand(node, PAST[0]) in roles.caches


def _is_known(node: Node) -> bool:
    values = node.attributes
    plain = all(values.get(name, -1) == -1 for name in WINDOWS) and not operand(node, 6)
    return plain and bool(operand(node, 3) or values.get("is_causal"))


class _Apart:
    """The rewriting of one attention after the other."""

    def __init__(self, graph: Graph, masked: bool) -> None:
        self.graph, self.masked = graph, masked
        self.shapes: dict[str, ArrayConstant] = {}

    def of(self, node: Node) -> Iterator[Node]:
        """What stands for an attention that takes a past."""
        for i, (past, present) in enumerate(zip(PAST, PRESENT, strict=True)):
            new = yield from self._heads(node, node.inputs[1 + i])
            ends = (node.inputs[past], new), (node.outputs[present],)
            if self.masked:
                yield Node("Concat", *ends, {"axis": 2})
            else:
                yield Node("TensorScatter", (*ends[0], PLACES), ends[1], {"axis": 2})
        counts = COUNTS
        if self.masked:
            counts = yield from self._counts(node)
        keys, values = (node.outputs[i] for i in PRESENT)
        inputs = (node.inputs[0], keys, values, operand(node, 3), "", "", counts)
        yield replace(node, inputs=inputs, outputs=(node.outputs[0], "", "", *node.outputs[3:]))

    def _heads(self, node: Node, name: str) -> Generator[Node, None, str]:
        """New keys or values as (batch, heads, tokens, size)."""
        kind = self.graph.type_of(name)
        if isinstance(kind, TensorType) and kind.shape is not None and len(kind.shape) == 4:
            return name
        base = f"{node.outputs[0]}::{name}"
        heads: Any = node.attributes.get("kv_num_heads", 0)
        self.shapes[f"{base}::shape"] = ArrayConstant.of([0, 0, heads, -1], np.int64)
        yield Node("Reshape", (name, f"{base}::shape"), (f"{base}::split",))
        yield Node("Transpose", (f"{base}::split",), (base,), {"perm": (0, 2, 1, 3)})
        return base

    def _counts(self, node: Node) -> Generator[Node, None, str]:
        """All keys are read, and queries stand behind them: for each sample, how many there are."""
        base, keys = f"{node.outputs[0]}::counts", node.outputs[PRESENT[0]]
        yield Node("Shape", (keys,), (f"{base}::shape",))
        bounds = (f"{PLACES}::two", f"{PLACES}::three")
        yield Node("Slice", (f"{base}::shape", *bounds), (f"{base}::tokens",))
        yield Node("Shape", (node.inputs[0],), (f"{base}::batch",), {"end": 1})
        yield Node("Expand", (f"{base}::tokens", f"{base}::batch"), (base,))
        return base
