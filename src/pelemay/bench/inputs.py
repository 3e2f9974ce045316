"""Inputs to run a model with: seeded, of the names, shapes and dtypes that the model asks for.

In: a model file. Out: an ``.npz`` file that every backend gets; and the encoding of the model's
parameters, for the report.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pelemay.errors import PelemayError, UnsupportedError

InputsOf = Callable[[Path], Iterable[Any]]
"""Path of a model to its inputs: objects with ``name``, ``dtype.value`` and ``shape``."""


def inputs_of_model(path: Path) -> Iterable[Any]:
    """What the model in a file asks for."""
    from pelemay.importers import load

    return load(path).inputs


def encoding_of_model(path: Path) -> str:
    """How the largest parameter of a model is stored; empty where a file cannot be read."""
    from pelemay.importers import load

    try:
        parameters = load(path).parameters
        places = [parameters.placement(name) for name in parameters]
    except PelemayError:
        return ""
    return max(places, key=lambda place: place.nbytes).encoding if places else ""


def make_feeds(inputs: Iterable[Any], seed: int) -> dict[str, npt.NDArray[Any]]:
    """Make one array for each input.

    Parameters
    ----------
    inputs : iterable
        Objects with ``name``, ``dtype.value`` (NumPy's name) and ``shape``; a dimension that is
        not a number becomes 1.
    seed : int
        The same seed gives the same arrays.

    Returns
    -------
    dict
        Name to array: floats are normal, integers lie in 0 to 9 (as token ids may), those of
        a mask and booleans are either.

    Raises
    ------
    UnsupportedError
        If a dtype cannot be made up.
    """
    random = np.random.default_rng(seed)
    return {value.name: _array(value, random) for value in inputs}


def _array(value: Any, random: np.random.Generator) -> npt.NDArray[Any]:
    shape = [d if isinstance(d, int) and d >= 0 else 1 for d in value.shape or ()]
    name = value.dtype.value
    if name in ("float16", "float32", "float64"):
        return random.standard_normal(shape).astype(name)
    if name == "bool":
        return random.integers(0, 2, shape).astype(bool)
    if name in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"):
        highest = 2 if "mask" in value.name else 10
        return random.integers(0, highest, shape).astype(name)
    raise UnsupportedError(
        f"no input of dtype {name} can be made up; allowed: floats, integers, bool",
        where=f"input '{value.name}'",
    )


def save_feeds(feeds: Mapping[str, npt.NDArray[Any]], path: Path) -> Path:
    """Write the arrays where the workers read them."""
    with path.open("wb") as file:
        arrays: dict[str, Any] = dict(feeds)
        np.savez(file, **arrays)
    return path
