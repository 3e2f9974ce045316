"""``pelemay plan``: what a run will take, to the byte, before anything runs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pelemay.cases import cases_of, shapes_of
from pelemay.cli.compile import values_of
from pelemay.cli.output import add_json_flag, console, print_json
from pelemay.cli.programs import add_target_arguments, target_of
from pelemay.cli.sources import resolve
from pelemay.errors import InputError

if TYPE_CHECKING:
    from pelemay.compilation import Planned
    from pelemay.importers import Model
    from pelemay.plan.drawing import Picture

HELP = "Say what a run will take, to the byte, and which operation decides it."
EXAMPLES = """\
  pelemay plan resnet101-v1-7
  pelemay plan model.onnx --timeline             every operation: bytes held, where its result lies
  pelemay plan model.onnx --svg arena.svg        the drawing, for a browser
  pelemay plan model.onnx --html plan.html       memory over time within several limits, to explore
  pelemay plan model.onnx --arena 2MiB           values a few rows at a time, to keep to a limit
  pelemay plan model.onnx --arena least          the smallest arena
  pelemay plan model.onnx --pareto               all arenas between, against the time they cost
  pelemay plan model.onnx --shape x=1x3x640x640 --json
  pelemay plan model.onnx --dim seq=1..512       the worst case of a range
  pelemay plan --buffers A.1048576.csv           only offsets: blocks of a file, within a capacity
  pelemay plan --buffers blocks.csv --capacity 1048576 --offsets out.csv"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "model", metavar="MODEL", nargs="?", help="an ONNX file, or a name of 'models list'"
    )
    _add_sizes(parser)
    parser.add_argument("--threads", metavar="N", type=int, help="threads that will compute")
    parser.add_argument("--timeline", action="store_true", help="list every operation")
    parser.add_argument("--svg", metavar="FILE", help="write the drawing as SVG")
    parser.add_argument(
        "--html",
        metavar="FILE",
        help="write a page: memory over time, a slider for the limit, all layers",
    )
    parser.add_argument(
        "--limits", metavar="N", type=int, default=8, help="limits that the page has plans for (8)"
    )
    parser.add_argument(
        "--check", action="store_true", help="replay the plan over memory, and say if it is right"
    )
    parser.add_argument(
        "--pareto",
        action="store_true",
        help="arenas from the least to that of whole values, against estimated time",
    )
    add_target_arguments(parser)
    blocks = parser.add_argument_group("blocks instead of a model")
    blocks.add_argument("--buffers", metavar="FILE", help="a CSV file: id,lower,upper,size")
    blocks.add_argument(
        "--capacity", metavar="BYTES", type=int, help="if it is not in the name of the file"
    )
    blocks.add_argument(
        "--seconds", metavar="S", type=float, default=60.0, help="how long to search (60)"
    )
    blocks.add_argument("--offsets", metavar="FILE", help="write the blocks with their offsets")
    add_json_flag(parser)


def _add_sizes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--shape",
        metavar="NAME=1x3x224x224",
        action="append",
        default=[],
        help="the shape of an input whose sizes the model leaves open; else they become 1",
    )
    parser.add_argument(
        "--dim",
        metavar="NAME=SIZE",
        action="append",
        default=[],
        help="what a size that has a name is; of a range such as 1..512, the largest is planned",
    )
    parser.add_argument(
        "--value",
        metavar="NAME=JSON",
        action="append",
        default=[],
        help="the value of an input that decides the sizes of others, such as [1, 128]",
    )


def run(args: argparse.Namespace) -> int:
    """Plan a model, or place the blocks of a file."""
    if (args.model is None) == (args.buffers is None):
        raise InputError(
            "give a model, or --buffers with a file of blocks, not both",
            hint="see 'pelemay plan --help'",
        )
    if args.threads is not None and args.threads < 1:
        raise InputError(f"--threads {args.threads}: at least 1")
    if args.buffers:
        from pelemay.cli.blocks import run_blocks

        return run_blocks(args)
    return _run_model(args)


