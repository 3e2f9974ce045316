"""Greedy arena planners: blocks in some order, each at the lowest or tightest gap that is free.

In: blocks. Out: offsets. All are quick; none is best for all graphs.

Sources: greedy by size and by breadth are those of Pisarchyk and Lee, "Efficient memory management
for deep neural net inference", 2020.

>>> by_size([Block(0, 2, 4), Block(1, 3, 6), Block(2, 4, 4)])
[6, 0, 6]
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from pelemay.plan.arena.types import Block, Offsets, load

Key = Callable[[Block], object]


def by_size(blocks: Sequence[Block]) -> Offsets:
    """The largest first."""
    return place(blocks, _ordered(blocks, lambda b: (-b.size, b.lower - b.upper)))


def by_length(blocks: Sequence[Block]) -> Offsets:
    """The longest held first."""
    return place(blocks, _ordered(blocks, lambda b: (b.lower - b.upper, -b.size)))


def by_area(blocks: Sequence[Block]) -> Offsets:
    """The largest product of size and time first."""
    return place(blocks, _ordered(blocks, lambda b: -b.size * (b.upper - b.lower)))


def by_start(blocks: Sequence[Block]) -> Offsets:
    """The first held first, into the tightest gap: what an allocator would do."""
    return place(blocks, _ordered(blocks, lambda b: (b.lower, -b.size)), tightest=True)


def by_conflict(blocks: Sequence[Block]) -> Offsets:
    """Those first that share their time with the most bytes."""
    sums = [sum(o.size for o in blocks if o.lower < b.upper and b.lower < o.upper) for b in blocks]
    return place(blocks, sorted(range(len(blocks)), key=lambda i: (-sums[i], -blocks[i].size)))


def by_pressure(blocks: Sequence[Block]) -> Offsets:
    """The blocks of the fullest step first, largest first; then those of the next fullest."""
    left, order = set(range(len(blocks))), []
    for _, step in sorted(_steps(blocks), reverse=True):
        here = [i for i in left if blocks[i].lower <= step < blocks[i].upper]
        order += sorted(here, key=lambda i: (-blocks[i].size, blocks[i].lower))
        left.difference_update(here)
    return place(blocks, [*order, *sorted(left)])


def place(blocks: Sequence[Block], order: Iterable[int], *, tightest: bool = False) -> Offsets:
    """Give each block of ``order`` the lowest gap that holds it, or the tightest."""
    offsets = [0] * len(blocks)
    placed: list[tuple[int, int, int, int]] = []
    for i in order:
        block = blocks[i]
        taken = sorted(
            (start, end)
            for start, end, lower, upper in placed
            if lower < block.upper and block.lower < upper
        )
        offsets[i] = _gap(taken, block.size, tightest)
        placed.append((offsets[i], offsets[i] + block.size, block.lower, block.upper))
    return offsets


def _gap(taken: list[tuple[int, int]], size: int, tightest: bool) -> int:
    top, best, slack = 0, None, None
    for start, end in taken:
        room = start - top
        if room >= size and (slack is None or room - size < slack):
            best, slack = top, room - size
            if not tightest:
                break
        top = max(top, end)
    return top if best is None else best


def _ordered(blocks: Sequence[Block], key: Callable[[Block], object]) -> list[int]:
    return sorted(range(len(blocks)), key=lambda i: key(blocks[i]))  # type: ignore[arg-type,return-value]


def _steps(blocks: Sequence[Block]) -> list[tuple[int, int]]:
    """For each step where blocks begin: the bytes held then, and the step."""
    starts = sorted({block.lower for block in blocks})
    return [(load([b for b in blocks if b.lower <= s < b.upper]), s) for s in starts]


GREEDY = (by_size, by_length, by_area, by_start, by_conflict, by_pressure)
"""All of them."""
