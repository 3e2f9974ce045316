"""What a plan says to people: where every byte goes, step by step, and which step decides.

In: a :class:`~pelemay.plan.Plan`. Out: plain data that JSON can hold.

>>> from pelemay.graph import DType, Graph, Node, TensorType
>>> from pelemay.plan import plan_graph
>>> t = TensorType(DType.FLOAT32, (16,))
>>> nodes = (Node("MatMul", ("x", "x"), ("a",), name="first"), Node("MatMul", ("a", "a"), ("y",)))
>>> report = examine(plan_graph(Graph("g", {"x": t}, {"y": t}, nodes, types={"a": t})))
>>> report["peak"]["node"], report["peak"]["tensors"][0]["value"]
('first', 'a')
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from pelemay.graph import Graph, TensorType, reads
from pelemay.plan.bands.cost import macs_of
from pelemay.plan.facts import Facts
from pelemay.plan.groups import Group, by_node, group_at, groups_of, name_of
from pelemay.plan.lifetimes import live_bytes
from pelemay.plan.types import Buffer, Plan

__all__ = ["examine", "mac_factor", "name_of"]


def examine(plan: Plan) -> dict[str, Any]:
    """Everything that a plan says, as plain data. Steps are counted in nodes.

    Returns
    -------
    dict
        Bytes of arena, bounds, inputs and outputs; ``steps``, one for each node in the planned
        order, or one for all nodes of a chain; ``peak``, the step that needs the most, with the
        tensors alive there; ``buffers``; ``copies``.
    """
    graph, groups = plan.graph, groups_of(plan)
    buffers = by_node(plan, groups)
    profile = live_bytes(buffers, len(graph.nodes))
    return {
        "arena_bytes": plan.arena_bytes,
        "lower_bound_bytes": plan.lower_bound_bytes,
        "order_bound_bytes": plan.order_bound_bytes,
        "input_bytes": _sizes(graph, graph.inputs),
        "output_bytes": _sizes(graph, graph.outputs),
        "peak": _peak(plan, groups, buffers, profile),
        "steps": [_step(plan, group, profile[group.first]) for group in groups],
        "buffers": [_buffer(buffer) for buffer in buffers],
        "copies": [
            {
                "step": c.node,
                "node": name_of(graph.nodes[c.node]),
                "value": c.value,
                "bytes": c.nbytes,
            }
            for c in plan.copies
        ],
    }


def mac_factor(plan: Plan) -> float:
    """Multiply-accumulates of all steps over those of the network; 1 if nothing is done twice.

    Rows that nothing reads may be left out, so that it can be less.
    """
    facts = Facts.of(plan.graph)
    costs = [macs_of(facts, number) for number in range(len(plan.graph.nodes))]
    shares = [Fraction(0)] * len(costs)
    for step in plan.steps:
        made = facts.shapes[plan.graph.nodes[step.node].outputs[0]]
        rows = made[1] if len(made) > 1 else 1
        shares[step.node] += Fraction(step.end - step.begin, rows) if step.is_band else 1
    done = sum(cost * share for cost, share in zip(costs, shares, strict=True))
    return float(done / sum(costs)) if any(costs) else 1.0


def _sizes(graph: Graph, names: Mapping[str, object]) -> dict[str, int]:
    return {name: _nbytes(graph, name) for name in names}


def _nbytes(graph: Graph, name: str) -> int:
    kind = graph.type_of(name)
    count = kind.nbytes if isinstance(kind, TensorType) else None
    return count or 0


def _step(plan: Plan, group: Group, held: int) -> dict[str, Any]:
    names = [n for node in group.nodes for n in node.outputs if n]
    if group.is_chain:
        others = (*plan.graph.nodes[: group.first], *plan.graph.nodes[group.last + 1 :])
        outside = {n for node in others for n in reads(node)}
        names = [n for n in names if n in outside or n in plan.graph.outputs]
    found = {
        "step": group.first,
        "operation": group.nodes[0].qualified,
        "node": name_of(group.nodes[0]),
        "outputs": {name: str(plan.graph.type_of(name)) for name in names},
        "places": {name: _place(plan, name) for name in names},
        "held_bytes": held,
    }
    return {**found, **_chain(group)} if group.is_chain else found


def _chain(group: Group) -> dict[str, Any]:
    """What is said of a chain beside."""
    return {
        "operation": "chain",
        "to_step": group.last,
        "nodes": [name_of(node) for node in group.nodes],
        "bands": group.end - group.begin,
        "rows": group.rows,
        "ring_bytes": group.ring_bytes,
    }


def _place(plan: Plan, name: str) -> dict[str, Any]:
    found = plan.placements[name]
    return {"space": found.space, "buffer": found.buffer, "offset": found.offset}


def _buffer(buffer: Buffer) -> dict[str, Any]:
    return {
        "name": buffer.name,
        "bytes": buffer.nbytes,
        "offset": buffer.offset,
        "first_step": buffer.first,
        "last_step": buffer.last,
    }


def _peak(
    plan: Plan, groups: Sequence[Group], buffers: Sequence[Buffer], profile: list[int]
) -> dict[str, Any] | None:
    """The first step that holds the most, and what it holds; None if the arena is empty."""
    if not plan.buffers:
        return None
    group = group_at(groups, profile.index(max(profile)))
    found = {
        "step": group.first,
        "operation": group.nodes[0].qualified,
        "node": name_of(group.nodes[0]),
        "bytes": profile[group.first],
        "tensors": _tensors(plan, group, buffers),
    }
    return {**found, **_chain(group)} if group.is_chain else found


def _tensors(plan: Plan, group: Group, buffers: Sequence[Buffer]) -> list[dict[str, Any]]:
    """For each buffer held by a group, largest first, the values in it that are alive then."""
    alive = _alive(plan.graph, group)
    rows = []
    for buffer in sorted(buffers, key=lambda b: (-b.nbytes, b.offset)):
        if buffer.first > group.first or buffer.last < group.last:
            continue
        inside = [n for n in alive if _lies_in(plan, n, buffer)]
        # A view says no more than what it is a view of.
        inside.sort(key=lambda n: -_held(plan, n))
        rows += [_tensor(plan, name, buffer) for name in _apart(plan, inside)]
    return rows


def _lies_in(plan: Plan, name: str, buffer: Buffer) -> bool:
    place = plan.placements[name]
    return place.space == "arena" and place.buffer == buffer.name


def _apart(plan: Plan, names: list[str]) -> list[str]:
    """Of values that begin at the same byte, the largest."""
    kept: dict[int, str] = {}
    for name in names:
        kept.setdefault(plan.placements[name].offset, name)
    return list(kept.values())


def _held(plan: Plan, name: str) -> int:
    """Bytes of a value, or of those of its rows that are held."""
    kind, ring = plan.graph.type_of(name), plan.placements[name].ring
    if not ring or not isinstance(kind, TensorType) or kind.shape is None:
        return _nbytes(plan.graph, name)
    sizes = [size for size in kind.shape if isinstance(size, int)]
    return ring * math.prod(sizes[2:]) * kind.dtype.numpy.itemsize


def _tensor(plan: Plan, name: str, buffer: Buffer) -> dict[str, Any]:
    maker = plan.graph.producers[name]
    return {
        "value": name,
        "type": str(plan.graph.type_of(name)),
        "bytes": _held(plan, name),
        "rows": plan.placements[name].ring,
        "made_by": maker.qualified,
        "offset": plan.placements[name].offset,
        "buffer": buffer.name,
        "buffer_bytes": buffer.nbytes,
        "from_step": buffer.first,
        "to_step": buffer.last,
    }


def _alive(graph: Graph, group: Group) -> list[str]:
    """Values that are made no later than a group and read no earlier."""
    made = {n: i for i, node in enumerate(graph.nodes) for n in node.outputs if n}
    last = dict(made)
    for index, node in enumerate(graph.nodes):
        last.update((name, index) for name in reads(node) if name in made)
    return [n for n, first in made.items() if first <= group.last and group.first <= last[n]]
