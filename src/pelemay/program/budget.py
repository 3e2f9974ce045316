"""A program within a budget: what a run may take, beside what its process holds anyway.

In: a graph that is ready to be planned, and a budget for arena, scratch, inputs, outputs and
weights together. Out: the fastest program that was found to keep to it. More room for the arena
makes larger bands, more room for weights leaves less to be read in each run: both are tried, from
the least arena to that of whole values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Protocol, TypeVar

from pelemay.errors import MemoryLimitError
from pelemay.plan.bands import Curve, Point
from pelemay.program.scratch import Needs, needs_of

if TYPE_CHECKING:
    from pelemay.graph import Graph
    from pelemay.plan import Plan
    from pelemay.program.program import Program

READ_BYTES_PER_US = 1500.0
"""Of weights, from a disk of 2026 or the memory of a host; a slow card reads a hundredth."""

MOST_WORKERS = 64

BLOCKS = (1 << 20, 1 << 18, 1 << 16)
"""Sizes of blocks that are tried: small ones fit small windows, large ones compute faster."""


class Made(Protocol):
    """A program with what it was made of."""

    @property
    def program(self) -> Program:
        """It."""
        ...


Found = TypeVar("Found", bound=Made)


def within_budget(
    graph: Graph, budget: int, make: Callable[[Plan, int | None], Found], workers: int = 0
) -> Found:
    """The fastest program that was found to keep to a budget.

    Parameters
    ----------
    graph : Graph
        Every value a tensor of a known size.
    budget : int
        Bytes.
    make : callable
        Makes a program of a plan, with blocks of weights of at most so many bytes.
    workers : int
        Threads that it will run with; those of this machine if 0.

    Raises
    ------
    MemoryLimitError
        If there is none: it says the least budget that was found to do.
    """
    from pelemay.engine import threads_of_machine

    workers = min(workers or threads_of_machine(), MOST_WORKERS)
    curve = Curve(graph)
    whole = make(curve.whole.plan, None)
    needs = needs_of(whole.program, workers)
    if needs.fixed + needs.most <= budget:
        return whole
    best: tuple[float, Found] | None = None
    least = needs.fixed + needs.least
    for point, block_bytes in _candidates(curve, budget):
        made = make(point.plan, block_bytes)
        needs = needs_of(made.program, workers)
        least = min(least, needs.fixed + needs.least)
        time = point.micros + _reading(needs, budget)
        if needs.fixed + needs.least <= budget and (best is None or time < best[0]):
            best = time, made
    if best is not None:
        return best[1]
    raise MemoryLimitError(
        f"a run takes {least:,} bytes at least, {budget:,} are allowed",
        hint=f"allow {least:,} bytes, or store weights as f16 or int8",
        least_bytes=least,
    )


def _candidates(curve: Curve, budget: int) -> Iterator[tuple[Point, int]]:
    """Plans with sizes of blocks: the largest blocks whose window would still be small."""
    yield curve.least, BLOCKS[-1]
    for point in curve.points():
        room = budget - point.plan.arena_bytes
        if room > 0:
            yield point, next((size for size in BLOCKS if 4 * size <= room), BLOCKS[-1])


def _reading(needs: Needs, budget: int) -> float:
    """Microseconds of reading what does not stay."""
    stays = budget - needs.fixed
    return 0.0 if stays >= needs.most else max(0, needs.most - stays) / READ_BYTES_PER_US
