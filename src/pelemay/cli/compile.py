"""``pelemay compile``: a model into a .plm file, which runs without onnx and without copying."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pelemay.cli.output import add_json_flag, console, print_json, size, table
from pelemay.cli.programs import (
    add_model_arguments,
    add_target_arguments,
    output_of,
    progress_bar,
    rows_of,
    show_fallbacks,
    target_of,
)
from pelemay.cli.sources import resolve
from pelemay.errors import InputError

if TYPE_CHECKING:
    from pelemay.importers import Model
    from pelemay.pipeline import Compiled

HELP = "Compile a model to a .plm file: planned, packed, ready to be mapped and run."
EXAMPLES = """\
  pelemay compile resnet101-v1-7 -o resnet101.plm
  pelemay compile model.onnx                       writes model.plm beside it
  pelemay compile model.onnx --shape x=1x3x224x224
  pelemay compile model.onnx --budget 6MiB         to run in little memory; see 'pelemay plan'
  pelemay compile model.onnx --weights int8        a quarter of the file
  pelemay compile model.onnx --no-fallback         fail if a node has no instruction"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_model_arguments(parser)
    parser.add_argument(
        "--value",
        metavar="NAME=JSON",
        action="append",
        default=[],
        help="the value of an input that decides the sizes of others, such as [1, 128]",
    )
    parser.add_argument(
        "--no-fallback", action="store_true", help="fail if a node has no instruction"
    )
    add_target_arguments(parser)
    parser.add_argument("--into-cache", action="store_true", help=argparse.SUPPRESS)
    add_json_flag(parser)


def run(args: argparse.Namespace) -> int:
    """Compile, and say what came out."""
    from pelemay import pipeline

    if args.into_cache:
        return _into_cache(args)
    source = resolve(args.model)
    started = time.perf_counter()
    with progress_bar(f"compiling {source.name}") as progress:
        compiled = pipeline.compile(
            source,
            output_of(args, source),
            shapes=shapes_of(args.shape),
            values=values_of(args.value),
            target=target_of(args),
            allow_fallback=not args.no_fallback,
            progress=progress,
        )
    findings = examine(compiled, time.perf_counter() - started)
    if args.json:
        print_json(findings)
    else:
        show(findings)
    return 0


def _into_cache(args: argparse.Namespace) -> int:
    """What :func:`pelemay.cache.compiled` asks a child process for: a path or an error, as JSON."""
    from pelemay.cache import error_as_data
    from pelemay.errors import PelemayError

    try:
        print_json({"path": str(_cached(args))})
    except PelemayError as error:
        print_json({"error": error_as_data(error)})
        return 1
    return 0


def _cached(args: argparse.Namespace) -> Path:
    from pelemay import cache, pipeline
    from pelemay.importers import load

    shapes, values = shapes_of(args.shape), values_of(args.value)
    target = target_of(args)

    def compile_to(model: Model, path: Path) -> None:
        with progress_bar(f"compiling {Path(args.model).name}") as progress:
            pipeline.compile(
                model, path, shapes=shapes, values=values, target=target, progress=progress
            )

    return cache.fill(cache.Request(Path(args.model), shapes, values, target), load, compile_to)


def shapes_of(texts: list[str]) -> dict[str, tuple[int, ...]]:
    """What ``--shape`` says.

    >>> shapes_of(["x=1x3x224x224", "scalar="])
    {'x': (1, 3, 224, 224), 'scalar': ()}
    """
    found = {}
    for text in texts:
        name, equals, sizes = text.rpartition("=")
        parts = [part for part in sizes.lower().split("x") if part]
        if not equals or not name or not all(part.isdigit() for part in parts):
            raise InputError(
                f"{text!r} is not a name and a shape", where="--shape", hint="write x=1x3x224x224"
            )
        found[name] = tuple(map(int, parts))
    return found


def values_of(texts: list[str]) -> dict[str, Any]:
    """What ``--value`` says.

    >>> values_of(["shape=[1, 128]"])
    {'shape': [1, 128]}
    """
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        try:
            found[name] = json.loads(value)
        except ValueError:
            equals = ""
        if not equals or not name:
            raise InputError(
                f"{text!r} is not a name and a value", where="--value", hint="write shape=[1,128]"
            )
    return found


def examine(compiled: Compiled, seconds: float) -> dict[str, Any]:
    """Everything that the command says, as plain data."""
    from pelemay.program.describe import summary

    return {
        "file": str(compiled.file.path),
        "file_bytes": compiled.file.nbytes,
        "sha256": compiled.file.sha256,
        "seconds": round(seconds, 3),
        **summary(compiled.program),
    }


def show(findings: dict[str, Any]) -> None:
    """Print it for people."""
    out = console()
    rows = [("file", f"{findings['file']} ({size(findings['file_bytes'])})"), *rows_of(findings)]
    rows.append(("compiled in", f"{findings['seconds']:.1f} s"))
    out.print(table("program", "", rows=rows))
    show_fallbacks(findings)
