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
from pelemay.plan.arena.types import Block, Offsets, Planner, height, load

PLANNERS: tuple[Planner, ...] = GREEDY


def plan_offsets(blocks: Sequence[Block], planners: Sequence[Planner] = PLANNERS) -> Offsets:
    """The offsets of the planner that needs the least; the first that reaches the bound ends it.

    Parameters
    ----------
    blocks : sequence of Block
        What must be placed.
    planners : sequence of callable
        Functions from blocks to offsets; all of :data:`PLANNERS` if not given.
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
            break
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
]
