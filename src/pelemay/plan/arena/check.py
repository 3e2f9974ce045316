"""The arena's checker: dumber than the planners, and shares nothing with them.

In: blocks and offsets. Out: nothing, or an error that names two blocks that overlap.

>>> check_offsets([Block(0, 2, 4), Block(1, 3, 4)], [0, 2])  # doctest: +ELLIPSIS
Traceback (most recent call last):
pelemay.errors.PlanError: blocks 0 and 1 overlap: ...
"""

from __future__ import annotations

from collections.abc import Sequence

from pelemay.errors import PlanError
from pelemay.plan.arena.types import Block


def check_offsets(
    blocks: Sequence[Block], offsets: Sequence[int], capacity: int | None = None, alignment: int = 1
) -> None:
    """Compare every block with every other.

    Raises
    ------
    PlanError
        If two blocks that are held at the same step share a byte, if one ends beyond the
        capacity, or if an offset is negative or not aligned.
    """
    if len(blocks) != len(offsets):
        raise PlanError(f"{len(blocks)} blocks have {len(offsets)} offsets")
    for i, (block, offset) in enumerate(zip(blocks, offsets, strict=True)):
        if offset < 0 or offset % alignment:
            raise PlanError(f"block {i} lies at {offset}, which is no multiple of {alignment}")
        if capacity is not None and offset + block.size > capacity:
            raise PlanError(f"block {i} ends at {offset + block.size}, beyond {capacity}")
        for j in range(i):
            other, start = blocks[j], offsets[j]
            at_once = block.lower < other.upper and other.lower < block.upper
            if at_once and offset < start + other.size and start < offset + block.size:
                raise PlanError(
                    f"blocks {j} and {i} overlap: {other} at {start}, {block} at {offset}"
                )
