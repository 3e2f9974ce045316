"""What is drawn: rectangles of time and bytes.

In: a plan, or blocks with offsets. Out: a :class:`Picture`.

>>> picture = Picture.of_blocks([Block(0, 2, 8)], [0], ["a"])
>>> picture.steps, picture.height
(1, 8)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pelemay.plan.arena.types import Block, height
from pelemay.plan.groups import by_node, groups_of, peak_of
from pelemay.plan.types import Plan


@dataclass(frozen=True)
class Rectangle:
    """A buffer: steps from ``first`` up to ``end``, bytes from ``low`` up to ``high``."""

    name: str
    first: int
    end: int
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Span:
    """Steps from ``first`` up to ``end`` that are done together, and what is said of them."""

    first: int
    end: int
    label: str


@dataclass(frozen=True)
class Picture:
    """An arena over time.

    Attributes
    ----------
    title : str
        What it is of.
    steps : int
        Steps from left to right; of a plan its nodes, also where many bands make them.
    height : int
        Bytes from bottom to top.
    rectangles : tuple of Rectangle
        No two of them overlap.
    labels : tuple of str
        What happens at each step; may be empty.
    peak : int or None
        The step that holds the most.
    spans : tuple of Span
        Chains of nodes.
    """

    title: str
    steps: int
    height: int
    rectangles: tuple[Rectangle, ...]
    labels: tuple[str, ...] = ()
    peak: int | None = None
    spans: tuple[Span, ...] = ()

    @classmethod
    def of_plan(cls, plan: Plan) -> Picture:
        """The arena of a plan."""
        groups = groups_of(plan)
        buffers = by_node(plan, groups)
        rectangles = tuple(Rectangle(b.name, b.first, b.last + 1, b.offset, b.end) for b in buffers)
        count = len(plan.graph.nodes)
        peak = peak_of(plan)
        most = peak.first if peak else None
        labels = tuple(group.label for group in groups for _ in group.nodes)
        spans = tuple(
            Span(g.first, g.last + 1, f"{g.label}: {g.pace}") for g in groups if g.is_chain
        )
        return cls(plan.graph.name, count, plan.arena_bytes, rectangles, labels, most, spans)

    @classmethod
    def of_blocks(
        cls, blocks: Sequence[Block], offsets: Sequence[int], names: Sequence[str], title: str = ""
    ) -> Picture:
        """Blocks at offsets; steps at which nothing begins or ends are left out."""
        edges = sorted({edge for block in blocks for edge in (block.lower, block.upper)})
        at = {edge: index for index, edge in enumerate(edges)}
        rectangles = tuple(
            Rectangle(name, at[block.lower], at[block.upper], low, low + block.size)
            for name, block, low in zip(names, blocks, offsets, strict=True)
        )
        return cls(title, max(len(edges) - 1, 0), height(blocks, offsets), rectangles)

    def colours(self, count: int) -> tuple[int, ...]:
        """A number below ``count`` for each rectangle; those that touch differ where possible."""
        chosen: list[int] = []
        for index, one in enumerate(self.rectangles):
            taken = [
                chosen[i] for i, other in enumerate(self.rectangles[:index]) if _touch(one, other)
            ]
            chosen.append(min(range(count), key=lambda c: (taken.count(c), (c - index) % count)))
        return tuple(chosen)


def _touch(a: Rectangle, b: Rectangle) -> bool:
    return a.first <= b.end and b.first <= a.end and a.low <= b.high and b.low <= a.high
