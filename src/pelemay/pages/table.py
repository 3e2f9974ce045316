"""Tables that sort by a click, or by Enter on a heading.

In: columns and rows of cells. Out: HTML. What is sorted by is the cell's value, not its text.

>>> rows = [[Cell("naive"), Cell("2.5 GB", 2.5e9)], [Cell("native"), Cell("12 MB", 12e6)]]
>>> made = table("Memory", [Column("backend"), Column("allocated", is_number=True)], rows)
>>> made.count("<tr>"), 'data-value="12000000"' in made
(3, True)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pelemay.pages.html import Html, element, join


@dataclass(frozen=True)
class Column:
    """A column: its heading, and what the heading says when it is pointed at."""

    title: str
    tip: str = ""
    is_number: bool = False


@dataclass(frozen=True)
class Cell:
    """A cell; ``value`` is what it is sorted by, its text if None. ``html`` stands for the text."""

    text: str
    value: float | None = None
    tip: str = ""
    html: Html | None = None


def table(
    caption: str,
    columns: Sequence[Column],
    rows: Sequence[Sequence[Cell]],
    *,
    row_keys: Sequence[str] = (),
) -> Html:
    """Make a table; its first column stays in sight when the others are scrolled.

    Parameters
    ----------
    caption : str
        What it shows, for those who do not see it.
    columns : sequence of Column
        From left to right.
    rows : sequence of sequences of Cell
        One cell for each column.
    row_keys : sequence of str
        Becomes ``data-key`` of the rows, for scripts.
    """
    head = join(map(_heading, columns))
    keys = row_keys or [""] * len(rows)
    body = join(_row(columns, row, key) for row, key in zip(rows, keys, strict=True))
    made = element(
        "table",
        element("caption", caption, class_="unseen"),
        element("thead", element("tr", head)),
        element("tbody", body),
        class_="sortable",
    )
    return element("div", made, class_="scroll", tabindex="0", role="region", aria_label=caption)


def _heading(column: Column) -> Html:
    button = element("button", column.title, type="button", data_tip=column.tip or None)
    return element(
        "th",
        button,
        scope="col",
        class_="number" if column.is_number else None,
        aria_sort="none",
    )


def _row(columns: Sequence[Column], row: Sequence[Cell], key: str) -> Html:
    cells = [_cell(*pair, index) for index, pair in enumerate(zip(columns, row, strict=True))]
    return element("tr", *cells, data_key=key or None)


def _cell(column: Column, cell: Cell, index: int) -> Html:
    given: dict[str, str | None] = {
        "class_": "number" if column.is_number else None,
        "data_value": None if cell.value is None else f"{cell.value:.15g}",
        "data_tip": cell.tip or None,
    }
    content = cell.text if cell.html is None else cell.html
    if index:
        return element("td", content, **given)
    return element("th", content, scope="row", **given)
