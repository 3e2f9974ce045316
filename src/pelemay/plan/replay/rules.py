"""What can be seen of a plan without a replay.

In: a :class:`~pelemay.plan.Plan`. Out: nothing, or a :class:`~pelemay.errors.PlanError`.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from pelemay.errors import PlanError
from pelemay.graph import Graph, Node, reads
from pelemay.plan.aliasing import Form
from pelemay.plan.arena import Block, check_offsets
from pelemay.plan.replay.memory import nbytes_of, reach_of
from pelemay.plan.replay.moves import moves, row_axis, shape_of
from pelemay.plan.replay.needs import needs_of
from pelemay.plan.types import ALIGNMENT, Plan, aligned


def check_buffers(plan: Plan) -> None:
    """No two buffers overlap, and the bound is what they say it is."""
    blocks = [Block(b.first, b.last + 1, b.nbytes) for b in plan.buffers]
    offsets = [b.offset for b in plan.buffers]
    check_offsets(blocks, offsets, plan.arena_bytes, ALIGNMENT)
    held = np.zeros(len(plan.steps) + 1, np.int64)
    for buffer in plan.buffers:
        held[buffer.first : buffer.last + 1] += aligned(buffer.nbytes)
    most = int(held.max())
    if plan.lower_bound_bytes != most:
        raise PlanError(f"the lower bound is said to be {plan.lower_bound_bytes}, but is {most}")


def check_steps(plan: Plan) -> None:
    """Nothing is done twice: a node is done as a whole, or its rows one after the other.

    What is not done may be a view, or nothing reads it, which the replay finds out.
    """
    done = Counter[int]()
    for step in plan.steps:
        node = plan.graph.nodes[step.node]
        if done[step.node] != step.begin:
            begun = f"rows from {step.begin} on are made when {done[step.node]} are there"
            raise PlanError(f"not every row is made once: {begun}", where=node.label)
        done[step.node] = step.end if step.is_band else -1
        if step.is_band and step.end <= step.begin:
            raise PlanError("a band has no rows", where=node.label)
    for number in {step.node for step in plan.steps if step.is_band}:
        node = plan.graph.nodes[number]
        rows = rows_of(plan.graph, node)
        if done[number] > rows:
            raise PlanError(f"{done[number]} rows are made of {rows}", where=node.label)


def rows_of(graph: Graph, node: Node) -> int:
    """How many rows there are to be made in bands."""
    if moves(graph, node):
        return shape_of(graph, node.outputs[0])[row_axis(graph, node)]
    return needs_of(graph, node).rows


def check_lifetimes(plan: Plan) -> None:
    """A buffer must be held whenever a value that lies in it is written or read."""
    buffers = {buffer.name: buffer for buffer in plan.buffers}
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    for at, step in enumerate(plan.steps):
        node = plan.graph.nodes[step.node]
        bands = (f"{name}::band" for name in node.outputs)
        sums = {name for name in bands if name in plan.placements}
        for name in {*reads(node), *filter(None, node.outputs), *sums}:
            first.setdefault(name, at)
            last[name] = at
    for name in first:
        place = plan.placements[name]
        if place.space != "arena" or not nbytes_of(plan.graph, name):
            continue
        buffer = buffers.get(place.buffer)
        for at in (first[name], last[name]):
            if buffer is None or not buffer.first <= at <= buffer.last:
                raise PlanError(f"'{name}' is used at step {at}, but its buffer is not held")
        assert buffer is not None
        end = place.offset + reach_of(plan, name, place)
        if place.offset < buffer.offset or end > buffer.end:
            raise PlanError(f"'{name}' lies outside its buffer '{buffer.name}'")


def check_forms(plan: Plan, node: Node, form: Form, names: set[str]) -> None:
    """The strides of values must be such as the node's kernel takes."""
    for name in names:
        strides, shape = plan.placements[name].strides, shape_of(plan.graph, name)
        inner = not shape or shape[-1] < 2 or strides[-1] == 1
        dense = _is_dense(shape, strides)
        if not (dense if form is Form.DENSE else inner or form is Form.ANY):
            what = f"the kernel does not take the strides of '{name}'"
            raise PlanError(what, where=node.label)


def _is_dense(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    expected = 1
    for size, stride in zip(reversed(shape), reversed(strides), strict=True):
        if size > 1 and stride != expected:
            return False
        expected *= max(size, 1)
    return True
