"""Weights as the kernels read them: panels of 16 columns, for each step of the sum 16 values.

In: the weights of a convolution or of a matrix product, in the network's layout, of any float type.
Out: float32 arrays of a few hundred KiB, one after the other the packed block.

>>> import numpy as np
>>> [piece.tolist() for piece in matrix_panels(np.eye(2, 3))][0][0][1][:4]
[0.0, 1.0, 0.0, 0.0]
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

PANEL = 16
"""Columns of a panel: the same for all instruction sets."""

PIECE_BYTES = 1 << 18

Array = npt.NDArray[Any]


def panels_of(columns: int) -> int:
    """Panels that hold so many columns.

    >>> panels_of(17)
    2
    """
    return -(-columns // PANEL)


def matrix_panels(b: Array, *, transposed: bool = False, alpha: float = 1.0) -> Iterator[Array]:
    """A matrix of shape (k, n), or (n, k) if transposed, times ``alpha``: (panels, k, 16)."""
    rows = b if transposed else b.T
    step = _panels_at_once(rows.shape[1]) * PANEL
    for first in range(0, rows.shape[0], step):
        packed = _packed(rows[first : first + step])
        yield packed if alpha == 1 else packed * np.float32(alpha)


def window_panels(w: Array, group: int) -> Iterator[Array]:
    """Weights of shape (M, C / group, *kernel): (panels of each group, taps * C / group, 16).

    With ``group`` 1 a panel may hold outputs of several groups, as the kernel ``depthwise`` wants.
    """
    outputs = w.shape[0] // group
    step = _panels_at_once(math.prod(w.shape[1:])) * PANEL
    for start in range(0, w.shape[0], outputs):
        for first in range(start, start + outputs, step):
            rows = w[first : min(first + step, start + outputs)]
            taps_first = np.moveaxis(rows, 1, -1)
            yield _packed(taps_first.reshape(rows.shape[0], -1))


def mirrored(w: Array, group: int) -> Array:
    """Weights of a transposed convolution, (C, M / group, *kernel), as those of an ordinary one.

    >>> mirrored(np.arange(6.0).reshape(1, 2, 3), 1).tolist()
    [[[2.0, 1.0, 0.0]], [[5.0, 4.0, 3.0]]]
    """
    channels, outputs, *kernel = w.shape
    grouped = w.reshape(group, channels // group, outputs, *kernel).swapaxes(1, 2)
    merged = grouped.reshape(group * outputs, channels // group, *kernel)
    return np.flip(merged, tuple(range(2, merged.ndim)))


def _panels_at_once(k: int) -> int:
    return max(1, PIECE_BYTES // max(1, k * PANEL * 4))


def _packed(rows: Array) -> Array:
    """Rows, one for each column of the product: (panels, k, 16), the last filled with zeros."""
    count, k = rows.shape
    padded = np.zeros((panels_of(count) * PANEL, k), np.float32)
    padded[:count] = rows
    return np.ascontiguousarray(padded.reshape(-1, PANEL, k).swapaxes(1, 2))
