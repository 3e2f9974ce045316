"""``pelemay quantize``: a model in 8-bit integers, by onnxruntime's tools, and what that costs."""

from __future__ import annotations

import argparse
import io
import logging
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pelemay.cli.output import add_json_flag, console, print_json, size, table
from pelemay.cli.programs import AddSize
from pelemay.cli.sources import resolve
from pelemay.errors import BackendUnavailableError, InputError, ModelError

if TYPE_CHECKING:
    from pelemay.cli.calibration import Sample
    from pelemay.importers import Model

HELP = "Quantize a model to 8-bit integers, and say what the answers lose."
EXAMPLES = """\
  pelemay quantize model.onnx -o model.int8.onnx --calibrate pictures/
  pelemay quantize model.onnx -o q.onnx --calibrate samples.npz --per-channel
  pelemay quantize model.onnx -o q.onnx --calibrate pictures/ --method entropy --format qoperator
  pelemay quantize bert.onnx -o q.onnx --dynamic"""

METHODS = {"minmax": "MinMax", "entropy": "Entropy", "percentile": "Percentile"}
FORMATS = {"qdq": "QDQ", "qoperator": "QOperator"}
TYPES = {"int8": "QInt8", "uint8": "QUInt8", "int16": "QInt16", "uint16": "QUInt16"}
WEIGHTS = {**TYPES, "int4": "QInt4", "uint4": "QUInt4"}
"""What each option says, as onnxruntime's tool names it."""

RANDOM_SAMPLES = 16
OLDEST = 13
"""The operator set in which scales for each channel came."""
MOST_BYTES = 2_000_000_000
"""Of weights in the model's own file, which must stay below 2 GiB; more lie beside it."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("model", metavar="MODEL", help="an ONNX file, or a name of 'models list'")
    parser.add_argument("-o", "--output", metavar="FILE", required=True, help="where to write")
    parser.add_argument(
        "--calibrate",
        metavar="FOLDER",
        help="samples to find the range of each value with: a folder of pictures, .npy and .npz, "
        "or one such file; every fifth is held out, to compare the answers on",
    )
    parser.add_argument(
        "--dynamic",
        action="store_true",
        help="weights only: ranges of other values are found in each run",
    )
    parser.add_argument("--format", choices=FORMATS, default="qdq", help="default: qdq")
    parser.add_argument("--method", choices=METHODS, default="minmax", help="default: minmax")
    parser.add_argument(
        "--per-channel", action="store_true", help="weights have a scale for each output channel"
    )
    parser.add_argument("--weight-type", choices=WEIGHTS, default="int8", help="default: int8")
    parser.add_argument("--activation-type", choices=TYPES, default="uint8", help="default: uint8")
    parser.add_argument(
        "--exclude", metavar="NODE", action="append", default=[], help="a node that stays as it is"
    )
    parser.set_defaults(sizes=[])
    parser.add_argument(
        "--shape",
        metavar="NAME=1x3x224x224",
        action=AddSize,
        help="the shape of an input whose sizes the model leaves open",
    )
    add_json_flag(parser)


def run(args: argparse.Namespace) -> int:
    """Quantize, write, compare."""
    tool = _tool()
    source, target = resolve(args.model), Path(args.output)
    if not args.dynamic and not args.calibrate:
        raise InputError(
            "the ranges of values are not known",
            hint="give samples with --calibrate FOLDER, or --dynamic to find ranges in each run",
        )
    if not target.parent.is_dir():
        raise InputError("there is no such folder", where=str(target.parent))
    model, calibrating, held = prepared(args, source)
    with tempfile.TemporaryDirectory(prefix=".pelemay-", dir=target.parent) as folder:
        made = Path(folder) / target.name
        with _translated(source, verbose=args.verbose):
            _quantize(tool, args, model, source, made, calibrating)
        found = compared(args, model, made, held)
        for file in reversed(_files_of(made)):
            file.chmod(made.stat().st_mode)  # the tool lets only its user read the weights
            file.replace(target.with_name(file.name))
    findings = {
        "file": str(target),
        "file_bytes": _bytes_of(target),
        "original_bytes": _bytes_of(source),
        "calibrated_with": len(calibrating),
        **found,
    }
    if args.json:
        print_json(findings)
    else:
        show(findings)
    return 0


def _tool() -> Any:
    try:
        import onnxruntime.quantization as tool
        from onnxruntime.quantization import shape_inference
    except ImportError as error:
        raise BackendUnavailableError(
            f"quantizing needs onnxruntime, which is not here: {error}",
            hint="pip install 'pelemay[onnxruntime]'",
        ) from error
    assert shape_inference is not None
    return tool


def prepared(args: argparse.Namespace, source: Path) -> tuple[Model, list[Sample], list[Sample]]:
    """The model, samples to calibrate with, and those that are held out."""
    from pelemay import pipeline
    from pelemay.cases import cases_of
    from pelemay.cli.calibration import parted, random_samples, samples_in
    from pelemay.importers import load

    model = load(source)
    shapes = pipeline.bound_shapes(model, cases_of(args.sizes)[0])
    kinds = {name: _bound(kind, shapes.get(name)) for name, kind in model.graph.inputs.items()}
    if not args.calibrate:
        return model, [], random_samples(kinds, RANDOM_SAMPLES)
    samples = samples_in(Path(args.calibrate), kinds)
    calibrating, held = parted(samples)
    return (model, [], samples) if args.dynamic else (model, calibrating, held)


def _bound(kind: Any, shape: tuple[int, ...] | None) -> Any:
    """A type whose open sizes are 1, or those of a shape."""
    from pelemay.graph import TensorType

    if not isinstance(kind, TensorType) or kind.shape is None:
        return kind
    sizes = shape or tuple(size if isinstance(size, int) else 1 for size in kind.shape)
    return TensorType(kind.dtype, sizes)


@contextmanager
def _translated(source: Path, *, verbose: bool) -> Iterator[None]:
    """What the tool raises, in our words; what it warns of only where that is asked for."""
    logging.disable(logging.NOTSET if verbose else logging.WARNING)
    try:
        # The tool prints; what goes to standard output here is ours.
        with redirect_stdout(sys.stderr if verbose else io.StringIO()):
            yield
    except (MemoryError, InputError):
        raise
    except Exception as error:
        what = f"onnxruntime's tool cannot quantize it: {error}"
        raise ModelError(what, where=str(source), hint="--verbose shows what it says") from error
    finally:
        logging.disable(logging.NOTSET)


def _files_of(path: Path) -> list[Path]:
    """A model's file and those of its weights."""
    tensors = _head(path).graph.initializer
    entries = (entry for tensor in tensors for entry in tensor.external_data)
    names = {entry.value for entry in entries if entry.key == "location"}
    return [path, *(path.with_name(name) for name in sorted(names))]


