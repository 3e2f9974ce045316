"""``pelemay report``: saved figures of the benchmark as tables, Markdown, JSON or a page."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from typing import TYPE_CHECKING

from pelemay.cli.output import add_json_flag, console

if TYPE_CHECKING:
    from pelemay.bench import Suite

HELP = "Show saved figures of the benchmark, or what has changed between them."
EXAMPLES = """\
  pelemay report bench-results/before.json        what 'bench --save before' has measured
  pelemay report before.json after.json           what has changed, and whether by chance
  pelemay report before.json after.json --html changes.html

Of several files the last is compared with each of the others. --html writes a page with
pictures, which needs nothing else."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("files", metavar="FILE", nargs="+", help="what 'bench --save' has written")
    parser.add_argument("--html", metavar="PAGE", help="write a page with pictures")
    parser.add_argument("--markdown", action="store_true", help="print Markdown (one file only)")
    add_json_flag(parser)


def run(args: argparse.Namespace) -> int:
    """Read, compare, print."""
    from pelemay.bench import Suite, format_html
    from pelemay.cli.plan import write_text

    *before, suite = [Suite.load(path) for path in args.files]
    if args.html:
        write_text(args.html, format_html(suite, before))
        console(stderr=True).print(f"written: {args.html}", markup=False)
    if not args.html or args.json or args.markdown:
        sys.stdout.write(_text(suite, before, args))
    return 0


def _text(suite: Suite, before: list[Suite], args: argparse.Namespace) -> str:
    from pelemay.bench import format_console, format_json, format_markdown
    from pelemay.bench.reports.compared import comparison_json, format_comparison

    out = console()
    if args.json:
        return comparison_json(suite, before) if before else format_json(suite)
    if args.markdown:
        return format_markdown(suite.compared_with(before))
    show = format_console if not before else partial(format_comparison, before=before)
    return show(suite, width=out.width, color=out.is_terminal)


__all__ = ["configure", "run"]
