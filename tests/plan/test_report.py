"""What a plan says of itself adds up."""

from __future__ import annotations

from hypothesis import given, settings

from pelemay.graph import Graph
from pelemay.plan import plan_graph
from pelemay.plan.report import examine
from support.plans import Builder, graphs


@settings(max_examples=100)
@given(graph=graphs())
def test_the_tensors_at_the_peak_fit_into_its_bytes(graph: Graph) -> None:
    plan = plan_graph(graph)
    report = examine(plan)
    assert len(report["steps"]) == len(graph.nodes)
    peak = report["peak"]
    if peak is None:
        assert report["arena_bytes"] == 0
        return
    assert peak["bytes"] == report["lower_bound_bytes"]
    buffers = {t["buffer"]: t["buffer_bytes"] for t in peak["tensors"]}
    assert sum(buffers.values()) <= peak["bytes"]
    for tensor in peak["tensors"]:
        assert tensor["from_step"] <= peak["step"] <= tensor["to_step"]
        assert tensor["bytes"] <= tensor["buffer_bytes"]


def test_a_value_and_its_views_are_one_row() -> None:
    b = Builder()
    x = b.conv(b.input(1, 4, 4, 8), 8)
    y = b.reshape(x, 1, 16, 8)
    plan = plan_graph(b.graph(b.add("Gather", (y, b.constant([0, 0])), (2, 16, 8), axis=0)))
    peak = examine(plan)["peak"]
    assert [tensor["value"] for tensor in peak["tensors"]] == [x]
    assert peak["tensors"][0]["made_by"] == "pelemay::Conv"
