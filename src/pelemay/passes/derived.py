"""Constants that passes compute from others: what is large is computed anew at each read.

In: constants that may lie in a file. Out: :class:`Derived` constants that hold nothing: weights
scaled, permuted, reshaped or widened exist only while somebody reads them.

>>> from pelemay.graph import ArrayConstant
>>> w = ArrayConstant.of([[1.0, 2.0], [3.0, 4.0]], "float32")
>>> permuted(w, (1, 0)).array()
array([[1., 3.],
       [2., 4.]], dtype=float32)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pelemay.graph import ArrayConstant, Constant, DType

Array = npt.NDArray[Any]

EAGER_BYTES = 1024
"""Constants up to this size are computed at once: to hold them costs less than the recipe."""


@dataclass(frozen=True, slots=True, eq=False)
class Derived:
    """A constant that is computed from others each time that it is read.

    Attributes
    ----------
    dtype, shape
        Of the result.
    sources : tuple of Constant
        What it is computed from.
    operation : str
        What is done to them, for people; ``"Cast"`` promises that the only source holds the
        same values in a narrower type, ``"Scale rows"`` that it is the first source with each
        row, an index of the first axis, multiplied by one element of the second.
    compute : callable
        From the sources' arrays to the result.
    """

    dtype: DType
    shape: tuple[int, ...]
    sources: tuple[Constant, ...]
    operation: str
    compute: Callable[..., Array]

    @property
    def nbytes(self) -> int:
        """Bytes of the result."""
        return self.dtype.bytes_of(math.prod(self.shape))

    def array(self) -> Array:
        """The elements, read-only; computed now."""
        result = np.asarray(self.compute(*(s.array() for s in self.sources)), self.dtype.numpy)
        view = result.reshape(self.shape).view()
        view.flags.writeable = False
        return view


def derived(
    operation: str,
    compute: Callable[..., Array],
    *sources: Constant,
    shape: Sequence[int],
    dtype: DType | None = None,
) -> Constant:
    """A constant computed from ``sources``: at once where all is small, else when it is read.

    Parameters
    ----------
    operation : str
        What is done, for people.
    compute : callable
        From the sources' arrays to the result, which has ``shape``.
    sources : Constant
        What it is computed from.
    shape : sequence of int
        Of the result.
    dtype : DType, optional
        Of the result; the first source's if not given.
    """
    found = Derived(dtype or sources[0].dtype, tuple(shape), sources, operation, compute)
    if max(found.nbytes, *(source.nbytes for source in sources)) > EAGER_BYTES:
        return found
    return ArrayConstant(found.dtype, found.array())


def permuted(constant: Constant, perm: Sequence[int]) -> Constant:
    """The constant with its axes in another order."""
    order = tuple(perm)
    if order == tuple(range(len(order))):
        return constant
    shape = [constant.shape[i] for i in order]
    return derived("Transpose", lambda x: x.transpose(order), constant, shape=shape)


def reshaped(constant: Constant, shape: Sequence[int]) -> Constant:
    """The constant's elements in another shape."""
    wanted = tuple(shape)
    if wanted == constant.shape:
        return constant
    return derived("Reshape", lambda x: x.reshape(wanted), constant, shape=wanted)


def broadcast(constant: Constant, shape: Sequence[int]) -> Constant:
    """The constant broadcast to a larger shape."""
    wanted = tuple(shape)
    if wanted == constant.shape:
        return constant
    return derived("Expand", lambda x: np.broadcast_to(x, wanted), constant, shape=wanted)


def widened(constant: Constant, dtype: DType = DType.FLOAT32) -> Constant:
    """The constant's values in a wider type."""
    if constant.dtype is dtype:
        return constant
    wide = dtype.numpy
    return derived("Cast", lambda x: x.astype(wide), constant, shape=constant.shape, dtype=dtype)


def scaled(constant: Constant, factor: Constant) -> Constant:
    """``constant * factor``; the factor broadcasts to the constant."""
    return derived("Mul", lambda x, f: x * f, constant, factor, shape=constant.shape)


def summed(a: Constant, b: Constant) -> Constant:
    """``a + b``; ``b`` broadcasts to ``a``."""
    return derived("Add", lambda x, y: x + y, a, b, shape=a.shape)
