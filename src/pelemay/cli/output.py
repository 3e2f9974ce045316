"""What the commands print with: a console, JSON, sizes in words, a progress bar.

>>> size(178_914_043), size(512)
('179 MB', '512 B')
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

PLAIN_WIDTH = 100
"""Columns where the output is not a terminal, and so has no width of its own."""


def console(*, stderr: bool = False) -> Console:
    """A console on stdout or stderr: colours and boxes on a terminal, plain text elsewhere."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else PLAIN_WIDTH
    return Console(file=stream, width=width, highlight=False)


def print_json(value: Any) -> None:
    """Write ``value`` as JSON to stdout; what is not finite becomes null."""
    json.dump(_finite(value), sys.stdout, indent=2, ensure_ascii=False, allow_nan=False)
    sys.stdout.write("\n")


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if isinstance(value, float) and value - value != 0:
        return None
    return value


def table(*headings: str, rows: Sequence[Sequence[str]] = (), right: Sequence[int] = ()) -> Table:
    """A table without a frame; columns in ``right`` are numbers."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    made = Table(box=SIMPLE_HEAD, pad_edge=False)
    for index, heading in enumerate(headings):
        made.add_column(heading, justify="right" if index in right else "left", overflow="fold")
    for row in rows:
        made.add_row(*map(Text, row))
    return made


def size(count: int) -> str:
    """Bytes in the unit that reads best, the same that ``pelemay bench`` prints."""
    from pelemay.bench.units import as_bytes

    return as_bytes(count)


def add_json_flag(parser: argparse.ArgumentParser) -> None:
    """The flag that every command with a table has."""
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
