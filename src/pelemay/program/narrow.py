"""Weights stored in fewer bits than they are computed with.

In: panels of float32, piece by piece, each whole output channels. Out: the same pieces as halves,
bfloat16 or int8; for int8 also the scales, one for each output channel: what is computed with is
the whole number times its channel's scale.

>>> panels = np.zeros((1, 2, 16), np.float32)
>>> panels[0, :, 0] = 1.27, -0.634
>>> whole = Whole("w", lambda: iter((panels,)))
>>> [values[0, :, 0].tolist() for values in whole.values()]
[[127, -63]]
>>> [scales[0, :2].round(4).tolist() for scales in whole.scales()]
[[0.009999999776482582, 1.0]]
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from pelemay.errors import InputError
from pelemay.graph import DType
from pelemay.target import WEIGHTS

Array = npt.NDArray[Any]
Pack = Callable[[], Iterator[Array]]

TYPES = (DType.FLOAT32, DType.FLOAT16, DType.BFLOAT16, DType.INT8)
FORMATS = dict(zip(WEIGHTS, TYPES, strict=True))
"""What weights can be stored as, by the names that users give."""

LARGEST = 127
"""The largest whole number of int8 that is used: as far from 0 as the least one."""


def format_of(name: str) -> DType:
    """The element type that a name stands for.

    Raises
    ------
    InputError
        If it stands for none.
    """
    if name not in FORMATS:
        what = f"weights cannot be stored as {name!r}"
        raise InputError(what, hint=f"allowed: {', '.join(FORMATS)}")
    return FORMATS[name]


def floats(name: str, pieces: Pack, dtype: DType) -> Iterator[Array]:
    """The pieces of a constant, rounded to a narrower type of floating point.

    Raises
    ------
    InputError
        If a value is too large for it.
    """
    for panels in pieces():
        with np.errstate(over="ignore"):
            rounded = panels.astype(dtype.numpy)
        if np.any(np.isinf(rounded) & np.isfinite(panels)):
            what = f"constant '{name}' has a weight of {np.abs(panels).max():g}"
            hint = f"it is beyond {dtype.value}: store the weights as f32 or int8"
            raise InputError(what, hint=hint)
        yield rounded


class Whole:
    """A constant in panels as whole numbers and scales.

    Parameters
    ----------
    name : str
        The constant, for messages.
    pieces : callable
        Gives an iterator over its panels, some at a time.
    """

    def __init__(self, name: str, pieces: Pack) -> None:
        self._name = name
        self._pieces = pieces
        self._known: list[Array] = []

    def values(self) -> Iterator[Array]:
        """The panels as int8: rounded to the nearest, ties to even."""
        known = []
        for panels in self._pieces():
            known.append(self._scales(panels))
            quotients = panels / known[-1][:, None, :]
            yield np.clip(np.rint(quotients), -LARGEST, LARGEST).astype(np.int8)
        self._known = known

    def scales(self) -> Iterator[Array]:
        """Of each panel 16; read anew where the values were not made before."""
        yield from self._known or map(self._scales, self._pieces())

    def _scales(self, panels: Array) -> Array:
        largest = np.maximum(panels.max(1, initial=0), -panels.min(1, initial=0))
        if not np.isfinite(largest).all():
            what = f"constant '{self._name}' has weights that are not finite"
            raise InputError(what, hint="they cannot be stored as int8: use f32 or f16")
        scales = (largest / np.float32(LARGEST)).astype(np.float32)
        return np.where(scales == 0, np.float32(1), scales)
