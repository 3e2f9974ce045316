"""``pelemay compile``: a model into a .plm file, which runs without onnx and without copying."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pelemay.cases import cases_of
from pelemay.cli.output import add_json_flag, console, print_json, size, table
from pelemay.cli.programs import (
    add_case_arguments,
    add_model_arguments,
    add_target_arguments,
    output_of,
    progress_bar,
    rows_of,
    show_fallbacks,
    show_plans,
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
  pelemay compile model.onnx --shape x=1x3x224x224 --and --shape x=1x3x320x320
  pelemay compile model.onnx --dim batch=1,4,8     three plans in one file, the weights once
  pelemay compile model.onnx --dim seq=1..128      one plan for all lengths
  pelemay compile model.onnx --budget 6MiB         to run in little memory; see 'pelemay plan'
  pelemay compile model.onnx --weights int8        a quarter of the file, and what that costs
  pelemay compile decoder.onnx --context 512       a language model: see 'run a language model'
  pelemay compile model.onnx --no-fallback         fail if a node has no instruction"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_model_arguments(parser)
    add_case_arguments(parser)
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
    parser.add_argument(
        "--context",
        metavar="N",
        type=int,
        help="of a language model with a cache: room for N tokens, and one plan for every token",
    )
    parser.add_argument(
        "--prompt",
        metavar="N",
        type=int,
        help="with --context: tokens of a prompt that are read at once (32)",
    )
    parser.add_argument(
        "--batch", metavar="N", type=int, default=1, help="with --context: texts side by side (1)"
    )
    parser.add_argument(
        "--samples",
        metavar="FILE",
        help="inputs to measure with what --weights costs: .npz, or .npy of the only input",
    )
    parser.add_argument(
        "--no-samples", action="store_true", help="do not measure what --weights costs"
    )
    parser.add_argument("--into-cache", action="store_true", help=argparse.SUPPRESS)
    add_json_flag(parser)


def run(args: argparse.Namespace) -> int:
    """Compile, and say what came out."""
    from pelemay import pipeline
    from pelemay.importers import load

    if args.into_cache:
        return _into_cache(args)
    source = resolve(args.model)
    started = time.perf_counter()
    model = load(source)
    losses = Losses(args, model) if args.weights != "f32" and args.context is None else None
    compile_to: Callable[..., Compiled] = pipeline.compile
    options: dict[str, Any] = {"cases": cases_of(args.sizes), "values": values_of(args.value)}
    if args.context is not None:
        compile_to, options = _as_decoder(args)
    with progress_bar(f"compiling {source.name}") as progress:
        compiled = compile_to(
            model,
            output_of(args, source),
            target=target_of(args),
            allow_fallback=not args.no_fallback,
            progress=progress,
            **options,
        )
    findings = examine(compiled, time.perf_counter() - started)
    if losses is not None:
        findings.update(losses.measure(compiled.file.path))
    if args.json:
        print_json(findings)
    else:
        show(findings)
    return 0


def _as_decoder(args: argparse.Namespace) -> tuple[Callable[..., Compiled], dict[str, Any]]:
    """How a language model is compiled for a context."""
    from pelemay.decoding import Context
    from pelemay.decoding.compiling import compile_decoder
    from pelemay.decoding.sizes import PROMPT

    if args.sizes or args.value:
        what = "the shapes of a language model follow from its context"
        raise InputError(what, where="--context", hint="leave out --shape, --dim and --value")
    prompt = args.prompt or min(PROMPT, max(1, args.context - 1))
    return compile_decoder, {"context": Context(args.context, prompt, args.batch)}


class Losses:
    """What other weights than float32 cost: prepared before anything is written."""

    def __init__(self, args: argparse.Namespace, model: Model) -> None:
        from pelemay import pipeline
        from pelemay.cli.losses import samples_of

        self.model, self.inputs = model, "given" if args.samples else "random"
        shapes = pipeline.bound_shapes(model, cases_of(args.sizes)[0])
        self.plain = pipeline.lower(model, shapes, values_of(args.value))
        self.samples: list[dict[str, Any]] = []
        self.reason = ""
        if args.no_samples:
            return
        try:
            self.samples = samples_of(self.plain, args.samples)
        except InputError as error:
            if args.samples:
                raise
            self.reason = str(error)

    def measure(self, path: Path) -> dict[str, Any]:
        """Bytes of the float32 form, and how far its answers are away."""
        from pelemay.cli.losses import accuracy, file_bytes

        found: dict[str, Any] | None = {"reason": self.reason} if self.reason else None
        if self.samples:
            with console(stderr=True).status("comparing the answers with those of f32"):
                found = accuracy(self.model, self.plain, path, self.samples)
            found["inputs"] = self.inputs
        return {"f32_file_bytes": file_bytes(self.plain), "accuracy": found}


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

    shapes, values = cases_of(args.sizes)[0].shapes, values_of(args.value)
    target = target_of(args)

    compiler: Callable[..., Compiled] = pipeline.compile
    options: dict[str, Any] = {"shapes": shapes, "values": values}
    context = None
    if args.context is not None:
        compiler, options = _as_decoder(args)
        size = options["context"]
        context = size.tokens, size.prompt, size.batch

    def compile_to(model: Model, path: Path) -> None:
        with progress_bar(f"compiling {Path(args.model).name}") as progress:
            compiler(model, path, target=target, progress=progress, **options)

    request = cache.Request(Path(args.model), shapes, values, target, context)
    return cache.fill(request, load, compile_to)


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
    from pelemay.program.describe import of_all, summary

    return {
        "file": str(compiled.file.path),
        "file_bytes": compiled.file.nbytes,
        "sha256": compiled.file.sha256,
        "seconds": round(seconds, 3),
        **summary(compiled.program),
        **of_all(compiled.programs),
    }


def show(findings: dict[str, Any]) -> None:
    """Print it for people."""
    out = console()
    rows = [("file", f"{findings['file']} ({size(findings['file_bytes'])})"), *rows_of(findings)]
    if "f32_file_bytes" in findings:
        from pelemay.cli.losses import rows_of as rows_of_losses

        rows[1:1] = rows_of_losses(findings)
    rows.append(("compiled in", f"{findings['seconds']:.1f} s"))
    out.print(table("program", "", rows=rows))
    show_plans(findings)
    show_fallbacks(findings)
