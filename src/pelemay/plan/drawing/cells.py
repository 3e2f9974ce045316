"""A picture as characters of a terminal.

In: a :class:`~pelemay.plan.drawing.Picture` and a size. Out: for each point the number of the
rectangle there, top row first; points are half a character high, so that two of them with
colours share one.

>>> picture = Picture("", 2, 8, (Rectangle("a", 0, 1, 0, 4), Rectangle("b", 1, 2, 4, 8)))
>>> points(picture, width=2, rows=2)
[[None, 1], [0, None]]
>>> plain(picture, width=4, rows=2)
['  ▓▓', '██  ']
"""

from __future__ import annotations

from pelemay.plan.drawing.picture import Picture, Rectangle

Points = list[list[int | None]]

SHADES = "█▓▒░"


def points(picture: Picture, width: int, rows: int) -> Points:
    """The rectangle at each point of a grid; None where the arena holds nothing.

    A point stands for several steps and bytes; it shows what lies in its middle. Rectangles
    that would be missed by all points are shown at the point that is nearest.
    """
    grid: Points = [[None] * width for _ in range(rows)]
    for index, box in enumerate(picture.rectangles):
        for x in _reach(box.first, box.end, picture.steps, width):
            for y in _reach(box.low, box.high, picture.height, rows):
                grid[rows - 1 - y][x] = index
    return grid


def _reach(low: int, high: int, whole: int, count: int) -> range:
    """The points of ``count`` whose middle lies from ``low`` up to ``high``."""
    first = -(-(2 * low * count - whole) // (2 * whole))
    end = -(-(2 * high * count - whole) // (2 * whole))
    return range(max(first, 0), min(end, count))


def plain(picture: Picture, width: int, rows: int) -> list[str]:
    """Lines of text without colours; rectangles that touch differ in their shade."""
    shades = picture.colours(len(SHADES))
    return [
        "".join(" " if i is None else SHADES[shades[i]] for i in line)
        for line in points(picture, width, rows)
    ]


def column_of(picture: Picture, step: int, width: int) -> int:
    """The column that a step's middle lies in.

    >>> column_of(Picture("", 10, 1, ()), 9, 5)
    4
    """
    return (2 * step + 1) * width // (2 * max(picture.steps, 1))


__all__ = ["Picture", "Rectangle", "column_of", "plain", "points"]
