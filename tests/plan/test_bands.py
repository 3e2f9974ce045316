"""Bands: chains give the numbers of whole layers, at every height and within every limit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import array_api_compat.numpy as xp
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from pelemay.graph import Graph
from pelemay.graph.evaluate import Table, evaluate
from pelemay.plan import Plan, plan_graph
from pelemay.plan.bands import Curve
from pelemay.plan.check import check_plan
from support.bands import cut_plan, images, sequences
from support.planned import Native, run_planned
from support.plans import Builder, feeds_of

RANDOM = settings(
    max_examples=150,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


class Stages:
    """A graph at each stage: what it should give, and what plans of it give."""

    def __init__(self, graph: Graph) -> None:
        self.graph, self.feeds = graph, feeds_of(graph)
        with np.errstate(all="ignore"):
            self.reference = evaluate(graph, self.feeds, Table(xp))
        self.whole = Native(plan_graph(graph))
        self.ideal = self.whole.run(self.feeds)
        same(self.ideal, self.reference, 1e-4)

    def check(self, plan: Plan) -> None:
        """The plan is right, and gives the same over memory and on the engine."""
        check_plan(plan)
        same(run_planned(plan, self.feeds), self.reference, 1e-5)
        native = Native(plan)
        first = native.run(self.feeds)
        same(first, self.ideal, 0 if self.adds_alike(plan, native) else 1e-5)
        same(native.run(self.feeds, threads=3), first, 0)

    def adds_alike(self, plan: Plan, native: Native) -> bool:
        """Whether every sum is made in the same order as with whole layers."""
        gathered = any(plan.graph.nodes[s.node].op == "ReduceMean" for s in plan.steps if s.is_band)
        return not gathered and "winograd" not in native.opcodes | self.whole.opcodes


def same(found: Any, expected: Any, rtol: float) -> None:
    """As numbers, relative to the largest of each value or 1; 0 is to the bit."""
    for name, value in expected.items():
        if not rtol:
            np.testing.assert_array_equal(found[name], value, name, strict=True)
            continue
        finite = np.abs(value[np.isfinite(value)])
        atol = rtol * max(1.0, float(finite.max(initial=0)))
        np.testing.assert_allclose(found[name], value, rtol, atol, strict=True)


@RANDOM
@given(graph=images(), grain=st.integers(1, 13), places=st.lists(st.integers(1, 14), max_size=2))
def test_images_at_every_height(graph: Graph, grain: int, places: list[int]) -> None:
    Stages(graph).check(cut_plan(graph, grain, places))


@RANDOM
@given(graph=sequences(), grain=st.integers(1, 10), places=st.lists(st.integers(1, 14), max_size=2))
def test_tokens_at_every_height(graph: Graph, grain: int, places: list[int]) -> None:
    Stages(graph).check(cut_plan(graph, grain, places))


@RANDOM
@given(graph=st.one_of(images(), sequences()), shares=st.lists(st.floats(0, 1), max_size=2))
def test_every_limit(graph: Graph, shares: list[float]) -> None:
    stages, curve = Stages(graph), Curve(graph)
    least, whole = curve.least.plan, curve.whole.plan
    stages.check(least)
    for share in shares:
        limit = int(least.arena_bytes + share * (whole.arena_bytes - least.arena_bytes))
        plan = curve.within(limit).plan
        assert plan.arena_bytes <= limit
        stages.check(plan)


def test_part_of_an_image_made_higher_only() -> None:
    """The pixels have gaps between them, and the kernel joins no width and channels."""
    b = Builder()
    x = b.slice(b.conv(b.input(1, 6, 3, 4), 4), 3, 1, 3)
    sizes = (1, 9, 3, 2)
    graph = b.graph(b.add("Resize", (x, "", "", b.constant(np.array(sizes))), sizes, mode="linear"))
    Stages(graph).check(plan_graph(graph))


def filtered() -> Graph:
    """Layers that Winograd's filtering computes, with skips."""
    b = Builder()
    x = b.conv(b.input(1, 26, 22, 3), 32, activation="Relu")
    for _ in range(3):
        x = b.conv(b.conv(x, 32, activation="Relu"), 32, residual=x)
    return b.graph(x)


def bottlenecks() -> Graph:
    """Inverted bottlenecks, an image that halves, and a mean at the end."""
    b = Builder()
    x = b.conv(b.input(1, 33, 21, 3), 8)
    for stride in (1, 2, 1, 2):
        front = tuple(-(-n // stride) for n in b.shape(x)[1:3])
        y = b.conv(x, 48, kernel=1, activation="Clip", alpha=0.0, beta=6.0)
        w = b.weights(48, 1, 3, 3)
        shape = (1, *front, 48)
        how = {"strides": (stride, stride), "pads": (1, 1, 1, 1), "group": 48}
        y = b.add("Conv", (y, w), shape, domain="pelemay", **how)
        x = b.conv(y, 8, kernel=1, residual=x if stride == 1 else "")
    axes = b.constant(np.array([1, 2]))
    return b.graph(b.add("ReduceMean", (x, axes), (1, 1, 1, 8), keepdims=1))


def hourglass() -> Graph:
    """Down and up again, with nested skips."""
    b = Builder()
    x, skips = b.input(1, 24, 16, 3), []
    for channels in (8, 16):
        x = b.conv(b.conv(x, channels), channels, activation="Relu")
        skips.append(x)
        shape = (1, *(n // 2 for n in b.shape(x)[1:3]), channels)
        pool = {"kernel_shape": (2, 2), "strides": (2, 2)}
        x = b.add("MaxPool", (x,), shape, domain="pelemay", **pool)
    x = b.conv(x, 32, activation="Relu")
    for skip in reversed(skips):
        shape = b.shape(skip)
        w = b.weights(b.shape(x)[3], shape[3], 2, 2)
        up = b.add("ConvTranspose", (x, w), shape, domain="pelemay", strides=(2, 2))
        x = b.conv(b.concat(skip, up), shape[3], activation="Relu")
    return b.graph(b.conv(x, 2, kernel=1))


@pytest.mark.parametrize("build", [filtered, bottlenecks, hourglass])
def test_networks(build: Callable[[], Graph]) -> None:
    graph = build()
    stages, curve = Stages(graph), Curve(graph)
    assert curve.least.plan.arena_bytes <= 0.75 * curve.whole.plan.arena_bytes
    for point in curve.points(5):
        stages.check(point.plan)
    for grain in (1, 5):
        stages.check(cut_plan(graph, grain))


def test_a_residual_of_which_a_part_is_multiplied_is_not_overwritten() -> None:
    b = Builder()
    x = b.add("MatMul", (b.input(1, 6, 2), b.weights(2, 6)), (1, 6, 6), domain="pelemay")
    inputs = (b.slice(x, 2, 2, 6), b.weights(4, 6), "", x)
    graph = b.graph(b.add("MatMul", inputs, (1, 6, 6), domain="pelemay"))
    for grain in (1, 2, 6):
        Stages(graph).check(cut_plan(graph, grain))
