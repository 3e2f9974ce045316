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
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pelemay.graph import ArrayConstant, Constant, DType
from pelemay.graph.operations.quantization import dequantize

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
        row, an index of the first axis, multiplied by one element of the second; ``"Move in
        rows"`` that each row has the elements of the only source's in another order, the same for
        all, and that any number of rows can be computed alone.
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


@dataclass(frozen=True, slots=True, eq=False)
class Dequantized:
    """A constant that is stored as integers with scales; as real numbers it is there when read.

    Whoever computes with integers takes ``integers``, ``scale`` and ``zero_point`` instead. Moving
    its axes moves those of the integers, so that it stays one.

    Attributes
    ----------
    integers, scale : Constant
        What DequantizeLinear reads.
    zero_point : Constant or None
        Likewise.
    axis : int
        Along which scales differ, counted from the front; of no meaning where there is one.
    block_size : int
        Elements along that axis that share a scale; 0 where each place has its own.
    dtype : DType
        Of the real numbers.
    """

    integers: Constant
    scale: Constant
    zero_point: Constant | None
    axis: int
    block_size: int
    dtype: DType

    @property
    def shape(self) -> tuple[int, ...]:
        """That of the integers."""
        return self.integers.shape

    @property
    def nbytes(self) -> int:
        """Bytes of the real numbers."""
        return self.dtype.bytes_of(math.prod(self.shape))

    @property
    def is_uniform(self) -> bool:
        """Whether one scale is for all."""
        return math.prod(self.scale.shape) == 1

    def array(self) -> Array:
        """The real numbers, read-only; computed now."""
        result = self.real(self.integers.array(), self.axis)
        view = np.asarray(result, self.dtype.numpy).view()
        view.flags.writeable = False
        return view

    def real(self, integers: Array, axis: int) -> Array:
        """Other integers as real numbers, by the scales of this one along ``axis``."""
        import array_api_compat.numpy as xp

        zero = None if self.zero_point is None else self.zero_point.array()
        return np.asarray(
            dequantize(
                xp,
                integers,
                self.scale.array(),
                zero,
                axis=axis,
                block_size=self.block_size,
                output_dtype=self.dtype,
            )
        )


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
    if isinstance(constant, Dequantized) and not constant.block_size:
        axis = constant.axis if constant.is_uniform else order.index(constant.axis)
        return replace(constant, integers=permuted(constant.integers, order), axis=axis)
    shape = [constant.shape[i] for i in order]
    return derived("Transpose", lambda x: x.transpose(order), constant, shape=shape)


def reshaped(constant: Constant, shape: Sequence[int]) -> Constant:
    """The constant's elements in another shape."""
    wanted = tuple(shape)
    if wanted == constant.shape:
        return constant
    if isinstance(constant, Dequantized) and not constant.block_size:
        axis = _axis_after(constant, wanted)
        if axis is not None:
            return replace(constant, integers=reshaped(constant.integers, wanted), axis=axis)
    return derived("Reshape", lambda x: x.reshape(wanted), constant, shape=wanted)


def _axis_after(constant: Dequantized, shape: Sequence[int]) -> int | None:
    """Where the scales' axis is in another shape; None where it is no axis of its own there."""
    if constant.is_uniform:
        return 0
    before = math.prod(constant.shape[: constant.axis])
    size = constant.shape[constant.axis]
    places = (i for i, n in enumerate(shape) if n == size and math.prod(shape[:i]) == before)
    return next(places, None)


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
