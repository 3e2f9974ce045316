"""``pelemay check``: whether a .plm file is whole, and whether this engine can run it."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pelemay.cli.output import add_json_flag, console, print_json, size, table
from pelemay.cli.programs import progress_bar, rows_of, show_fallbacks, show_plans

HELP = "Check a .plm file: its hash, the checksum of each block, every instruction."
EXAMPLES = """\
  pelemay check model.plm
  pelemay check model.plm --json"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("file", metavar="FILE", help="a .plm file")
    add_json_flag(parser)


def run(args: argparse.Namespace) -> int:
    """Read all of it; an error says what is damaged."""
    findings = examine(Path(args.file))
    if args.json:
        print_json(findings)
        return 0
    rows = [
        ("file", f"{findings['file']} ({size(findings['file_bytes'])})"),
        ("format", findings["format"]),
        ("SHA-256", findings["sha256"]),
        ("made by", findings["producer"] or "not said"),
        *rows_of(findings),
        ("opened in", f"{findings['open_ms']:.2f} ms"),
    ]
    console().print(table("program", "fine", rows=rows))
    show_plans(findings)
    show_fallbacks(findings)
    return 0


def examine(path: Path) -> dict[str, Any]:
    """Check everything, and say what the file is.

    Raises
    ------
    ModelError
        If it is damaged, of a newer format, or the engine refuses an instruction.
    """
    from pelemay.engine import open_program, plans_of
    from pelemay.program.describe import of_all, summary
    from pelemay.program.read import read_plans, verify

    with progress_bar(f"checking {path.name}") as progress:
        header = verify(path, progress)
    started = time.perf_counter()
    opened = open_program(path)
    open_ms = (time.perf_counter() - started) * 1000
    opened.verify()
    check_sizes(plans_of(opened))
    programs = read_plans(path)
    return {
        "file": str(path),
        "file_bytes": header.file_bytes,
        "format": f"{header.major}.{header.minor}",
        "sha256": header.sha256,
        "open_ms": open_ms,
        **summary(programs[0]),
        **of_all(programs),
    }


def check_sizes(plans: Iterable[Any]) -> None:
    """Have the engine check each plan at each of its sizes."""
    from pelemay.engine import at_size

    for plan in plans:
        for number in range(plan.sizes):
            at_size(plan, number)
