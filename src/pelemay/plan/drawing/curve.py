r"""Drawings of arena bytes against estimated time: one mark for each plan.

In: :class:`Mark`, from the smallest arena on. Out: lines of text, or an SVG file.

>>> print("\n".join(plain([Mark(1000, 9.0, "a"), Mark(4000, 0.9, "b")], width=7, rows=3)))
●
│
└─────●
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from xml.sax.saxutils import escape

from pelemay.plan.drawing.svg import (
    BOTTOM,
    HEAD,
    HEIGHT,
    LEFT,
    PALETTE,
    RIGHT,
    TOP,
    WIDTH,
    size_text,
)


@dataclass(frozen=True, slots=True)
class Mark:
    """A plan: bytes of its arena, estimated microseconds, and what is said of it."""

    nbytes: int
    micros: float
    label: str


def plain(marks: Sequence[Mark], width: int, rows: int) -> list[str]:
    """Lines of text: bytes to the right, each doubling as wide as the next; time upwards from 0."""
    if not marks:
        return []
    grid = [[" "] * width for _ in range(rows)]
    places = [_cell(marks, mark, width, rows) for mark in marks]
    for (x, y), (next_x, next_y) in pairwise(places):
        for row in range(min(y, next_y), max(y, next_y) + 1):
            grid[row][x] = "│"
        for column in range(x + 1, next_x):
            grid[next_y][column] = "─"
        if next_y != y and next_x > x:
            grid[next_y][x] = "└" if next_y > y else "┌"
    for x, y in places:
        grid[y][x] = "●"
    return ["".join(line).rstrip() for line in grid]


def _cell(marks: Sequence[Mark], mark: Mark, width: int, rows: int) -> tuple[int, int]:
    x = round(_along(marks, mark.nbytes) * (width - 1))
    top = max(m.micros for m in marks)
    y = rows - 1 - round(mark.micros / top * (rows - 1)) if top else rows - 1
    return x, y


def _along(marks: Sequence[Mark], nbytes: float) -> float:
    """Where a number of bytes lies, from 0 to 1."""
    low, high = max(marks[0].nbytes, 1), max(marks[-1].nbytes, 1)
    return math.log(max(nbytes, 1) / low) / math.log(high / low) if high > low else 0.0


def to_svg(marks: Sequence[Mark], title: str) -> str:
    """The same as an SVG document."""
    lines = [HEAD.format(width=WIDTH, height=HEIGHT, left=LEFT, title=escape(title))]
    top = max((mark.micros for mark in marks), default=0.0) or 1.0
    lines += _axes(marks, top)
    places = [(_x(marks, mark.nbytes), _y(mark.micros, top)) for mark in marks]
    steps = [f"{x:.1f},{y:.1f}" for x, y in _stairs(places)]
    lines.append(
        f'<polyline points="{" ".join(steps)}" fill="none" stroke="{PALETTE[0]}" stroke-width="2"/>'
    )
    for mark, (x, y) in zip(marks, places, strict=True):
        lines.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{PALETTE[0]}">'
            f"<title>{escape(mark.label)}</title></circle>"
        )
    return "\n".join([*lines, "</svg>", ""])


def _stairs(places: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """A limit that lies between two plans gets the one before."""
    found = list(places[:1])
    for x, y in places[1:]:
        found += [(x, found[-1][1]), (x, y)]
    return found


def _x(marks: Sequence[Mark], nbytes: float) -> float:
    return LEFT + 12 + (WIDTH - LEFT - RIGHT - 24) * _along(marks, nbytes)


def _y(micros: float, top: float) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM - 8) * micros / top


def _axes(marks: Sequence[Mark], top: float) -> list[str]:
    lines = []
    for part in range(5):
        y = _y(top * part / 4, top)
        lines.append(
            f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" stroke="#dddddd"/>'
            f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end" fill="#555555">'
            f"{top * part / 4000:.3g} ms</text>"
        )
    lines += [
        f'<text x="{_x(marks, nbytes):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle" '
        f'fill="#555555">{size_text(nbytes)}</text>'
        for nbytes in _ticks(marks)
    ]
    middle = (LEFT + WIDTH - RIGHT) / 2
    lines.append(
        f'<text x="{middle:.0f}" y="{HEIGHT - 14}" text-anchor="middle" fill="#555555">'
        "arena, against estimated time</text>"
    )
    return lines


def _ticks(marks: Sequence[Mark]) -> list[int]:
    """Bytes at equal distances, about eight of them."""
    if not marks:
        return []
    low, high = max(marks[0].nbytes, 1), max(marks[-1].nbytes, 1)
    return [round(low * (high / low) ** (part / 8)) for part in range(9)] if high > low else [low]
