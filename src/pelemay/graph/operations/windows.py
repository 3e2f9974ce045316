"""Sliding windows over the spatial axes, as convolution and pooling have them.

In: ONNX's window attributes. Out: a :class:`Window` with the output's sizes, and from an array
of shape (N, C, *spatial) one strided view for each position in the kernel.

>>> window = window_of((5,), (3,), strides=(2,), pads=(1, 1))
>>> window.outputs, window.begins
((3,), (1,))
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pelemay.errors import ExecutionError
from pelemay.graph.operations.common import Array

Ints = tuple[int, ...]


@dataclass(frozen=True)
class Window:
    """A window that slides over the spatial axes; each field has one number an axis.

    Parameters
    ----------
    kernel, strides, dilations : tuple of int
        Positions in the window, steps between windows, steps between positions.
    begins, ends : tuple of int
        Padding before and behind the data; negative numbers crop.
    outputs : tuple of int
        How many windows there are.
    """

    kernel: Ints
    strides: Ints
    dilations: Ints
    begins: Ints
    ends: Ints
    outputs: Ints

    @property
    def positions(self) -> Iterator[Ints]:
        """Positions in the kernel, in row-major order."""
        return itertools.product(*map(range, self.kernel))

    def offsets(self, position: Ints) -> Ints:
        """Where the first window's ``position`` lies in the padded data."""
        return tuple(k * d for k, d in zip(position, self.dilations, strict=True))

    def padded(self, xp: Any, x: Array, value: float = 0) -> Array:
        """``x`` with exactly the elements that some window spans."""
        axes = zip(self.outputs, self.strides, self.kernel, self.dilations, strict=True)
        spans = ((o - 1) * s + extent_of(k, d) for o, s, k, d in axes)
        sizes = zip(spans, x.shape[2:], self.begins, strict=True)
        return pad(xp, x, self.begins, [span - size - b for span, size, b in sizes], value)

    def tap(self, x: Array, position: Ints) -> Array:
        """What each window has at ``position``: a view of the padded ``x``."""
        axes = zip(self.offsets(position), self.outputs, self.strides, strict=True)
        return x[
            (slice(None), slice(None), *(slice(f, f + (o - 1) * s + 1, s) for f, o, s in axes))
        ]


def extent_of(kernel: int, dilation: int) -> int:
    """Elements from the first to the last position of a kernel."""
    return (kernel - 1) * dilation + 1


def window_of(
    sizes: Sequence[int],
    kernel: Sequence[int],
    *,
    strides: Ints = (),
    dilations: Ints = (),
    pads: Ints = (),
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
) -> Window:
    """The window that ONNX's attributes describe over data of spatial ``sizes``.

    Raises
    ------
    ExecutionError
        If the attributes do not have one number an axis, or no window fits.
    """
    rank = len(kernel)
    strides, dilations = strides or (1,) * rank, dilations or (1,) * rank
    _check_counts(len(sizes), kernel=kernel, strides=strides, dilations=dilations)
    extents = [extent_of(k, d) for k, d in zip(kernel, dilations, strict=True)]
    if auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        begins, ends = _same_pads(sizes, extents, strides, lower=auto_pad == "SAME_LOWER")
    else:
        pads = (pads if auto_pad == "NOTSET" else ()) or (0,) * (2 * rank)
        _check_counts(2 * rank, pads=pads)
        begins, ends = pads[:rank], pads[rank:]
    ceil = bool(ceil_mode) and auto_pad == "NOTSET"
    axes = zip(sizes, begins, ends, extents, strides, strict=True)
    outputs = tuple(_windows(*axis, ceil=ceil) for axis in axes)
    return Window(tuple(kernel), strides, dilations, begins, ends, outputs)


def _check_counts(count: int, **attributes: Sequence[int]) -> None:
    for name, values in attributes.items():
        if len(values) != count:
            raise ExecutionError(f"{name} {tuple(values)} needs {count} numbers")


def _same_pads(
    sizes: Sequence[int], extents: Sequence[int], strides: Ints, *, lower: bool
) -> tuple[Ints, Ints]:
    axes = zip(sizes, extents, strides, strict=True)
    totals = [max(0, (math.ceil(n / s) - 1) * s + e - n) for n, e, s in axes]
    small, large = tuple(t // 2 for t in totals), tuple(t - t // 2 for t in totals)
    return (large, small) if lower else (small, large)


def _windows(size: int, begin: int, end: int, extent: int, stride: int, *, ceil: bool) -> int:
    room = size + begin + end - extent
    if room < 0:
        raise ExecutionError(
            f"a window of {extent} does not fit {size} elements padded by {begin} and {end}"
        )
    if not ceil:
        return room // stride + 1
    count = -(-room // stride) + 1
    # A window that would start in the padding behind the data does not count.
    return count - 1 if (count - 1) * stride >= size + begin else count


def pad(xp: Any, x: Array, begins: Sequence[int], ends: Sequence[int], value: float = 0) -> Array:
    """``x`` of shape (N, C, *spatial) padded with ``value``; negative numbers crop."""
    for axis, (begin, end) in enumerate(zip(begins, ends, strict=True), start=2):
        size = x.shape[axis]
        if begin < 0 or end < 0:
            kept = slice(max(0, -begin), size + min(0, end))
            x = x[(*(slice(None),) * axis, kept, ...)]
        if begin > 0 or end > 0:
            parts = [_block(xp, x, axis, begin, value), x, _block(xp, x, axis, end, value)]
            x = xp.concat([part for part in parts if part is not None], axis=axis)
    return x


def _block(xp: Any, x: Array, axis: int, count: int, value: float) -> Array | None:
    if count <= 0:
        return None
    shape = (*x.shape[:axis], count, *x.shape[axis + 1 :])
    return xp.full(shape, value, dtype=x.dtype)
