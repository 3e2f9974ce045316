"""Slices of traced arrays: numbers, slices, new axes and the ellipsis.

In: an array and an index. Out: a traced array, by at most a Slice and a Reshape.
"""

from __future__ import annotations

from types import EllipsisType
from typing import TYPE_CHECKING, Any

import numpy as np

from pelemay.errors import UnsupportedError

if TYPE_CHECKING:
    from pelemay.passes.tracing.array import Traced

Shape = tuple[int, ...]


def sliced(x: Traced, index: Any) -> Traced:
    """``x[index]``.

    Raises
    ------
    IndexError
        If an axis or a number is not there.
    UnsupportedError
        If an array is used as an index.
    """
    cuts: dict[int, slice] = {}
    shape: list[int] = []
    axis = 0
    for item in _expanded(index, x.ndim):
        if item is None:
            shape.append(1)
            continue
        size = x.shape[axis]
        cut = item if isinstance(item, slice) else _one(item, size)
        kept = range(*cut.indices(size))
        if kept != range(size):
            cuts[axis] = cut
        if isinstance(item, slice):
            shape.append(len(kept))
        axis += 1
    return reshaped(_cut(x, cuts), tuple(shape))


def reshaped(x: Traced, shape: Shape) -> Traced:
    """The elements in another shape; the array itself if it has that shape."""
    if x.shape == shape:
        return x
    recorder = x.recorder
    attributes = {"allowzero": 1} if 0 in shape else None
    return recorder.emit("Reshape", [x, recorder.integers(shape)], shape, x.dtype, attributes)


def _expanded(index: Any, rank: int) -> list[Any]:
    """One item for each axis, and None for each new one."""
    items = list(index) if isinstance(index, tuple) else [index]
    for item in items:
        if item is not None and not isinstance(item, (EllipsisType, int, np.integer, slice)):
            raise UnsupportedError(f"{type(item).__name__} as an index cannot be traced")
    given = sum(item is not None and item is not Ellipsis for item in items)
    if given > rank:
        raise IndexError(f"{given} indices for {rank} axes")
    at = next((i for i, item in enumerate(items) if item is Ellipsis), len(items))
    return [*items[:at], *[slice(None)] * (rank - given), *items[at + 1 :]]


def _one(item: Any, size: int) -> slice:
    number = int(item)
    if not -size <= number < size:
        raise IndexError(f"index {number} is out of bounds for size {size}")
    number %= size
    return slice(number, number + 1)


def _cut(x: Traced, cuts: dict[int, slice]) -> Traced:
    if not cuts:
        return x
    recorder, shape = x.recorder, list(x.shape)
    starts, ends, steps = [], [], []
    for axis, cut in cuts.items():
        start, stop, step = cut.indices(x.shape[axis])
        shape[axis] = len(range(start, stop, step))
        starts.append(start)
        # Counted from the end, -1 would be the last element and not the place before the first.
        ends.append(stop if stop >= 0 else np.iinfo(np.int64).min)
        steps.append(step)
    numbers = (recorder.integers(values) for values in (starts, ends, list(cuts), steps))
    return recorder.emit("Slice", [x, *numbers], shape, x.dtype)
