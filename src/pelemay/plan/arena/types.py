"""What arena planners take and give.

In: nothing. Out: :class:`Block`, a size held over some steps. A planner is a function from blocks
to their offsets, in the same order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple


class Block(NamedTuple):
    """A size that is held from step ``lower`` up to, but without, step ``upper``."""

    lower: int
    upper: int
    size: int


Offsets = list[int]
Planner = Callable[[Sequence[Block]], Offsets]


def height(blocks: Sequence[Block], offsets: Sequence[int]) -> int:
    """Bytes up to the end of the highest block.

    >>> height([Block(0, 1, 4), Block(0, 1, 2)], [2, 0])
    6
    """
    return max((o + b.size for b, o in zip(blocks, offsets, strict=True)), default=0)


def load(blocks: Sequence[Block]) -> int:
    """The largest sum of sizes held at one step; no offsets need less.

    >>> load([Block(0, 2, 4), Block(1, 3, 2), Block(2, 3, 5)])
    7
    """
    changes: dict[int, int] = {}
    for block in blocks:
        if block.lower < block.upper:
            changes[block.lower] = changes.get(block.lower, 0) + block.size
            changes[block.upper] = changes.get(block.upper, 0) - block.size
    held = most = 0
    for step in sorted(changes):
        held += changes[step]
        most = max(most, held)
    return most
