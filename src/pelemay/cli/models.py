"""``pelemay models``: the networks of the benchmark, and some that embedded people use."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from pelemay.cli.output import add_json_flag, console, print_json, size, table
from pelemay.cli.sources import fetch

HELP = "List the networks to try, fetch them, or say where they lie."
EXAMPLES = """\
  pelemay models list
  pelemay models get resnet101-v1-7          fetch it, or build a stand-in where there is no network
  pelemay models get --stand-in mobilenetv2-7
  pelemay models path resnet101-v1-7         where it lies; exit code 1 if it is not there yet"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    actions = parser.add_subparsers(metavar="list|get|path", required=True, dest="action")
    listing = actions.add_parser("list", help="all networks, and which are here")
    add_json_flag(listing)
    get = actions.add_parser("get", help="fetch networks, and print their paths")
    get.add_argument("names", nargs="+", metavar="NAME")
    which = get.add_mutually_exclusive_group()
    which.add_argument(
        "--stand-in",
        action="store_const",
        const="always",
        dest="stand_in",
        default="auto",
        help="build the stand-in, without asking the network",
    )
    which.add_argument(
        "--original",
        action="store_const",
        const="never",
        dest="stand_in",
        help="fail where the original cannot be fetched",
    )
    path = actions.add_parser("path", help="print where a network lies")
    path.add_argument("name", metavar="NAME")


def run(args: argparse.Namespace) -> int:
    """Do what was asked."""
    return {"list": _list, "get": _get, "path": _path}[args.action](args)


def _list(args: argparse.Namespace) -> int:
    from pelemay import models

    entries = models.available()
    if args.json:
        print_json([_row(entry) for entry in entries])
        return 0
    rows = [
        (entry.name, size(entry.size_bytes), entry.encoding, entry.task, _here(entry))
        for entry in entries
    ]
    console().print(table("name", "size", "encoding", "what it is", "here", rows=rows, right=[1]))
    return 0


def _here(entry: Any) -> str:
    """Which file of a network is in the cache: the original, its stand-in, or none."""
    from pelemay import models

    found = models.path(entry.name)
    if found is None:
        return ""
    return "stand-in" if found.name == entry.stand_in_file_name else "original"


def _row(entry: Any) -> dict[str, Any]:
    from dataclasses import asdict

    from pelemay import models

    here = models.path(entry.name)
    return {**asdict(entry), "path": str(here) if here else None, "here": _here(entry) or None}


def _get(args: argparse.Namespace) -> int:
    for name in args.names:
        print(fetch(name, args.stand_in).path)
    return 0


def _path(args: argparse.Namespace) -> int:
    from pelemay import models

    found = models.path(args.name)
    if found is None:
        print(
            f"pelemay: {args.name} is not here. Get it with 'pelemay models get {args.name}'",
            file=sys.stderr,
        )
        return 1
    print(found)
    return 0
