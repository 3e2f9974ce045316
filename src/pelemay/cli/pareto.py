"""``pelemay plan --pareto``: arena bytes against estimated time, from the least arena on."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pelemay.cases import shapes_of
from pelemay.cli.compile import values_of
from pelemay.cli.output import console, print_json, size, table

if TYPE_CHECKING:
    from pelemay.plan.bands import Curve
    from pelemay.plan.drawing.curve import Mark

ROWS = 14
MARGIN = 10


def run_pareto(path: Path, args: argparse.Namespace) -> int:
    """Plan a model for arenas of all sizes."""
    from pelemay import pipeline
    from pelemay.cli.plan import write_text
    from pelemay.importers import load
    from pelemay.plan.drawing.curve import to_svg

    with console(stderr=True).status(f"planning {path.name}"):
        curve = pipeline.curve(load(path), shapes_of(args.shape), values_of(args.value))
        findings = examine(path, curve, check=args.check)
    if args.svg:
        write_text(args.svg, to_svg(marks_of(findings), path.name))
    if args.json:
        print_json(findings)
    else:
        show(findings)
    return 0


def examine(path: Path, curve: Curve, *, check: bool = False) -> dict[str, Any]:
    """The points of the curve as plain data."""
    from pelemay.plan.check import check_plan
    from pelemay.plan.report import examine as examine_plan
    from pelemay.plan.report import mac_factor

    points = curve.points()
    if check:
        for point in points:
            check_plan(point.plan)
    ends = examine_plan(curve.whole.plan)
    return {
        "model": str(path),
        "input_bytes": ends["input_bytes"],
        "output_bytes": ends["output_bytes"],
        "checked": check,
        "points": [
            {
                "arena_bytes": point.plan.arena_bytes,
                "estimated_us": round(point.micros, 1),
                "chains": point.chains,
                "steps": len(point.plan.steps),
                "mac_factor": mac_factor(point.plan),
            }
            for point in points
        ],
    }


def marks_of(findings: dict[str, Any]) -> list[Mark]:
    """What is drawn."""
    from pelemay.plan.drawing.curve import Mark

    return [
        Mark(
            point["arena_bytes"],
            point["estimated_us"],
            f"{point['arena_bytes']:,} bytes, {point['estimated_us'] / 1000:.2f} ms, "
            f"{point['chains']} chains",
        )
        for point in findings["points"]
    ]


def show(findings: dict[str, Any]) -> None:
    """Print the table and the drawing."""
    from pelemay.plan.drawing.curve import plain

    out, points = console(), findings["points"]
    most, fastest = points[-1]["arena_bytes"], points[-1]["estimated_us"]
    rows = [
        (
            f"{point['arena_bytes']:,}",
            f"{point['arena_bytes'] / most:.0%}" if most else "",
            f"{point['estimated_us'] / 1000:.2f}",
            f"{point['estimated_us'] / fastest:.2f}" if fastest else "",
            f"{point['chains']}",
            f"{point['steps']:,}",
            f"{point['mac_factor']:.3f}",
        )
        for point in points
    ]
    headings = ("arena bytes", "of whole", "estimated ms", "times", "chains", "steps", "MAC factor")
    out.print(table(*headings, rows=rows, right=range(len(headings))))
    width = out.width - MARGIN - 2
    for row, line in enumerate(plain(marks_of(findings), width, ROWS)):
        slowest = max(point["estimated_us"] for point in points)
        edge = f"{slowest * (ROWS - 1 - row) / (ROWS - 1) / 1000:.3g} ms" if row % 4 == 0 else ""
        out.print(f"{edge:>{MARGIN - 1}} {line}", no_wrap=True, crop=True, markup=False)
    low, high = size(points[0]["arena_bytes"]), size(most)
    out.print(f"{'0 ms':>{MARGIN - 1}} {'─' * width}", no_wrap=True)
    out.print(" " * MARGIN + low + high.rjust(width - len(low)), no_wrap=True)
    ends = sum(findings["input_bytes"].values()), sum(findings["output_bytes"].values())
    out.print(
        f"Inputs, {ends[0]:,} bytes, and outputs, {ends[1]:,}, are the caller's. Times are "
        "estimates, to compare plans with."
    )
    if findings["checked"]:
        out.print("Every plan was replayed over memory.")
