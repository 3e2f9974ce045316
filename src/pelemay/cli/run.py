"""``pelemay run``: run a model once, on a picture or on arrays."""

from __future__ import annotations

import argparse
import os
import sys
import time
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple

from pelemay.cli.output import add_json_flag, console, print_json, table
from pelemay.cli.sources import resolve
from pelemay.errors import InputError
from pelemay.target import WEIGHTS

if TYPE_CHECKING:
    from pelemay.backends import Backend, OperationEntry

HELP = "Run a model once, on a picture or on arrays."
EXAMPLES = """\
  pelemay run resnet101-v1-7 cat.jpg
  pelemay run model.onnx --input x.npy --output y.npy
  pelemay run model.onnx --input a=left.npy --input b=right.npy --output all.npz
  pelemay run model.onnx --random --backend onnxruntime
  pelemay run model.plm --random --memory-limit 32MiB
  pelemay run model.onnx --random --log-ops    each operation: shapes, time, bytes"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("model", metavar="MODEL", help="an ONNX file, or a name of 'models list'")
    parser.add_argument("images", metavar="PICTURE", nargs="*", help="a picture for each input")
    parser.add_argument(
        "--input",
        metavar="[NAME=]FILE",
        action="append",
        default=[],
        help=".npy, or .npz with a value for each input name",
    )
    parser.add_argument(
        "--random",
        metavar="SEED",
        nargs="?",
        type=int,
        const=0,
        help="make up the inputs that have no value",
    )
    parser.add_argument("--output", metavar="FILE", help="write the outputs to .npy or .npz")
    parser.add_argument("--backend", metavar="NAME", help="see 'pelemay doctor'")
    parser.add_argument("--threads", metavar="N", type=int, help="threads to compute with")
    parser.add_argument(
        "--memory-limit",
        metavar="SIZE",
        help="what the whole process may hold, such as 48MiB, or 'auto'; refused if it cannot be",
    )
    parser.add_argument(
        "--weights", choices=WEIGHTS, help="what the weights of an ONNX file are stored as (f32)"
    )
    parser.add_argument("--top", metavar="K", type=int, default=5, help="classes to show (5)")
    parser.add_argument(
        "--log-ops",
        action="store_true",
        help="show each operation: shapes, time, bytes; on the reference backend if none is named",
    )
    add_json_flag(parser)
    parser.set_defaults(logs=_logs)


def _logs(args: argparse.Namespace) -> bool:
    """Whether anything may be logged: not where a compiled program runs."""
    return not args.model.endswith(".plm")


def run(args: argparse.Namespace) -> int:
    """Run the model and show its outputs."""
    from dataclasses import asdict

    from pelemay.cli import answers

    _check_options(args)
    backend, entries = _backend(args)
    ran = _run_once(args, backend)
    if args.output:
        answers.write(args.output, ran.outputs)
    classes = answers.classes(ran.outputs, args.top) if args.images else None
    if args.json:
        operations = [asdict(entry) for entry in entries]
        print_json({**ran.summary, **answers.plain(ran.outputs, classes), "operations": operations})
        return 0
    if args.log_ops:
        _show_operations(entries)
    answers.show(ran.outputs, classes, values=not args.output)
    times = "{backend}: prepared in {prepare_ms:.0f} ms, ran in {run_ms:.1f} ms"
    print(times.format(**ran.summary), file=sys.stderr)
    return 0


class _Ran(NamedTuple):
    """What came out of a run, and what it was."""

    outputs: dict[str, Any]
    summary: dict[str, Any]


def _run_once(args: argparse.Namespace, backend: Backend) -> _Ran:
    from pelemay.cli import feeds
    from pelemay.session import InferenceSession

    # Without pathlib: with what it imports, it takes 0.6 MiB.
    path = args.model if os.path.exists(args.model) else resolve(args.model)  # noqa: PTH110
    options = {"memory_limit": args.memory_limit, "weights": args.weights}
    given = {name: value for name, value in options.items() if value}
    feeds.import_for(args.images, args.input, args.random)
    with _waiting(args, f"preparing and running {args.model}"):
        begin = time.perf_counter()
        session = InferenceSession(path, backend=backend, threads=args.threads, **given)
        prepared = time.perf_counter()
        values = feeds.gather(session.signature, args.images, args.input, args.random)
        started = time.perf_counter()
        results = session.run(None, values)
        ended = time.perf_counter()
    names = [arg.name for arg in session.get_outputs()]
    summary = {
        "model": str(path),
        "backend": session.backend,
        "prepare_ms": (prepared - begin) * 1e3,
        "run_ms": (ended - started) * 1e3,
    }
    return _Ran(dict(zip(names, results, strict=True)), summary)


def _waiting(args: argparse.Namespace, what: str) -> AbstractContextManager[object]:
    """A sign of life on a terminal; under a limit, none of the memory goes into it."""
    if args.memory_limit or not sys.stderr.isatty():
        return nullcontext()
    return console(stderr=True).status(what)


def _check_options(args: argparse.Namespace) -> None:
    if args.threads is not None and args.threads < 1:
        raise InputError(f"--threads {args.threads}: at least 1")
    if args.output and not args.output.endswith((".npy", ".npz")):
        raise InputError(f"--output {args.output}: the name must end in .npy or .npz")


def _show_operations(entries: list[OperationEntry]) -> None:
    rows = [
        (e.operation, e.name, ", ".join(e.outputs), f"{e.time_ns / 1e6:.2f}", f"{e.output_bytes:,}")
        for e in entries
    ]
    console().print(table("operation", "node", "outputs", "ms", "bytes", rows=rows, right=[3, 4]))


def _backend(args: argparse.Namespace) -> tuple[Any, list[OperationEntry]]:
    """The backend to run on, and the list that its operations are logged to."""
    from pelemay import backends, pipeline

    backend = backends.get(
        args.backend or ("reference" if args.log_ops else pipeline.DEFAULT_BACKEND)
    )
    entries: list[OperationEntry] = []
    return (backends.logged(backend, entries.append) if args.log_ops else backend), entries
