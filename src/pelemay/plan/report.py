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

from collections.abc import Mapping
from typing import Any

from pelemay.graph import Graph, Node, TensorType, reads
from pelemay.plan.lifetimes import live_bytes
from pelemay.plan.types import Buffer, Plan


def examine(plan: Plan) -> dict[str, Any]:
    """Everything that a plan says, as plain data.

    Returns
    -------
    dict
        Bytes of arena, bounds, inputs and outputs; ``steps``, one for each node in the planned
        order; ``peak``, the step that needs the most, with the tensors alive there; ``buffers``;
        ``copies``.
    """
    graph = plan.graph
    profile = live_bytes(plan.buffers, len(graph.nodes))
    return {
        "arena_bytes": plan.arena_bytes,
        "lower_bound_bytes": plan.lower_bound_bytes,
        "order_bound_bytes": plan.order_bound_bytes,
        "input_bytes": _sizes(graph, graph.inputs),
        "output_bytes": _sizes(graph, graph.outputs),
        "peak": _peak(plan, profile),
        "steps": [_step(plan, step, node, profile[step]) for step, node in enumerate(graph.nodes)],
        "buffers": [_buffer(buffer) for buffer in plan.buffers],
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


def name_of(node: Node) -> str:
    """What the model calls a node, or its first output."""
    return node.name or next(filter(None, node.outputs), "")


def _sizes(graph: Graph, names: Mapping[str, object]) -> dict[str, int]:
    return {name: _nbytes(graph, name) for name in names}


def _nbytes(graph: Graph, name: str) -> int:
    kind = graph.type_of(name)
    count = kind.nbytes if isinstance(kind, TensorType) else None
    return count or 0


def _step(plan: Plan, step: int, node: Node, held: int) -> dict[str, Any]:
    return {
        "step": step,
        "operation": node.qualified,
        "node": name_of(node),
        "outputs": {name: str(plan.graph.type_of(name)) for name in node.outputs if name},
        "places": {name: _place(plan, name) for name in node.outputs if name},
        "held_bytes": held,
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


def _peak(plan: Plan, profile: list[int]) -> dict[str, Any] | None:
    """The first step that holds the most, and what it holds; None if the arena is empty."""
    if not plan.buffers:
        return None
    step = profile.index(max(profile))
    node = plan.graph.nodes[step]
    return {
        "step": step,
        "operation": node.qualified,
        "node": name_of(node),
        "bytes": profile[step],
        "tensors": _tensors(plan, step),
    }


def _tensors(plan: Plan, step: int) -> list[dict[str, Any]]:
    """For each buffer held at a step, largest first, the values in it that are alive then."""
    alive = _alive(plan.graph, step)
    rows = []
    for buffer in sorted(plan.buffers, key=lambda b: (-b.nbytes, b.offset)):
        if not buffer.first <= step <= buffer.last:
            continue
        inside = [n for n in alive if _lies_in(plan, n, buffer)]
        # A view says no more than what it is a view of.
        inside.sort(key=lambda n: -_nbytes(plan.graph, n))
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


def _tensor(plan: Plan, name: str, buffer: Buffer) -> dict[str, Any]:
    maker = plan.graph.producers[name]
    return {
        "value": name,
        "type": str(plan.graph.type_of(name)),
        "bytes": _nbytes(plan.graph, name),
        "made_by": maker.qualified,
        "offset": plan.placements[name].offset,
        "buffer": buffer.name,
        "buffer_bytes": buffer.nbytes,
        "from_step": buffer.first,
        "to_step": buffer.last,
    }


def _alive(graph: Graph, step: int) -> list[str]:
    """Values that are made no later than a step and read no earlier."""
    made = {n: i for i, node in enumerate(graph.nodes) for n in node.outputs if n}
    last = dict(made)
    for index, node in enumerate(graph.nodes):
        last.update((name, index) for name in reads(node) if name in made)
    return [name for name, first in made.items() if first <= step <= last[name]]
