"""A comparison of saved suites for the terminal, and as JSON.

In: a suite, and those before it. Out: text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from io import StringIO
from itertools import groupby
from typing import Any

from pelemay.bench.comparison import (
    METHOD,
    Change,
    compare_suites,
    conclusion,
    differences,
)
from pelemay.bench.suite import Suite

_STYLES = {"less": "green", "more": "red"}


def name_of(suite: Suite) -> str:
    """What a saved suite is called: its tag, or when it was made."""
    return suite.tag or suite.machine.date


def format_comparison(
    suite: Suite, before: Sequence[Suite], *, width: int = 80, color: bool = False
) -> str:
    """What has changed in a suite since others.

    Parameters
    ----------
    suite : Suite
        The later one.
    before : sequence of Suite
        Those that it is compared with.
    width : int
        Characters in a line.
    color : bool
        Whether to use the colours of a terminal.
    """
    from rich.console import Console

    out = StringIO()
    console = Console(file=out, width=width, force_terminal=color, highlight=False, markup=False)
    for earlier in before:
        changes = compare_suites(earlier, suite)
        console.print(_sentence(conclusion(changes, name_of(earlier))), style="bold")
        for difference in differences(earlier.machine, suite.machine):
            console.print(f"The machine has changed: {difference}", style="yellow")
        for title, some in groupby(changes, key=lambda c: f"{c.scenario.job}: {c.scenario.model}"):
            console.print(f"\n{title}", style="bold")
            _print_table(console, list(some), name_of(earlier), name_of(suite))
        console.print()
    console.print(METHOD, style="dim")
    return "\n".join(line.rstrip() for line in out.getvalue().split("\n"))


def _print_table(console: Any, changes: Sequence[Change], before: str, after: str) -> None:
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    for title in ("", "figure", before, after, "ratio", "95%", "p", ""):
        numbers = title in (before, after, "ratio", "95%", "p")
        grid.add_column(title, justify="right" if numbers else "left", overflow="fold")
    for change in changes:
        style = _STYLES.get(change.verdict, "")
        grid.add_row(*cells(change)[:-1], Text(change.verdict, style=style))
    console.print(grid)


def cells(change: Change) -> tuple[str, ...]:
    """A change as cells of a table: who, what, before, after, ratio, interval, p, verdict."""
    ratio = "" if change.ratio is None else f"{change.ratio:.3g}x"
    interval = "" if change.interval is None else "{:.3g}-{:.3g}".format(*change.interval)
    p = "" if change.p is None else f"{change.p:.2g}" if change.p >= 1e-4 else "<0.0001"
    shown = (change.show(change.before), change.show(change.after))
    return (change.scenario.label, change.figure, *shown, ratio, interval, p, change.verdict)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"


def comparison_json(suite: Suite, before: Sequence[Suite]) -> str:
    """The same as JSON: a list with one object for each earlier suite."""
    found = [
        {
            "before": name_of(earlier),
            "after": name_of(suite),
            "machine": differences(earlier.machine, suite.machine),
            "method": METHOD,
            "changes": list(_plain(compare_suites(earlier, suite))),
        }
        for earlier in before
    ]
    return json.dumps(found, indent=1, ensure_ascii=False) + "\n"


def _plain(changes: Sequence[Change]) -> Iterator[dict[str, Any]]:
    for change in changes:
        yield {
            "job": change.scenario.job,
            "model": change.scenario.model,
            "backend": change.scenario.backend,
            "figure": change.figure,
            "before": change.before,
            "after": change.after,
            "ratio": change.ratio,
            "interval": change.interval,
            "p": change.p,
            "verdict": change.verdict,
        }
