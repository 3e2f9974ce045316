"""Plans within a limit, the least one, and all between: arena bytes against time.

In: a graph. Out: plans whose arena is at most so large.

>>> from pelemay.graph import DType, Graph, Node, TensorType
>>> x = TensorType(DType.FLOAT32, (1, 64, 64, 8))
>>> pool = {"kernel_shape": (3, 3), "strides": (1, 1), "pads": (1, 1, 1, 1)}
>>> nodes = (
...     Node("MaxPool", ("x",), ("a",), pool, "pelemay"),
...     Node("MaxPool", ("a",), ("b",), pool, "pelemay"),
...     Node("MaxPool", ("b",), ("y",), pool, "pelemay"),
... )
>>> graph = Graph("g", {"x": x}, {"y": x}, nodes, types={"a": x, "b": x})
>>> plan_least(graph).arena_bytes, plan_within(graph, 1 << 20).arena_bytes
(12288, 262144)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from pelemay.errors import MemoryLimitError
from pelemay.graph import Graph
from pelemay.plan.again import Recipe
from pelemay.plan.bands.again import BandedRecipe
from pelemay.plan.bands.choose import Cut, Cutter
from pelemay.plan.bands.contract import plan_cut
from pelemay.plan.choose import choose
from pelemay.plan.facts import Facts
from pelemay.plan.groups import peak_of
from pelemay.plan.planner import finish
from pelemay.plan.types import Plan

TRIES = 8
"""Plans that are made in search of one within a limit: what a cut takes is known only then."""

POINTS = 12
"""Of a curve."""


@dataclass(frozen=True)
class Point:
    """A plan, and its estimated time.

    Attributes
    ----------
    plan : Plan
        What it is.
    micros : float
        An estimate, to compare with others of the same graph.
    cut : Cut, optional
        The chains; None where all values are whole.
    """

    plan: Plan
    micros: float
    cut: Cut | None = None

    @property
    def chains(self) -> int:
        """How many there are."""
        return len(self.cut.bands) if self.cut else 0


class Curve:
    """All plans of one graph: the smaller the arena, the longer the time.

    Parameters
    ----------
    graph : Graph
        Every value a tensor of a known size.

    Raises
    ------
    UnsupportedError
        If a value's size is not known before the run.
    """

    def __init__(self, graph: Graph) -> None:
        self.facts = Facts.of(graph)
        self._choice = choose(self.facts)

    @cached_property
    def whole(self) -> Point:
        """The plan in which all values are whole."""
        cutter = self._cutter
        micros = sum(map(cutter.whole, range(len(cutter.order))))
        return Point(finish(self.facts, self._choice), micros)

    @cached_property
    def _cutter(self) -> Cutter:
        return Cutter(self._choice)

    @cached_property
    def least(self) -> Point:
        """The plan of the smallest arena."""
        cut = self._cutter.cut(self._cutter.least())
        points = [self.whole] if cut is None else [self.whole, self._point(cut)]
        return min(points, key=lambda point: point.plan.arena_bytes)

    def _point(self, cut: Cut) -> Point:
        if not cut.bands:
            return self.whole
        plan = plan_cut(self.facts, self._cutter.order, cut)
        return Point(plan, cut.micros, cut)

    def recipe(self, point: Point) -> Recipe | BandedRecipe:
        """What was decided for a plan, to be had for smaller sizes too."""
        if point.cut is None:
            return Recipe(self._choice, point.plan)
        return BandedRecipe.of(self.facts, self._cutter.order, point.cut)

    def within(self, limit: int) -> Point:
        """The fastest plan that was found whose arena is at most so large.

        Raises
        ------
        MemoryLimitError
            If there is none.
        """
        if self.whole.plan.arena_bytes <= limit:
            return self.whole
        aim = limit
        for _ in range(TRIES):
            cut = self._cutter.cut(aim)
            if cut is None:
                break
            point = self._point(cut)
            if point.plan.arena_bytes <= limit:
                return point
            aim -= max(point.plan.arena_bytes - limit, aim >> 8)
        if self.least.plan.arena_bytes <= limit:
            return self.least
        least, peak = self.least.plan.arena_bytes, peak_of(self.least.plan)
        raise MemoryLimitError(
            f"values need {least:,} bytes at least, {limit:,} are allowed",
            where=peak.label if peak else "",
            hint=f"allow {least:,} bytes for the arena",
            least_bytes=least,
        )

    def points(self, count: int = POINTS) -> list[Point]:
        """From the least arena to that of whole values; none is both larger and slower."""
        low, high = self.least.plan.arena_bytes, self.whole.plan.arena_bytes
        ratio = high / low if low else 1.0
        limits: Sequence[int] = [int(low * ratio ** (i / (count - 1))) for i in range(1, count - 1)]
        found = [self.least, *map(self.within, limits), self.whole]
        kept: list[Point] = []
        for point in found:
            if not kept or point.plan.arena_bytes > kept[-1].plan.arena_bytes:
                kept.append(point)
        best: list[Point] = []
        for point in reversed(kept):
            if not best or point.micros > best[-1].micros:
                best.append(point)
        return best[::-1]


def plan_within(graph: Graph, limit: int) -> Plan:
    """The fastest plan that was found whose arena is at most ``limit`` bytes.

    Raises
    ------
    MemoryLimitError
        If there is none: its hint has the least that there is one for.
    UnsupportedError
        If a value's size is not known before the run.
    """
    return Curve(graph).within(limit).plan


def plan_least(graph: Graph) -> Plan:
    """The plan of the smallest arena that was found.

    Raises
    ------
    UnsupportedError
        If a value's size is not known before the run.
    """
    return Curve(graph).least.plan
