"""A program within a budget: what a run may take, beside what its process holds anyway.

In: a graph that is ready to be planned, and a budget for arena, scratch, inputs, outputs and
weights together. Out: the fastest program that was found to keep to it. More room for the arena
makes larger bands, more room for weights leaves less to be read in each run: both are tried, from
the least arena to that of whole values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from pelemay.errors import MemoryLimitError
from pelemay.graph import DType
from pelemay.plan.bands import Curve, Point
from pelemay.plan.groups import peak_of
from pelemay.program.program import Space
from pelemay.program.scratch import Needs, needs_of

if TYPE_CHECKING:
    from pelemay.graph import Graph
    from pelemay.plan import Plan
    from pelemay.program.program import Program

READ_BYTES_PER_US = 1500.0
"""Of weights, from a disk of 2026 or the memory of a host; a slow card reads a hundredth."""

SHARES = (0.9, 0.7, 0.5, 0.3)
"""Of a budget, that the arena may take; what is left is for weights."""

CROWDING = 1.7
"""Of the budgets of a sweep towards the least: 1 is none."""

BLOCKS = (1 << 20, 1 << 18, 1 << 16)
"""Sizes of blocks that are tried: small ones fit small windows, large ones compute faster."""


class Made(Protocol):
    """A program with what it was made of."""

    @property
    def program(self) -> Program:
        """It."""
        ...


Found = TypeVar("Found", bound=Made)


@dataclass(frozen=True)
class Fitted(Generic[Found]):
    """A program, and what a run of it takes.

    Attributes
    ----------
    made : Made
        The program with what it was made of.
    needs : Needs
        Bytes.
    point : Point
        The plan that it is of.
    block_bytes : int or None
        Of the largest blocks of its weights.
    """

    made: Found
    needs: Needs
    point: Point
    block_bytes: int | None

    @property
    def micros(self) -> float:
        """Estimated time of computing."""
        return self.point.micros

    @property
    def least_bytes(self) -> int:
        """The smallest budget that it can be run with."""
        return self.needs.fixed + self.needs.least

    def within(self, budget: int) -> float:
        """Estimated microseconds of a run that may take so many bytes."""
        return self.micros + _reading(self.needs.most, budget - self.needs.fixed)


class Budgets(Generic[Found]):
    """The programs of a graph within budgets, with the threads of this machine.

    Parameters
    ----------
    graph : Graph
        Every value a tensor of a known size.
    make : callable
        Makes a program of a plan, with blocks of weights of at most so many bytes.
    like : Fitted, optional
        A program of the same weights in the same file: its blocks are taken, so that they are there
        once.
    """

    def __init__(
        self,
        graph: Graph,
        make: Callable[[Plan, int | None], Found],
        like: Fitted[Found] | None = None,
    ) -> None:
        from pelemay.engine import workers_of

        self._like = like

        self.curve = Curve(graph)
        self._make = make
        self._workers = workers_of()

    @cached_property
    def whole(self) -> Fitted[Found]:
        """The program in which all values are whole and all weights stay."""
        return self._fitted(self.curve.whole, None)

    def _fitted(self, point: Point, block_bytes: int | None) -> Fitted[Found]:
        if self._like is not None:
            block_bytes = self._like.block_bytes
        made = self._make(point.plan, block_bytes)
        return Fitted(made, needs_of(made.program, self._workers), point, block_bytes)

    def within(self, budget: int) -> Fitted[Found]:
        """The fastest program that was found to keep to a budget.

        Raises
        ------
        MemoryLimitError
            If there is none: it says the least budget that was found to do.
        """
        whole = self.whole
        if whole.needs.fixed + whole.needs.most <= budget:
            return whole
        best: Fitted[Found] | None = None
        least = whole.needs.fixed + whole.needs.least
        beside = whole.needs.ends
        points = _points(self.curve, budget - beside)
        for point in sorted(points, key=lambda p: _at_best(p, whole.needs, budget)):
            if best is not None and _at_best(point, whole.needs, budget) >= best.within(budget):
                break
            block_bytes = _block_bytes(budget - beside - point.plan.arena_bytes)
            found = self._fitted(point, block_bytes)
            least = min(least, found.least_bytes)
            if found.least_bytes <= budget and (
                best is None or found.within(budget) < best.within(budget)
            ):
                best = found
        return best or self._least(budget, least)

    def _least(self, budget: int, least: int) -> Fitted[Found]:
        """The program of the least arena, with blocks as small as it takes."""
        for block_bytes in BLOCKS:
            found = self._fitted(self.curve.least, block_bytes)
            least = min(least, found.least_bytes)
            if least <= budget:
                return found
        peak = peak_of(self.curve.least.plan)
        raise MemoryLimitError(
            f"a run takes {least:,} bytes at least, {budget:,} are allowed",
            where=peak.label if peak else "",
            hint=f"allow {least:,} bytes{_or_smaller(found.made.program)}",
            least_bytes=least,
        )

    def sweep(self, count: int) -> Iterator[tuple[int, Fitted[Found]]]:
        """Budgets from the least to that of whole values and all weights, each with its program.

        They lie closer together where they are small.
        """
        try:
            low = 0
            self.within(0)
        except MemoryLimitError as error:
            low = error.least_bytes or 0
        high = self.whole.needs.fixed + self.whole.needs.most
        if not 0 < low < high or count < 2:
            yield high, self.whole
            return
        for step in range(count - 1):
            budget = int(low * (high / low) ** ((step / (count - 1)) ** CROWDING))
            yield budget, self.within(budget)
        yield high, self.whole


def _or_smaller(program: Program) -> str:
    """What else would help: weights in fewer bits, where products have panels of more."""
    panels = [x for x in program.tensors if x.space is Space.WEIGHTS and len(x.shape) == 3]
    kinds = {DType.FLOAT32: "f16 or int8", DType.FLOAT16: "int8", DType.BFLOAT16: "int8"}
    widest = next((kind for kind in kinds if any(x.dtype is kind for x in panels)), None)
    return "" if widest is None else f", or store weights as {kinds[widest]}"


def _points(curve: Curve, room: int) -> list[Point]:
    """Plans for a few shares of the room; the others are for weights."""
    found = {curve.least.plan.arena_bytes: curve.least}
    for share in SHARES:
        limit = int(room * share)
        if limit > curve.least.plan.arena_bytes:
            point = curve.within(limit)
            found.setdefault(point.plan.arena_bytes, point)
    return list(found.values())


def _block_bytes(room: int) -> int:
    """The largest blocks whose window would still be small."""
    return next((size for size in BLOCKS if 4 * size <= room), BLOCKS[-1])


def _at_best(point: Point, whole: Needs, budget: int) -> float:
    """A time that a program of this plan cannot be faster than."""
    return point.micros + _reading(whole.most, budget - point.plan.arena_bytes - whole.ends)


def _reading(weights: int, room: int) -> float:
    """Microseconds of reading what of the weights does not stay."""
    return max(0, weights - max(0, room)) / READ_BYTES_PER_US
