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
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from pelemay.graph import Constant
from pelemay.passes.derived import Derived

WINDOW_BYTES = 1 << 18
COLUMNS_BYTES = 8 << 20


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
    or scales its rows, is read there.
    """
    if isinstance(constant, Derived) and constant.operation == "Cast":
        return part(constant.sources[0], start, stop).astype(constant.dtype.numpy)
    if isinstance(constant, Derived) and constant.operation == "Scale rows":
        weights, factor = constant.sources
        inner = math.prod(constant.shape[1:])
        first, last = start // inner, -(-stop // inner)
        factors = np.repeat(factor.array().reshape(-1)[first:last], inner)
        own_factors = factors[start - first * inner : stop - first * inner]
        scaled: npt.NDArray[Any] = part(weights, start, stop) * own_factors
        return scaled
    own = getattr(constant, "part", None)
    found: npt.NDArray[Any] = (
        constant.array().reshape(-1)[start:stop] if own is None else own(start, stop)
    )
    return found


def row_windows(constant: Constant, multiple: int) -> Iterator[npt.NDArray[Any]]:
    """Groups of rows, one after the other, of which all but the last are ``multiple`` rows or more.

    >>> import numpy as np
    >>> from pelemay.graph import ArrayConstant
    >>> [w.shape for w in row_windows(ArrayConstant.of(np.zeros((40, 1 << 16))), 16)]
    [(16, 65536), (16, 65536), (8, 65536)]
    """
    inner = math.prod(constant.shape[1:])
    step = max(1, 4 * WINDOW_BYTES // max(1, inner * multiple * constant.dtype.numpy.itemsize))
    for first in range(0, constant.shape[0], step * multiple):
        last = min(first + step * multiple, constant.shape[0])
        yield part(constant, first * inner, last * inner).reshape(-1, *constant.shape[1:])


def column_windows(
    constant: Constant, rows: int, columns: int, multiple: int
) -> Iterator[npt.NDArray[Any]]:
    """A matrix of C order by groups of its columns, in few bytes even where it is large.

    Each group of columns reads the whole constant by windows: columns of a large matrix lie on
    all of its pages, which would all be mapped at once.

    Parameters
    ----------
    constant : Constant
        Of ``rows * columns`` elements.
    rows, columns : int
        Sizes of the matrix.
    multiple : int
        What the columns of each group but the last are a multiple of.

    >>> import numpy as np
    >>> from pelemay.graph import ArrayConstant
    >>> matrix = ArrayConstant.of(np.arange(12.0))
    >>> [window.tolist() for window in column_windows(matrix, 2, 6, 16)]
    [[[0.0, 1.0, 2.0, 3.0, 4.0, 5.0], [6.0, 7.0, 8.0, 9.0, 10.0, 11.0]]]
    """
    size = constant.dtype.numpy.itemsize
    width = max(1, COLUMNS_BYTES // max(1, rows * size * multiple)) * multiple
    step = max(1, 4 * WINDOW_BYTES // max(1, columns * size))
    for first in range(0, columns, width):
        window = np.empty((rows, min(width, columns - first)), constant.dtype.numpy)
        for row in range(0, rows, step):
            last = min(row + step, rows)
            taken = part(constant, row * columns, last * columns).reshape(-1, columns)
            window[row:last] = taken[:, first : first + width]
        yield window
