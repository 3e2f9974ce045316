"""From a graph to its plan.

In: a graph with static types, as passes leave it. Out: a :class:`~pelemay.plan.Plan`.

>>> from pelemay.graph import DType, Graph, Node, TensorType
>>> t = TensorType(DType.FLOAT32, (16,))
>>> nodes = (Node("Relu", ("x",), ("a",)), Node("MatMul", ("a", "a"), ("y",)))
>>> plan = plan_graph(Graph("g", {"x": t}, {"y": t}, nodes, types={"a": t}))
>>> plan.arena_bytes, plan.placements["a"].space
(64, 'arena')
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from pelemay.graph import Graph
from pelemay.plan.arena import Block, plan_offsets
from pelemay.plan.assign import Assignment
from pelemay.plan.choose import Choice, choose
from pelemay.plan.facts import Facts
from pelemay.plan.layout import dense_strides
from pelemay.plan.types import ALIGNMENT, Buffer, Copy, Placement, Plan, Space, aligned


def plan_graph(graph: Graph) -> Plan:
    """Choose an order, what shares memory, and where everything lies; all values are whole.

    Parameters
    ----------
    graph : Graph
        Every value a tensor of a known size.

    Raises
    ------
    UnsupportedError
        If a value's size is not known before the run.

    See Also
    --------
    pelemay.plan.bands.plan_within : The same within a limit.
    """
    facts = Facts.of(graph)
    return finish(facts, choose(facts))


def finish(facts: Facts, choice: Choice, offsets: Sequence[int] | None = None) -> Plan:
    """Give the buffers of a choice their offsets: those given, or what the search finds."""
    assignment = choice.assignment
    buffers = _placed(choice.buffers, offsets)
    return Plan(
        graph=replace(facts.graph, nodes=tuple(facts.graph.nodes[i] for i in assignment.order)),
        placements=_placements(facts, assignment, buffers),
        buffers=buffers,
        arena_bytes=max((aligned(buffer.end) for buffer in buffers), default=0),
        lower_bound_bytes=choice.peak_bytes,
        order_bound_bytes=min(choice.order_bound_bytes, choice.peak_bytes),
        copies=_copies(facts, assignment),
    )


def _placed(buffers: Sequence[Buffer], offsets: Sequence[int] | None) -> tuple[Buffer, ...]:
    if offsets is None:
        blocks = [Block(b.first, b.last + 1, aligned(b.nbytes)) for b in buffers]
        offsets = plan_offsets(blocks, alignment=ALIGNMENT)
    return tuple(replace(b, offset=o) for b, o in zip(buffers, offsets, strict=True))


def _placements(
    facts: Facts, assignment: Assignment, buffers: Sequence[Buffer]
) -> Mapping[str, Placement]:
    forest = assignment.forest
    starts = {buffer.name: buffer.offset for buffer in buffers}
    placements = {}
    for name, constant in facts.graph.constants.items():
        placements[name] = Placement("constant", name, 0, dense_strides(constant.shape))
    for name, layout in forest.layouts.items():
        storage = forest.storage_of[name]
        offset = layout.offset * facts.itemsizes[name]
        owner = storage.owner
        space: Space = facts.owners[owner] if owner else "arena"
        if not owner:
            offset += starts.get(storage.root, 0)
        placements[name] = Placement(space, owner or storage.root, offset, layout.strides)
    return placements


def _copies(facts: Facts, assignment: Assignment) -> tuple[Copy, ...]:
    forest = assignment.forest
    copies = []
    for wish in assignment.copied:
        moved = wish.value if wish.kind == "view" else wish.operand
        copies.append(Copy(forest.values[wish.value].made, wish.operand, facts.nbytes(moved)))
    return tuple(copies)
