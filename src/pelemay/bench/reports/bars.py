"""Horizontal bars of text.

In: bytes. Out: characters: a full block for anonymous memory, a shaded one for file-backed, and
a mark where the model file's size lies.
"""

from __future__ import annotations

from collections.abc import Sequence

from pelemay.bench.reports.sections import Bar
from pelemay.bench.units import as_bytes

ANONYMOUS, FILE_BACKED, MARK = "█", "▒", "│"
_VALUE = 8


def draw(anonymous: int, file_backed: int, mark: int, *, most: int, width: int) -> str:
    """Draw one bar.

    Parameters
    ----------
    anonymous, file_backed : int
        Bytes of the two parts, in this order.
    mark : int
        Bytes where the mark stands.
    most : int
        Bytes that the full width stands for.
    width : int
        Characters.

    Returns
    -------
    str
        ``width`` characters; a part that is not zero has at least one.

    Examples
    --------
    >>> draw(40, 20, 80, most=100, width=10)
    '████▒▒  │ '
    >>> draw(1, 0, 50, most=1000, width=10)
    '│         '
    """
    full = _length(anonymous, most, width)
    both = max(_length(anonymous + file_backed, most, width), full + bool(file_backed))
    cells = list((ANONYMOUS * full + FILE_BACKED * (both - full))[:width].ljust(width))
    cells[min(width - 1, mark * width // most)] = MARK
    return "".join(cells)


def _length(value: int, most: int, width: int) -> int:
    return max(round(value / most * width), 1) if value else 0


def lines(found: Sequence[Bar], file_bytes: int, width: int) -> list[str]:
    """A line for each scenario, and the legend.

    Parameters
    ----------
    found : sequence of Bar
        At least one.
    file_bytes : int
        Size of the model file.
    width : int
        Characters in a line.
    """
    labels = max(len(bar.label) for bar in found)
    most = max(file_bytes, *(bar.peak for bar in found), 1)
    room = max(10, width - labels - _VALUE - 3)
    drawn = [
        f"{bar.label:<{labels}}  {draw(*bar.parts, file_bytes, most=most, width=room)}"
        f" {as_bytes(bar.peak):>{_VALUE}}"
        for bar in found
    ]
    legend = f"{ANONYMOUS} anonymous  {FILE_BACKED} file-backed"
    return [*drawn, f"{legend}  {MARK} the model file, {as_bytes(file_bytes)}"]
