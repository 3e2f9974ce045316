"""Networks of 8-bit integers whole, by bands, by slices and streamed: the same bits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import array_api_compat.numpy as xp
import numpy as np
import pytest

from pelemay.engine import Engine, native, open_program
from pelemay.graph import DType, Graph
from pelemay.graph.evaluate import Table, evaluate
from pelemay.plan import Plan, plan_graph
from pelemay.plan.bands import Curve
from pelemay.plan.bands.cost import estimate
from pelemay.plan.check import check_plan
from pelemay.plan.facts import Facts
from pelemay.program.build import build
from pelemay.program.image import image
from pelemay.program.scratch import needs_of
from support.bands import cut_plan
from support.integers import Quantized, network
from support.plans import feeds_of

TYPES = [DType.UINT8, DType.INT8]


def outputs_of(plan: Plan, feeds: dict[str, Any], **how: Any) -> list[Any]:
    """What the engine gives, all on instructions."""
    program = build(plan)
    assert not program.metadata["host"]
    return list(Engine(open_program(image(program)), **how).run(list(feeds.values())))


def expected_of(graph: Graph, feeds: dict[str, Any]) -> list[Any]:
    return list(evaluate(graph, feeds, Table(xp)).values())


def same(found: list[Any], expected: list[Any]) -> None:
    for y, ideal in zip(found, expected, strict=True):
        np.testing.assert_array_equal(y, ideal, strict=True)
        assert len(np.unique(y)) > 5


@pytest.mark.parametrize("dtype", TYPES)
def test_whole(dtype: DType) -> None:
    graph = network(dtype)
    feeds = feeds_of(graph)
    plan = plan_graph(graph)
    check_plan(plan)
    for isa in native().ISAS:
        same(outputs_of(plan, feeds, isa=isa, threads=2), expected_of(graph, feeds))


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("grain", [1, 2, 5])
def test_bands(dtype: DType, grain: int) -> None:
    graph = network(dtype)
    feeds = feeds_of(graph)
    plan = cut_plan(graph, grain)
    check_plan(plan)
    banded = {graph.nodes[step.node].op for step in plan.steps if step.is_band}
    assert banded >= {"QConv", "QBinary", "QTable", "MaxPool", "QAveragePool", "QuantizeLinear"}
    same(outputs_of(plan, feeds, threads=2), expected_of(graph, feeds))


def test_tokens_by_bands() -> None:
    b = Quantized()
    graph = b.graph(b.product(b.softmax(b.table(b.quantized(b.input(1, 50, 30)))), 20))
    plan = cut_plan(graph, 1)
    check_plan(plan)
    banded = {graph.nodes[step.node].op for step in plan.steps if step.is_band}
    assert banded >= {"QMatMul", "QSoftmax"}
    same(outputs_of(plan, feeds_of(graph)), expected_of(graph, feeds_of(graph)))


def test_the_least_memory() -> None:
    graph = network()
    curve, feeds = Curve(graph), feeds_of(graph)
    least, whole = curve.least.plan, curve.whole.plan
    assert least.arena_bytes < 0.6 * whole.arena_bytes
    check_plan(least)
    same(outputs_of(least, feeds), expected_of(graph, feeds))


def test_slices_through_a_window(tmp_path: Path) -> None:
    """Each slice has what its channels need beside their weights; few are held at a time."""
    graph = network()
    feeds, limit = feeds_of(graph), 2000
    program, whole = build(plan_graph(graph), block_bytes=limit), build(plan_graph(graph))
    assert len(program.instructions) > len(whole.instructions)
    panel = 64 * 22
    assert max(block.nbytes for block in program.blocks) <= max(limit, panel)
    path, needs = tmp_path / "sliced.plm", needs_of(program, 2)
    path.write_bytes(image(program))
    assert needs.least < 0.7 * needs.most
    opened = open_program(path, streamed=True)
    engine = Engine(opened, threads=2, weights_bytes=needs.least)
    for _ in range(2):
        same(list(engine.run(list(feeds.values()))), expected_of(graph, feeds))


def test_integers_are_estimated_to_be_faster() -> None:
    b = Quantized()
    graph = b.graph(b.q_conv(b.q_conv(b.input(1, 32, 32, 64, dtype=DType.UINT8), 64), 64))
    real = b.input(1, 32, 32, 64)
    plain = b.graph(b.conv(real, 64))
    times = [estimate(Facts.of(graph), 0), estimate(Facts.of(plain), len(graph.nodes))]
    assert times[0] < 0.6 * times[1]
