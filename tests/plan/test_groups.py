"""A chain is one line for people, however many bands it has."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pelemay.graph import Graph
from pelemay.plan import Plan
from pelemay.plan.drawing import Picture
from pelemay.plan.drawing.curve import Mark, plain
from pelemay.plan.drawing.curve import to_svg as curve_to_svg
from pelemay.plan.drawing.svg import to_svg
from pelemay.plan.groups import by_node, groups_of
from pelemay.plan.report import examine, mac_factor
from support.bands import cut_plan, images
from support.plans import Builder


@pytest.fixture(scope="module")
def plan() -> Plan:
    b = Builder()
    x = b.conv(b.input(1, 32, 8, 4), 8)
    for _ in range(4):
        x = b.conv(x, 8)
    x = b.add("Gather", (x, b.constant([0, 0])), (2, 32, 8, 8), axis=0)
    return cut_plan(b.graph(b.conv(x, 2)), grain=1)


def test_a_chain_is_one_step(plan: Plan) -> None:
    assert len(plan.steps) > 150
    chain, gather, last = examine(plan)["steps"]
    assert (chain["step"], chain["to_step"], chain["operation"]) == (0, 4, "chain")
    assert (chain["bands"], chain["rows"]) == (5 * 32, 1)
    assert chain["ring_bytes"] == 4 * 3 * 8 * 8 * 4
    assert list(chain["outputs"]) == ["v4"]
    assert (gather["step"], last["step"]) == (5, 6)


def test_the_peak_says_which_rows_are_held(plan: Plan) -> None:
    report = examine(plan)
    peak = report["peak"]
    assert peak["bytes"] == report["lower_bound_bytes"]
    assert max(entry["held_bytes"] for entry in report["steps"]) == peak["bytes"]
    chain = report["steps"][0]
    held = sum(b["bytes"] for b in report["buffers"] if b["first_step"] == 0)
    assert chain["held_bytes"] == held
    rings = examine(cut_plan(plan.graph, grain=1))["peak"]["tensors"]
    assert all(t["bytes"] <= t["buffer_bytes"] for t in rings)


def test_the_drawing_is_as_wide_as_the_network(plan: Plan) -> None:
    picture = Picture.of_plan(plan)
    assert picture.steps == len(plan.graph.nodes)
    assert [(span.first, span.end) for span in picture.spans] == [(0, 5)]
    assert "160 bands of 1 row" in picture.spans[0].label
    titles = ElementTree.fromstring(to_svg(picture)).iter("{http://www.w3.org/2000/svg}title")
    assert len(list(titles)) == len(plan.buffers) + 1


@settings(max_examples=50)
@given(graph=images(), grain=st.integers(1, 5))
def test_groups_cover_every_node_and_buffer(graph: Graph, grain: int) -> None:
    plan = cut_plan(graph, grain)
    groups = groups_of(plan)
    nodes = [node for group in groups for node in group.nodes]
    assert nodes == list(plan.graph.nodes)
    assert all(0 <= b.first <= b.last < len(nodes) for b in by_node(plan, groups))
    assert mac_factor(plan) <= 1
    examine(plan)
    to_svg(Picture.of_plan(plan))


def test_a_curve_is_drawn_from_the_least_arena_on() -> None:
    marks = [Mark(1 << i, 100.0 / (i + 1), f"<{i}>") for i in range(10, 20)]
    lines = plain(marks, 60, 12)
    assert sum(line.count("●") for line in lines) == len(marks)
    assert lines[0].startswith("●")
    root = ElementTree.fromstring(curve_to_svg(marks, "a & b"))
    assert len(list(root.iter("{http://www.w3.org/2000/svg}circle"))) == len(marks)
    assert plain(marks[:1], 10, 3)
    assert curve_to_svg(marks[:1], "")
