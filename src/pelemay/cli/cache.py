"""``pelemay cache``: the programs that models were compiled to, and what they take."""

from __future__ import annotations

import argparse
import time
from typing import Any

from pelemay.cli.output import add_json_flag, console, print_json, size, table

HELP = "List the compiled programs that are kept, remove them, or say where they lie."
EXAMPLES = """\
  pelemay cache list
  pelemay cache clear
  pelemay cache path"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    actions = parser.add_subparsers(metavar="list|clear|path", required=True, dest="action")
    listing = actions.add_parser("list", help="all programs, the one used last first")
    add_json_flag(listing)
    actions.add_parser("clear", help="remove all of them")
    actions.add_parser("path", help="print the folder")


def run(args: argparse.Namespace) -> int:
    """Do what was asked."""
    return {"list": _list, "clear": _clear, "path": _path}[args.action](args)


def _list(args: argparse.Namespace) -> int:
    from pelemay import cache

    found = [_row(entry) for entry in cache.entries()]
    total, limit = sum(row["bytes"] for row in found), cache.limit_bytes()
    if args.json:
        print_json({"programs": found, "bytes": total, "limit_bytes": limit})
        return 0
    rows = [
        (r["model"], r["shapes"], size(r["bytes"]), _ago(r["used"]), r["name"][:12]) for r in found
    ]
    out = console()
    out.print(table("model", "shapes", "size", "used", "file", rows=rows, right=[2]))
    out.print(f"{size(total)} of {size(limit)} in {cache.folder()}")
    return 0


def _row(entry: Any) -> dict[str, Any]:
    from pelemay.errors import ModelError
    from pelemay.program.read import read_metadata

    try:
        found = read_metadata(entry.path)
    except ModelError as error:
        found = {"sources": [{"name": f"damaged: {error.what}"}]}
    shapes = found.get("shapes", {}).items()
    return {
        "model": ", ".join(source["name"] for source in found.get("sources", ())[:1]),
        "shapes": ", ".join(f"{name} {'x'.join(map(str, shape))}" for name, shape in shapes),
        "bytes": entry.nbytes,
        "used": entry.used,
        "name": entry.path.name,
    }


def _ago(moment: float) -> str:
    seconds = max(0, time.time() - moment)
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit} ago"
    return "just now"


def _clear(args: argparse.Namespace) -> int:
    from pelemay import cache

    console().print(f"{size(cache.clear())} freed in {cache.folder()}")
    return 0


def _path(args: argparse.Namespace) -> int:
    from pelemay import cache

    print(cache.folder())
    return 0
