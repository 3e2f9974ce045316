"""Weights of 8-bit integers as the kernels read them.

In: int8 or uint8 weights, and what each output channel has beside them. Out: int8 arrays of
shape (panels, groups, 16, 4): for each four steps of the sum, four weights of each of 16 columns;
then rows of 16 numbers of 32 bits, those of ``pm_qrow`` in ``native/kernels/qgemm.h``.

>>> behind = Behind(bias=np.array([7, 8], np.int32))
>>> behind.tail, panel_shape(2, 5, behind.tail)
(5, (1, 4, 16, 4))
>>> w = np.array([[1, 2, 3, 4, 5], [6, 7, 8, 9, -9]], np.int8)
>>> panels = packed(w, behind)
>>> panels[0, :2, 0].tolist(), panels[0, 2:].view(np.int32)[:, :3, 0].tolist()
([[1, 2, 3, 4], [5, 0, 0, 0]], [[15, 21, 0], [7, 8, 0]])
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from pelemay.program.panels import PANEL, panels_of

Array = npt.NDArray[Any]

STEPS = 4
"""Steps of the sum that lie together."""

GROUP_BYTES = PANEL * STEPS
"""Bytes of four steps of a panel, and of a row behind them."""

SUMS, ZEROS, BIAS, MULTIPLIERS, FLOATS = 1, 2, 4, 8, 16
"""Rows behind a panel, as bits; the sums of the weights are always there."""


@dataclass(frozen=True, eq=False)
class Behind:
    """What each output channel has beside its weights, in the kernel's form.

    Parameters
    ----------
    zeros : ndarray of int32, shape (N,), optional
        Zero points of the weights as :func:`signed` gives them; left out where all are 0.
    bias : ndarray of int32, shape (N,), optional
        Added to the sum.
    multipliers : ndarray of float32, shape (N,), optional
        What the sum is multiplied with.
    floats : ndarray of float32, shape (N,), optional
        Added to a result in float32.
    """

    zeros: Array | None = None
    bias: Array | None = None
    multipliers: Array | None = None
    floats: Array | None = None

    @property
    def rows(self) -> tuple[tuple[int, Array | None], ...]:
        """Bits and numbers, in order; without the sums."""
        return (
            (ZEROS, self.zeros),
            (BIAS, self.bias),
            (MULTIPLIERS, self.multipliers),
            (FLOATS, self.floats),
        )

    @property
    def tail(self) -> int:
        """The bits of all rows."""
        return SUMS | sum(bit for bit, row in self.rows if row is not None)

    @cached_property
    def key(self) -> str:
        """The same for the same numbers."""
        digest = hashlib.sha256(str(self.tail).encode())
        for _, row in self.rows:
            digest.update(b"" if row is None else row.tobytes())
        return digest.hexdigest()[:16]

    def part(self, first: int, last: int) -> Behind:
        """That of some channels."""
        return Behind(*(None if row is None else row[first:last] for _, row in self.rows))


def groups_of(steps: int, tail: int) -> int:
    """Groups of 64 bytes that a panel is made of.

    >>> groups_of(9, SUMS | BIAS)
    5
    """
    return -(-steps // STEPS) + tail.bit_count()


def panel_shape(columns: int, steps: int, tail: int) -> tuple[int, int, int, int]:
    """Shape of the packed weights of so many columns."""
    return (panels_of(columns), groups_of(steps, tail), PANEL, STEPS)


def signed(w: Array) -> Array:
    """Weights as int8: of uint8 less 128, which their zero point then is less, too."""
    return w if w.dtype == np.int8 else (w ^ np.uint8(0x80)).view(np.int8)


def packed(rows: Array, behind: Behind) -> Array:
    """Weights with one row for each output channel, (N, steps)."""
    count, steps = rows.shape
    shape = panel_shape(count, steps, behind.tail)
    groups = -(-steps // STEPS)
    filled = np.zeros((shape[0] * PANEL, groups * STEPS), np.int8)
    filled[:count, :steps] = signed(rows)
    panels = np.empty(shape, np.int8)
    panels[:, :groups] = filled.reshape(shape[0], PANEL, groups, STEPS).swapaxes(1, 2)
    sums = filled.sum(1, dtype=np.int32)
    present = [row for _, row in behind.rows if row is not None]
    for place, row in enumerate([sums, *present], groups):
        words = np.zeros(shape[0] * PANEL, row.dtype)
        words[: len(row)] = row
        panels[:, place] = words.view(np.int8).reshape(shape[0], PANEL, STEPS)
    return panels
