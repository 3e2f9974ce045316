"""A program within a budget: what a run may take, beside what its process holds anyway.

In: a graph that is ready to be planned, and a budget for arena, scratch, inputs, outputs and
weights together. Out: the fastest program that was found to keep to it. More room for the arena
makes larger bands, more room for weights leaves less to be read in each run: both are tried, from
the least arena to that of whole values.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeVar

from pelemay.errors import MemoryLimitError
from pelemay.plan.bands import Curve, Point
from pelemay.plan.groups import peak_of
from pelemay.program.scratch import Needs, needs_of

if TYPE_CHECKING:
    from pelemay.graph import Graph
    from pelemay.plan import Plan
    from pelemay.program.program import Program

READ_BYTES_PER_US = 1500.0
"""Of weights, from a disk of 2026 or the memory of a host; a slow card reads a hundredth."""

SHARES = (0.9, 0.7, 0.5, 0.3)
"""Of a budget, that the arena may take; what is left is for weights."""

BLOCKS = (1 << 20, 1 << 18, 1 << 16)
"""Sizes of blocks that are tried: small ones fit small windows, large ones compute faster."""


class Made(Protocol):
    """A program with what it was made of."""

    @property
    def program(self) -> Program:
        """It."""
        ...


Found = TypeVar("Found", bound=Made)


def within_budget(graph: Graph, budget: int, make: Callable[[Plan, int | None], Found]) -> Found:
    """The fastest program that was found to keep to a budget, with the threads of this machine.

    Parameters
    ----------
    graph : Graph
        Every value a tensor of a known size.
    budget : int
        Bytes.
    make : callable
        Makes a program of a plan, with blocks of weights of at most so many bytes.

    Raises
    ------
    MemoryLimitError
        If there is none: it says the least budget that was found to do.
    """
    from pelemay.engine import workers_of

    workers = workers_of()
    curve = Curve(graph)
    whole = make(curve.whole.plan, None)
    needs = needs_of(whole.program, workers)
    if needs.fixed + needs.most <= budget:
        return whole
    best: tuple[float, Found] | None = None
    least = needs.fixed + needs.least
    beside = needs.ends
    for point in sorted(_points(curve, budget - beside), key=lambda p: _at_best(p, needs, budget)):
        if best is not None and _at_best(point, needs, budget) >= best[0]:
            break
        made = make(point.plan, _block_bytes(budget - beside - point.plan.arena_bytes))
        found = needs_of(made.program, workers)
        least = min(least, found.fixed + found.least)
        time = point.micros + _reading(found.most, budget - found.fixed)
        if found.fixed + found.least <= budget and (best is None or time < best[0]):
            best = time, made
    for block_bytes in BLOCKS if best is None else ():
        made = make(curve.least.plan, block_bytes)
        found = needs_of(made.program, workers)
        least = min(least, found.fixed + found.least)
        if least <= budget:
            return made
    if best is not None:
        return best[1]
    peak = peak_of(curve.least.plan)
    raise MemoryLimitError(
        f"a run takes {least:,} bytes at least, {budget:,} are allowed",
        where=peak.label if peak else "",
        hint=f"allow {least:,} bytes, or store weights as f16 or int8",
        least_bytes=least,
    )


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