def _run_model(args: argparse.Namespace) -> int:
    from pelemay.cli import plans
    from pelemay.plan.drawing import Picture

    path = resolve(args.model)
    if path.suffix == ".plm":
        raise InputError(
            "a compiled program keeps no plan",
            where=str(path),
            hint="give the model that it was compiled from; 'pelemay inspect' shows its arena",
        )
    if args.html:
        return _write_page(path, args)
    if args.pareto:
        from pelemay.cli.pareto import run_pareto

        return run_pareto(path, args)
    with console(stderr=True).status(f"planning {path.name}"):
        planned = _planned(path, args)
        findings = examine(path, planned, args.threads)
        if args.check:
            from pelemay.plan.check import check_plan

            check_plan(planned.plan)
            findings["checked"] = True
    if args.svg:
        arena = f"{path.name}: arena {planned.plan.arena_bytes:,} bytes"
        write_svg(args.svg, Picture.of_plan(planned.plan), arena)
    if args.json:
        print_json(findings)
        return 0
    plans.show(findings, Picture.of_plan(planned.plan), timeline=args.timeline)
    return 0


def _write_page(path: Path, args: argparse.Namespace) -> int:
    """The page of plans; it is said where it is, and what it says."""
    from pelemay.views import plans

    if args.arena or args.block_bytes or args.pareto:
        raise InputError(
            "a page has plans of all arenas", hint="give a limit of the whole run with --budget"
        )
    with console(stderr=True).status(f"planning {path.name}") as status:
        made = plans(
            path,
            shapes_of(args.shape),
            values_of(args.value),
            limits=args.limits,
            memory_limit=args.budget,
            weights=args.weights,
            progress=lambda done, of: status.update(f"planning {path.name}: {done} of {of} limits"),
        )
    file = made.save(args.html)
    if args.json:
        print_json({"model": str(path), "page": str(file), "limits": list(made.limits)})
    else:
        console().print(f"{file}: {made.finding}", markup=False, soft_wrap=True)
    return 0


def _shapes(model: Model, args: argparse.Namespace) -> dict[str, tuple[int, ...]]:
    """What open inputs are bound to: one set, of a range that of the largest size."""
    from pelemay import pipeline

    given = (("shape", args.shape), ("dim", args.dim))
    cases = cases_of([(kind, text) for kind, texts in given for text in texts])
    if len(cases) > 1:
        raise InputError("there is one plan to show", where="--dim", hint="name one number each")
    return pipeline.bound_shapes(model, cases[0], cases[0].count - 1)


def _planned(path: Path, args: argparse.Namespace) -> Planned:
    from pelemay import pipeline
    from pelemay.importers import load

    model, values = load(path), values_of(args.value)
    shapes = _shapes(model, args)
    if args.arena == "least":
        least = pipeline.curve(model, shapes, values).least.plan.arena_bytes
        args.arena = str(least)
    return pipeline.plan(model, shapes, values, target_of(args))


def examine(path: Path, planned: Planned, threads: int | None) -> dict[str, Any]:
    """Everything that the command says of a model, as plain data."""
    from pelemay.engine import workers_of
    from pelemay.plan.report import examine as examine_plan
    from pelemay.plan.report import mac_factor
    from pelemay.program.describe import fallbacks
    from pelemay.program.scratch import scratch_bytes

    workers = workers_of(threads)
    return {
        "model": str(path),
        "threads": workers,
        "scratch_bytes": scratch_bytes(planned.program, workers),
        "weights_bytes": planned.program.weights_bytes,
        "shapes": dict(planned.program.metadata.get("shapes", {})),
        "fallbacks": fallbacks(planned.program.metadata),
        "mac_factor": mac_factor(planned.plan),
        **examine_plan(planned.plan),
    }


def write_svg(file: str, picture: Picture, title: str) -> None:
    """Write a picture for a browser."""
    from dataclasses import replace

    from pelemay.plan.drawing.svg import to_svg

    write_text(file, to_svg(replace(picture, title=title)))


def write_text(file: str, text: str) -> None:
    """Write a file.

    Raises
    ------
    InputError
        If it cannot be written.
    """
    try:
        Path(file).write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"it cannot be written: {error}", where=file) from error
