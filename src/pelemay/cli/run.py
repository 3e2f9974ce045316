"""``pelemay run``: run a model once, on a picture or on arrays."""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from pelemay.cli.output import add_json_flag, console, print_json, table
from pelemay.cli.sources import resolve
from pelemay.errors import InputError

HELP = "Run a model once, on a picture or on arrays."
EXAMPLES = """\
  pelemay run resnet101-v1-7 cat.jpg
  pelemay run model.onnx --input x.npy --output y.npy
  pelemay run model.onnx --input a=left.npy --input b=right.npy --output all.npz
  pelemay run model.onnx --random --backend onnxruntime
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
    parser.add_argument("--top", metavar="K", type=int, default=5, help="classes to show (5)")
    parser.add_argument(
        "--log-ops", action="store_true", help="show each operation: shapes, time, bytes"
    )
    add_json_flag(parser)


def run(args: argparse.Namespace) -> int:
    """Run the model and show its outputs."""
    import numpy as np

    from pelemay import pipeline
    from pelemay.cli import feeds
    from pelemay.session import InferenceSession

    _check_options(args)
    backend, records = _backend(args)
    path = resolve(args.model)
    with console(stderr=True).status(f"preparing {path.name}"):
        begin = time.perf_counter()
        session = InferenceSession(
            path, backend=backend or pipeline.DEFAULT_BACKEND, threads=args.threads
        )
        prepared = time.perf_counter()
    values = feeds.gather(session.model, args.images, args.input, args.random)
    with console(stderr=True).status(f"running {path.name}"):
        started = time.perf_counter()
        names = [arg.name for arg in session.get_outputs()]
        outputs = dict(zip(names, session.run(None, values), strict=True))
        ended = time.perf_counter()
    times = {"prepare_ms": (prepared - begin) * 1e3, "run_ms": (ended - started) * 1e3}
    if args.output:
        write_arrays(Path(args.output), outputs)
    classes = _classes(outputs, args.top) if args.images else None
    if args.json:
        plain = {k: np.asarray(v).tolist() for k, v in outputs.items()} if not classes else None
        print_json(
            {
                "model": str(path),
                "backend": session.backend,
                **times,
                "classes": classes,
                "outputs": plain,
                "operations": records,
            }
        )
        return 0
    if args.log_ops:
        _show_operations(records)
    _show(outputs, classes, wrote=bool(args.output))
    console(stderr=True).print(
        f"{session.backend}: prepared in {times['prepare_ms']:.0f} ms, "
        f"ran in {times['run_ms']:.1f} ms"
    )
    return 0


def _check_options(args: argparse.Namespace) -> None:
    if args.threads is not None and args.threads < 1:
        raise InputError(f"--threads {args.threads}: at least 1")
    if args.output and Path(args.output).suffix not in (".npy", ".npz"):
        raise InputError(f"--output {args.output}: the name must end in .npy or .npz")


def write_arrays(path: Path, arrays: dict[str, Any]) -> None:
    """Write outputs to a ``.npy`` or ``.npz`` file, whole or not at all.

    Raises
    ------
    InputError
        If the folder cannot be written, or several outputs go to one ``.npy`` file.
    """
    import numpy as np

    if path.suffix == ".npy" and len(arrays) != 1:
        raise InputError(f"the model has {len(arrays)} outputs", where=str(path), hint="use .npz")
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                if path.suffix == ".npy":
                    np.save(file, next(iter(arrays.values())), allow_pickle=False)
                else:
                    np.savez(file, allow_pickle=False, **arrays)
            Path(temporary).replace(path)
        finally:
            Path(temporary).unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror}", where=str(path)) from error


def _classes(outputs: dict[str, Any], count: int) -> list[dict[str, Any]] | None:
    """The likeliest classes, where the model has one output of 1000 numbers."""
    from pelemay.models.images import top_classes

    (first, *others) = outputs.values()
    if others or getattr(first, "size", 0) != 1000:
        return None
    return [
        {"index": i, "name": name, "probability": p}
        for i, name, p in top_classes(first.reshape(-1), count)
    ]


def _show(outputs: dict[str, Any], classes: list[dict[str, Any]] | None, *, wrote: bool) -> None:
    out = console()
    if classes:
        rows = [(f"{c['probability']:.1%}", c["name"], str(c["index"])) for c in classes]
        out.print(table("", "class", "index", rows=rows, right=[0, 2]))
        return
    for name, value in outputs.items():
        if not hasattr(value, "shape"):
            out.print(f"{name}: {value}")
            continue
        out.print(f"{name}: {value.dtype}{list(value.shape)}", markup=False)
        if not wrote:
            out.print(str(value), markup=False)


def _show_operations(records: list[dict[str, Any]]) -> None:
    rows = [
        (r["operation"], r["name"], r["shapes"], f"{r['time_ns'] / 1e6:.2f}", f"{r['bytes']:,}")
        for r in records
    ]
    console().print(table("operation", "node", "outputs", "ms", "bytes", rows=rows, right=[3, 4]))


def _backend(args: argparse.Namespace) -> tuple[Any, list[dict[str, Any]]]:
    raise NotImplementedError
