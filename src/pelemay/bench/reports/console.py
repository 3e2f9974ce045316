"""A suite for the terminal: tables, comparison, bars, findings.

In: a suite. Out: text of the given width; plain, or with colours where a terminal shows it.
"""

from __future__ import annotations

from collections.abc import Iterator
from io import StringIO
from itertools import pairwise
from typing import TYPE_CHECKING

from pelemay.bench.finding import findings
from pelemay.bench.reports import bars
from pelemay.bench.reports.sections import Section, Table, agreement, header, sections
from pelemay.bench.suite import Suite

if TYPE_CHECKING:
    from rich.console import Console

_GAP = 2


def format_console(
    suite: Suite, *, width: int = 80, color: bool = False, begun: Suite | None = None
) -> str:
    """The whole report.

    Parameters
    ----------
    suite : Suite
        What was measured.
    width : int
        Characters in a line; tables that are wider are cut into several.
    color : bool
        Whether to use the colours of a terminal.
    begun : Suite, optional
        The suite whose header the reader has seen already; only what has changed is repeated.
    """
    console = _console(width, color)
    _print_header(console, suite, begun)
    if sentence := agreement(suite):
        console.print(f"\n{sentence}")
    for section in sections(suite):
        _print_section(console, section)
    _print_findings(console, suite)
    return _text(console)


def format_header(suite: Suite, *, width: int = 80, color: bool = False) -> str:
    """The machine, the options and the estimated time, to print before measuring."""
    console = _console(width, color)
    _print_header(console, suite)
    return _text(console)


def _console(width: int, color: bool) -> Console:
    from rich.console import Console

    return Console(
        file=StringIO(),
        width=width,
        force_terminal=color,
        color_system="standard" if color else None,
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
    )


def _text(console: Console) -> str:
    """What was printed, without blanks at the ends of lines."""
    printed = console.file
    assert isinstance(printed, StringIO)
    return "\n".join(line.rstrip() for line in printed.getvalue().split("\n"))


def _print_header(console: Console, suite: Suite, begun: Suite | None = None) -> None:
    from rich.table import Table as Grid

    grid = Grid.grid(padding=(0, _GAP, 0, 0))
    seen = header(begun) if begun is not None else []
    for row in header(suite):
        if row not in seen:
            grid.add_row(*row)
    console.print(grid)


def _print_section(console: Console, section: Section) -> None:
    console.print(f"\n{section.title}", style="bold")
    if section.times:
        _print_table(console, section.times)
    if section.comparison:
        console.print("\nComparison:")
        for line in section.comparison:
            console.print(line)
    if section.memory:
        _print_table(console, section.memory)
    if section.bars:
        _print_bars(console, section)
    for number, remark in enumerate(section.remarks):
        console.print("" if number else "\n", remark, sep="", style="yellow")


def _print_table(console: Console, table: Table) -> None:
    from rich.table import Table as Grid

    for part in split(table, console.width):
        grid = Grid(box=None, padding=(0, _GAP, 0, 0), pad_edge=False, header_style="bold")
        for number, title in enumerate(part.header):
            grid.add_column(title, justify="right" if number else "left", no_wrap=True)
        for row in part.rows:
            grid.add_row(*row)
        console.print()
        console.print(grid)


def split(table: Table, width: int) -> Iterator[Table]:
    """Cut a table into tables that fit a width; each repeats the first column.

    Examples
    --------
    >>> parts = split(Table(("", "abc", "de", "f"), (("x", "1", "2", "3"),)), width=8)
    >>> [part.header for part in parts]
    [('', 'abc'), ('', 'de', 'f')]
    """
    columns = list(zip(table.header, *table.rows, strict=True))
    widths = [max(map(len, column)) + _GAP for column in columns]
    starts, used = [1], widths[0]
    for number, needed in enumerate(widths[1:], 1):
        if used + needed > width + _GAP and number > starts[-1]:
            starts.append(number)
            used = widths[0]
        used += needed
    for start, stop in pairwise([*starts, len(columns)]):
        first, *rows = zip(columns[0], *columns[start:stop], strict=True)
        yield Table(first, tuple(rows))


def _print_bars(console: Console, section: Section) -> None:
    console.print("\nPeak resident memory over the baseline:")
    for line in bars.lines(section.bars, section.file_bytes, console.width):
        console.print(line, no_wrap=True, overflow="ignore", crop=False)


def _print_findings(console: Console, suite: Suite) -> None:
    for number, sentence in enumerate(findings(suite)):
        if not number:
            console.print()
        console.print(sentence, style="bold")
