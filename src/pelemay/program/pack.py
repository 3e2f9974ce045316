"""Constants as bytes, a window at a time.

In: a constant whose elements may lie in a file. Out: arrays of a few hundred KiB whose elements,
one after the other, are the constant's.

>>> import numpy as np
>>> from pelemay.graph import ArrayConstant
>>> [piece.size for piece in raw_pieces(ArrayConstant.of(np.zeros((300, 1000), np.float32)))]
[65536, 65536, 65536, 65536, 37856]
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pelemay.graph import ArrayConstant, Constant
from pelemay.passes.derived import Dequantized, Derived

WINDOW_BYTES = 1 << 18
COLUMNS_BYTES = 8 << 20

WHOLE_BYTES = 16 << 20
"""A larger matrix whose columns have to be gathered is read by groups of them."""


def raw_pieces(constant: Constant) -> Iterator[npt.NDArray[Any]]:
    """The elements in C order, flat, by windows.

    A constant that has a method ``windows()``, as those that lie in a file do, gives its own.
    """
    windows = getattr(constant, "windows", None)
    if windows is not None:
        yield from windows()
        return
    flat = np.ascontiguousarray(constant.array()).reshape(-1)
    step = max(1, WINDOW_BYTES // max(1, flat.itemsize))
    for start in range(0, flat.size, step):
        yield flat[start : start + step]


def part(constant: Constant, start: int, stop: int) -> npt.NDArray[Any]:
    """Elements ``start`` to ``stop`` of a flat constant, without reading others where it can.

    Constants that lie in a file have a method ``part()`` for this; one that only widens another,
    scales its rows or moves what is in them, or has a scale for its integers, is read there.
    """
    if isinstance(constant, Dequantized) and not constant.block_size:
        return _real_part(constant, start, stop)
    if isinstance(constant, Derived) and constant.operation == "Cast":
        return part(constant.sources[0], start, stop).astype(constant.dtype.numpy)
    if isinstance(constant, Derived) and constant.operation in BY_ROWS:
        inner = math.prod(constant.shape[1:])
        first, last = start // inner, -(-stop // inner)
        rows = BY_ROWS[constant.operation](constant, first, last)
        return rows[start - first * inner : stop - first * inner]
    own = getattr(constant, "part", None)
    found: npt.NDArray[Any] = (
        constant.array().reshape(-1)[start:stop] if own is None else own(start, stop)
    )
    return found


def _scaled(constant: Derived, first: int, last: int) -> npt.NDArray[Any]:
    """Rows, each of them multiplied by its factor."""
    weights, factor = constant.sources
    inner = math.prod(constant.shape[1:])
    factors = np.repeat(factor.array().reshape(-1)[first:last], inner)
    scaled: npt.NDArray[Any] = part(weights, first * inner, last * inner) * factors
    return scaled


def _moved(constant: Derived, first: int, last: int) -> npt.NDArray[Any]:
    """Rows whose elements come in another order."""
    inner = math.prod(constant.shape[1:])
    rows = part(constant.sources[0], first * inner, last * inner)
    moved: npt.NDArray[Any] = constant.compute(rows.reshape(-1, *constant.shape[1:]))
    return moved.reshape(-1)


BY_ROWS = {"Scale rows": _scaled, "Move in rows": _moved}
"""Operations of constants that compute each row from one row, and how: some rows of it, flat."""


def _real_part(constant: Dequantized, start: int, stop: int) -> npt.NDArray[Any]:
    """Elements of integers with a scale for each place along an axis, as real numbers."""
    integers = part(constant.integers, start, stop)
    if constant.is_uniform:
        return constant.real(integers, 0)
    inner = math.prod(constant.shape[constant.axis + 1 :])
    places = np.arange(start, stop) // inner % constant.shape[constant.axis]
    scale, zero = (
        None if found is None else ArrayConstant.of(found.array()[places])
        for found in (constant.scale, constant.zero_point)
    )
    assert scale is not None
    return replace(constant, scale=scale, zero_point=zero).real(integers, 0)


Reader = Callable[[int, int], npt.NDArray[Any]]


def reader(constant: Constant) -> Reader:
    """:func:`part` of a constant, many times; one that can only be computed whole is so once."""
    if _is_read_by_parts(constant):
        return lambda start, stop: part(constant, start, stop)
    flat = constant.array().reshape(-1)
    return lambda start, stop: flat[start:stop]


def _is_read_by_parts(constant: Constant) -> bool:
    if isinstance(constant, Dequantized):
        return not constant.block_size and _is_read_by_parts(constant.integers)
    if not isinstance(constant, Derived):
        return True
    by_parts = constant.operation == "Cast" or constant.operation in BY_ROWS
    return by_parts and _is_read_by_parts(constant.sources[0])


def row_windows(
    constant: Constant, multiple: int, first: int = 0, last: int | None = None, row: int = 0
) -> Iterator[npt.NDArray[Any]]:
    """Groups of rows, one after the other, of which all but the last are ``multiple`` rows or more.

    Those from ``first`` on, up to ``last``. A row is what the first dimension counts, or ``row``
    elements.

    >>> import numpy as np
    >>> from pelemay.graph import ArrayConstant
    >>> [w.shape for w in row_windows(ArrayConstant.of(np.zeros((40, 1 << 16))), 16)]
    [(16, 65536), (16, 65536), (8, 65536)]
    """
    shape = (row,) if row else constant.shape[1:]
    inner = math.prod(shape)
    step = max(1, 4 * WINDOW_BYTES // max(1, inner * multiple * constant.dtype.numpy.itemsize))
    end, read = constant.shape[0] if last is None else last, reader(constant)
    for begin in range(first, end, step * multiple):
        stop = min(begin + step * multiple, end)
        yield read(begin * inner, stop * inner).reshape(-1, *shape)


class Columns:
    """Groups of columns of a matrix of C order, in few bytes even where it is large.

    Columns of a large matrix lie on all of its pages, which would all be mapped at once. So a few
    MiB of columns are gathered by windows and kept, and groups that follow each other, as they do
    while a program is written, are taken from these.

    Parameters
    ----------
    constant : Constant
        Of ``rows * columns`` elements.
    rows, columns : int
        Sizes of the matrix.

    >>> import numpy as np
    >>> from pelemay.graph import ArrayConstant
    >>> matrix = Columns(ArrayConstant.of(np.arange(12.0)), 2, 6)
    >>> matrix.take(2, 4).tolist()
    [[2.0, 3.0], [8.0, 9.0]]
    """

    def __init__(self, constant: Constant, rows: int, columns: int) -> None:
        self._constant = constant
        self._sizes = rows, columns
        self._kept: npt.NDArray[Any] | None = None
        self._first = 0

    def groups(self, first: int, last: int, multiple: int) -> Iterator[npt.NDArray[Any]]:
        """Columns ``first`` to ``last``, a multiple of columns at a time."""
        rows, _ = self._sizes
        size = self._constant.dtype.numpy.itemsize
        step = max(1, COLUMNS_BYTES // max(1, rows * size * multiple)) * multiple
        for begin in range(first, last, step):
            yield self.take(begin, min(begin + step, last))
        if last == self._sizes[1]:
            self._kept = None

    def take(self, first: int, last: int) -> npt.NDArray[Any]:
        """Columns ``first`` to ``last``, all rows of them."""
        kept = self._kept
        if kept is None or first < self._first or last > self._first + kept.shape[1]:
            kept = self._gather(first, last)
        return kept[:, first - self._first : last - self._first]

    def _gather(self, first: int, last: int) -> npt.NDArray[Any]:
        rows, columns = self._sizes
        size = self._constant.dtype.numpy.itemsize
        width = min(max(last - first, COLUMNS_BYTES // max(1, rows * size)), columns - first)
        step = max(1, 4 * WINDOW_BYTES // max(1, columns * size))
        self._kept, read = None, reader(self._constant)
        found = np.empty((rows, width), self._constant.dtype.numpy)
        for row in range(0, rows, step):
            end = min(row + step, rows)
            taken = read(row * columns, end * columns).reshape(-1, columns)
            found[row:end] = taken[:, first : first + width]
        self._kept, self._first = found, first
        return found
