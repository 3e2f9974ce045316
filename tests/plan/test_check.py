"""The checker: each way in which a plan can be wrong is found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pelemay.errors import GraphError, PlanError
from pelemay.graph import Graph
from pelemay.plan import Placement, Plan, plan_graph
from pelemay.plan.check import check_plan
from support.plans import Builder, graphs


def plan_of(build: Callable[[Builder], str]) -> Plan:
    b = Builder()
    plan = plan_graph(b.graph(build(b)))
    check_plan(plan)
    return plan


def chain(b: Builder) -> str:
    x = b.conv(b.input(1, 4, 4, 8), 8)
    return b.conv(b.conv(b.relu(x), 8), 2)


def moved(plan: Plan, name: str, **changes: Any) -> Plan:
    placements = {**plan.placements, name: replace(plan.placements[name], **changes)}
    return replace(plan, placements=placements)


def test_overlapping_buffers() -> None:
    plan = plan_of(chain)
    flat = tuple(replace(buffer, offset=0) for buffer in plan.buffers)
    with pytest.raises(PlanError, match="overlap"):
        check_plan(replace(plan, buffers=flat))


def test_a_buffer_beyond_the_arena() -> None:
    plan = plan_of(chain)
    with pytest.raises(PlanError, match="beyond 64"):
        check_plan(replace(plan, arena_bytes=64))


def test_an_offset_that_is_not_aligned() -> None:
    plan = plan_of(chain)
    first, *rest = plan.buffers
    with pytest.raises(PlanError, match="no multiple of 64"):
        check_plan(replace(plan, buffers=(replace(first, offset=first.offset + 4), *rest)))


def test_a_bound_that_is_not_the_bound() -> None:
    plan = plan_of(chain)
    with pytest.raises(PlanError, match="the lower bound is said to be 1"):
        check_plan(replace(plan, lower_bound_bytes=1))


def test_a_buffer_given_up_too_early() -> None:
    plan = plan_of(chain)
    buffers = tuple(replace(b, last=b.first) for b in plan.buffers)
    with pytest.raises(PlanError, match=r"is not held|the lower bound"):
        check_plan(replace(plan, buffers=buffers))


def test_a_value_outside_of_its_buffer() -> None:
    plan = plan_of(chain)
    with pytest.raises(PlanError, match="lies outside its buffer"):
        check_plan(moved(plan, "v0", offset=plan.placements["v0"].offset + 64))


def test_an_order_in_which_a_value_is_read_before_it_is_made() -> None:
    plan = plan_of(chain)
    wrong = replace(plan.graph, nodes=plan.graph.nodes[::-1])
    with pytest.raises(GraphError, match="reads"):
        check_plan(replace(plan, graph=wrong))


def test_an_output_over_an_operand_that_is_read_around_each_element() -> None:
    plan = plan_of(chain)
    x, y = plan.placements["v1"], plan.placements["v2"]
    assert (x.space, y.space) == ("arena", "arena")
    assert x.buffer != y.buffer
    shared = replace(plan, buffers=tuple(replace(b, first=0, last=3) for b in plan.buffers[:1]))
    shared = replace(shared, lower_bound_bytes=plan.buffers[0].nbytes)
    with pytest.raises(PlanError, match="would overwrite operand 'v1'"):
        check_plan(moved(shared, "v2", buffer=x.buffer, offset=x.offset))


def test_a_value_that_is_overwritten_before_its_last_reader() -> None:
    def build(b: Builder) -> str:
        x = b.conv(b.input(1, 4, 4, 8), 8)
        return b.conv(b.conv(b.relu(x), 8, residual=x), 2)

    plan = plan_of(build)
    held = plan.placements["v0"]
    with pytest.raises(PlanError, match=r"overwritten before it is read|would overwrite"):
        check_plan(moved(plan, "v1", buffer=held.buffer, offset=held.offset))


def test_strides_that_a_kernel_does_not_take() -> None:
    def build(b: Builder) -> str:
        x = b.transpose(b.conv(b.input(1, 4, 4, 8), 8), 0, 3, 1, 2)
        return b.add("Softmax", (x,), b.shape(x), axis=-1)

    plan = plan_of(build)
    source = plan.placements["v0"]
    strides = tuple(source.strides[a] for a in (0, 3, 1, 2))
    placements = {**plan.placements, "v1": replace(source, strides=strides)}
    buffers = tuple(replace(b, last=2) if b.name == source.buffer else b for b in plan.buffers)
    with pytest.raises(PlanError, match="the kernel does not take the strides of 'v1'"):
        check_plan(replace(plan, placements=placements, buffers=buffers))


def test_a_write_into_the_callers_input() -> None:
    plan = plan_of(chain)
    with pytest.raises(PlanError, match="written into the caller's memory"):
        check_plan(moved(plan, "v0", space="input", buffer="in0", offset=0))


@settings(max_examples=150)
@given(graph=graphs(), data=st.data())
def test_two_values_in_one_place_are_found(graph: Graph, data: st.DataObject) -> None:
    """Put a buffer where another lies that is held at the same step."""
    plan = plan_graph(graph)
    pairs = [
        (a, b)
        for a in plan.buffers
        for b in plan.buffers
        if a is not b and a.first <= b.last and b.first <= a.last
    ]
    if not pairs:
        return
    a, b = data.draw(st.sampled_from(pairs))
    shift = a.offset - b.offset

    def shifted(place: Placement) -> Placement:
        inside = place.space == "arena" and place.buffer == b.name
        return replace(place, offset=place.offset + shift) if inside else place

    placements = {name: shifted(place) for name, place in plan.placements.items()}
    buffers = tuple(replace(c, offset=a.offset) if c is b else c for c in plan.buffers)
    end = max(c.offset + c.nbytes for c in buffers)
    wrong = replace(plan, placements=placements, buffers=buffers, arena_bytes=end)
    with pytest.raises(PlanError, match="overlap"):
        check_plan(wrong)
