"""``pelemay tune``: compile a model, each layer in the form that is fastest on this machine."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from pelemay.cli.output import add_json_flag, console, print_json, table
from pelemay.cli.programs import add_model_arguments, output_of, progress_bar
from pelemay.cli.sources import resolve

if TYPE_CHECKING:
    from pelemay.program.tuning import Change, Form

HELP = "Compile a model, with its layers measured on this machine instead of estimated."
EXAMPLES = """\
  pelemay tune resnet50-v1-7 -o resnet50.plm
  pelemay tune model.onnx --threads 1 --rounds 20"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_model_arguments(parser)
    parser.add_argument("--threads", type=int, metavar="N", help="all processors if not given")
    parser.add_argument("--isa", metavar="NAME", help="an instruction set; the best if not given")
    parser.add_argument(
        "--rounds", type=int, default=7, metavar="N", help="runs of each form (default: 7)"
    )
    add_json_flag(parser)


def run(args: argparse.Namespace) -> int:
    """Measure, write, and say what changed."""
    from pelemay import pipeline
    from pelemay.cases import cases_of
    from pelemay.importers import load
    from pelemay.program.tuning import tune
    from pelemay.program.write import write_program

    source = resolve(args.model)
    model = load(source)
    program = pipeline.lower(model, cases_of(args.sizes)[0].shapes)
    with progress_bar(f"measuring the layers of {source.name}") as progress:
        tuned, changes = tune(
            program, threads=args.threads, isa=args.isa, rounds=args.rounds, progress=progress
        )
    written = write_program(tuned, output_of(args, source), source=model)
    if args.json:
        print_json({"file": str(written.path), "changes": [as_data(c) for c in changes]})
    else:
        show(str(written.path), changes)
    return 0


def as_data(change: Change) -> dict[str, Any]:
    """A change as plain data."""
    return {
        "layer": change.name,
        "before": _text(change.before),
        "after": _text(change.after),
        "before_ms": round(change.before_ms, 4),
        "after_ms": round(change.after_ms, 4),
    }


def _text(form: Form) -> str:
    opcode, params = form
    return f"{opcode} {' '.join(map(str, params))}"


def show(path: str, changes: list[Change]) -> None:
    """Print it for people."""
    out = console()
    rows = [
        (c.name, _text(c.before), _text(c.after), f"{c.before_ms:.3f}", f"{c.after_ms:.3f}")
        for c in changes
    ]
    if rows:
        out.print(table("layer", "estimated", "measured", "ms", "ms", rows=rows, right=[3, 4]))
    else:
        out.print("No layer has a form that is faster than the estimated one.")
    out.print(f"written to {path}")
