"""The checker: each way in which bands can be wrong is found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pelemay.errors import PlanError
from pelemay.graph import DType, Graph, Node, TensorType
from pelemay.plan import Plan, Step
from pelemay.plan.check import check_plan
from pelemay.plan.replay.needs import needs_of
from support.bands import cut_plan
from support.plans import Builder


@pytest.fixture(scope="module")
def plan() -> Plan:
    """Three convolutions of 3x3, one row at a time; v0 and v1 lie in rings of three rows."""
    b = Builder()
    x = b.input(1, 12, 5, 4)
    for _ in range(3):
        x = b.conv(x, 4)
    found = cut_plan(b.graph(x), grain=1)
    check_plan(found)
    assert [found.placements[name].ring for name in ("v0", "v1", "v2")] == [3, 3, 0]
    return found


@pytest.mark.parametrize("name", ["v0", "v1"])
def test_too_few_rows(plan: Plan, name: str) -> None:
    placements = {**plan.placements, name: replace(plan.placements[name], ring=2)}
    with pytest.raises(PlanError, match=r"overwritten|is not held when"):
        check_plan(replace(plan, placements=placements))


def test_rows_of_another_value(plan: Plan) -> None:
    placements = {**plan.placements, "v0": replace(plan.placements["v1"])}
    with pytest.raises(PlanError, match=r"would overwrite|overwritten before"):
        check_plan(replace(plan, placements=placements))


def test_rows_beyond_their_buffer(plan: Plan) -> None:
    placements = {**plan.placements, "v1": replace(plan.placements["v1"], ring=7)}
    with pytest.raises(PlanError, match="lies outside its buffer"):
        check_plan(replace(plan, placements=placements))


@settings(max_examples=100)
@given(data=st.data())
def test_steps_in_another_order(plan: Plan, data: st.DataObject) -> None:
    """A step before one that it needs; those of one node are in order."""
    steps = list(plan.steps)
    at = data.draw(st.integers(0, len(steps) - 2))
    if steps[at].node == steps[at + 1].node:
        expected = "not every row is made once"
    elif steps[at].node < steps[at + 1].node:
        expected = "is not held when it is read|read before it is made"
    else:
        return
    steps[at], steps[at + 1] = steps[at + 1], steps[at]
    with pytest.raises(PlanError, match=expected):
        check_plan(replace(plan, steps=tuple(steps)))


@settings(max_examples=30)
@given(data=st.data())
def test_rows_that_are_made_twice(plan: Plan, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(plan.steps) - 1))
    steps = (*plan.steps[: at + 1], *plan.steps[at:])
    buffers = tuple(replace(b, last=b.last + 1) for b in plan.buffers)
    with pytest.raises(PlanError, match="not every row is made once"):
        check_plan(replace(plan, steps=steps, buffers=buffers))


@settings(max_examples=30)
@given(data=st.data())
def test_rows_that_are_not_made(plan: Plan, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(plan.steps) - 1))
    steps = (*plan.steps[:at], *plan.steps[at + 1 :])
    buffers = tuple(replace(b, last=b.last - 1) for b in plan.buffers)
    expected = "not every row is made once|read before it is made|is not held when it is read"
    with pytest.raises(PlanError, match=expected):
        check_plan(replace(plan, steps=steps, buffers=buffers))


def test_bands_of_what_needs_whole_values() -> None:
    x = TensorType(DType.FLOAT32, (1, 8, 4))
    nodes = (Node("Softmax", ("x",), ("y",), {"axis": 1}),)
    graph = Graph("g", {"x": x}, {"y": x}, nodes)
    steps = tuple(Step(0, row, row + 1) for row in range(8))
    whole = cut_plan(graph, grain=1)
    with pytest.raises(PlanError, match="cannot be done by rows"):
        check_plan(replace(whole, steps=steps))


WINDOWS = st.fixed_dictionaries(
    {
        "kernel": st.integers(1, 5),
        "stride": st.integers(1, 3),
        "dilation": st.integers(1, 2),
        "begin": st.integers(-1, 5),
        "end": st.integers(-1, 5),
        "rows": st.integers(1, 9),
    }
)


@settings(max_examples=100)
@given(window=WINDOWS)
def test_the_rows_of_a_window_are_those_of_the_reference(window: dict[str, int]) -> None:
    """A row of the operand counts where another number in it gives another answer."""
    import array_api_compat.numpy as xp

    from pelemay.graph.operations.fused import conv

    rows, extent = window["rows"], (window["kernel"] - 1) * window["dilation"] + 1
    room = rows + window["begin"] + window["end"] - extent
    if room < 0:
        return
    b = Builder()
    given_as = {
        "strides": (window["stride"], 1),
        "dilations": (window["dilation"], 1),
        "pads": (window["begin"], 0, window["end"], 0),
    }
    w = np.ones((1, 1, window["kernel"], 1), np.float32)
    shape = (1, room // window["stride"] + 1, 1, 1)
    x = b.input(1, rows, 1, 1)
    graph = b.graph(b.add("Conv", (x, b.constant(w)), shape, domain="pelemay", **given_as))
    need = needs_of(graph, graph.nodes[0]).operands[0]
    assert need is not None
    for row in range(rows):
        one = np.zeros((1, rows, 1, 1), np.float32)
        one[0, row] = 1
        reached = np.flatnonzero(conv(xp, one, w, **given_as)[0, :, 0, 0])
        needing = [y for y in range(shape[1]) if row in need.of(y, y + 1)]
        assert reached.tolist() == needing
