"""``pelemay plan --buffers``: offsets for the blocks of a file."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pelemay.cli.output import console, print_json, table
from pelemay.cli.plans import draw
from pelemay.errors import PlanError

if TYPE_CHECKING:
    from pelemay.plan.arena import Block
    from pelemay.plan.arena.files import BlocksFile


def run_blocks(args: argparse.Namespace) -> int:
    """Place the blocks within the capacity; without one, as low as the planners can."""
    from pelemay.cli.plan import write_svg
    from pelemay.plan.arena import check_offsets
    from pelemay.plan.arena.files import read_blocks, write_offsets
    from pelemay.plan.drawing import Picture

    path = Path(args.buffers)
    source = read_blocks(path)
    capacity = source.capacity if args.capacity is None else args.capacity
    begin = time.perf_counter()
    offsets, planner = _placed(source.blocks, capacity, args.seconds)
    seconds = time.perf_counter() - begin
    check_offsets(source.blocks, offsets, capacity)
    if args.offsets:
        write_offsets(Path(args.offsets), source, offsets)
    picture = Picture.of_blocks(source.blocks, offsets, source.names, path.name)
    if args.svg:
        write_svg(args.svg, picture, f"{path.name}: {picture.height:,} bytes")
    findings = _findings(source, offsets, capacity, planner, seconds)
    if args.json:
        print_json(findings)
        return 0
    _show(findings)
    if picture.rectangles:
        draw(console(), picture)
    return 0


def _placed(blocks: Sequence[Block], capacity: int | None, seconds: float) -> tuple[list[int], str]:
    """Offsets, and the name of the planner that found them: a quick one, or the search."""
    from pelemay.plan.arena import PLANNERS, height, load, plan_offsets, search

    if capacity is None:
        offsets = plan_offsets(blocks)
        names = [p.__name__ for p in PLANNERS if p(blocks) == offsets]
        return offsets, names[0] if names else "search"
    tried = [(height(blocks, o := planner(blocks)), planner, o) for planner in PLANNERS]
    reached, planner, offsets = min(tried, key=lambda entry: entry[0])
    if reached <= capacity:
        return offsets, planner.__name__
    least = load(blocks)
    with console(stderr=True).status("searching") as status:
        found = search(
            blocks,
            capacity,
            seconds=seconds,
            progress=lambda made: status.update(f"searching: {made} starts"),
        )
    if found is None:
        what = f"no placement within {capacity:,} bytes was found"
        facts = f"{least:,} are held at one step, and the best placement takes {reached:,}"
        hint = "the blocks cannot fit" if least > capacity else "give it more time: --seconds"
        raise PlanError(f"{what}: {facts}", hint=hint)
    return found, "search"


def _findings(
    source: BlocksFile,
    offsets: Sequence[int],
    capacity: int | None,
    planner: str,
    seconds: float,
) -> dict[str, Any]:
    from pelemay.plan.arena import height, load

    return {
        "blocks": len(source.blocks),
        "capacity_bytes": capacity,
        "height_bytes": height(source.blocks, offsets),
        "lower_bound_bytes": load(source.blocks),
        "planner": planner,
        "seconds": round(seconds, 3),
        "offsets": dict(zip(source.names, offsets, strict=True)),
    }


def _show(findings: dict[str, Any]) -> None:
    capacity = findings["capacity_bytes"]
    rows = [
        ("blocks", f"{findings['blocks']:,}"),
        ("capacity", "not given" if capacity is None else f"{capacity:,}"),
        ("placed within", f"{findings['height_bytes']:,}"),
        ("held at one step", f"{findings['lower_bound_bytes']:,}"),
        ("found by", findings["planner"].replace("_", " ")),
        ("seconds", f"{findings['seconds']:.2f}"),
    ]
    console().print(table("offsets", "", rows=rows, right=[1]))
