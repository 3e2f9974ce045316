"""What narrower weights gain and cost: bytes, and how far the answers are from those of float32.

In: a model, how it was compiled, and sample inputs. Out: plain data, and rows of a table. Of the
two programs one is open at a time, and the outputs of one sample are kept, so that memory stays
bounded by the larger program and two answers.

>>> loss = Loss()
>>> loss.add(np.float32([1, 2, 4]), np.float32([1, 2, 3.9]))
>>> round(loss.largest, 6), round(loss.mean, 6)
(0.025, 0.008333)
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pelemay.cli.arrays import read_arrays
from pelemay.cli.feeds import random_array
from pelemay.cli.output import size
from pelemay.errors import InputError
from pelemay.graph import TensorType

if TYPE_CHECKING:
    from pelemay.importers import Model
    from pelemay.program import Program

Array = npt.NDArray[Any]
Feeds = dict[str, Array]

RANDOM_SAMPLES = 16
"""Inputs that are made up where none are given."""

CLASSES = 10
"""Numbers from which on the only output of a model is taken for classes."""


@dataclass
class Loss:
    """How far the values of an output are from what they should be, each sample by itself.

    Attributes
    ----------
    largest, mean : float
        Differences, divided by the largest value of the sample's output.
    samples : int
        How many were compared.
    """

    largest: float = 0.0
    mean: float = 0.0
    samples: int = 0

    def add(self, ideal: Array, found: Array) -> None:
        """Compare one sample; values that are the same or both not numbers differ by nothing."""
        errors = _errors(ideal, found)
        self.samples += 1
        if errors.size:
            self.largest = max(self.largest, float(errors.max()))
            self.mean += (float(errors.mean()) - self.mean) / self.samples


def _errors(ideal: Array, found: Array) -> Array:
    if ideal.shape != found.shape:
        return np.array([np.inf])
    if ideal.dtype.kind in "biuOSU":
        return np.asarray(ideal != found, np.float64)
    x, y = ideal.astype(np.float64), found.astype(np.float64)
    finite = np.abs(x[np.isfinite(x)])
    largest = finite.max(initial=0.0)
    same = np.atleast_1d((x == y) | (np.isnan(x) & np.isnan(y)))
    with np.errstate(invalid="ignore", over="ignore"):
        errors: Array = np.atleast_1d(np.abs(x - y) / (largest or 1.0))
    errors[np.isnan(errors)] = np.inf
    errors[same] = 0
    return errors


def samples_of(program: Program, file: str | None) -> list[Feeds]:
    """The inputs to run with: those of a file, or made up from a fixed seed.

    Parameters
    ----------
    program : Program
        Says what its inputs are.
    file : str or None
        A ``.npz`` file of arrays by input name, or a ``.npy`` file of the only input: each of an
        input's shape, or with one dimension more, the first, that counts samples; where an input's
        own first size is 1, that one may count them.

    Raises
    ------
    InputError
        If they do not fit, or an input cannot be made up.
    """
    kinds = dict(_inputs(program))
    if file is None:
        generator = np.random.default_rng(0)
        return [
            {name: random_array(name, kind, generator) for name, kind in kinds.items()}
            for _ in range(RANDOM_SAMPLES)
        ]
    return split_samples(kinds, file, read_arrays(Path(file)))


def split_samples(
    kinds: Mapping[str, Any], file: str, loaded: Array | dict[str, Array]
) -> list[Feeds]:
    """The samples that the arrays of a file are; parameters as for :func:`samples_of`."""
    if not isinstance(loaded, dict):
        loaded = dict.fromkeys(list(kinds)[:1], loaded)
    if set(loaded) != set(kinds):
        what = f"it has arrays for {sorted(loaded)}; the inputs are {list(kinds)}"
        raise InputError(what, where=file)
    parts = {name: _split(file, name, loaded[name], kind) for name, kind in kinds.items()}
    counts = {name: len(arrays) for name, arrays in parts.items()}
    if len(set(counts.values())) != 1:
        raise InputError(f"the inputs have different numbers of samples: {counts}", where=file)
    rows = zip(*parts.values(), strict=True)
    return [dict(zip(parts, arrays, strict=True)) for arrays in rows]


def _inputs(program: Program) -> Iterator[tuple[str, Any]]:
    """Names and types of the inputs that a run needs, as the program binds them."""
    from pelemay.signature import Signature

    found = program.metadata
    for name, kind in Signature.from_metadata(found).inputs.items():
        if name in found.get("values", {}):
            continue
        shape = found.get("shapes", {}).get(name)
        if isinstance(kind, TensorType) and shape is not None:
            yield name, TensorType(kind.dtype, tuple(shape))
        else:
            yield name, kind


def _split(file: str, name: str, array: Array, kind: Any) -> list[Array]:
    shape = tuple(kind.shape or ()) if isinstance(kind, TensorType) else ()
    if array.shape == shape:
        return [array]
    if array.ndim and array.shape[1:] == shape:
        return list(array)
    if array.ndim and shape[:1] == (1,) and array.shape[1:] == shape[1:]:
        return [array[i : i + 1] for i in range(len(array))]
    what = f"'{name}' is {list(array.shape)}; a sample of it is {list(shape)}"
    raise InputError(what, where=file)


def file_bytes(program: Program) -> int:
    """What the file of a program takes, before it is written."""
    from pelemay.program.encode import encode

    return len(encode(program)) + program.weights_bytes


def accuracy(model: Model, plain: Program, path: Path, samples: list[Feeds]) -> dict[str, Any]:
    """How far the answers of a program are from those of its float32 form.

    Parameters
    ----------
    model : Model
        Whose programs they are.
    plain : Program
        The float32 form; it is written to the folder of ``path`` for as long as this takes.
    path : Path
        The file of the program.
    samples : list of dict
        As :func:`samples_of` gives.
    """
    from pelemay.program.write import write_program

    losses: dict[str, Loss] = {}
    agreed = rows = 0
    with tempfile.TemporaryDirectory(prefix=".pelemay-", dir=path.parent) as folder:
        ideal = Path(folder) / "f32.plm"
        write_program(plain, ideal, source=model)
        for feeds in samples:
            expected, found = _answers(ideal, feeds), _answers(path, feeds)
            for name, y in expected.items():
                losses.setdefault(name, Loss()).add(y, found[name])
            classes = _classes(expected), _classes(found)
            rows += classes[0].size
            agreed += int(np.sum(classes[0] == classes[1]))
    outputs = {name: {"largest": x.largest, "mean": x.mean} for name, x in losses.items()}
    top = {"agreed": agreed, "of": rows} if rows else None
    return {"samples": len(samples), "outputs": outputs, "top_1": top}


def _answers(path: Path, feeds: Mapping[str, Array]) -> dict[str, Array]:
    from pelemay.backends.programs import ProgramRunnable

    found = ProgramRunnable(path).run(feeds)
    return {name: y for name, y in found.items() if isinstance(y, np.ndarray)}


def _classes(outputs: Mapping[str, Array]) -> Array:
    """The class of each row; none where the outputs are not those of a classifier."""
    only = next(iter(outputs.values())) if len(outputs) == 1 else np.empty(0)
    sizes = [n for n in only.shape[1:] if n != 1]
    if only.dtype.kind != "f" or len(sizes) != 1 or sizes[0] < CLASSES:
        return np.empty(0, np.int64)
    classes: Array = only.reshape(len(only), -1).argmax(axis=1)
    return classes


def rows_of(findings: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Rows for people, of what ``compile`` found."""
    own, plain = findings["file_bytes"], findings["f32_file_bytes"]
    kind = findings["weights"]
    rows = [(f"weights as {kind}", f"{own / plain:.1%} of the {size(plain)} of f32")]
    found = findings["accuracy"]
    if found is None:
        return rows
    if "reason" in found:
        return [*rows, ("accuracy", f"not measured: {found['reason']}")]
    return [*rows, *rows_of_accuracy(found)]


def rows_of_accuracy(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Rows for people, of what :func:`accuracy` found."""
    rows: list[tuple[str, str]] = []
    of = f"of its largest value, {found['samples']} {found['inputs']} inputs"
    for name, loss in found["outputs"].items():
        text = f"{loss['largest']:.2g} at most, {loss['mean']:.2g} on average"
        rows.append((f"error of {name}", f"{text}, {of}"))
    if top := found["top_1"]:
        rows.append(("same class first", f"{top['agreed']} of {top['of']}"))
    return rows