def _bytes_of(path: Path) -> int:
    return sum(file.stat().st_size for file in _files_of(path))


def _quantize(
    tool: Any,
    args: argparse.Namespace,
    model: Model,
    source: Path,
    target: Path,
    samples: list[Sample],
) -> None:
    """Bring the model into the form that the tool wants, and let it quantize that."""
    from onnxruntime.quantization.shape_inference import quant_pre_process

    from pelemay.cli.calibration import Reader

    large = model.nbytes > MOST_BYTES
    ready, newer = (target.with_name(f".{kind}.onnx") for kind in ("ready", "newer"))
    where = {"save_as_external_data": True, "all_tensors_to_one_file": True} if large else {}
    quant_pre_process(_of_new_set(source, newer, large=large), ready, True, **where)
    options: dict[str, Any] = {
        "use_external_data_format": large,
        "per_channel": args.per_channel,
        "weight_type": tool.QuantType[WEIGHTS[args.weight_type]],
        "nodes_to_exclude": args.exclude,
    }
    if args.dynamic:
        tool.quantize_dynamic(ready, target, **options)
        return
    tool.quantize_static(
        ready,
        target,
        Reader(samples),
        quant_format=tool.QuantFormat[FORMATS[args.format]],
        activation_type=tool.QuantType[TYPES[args.activation_type]],
        calibrate_method=tool.CalibrationMethod[METHODS[args.method]],
        **options,
    )


def _of_new_set(source: Path, newer: Path, *, large: bool) -> Path:
    """The model in an operator set that has scales for each channel."""
    import onnx
    from onnx.version_converter import convert_version

    opsets = {entry.domain: entry.version for entry in _head(source).opset_import}
    if opsets.get("", OLDEST) >= OLDEST:
        return source
    if large:
        what = f"operator set {opsets['']} is too old for a model of more than 2 GB"
        raise InputError(what, where=str(source), hint=f"export it for {OLDEST} or newer")
    onnx.save(convert_version(onnx.load(source), OLDEST), newer)
    return newer


def _head(source: Path) -> Any:
    import onnx

    return onnx.load(source, load_external_data=False)


def compared(
    args: argparse.Namespace, model: Model, made: Path, held: list[Sample]
) -> dict[str, Any]:
    """How far the answers of the quantized model are from those of the original."""
    from pelemay import pipeline
    from pelemay.cases import cases_of
    from pelemay.cli.losses import accuracy
    from pelemay.importers import load

    case = cases_of(args.sizes)[0]
    with console(stderr=True).status("comparing the answers with those of the original"):
        plain = pipeline.lower(model, pipeline.bound_shapes(model, case))
        quantized = load(made)
        path = made.with_suffix(".plm")
        pipeline.compile(quantized, path, shapes=pipeline.bound_shapes(quantized, case))
        found = accuracy(model, plain, path, [sample() for sample in held])
        found["inputs"] = "held-out" if args.calibrate else "random"
    return {"accuracy": found}


def show(findings: dict[str, Any]) -> None:
    """Print it for people."""
    from pelemay.cli.losses import rows_of_accuracy

    own, original = findings["file_bytes"], findings["original_bytes"]
    rows = [
        ("file", f"{findings['file']} ({size(own)})"),
        ("of the original", f"{own / original:.1%} of {size(original)}"),
        ("calibrated with", f"{findings['calibrated_with']} samples"),
        *rows_of_accuracy(findings["accuracy"]),
    ]
    console().print(table("quantized", "", rows=rows))
