"""Offsets of blocks in one arena: several planners, and the best result of them.

In: blocks, each a size and the steps during which it is held. Out: an offset for each.

>>> blocks = [Block(0, 2, 4), Block(1, 3, 4), Block(2, 4, 4)]
>>> height(blocks, plan_offsets(blocks))
8
"""

from __future__ import annotations

from collections.abc import Sequence

from pelemay.plan.arena.check import check_offsets
from pelemay.plan.arena.greedy import GREEDY
from pelemay.plan.arena.search import MAX_BLOCKS, extension, search
from pelemay.plan.arena.types import Block, Offsets, Planner, height, load

PLANNERS: tuple[Planner, ...] = GREEDY
"""The quick ones; where they miss the bound, the search is tried."""

SLACK = (0.0, 0.002, 0.005, 0.01, 0.02, 0.05)
"""By how much of the bound the search may miss it, if it finds nothing tighter."""

ROUNDS = 40


def plan_offsets(
    blocks: Sequence[Block],
    planners: Sequence[Planner] = PLANNERS,
    *,
    alignment: int = 1,
    rounds: int = ROUNDS,
) -> Offsets:
    """The offsets that need the least; the first that reach the bound end the search.

    Parameters
    ----------
    blocks : sequence of Block
        What must be placed; sizes are multiples of the alignment.
    planners : sequence of callable
        Functions from blocks to offsets; all of :data:`PLANNERS` if not given.
    alignment : int
        What offsets are multiples of.
    rounds : int
        Of the search, for each capacity that it tries; 0 for none.
    """
    bound = load(blocks)
    best: Offsets = [0] * len(blocks)
    lowest: int | None = None
    for planner in planners:
        offsets = planner(blocks)
        reached = height(blocks, offsets)
        if lowest is None or reached < lowest:
            best, lowest = offsets, reached
        if lowest <= bound:
            return best
    searchable = rounds and extension() and len(blocks) <= MAX_BLOCKS
    for slack in SLACK if searchable else ():
        capacity = bound + int(bound * slack) // alignment * alignment
        if lowest is not None and capacity >= lowest:
            break
        if found := search(blocks, capacity, rounds):
            return found
    return best


__all__ = [
    "PLANNERS",
    "Block",
    "Offsets",
    "Planner",
    "check_offsets",
    "height",
    "load",
    "plan_offsets",
    "search",
]
