"""Operations that move elements and compute none: reshaping, joining, cutting, padding.

In: an array, and shapes, axes or pads as host inputs. Out: an array of the same type.

>>> import array_api_compat.numpy as xp
>>> import numpy as np
>>> flatten(xp, xp.zeros((2, 3, 4))).shape
(2, 12)
"""

from __future__ import annotations

import math
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from pelemay.errors import ExecutionError
from pelemay.graph.dtypes import DType
from pelemay.graph.operations.common import (
    Array,
    axes_of,
    axis_of,
    cast_like,
    dtype_of,
    ints,
    part,
)
from pelemay.graph.operations.table import Operation


def identity(xp: Any, x: Any) -> Any:
    return x


def shape_of(xp: Any, x: Array, *, start: int = 0, end: int | None = None) -> Array:
    return np.asarray(x.shape[start:end], np.int64)


def size_of(xp: Any, x: Array) -> Array:
    return np.asarray(math.prod(x.shape), np.int64)


def reshape(xp: Any, x: Array, shape: Array, *, allowzero: int = 0) -> Array:
    """``x`` in a new shape; 0 keeps a dimension (unless ``allowzero``), -1 is what is left."""
    wanted = ints(shape)
    if not allowzero:
        wanted = tuple(x.shape[i] if n == 0 else n for i, n in enumerate(wanted))
    return xp.reshape(x, wanted)


def transpose(xp: Any, x: Array, *, perm: tuple[int, ...] | None = None) -> Array:
    return xp.permute_dims(x, tuple(reversed(range(x.ndim))) if perm is None else perm)


def squeeze(xp: Any, x: Array, axes: Array | None = None) -> Array:
    if axes is None:
        dropped = tuple(i for i, n in enumerate(x.shape) if n == 1)
    else:
        dropped = axes_of(ints(axes), x.ndim)
    return xp.squeeze(x, axis=dropped) if dropped else x


def unsqueeze(xp: Any, x: Array, axes: Array) -> Array:
    given = ints(axes)
    rank = x.ndim + len(given)
    added = axes_of(given, rank)
    sizes = iter(x.shape)
    return xp.reshape(x, tuple(1 if i in added else next(sizes) for i in range(rank)))


def flatten(xp: Any, x: Array, *, axis: int = 1) -> Array:
    cut = axis + x.ndim if axis < 0 else axis
    return xp.reshape(x, (math.prod(x.shape[:cut]), math.prod(x.shape[cut:])))


def expand(xp: Any, x: Array, shape: Array) -> Array:
    return xp.broadcast_to(x, np.broadcast_shapes(tuple(x.shape), ints(shape)))


def tile(xp: Any, x: Array, repeats: Array) -> Array:
    return xp.tile(x, ints(repeats))


def concat(xp: Any, *inputs: Array, axis: int) -> Array:
    return xp.concat(list(inputs), axis=axis)


def split(
    xp: Any, x: Array, sizes: Array | None = None, *, axis: int = 0, num_outputs: int | None = None
) -> tuple[Array, ...]:
    """``x`` cut along ``axis`` into parts of the given sizes, or into equal ones."""
    axis = axis_of(axis, x.ndim)
    length = x.shape[axis]
    if sizes is not None:
        lengths = ints(sizes)
    elif num_outputs is not None:
        each = -(-length // num_outputs)
        lengths = tuple(max(min(each, length - i * each), 0) for i in range(num_outputs))
    else:
        raise ExecutionError("Split has neither sizes nor a number of outputs")
    return cut(x, axis, lengths)


def cut(x: Array, axis: int, lengths: tuple[int, ...]) -> tuple[Array, ...]:
    """Consecutive parts of ``x`` along ``axis``, which must add up to the whole of it."""
    if sum(lengths) != x.shape[axis]:
        raise ExecutionError(f"the parts {lengths} do not add up to {x.shape[axis]}")
    starts = [0, *accumulate(lengths)]
    return tuple(part(x, axis, start, stop) for start, stop in pairwise(starts))


def slice_of(
    xp: Any,
    x: Array,
    starts: Array,
    ends: Array,
    axes: Array | None = None,
    steps: Array | None = None,
) -> Array:
    first, last = ints(starts), ints(ends)
    along = range(len(first)) if axes is None else axes_of(ints(axes), x.ndim)
    strides = (1,) * len(first) if steps is None else ints(steps)
    cuts = [slice(None)] * x.ndim
    turned = []
    for axis, start, end, step in zip(along, first, last, strides, strict=True):
        indices = slice_range(x.shape[axis], start, end, step)
        if step < 0:
            turned.append(axis)
            indices = indices[::-1]
        cuts[axis] = slice(indices[0], indices[-1] + 1, abs(step)) if indices else slice(0, 0)
    found = x[tuple(cuts)]
    return xp.flip(found, axis=tuple(turned)) if turned else found


def slice_range(length: int, start: int, end: int, step: int) -> range:
    """The indices of a slice; unlike Python's, a start before a backward slice counts as 0."""
    if not length:
        return range(0)
    if start < 0:
        start += length
    if end < 0:
        end += length
    if step > 0:
        return range(min(max(start, 0), length), min(max(end, 0), length), step)
    return range(max(min(start, length - 1), 0), max(min(end, length - 1), -1), step)


def pad(
    xp: Any,
    x: Array,
    pads: Array,
    value: Array | None = None,
    axes: Array | None = None,
    *,
    mode: str = "constant",
) -> Array:
    """``x`` with elements added before and after along axes; negative pads take away."""
    amounts = ints(pads)
    padded = range(x.ndim) if axes is None else axes_of(ints(axes), x.ndim)
    half = len(amounts) // 2
    for axis, before, after in zip(padded, amounts[:half], amounts[half:], strict=True):
        if not before and not after:
            continue
        if mode == "constant":
            x = _pad_constant(xp, x, axis, before, after, value)
        else:
            length = x.shape[axis]
            positions = [source_of(mode, i, length) for i in range(-before, length + after)]
            x = xp.take(x, xp.asarray(positions, dtype=xp.int64), axis=axis)
    return x


def _pad_constant(
    xp: Any, x: Array, axis: int, before: int, after: int, value: Array | None
) -> Array:
    length = x.shape[axis]
    if before < 0 or after < 0:
        start = min(max(-before, 0), length)
        x = part(x, axis, start, max(length + min(after, 0), start))
    blocks = [_filled(xp, x, axis, before, value), x, _filled(xp, x, axis, after, value)]
    return xp.concat([block for block in blocks if block is not None], axis=axis)


def _filled(xp: Any, x: Array, axis: int, length: int, value: Array | None) -> Array | None:
    if length <= 0:
        return None
    sizes = tuple(length if i == axis else n for i, n in enumerate(x.shape))
    if value is None:
        return np.full(sizes, "", object) if dtype_of(x) is DType.STRING else _zeros(xp, sizes, x)
    scalar = xp.reshape(xp.asarray(value), ())
    return xp.broadcast_to(cast_like(xp, scalar, x), sizes)


def _zeros(xp: Any, sizes: tuple[int, ...], like: Array) -> Array:
    return xp.zeros(sizes, dtype=like.dtype)


def source_of(mode: str, position: int, length: int) -> int:
    """Where along an axis of ``length`` the element for a position outside is found."""
    if mode == "edge":
        return min(max(position, 0), length - 1)
    if mode == "wrap":
        return position % length
    if mode == "reflect":
        folded = position % max(2 * (length - 1), 1)
        return folded if folded < length else 2 * (length - 1) - folded
    raise ExecutionError(f"pad mode {mode!r} is not one of constant, reflect, edge, wrap")


def center_crop_pad(
    xp: Any, x: Array, shape: Array, *, axes: tuple[int, ...] | None = None
) -> Array:
    changed = range(x.ndim) if axes is None else axes_of(axes, x.ndim)
    for axis, size in zip(changed, ints(shape), strict=True):
        spare = size - x.shape[axis]
        if spare > 0:
            x = _pad_constant(xp, x, axis, spare // 2, spare - spare // 2, None)
        else:
            start = -spare // 2
            x = part(x, axis, start, start + size)
    return x


def depth_to_space(xp: Any, x: Array, *, blocksize: int, mode: str = "DCR") -> Array:
    batch, channels, height, width = x.shape
    block, depth = blocksize, channels // blocksize**2
    if mode == "CRD":
        split_up = xp.reshape(x, (batch, depth, block, block, height, width))
        moved = xp.permute_dims(split_up, (0, 1, 4, 2, 5, 3))
    else:
        split_up = xp.reshape(x, (batch, block, block, depth, height, width))
        moved = xp.permute_dims(split_up, (0, 3, 4, 1, 5, 2))
    return xp.reshape(moved, (batch, depth, height * block, width * block))


def space_to_depth(xp: Any, x: Array, *, blocksize: int, mode: str = "DCR") -> Array:
    batch, channels, height, width = x.shape
    block = blocksize
    rows, columns = height // block, width // block
    split_up = xp.reshape(x, (batch, channels, rows, block, columns, block))
    order = (0, 1, 3, 5, 2, 4) if mode == "CRD" else (0, 3, 5, 1, 2, 4)
    moved = xp.permute_dims(split_up, order)
    return xp.reshape(moved, (batch, channels * block**2, rows, columns))


ROWS = (
    Operation("Identity", identity, "shape"),
    Operation("Shape", shape_of, "shape", on_host=True),
    Operation("Size", size_of, "shape", on_host=True),
    Operation("Reshape", reshape, "shape", host=(1,)),
    Operation("Transpose", transpose, "shape"),
    Operation("Squeeze", squeeze, "shape", host=(1,)),
    Operation("Unsqueeze", unsqueeze, "shape", host=(1,)),
    Operation("Flatten", flatten, "shape"),
    Operation("Expand", expand, "shape", host=(1,)),
    Operation("Tile", tile, "shape", host=(1,)),
    Operation("Concat", concat, "shape"),
    Operation("Split", split, "shape", host=(1,)),
    Operation("Slice", slice_of, "shape", host=(1, 2, 3, 4)),
    Operation("Pad", pad, "shape", host=(1, 3)),
    Operation("CenterCropPad", center_crop_pad, "shape", host=(1,)),
    Operation("DepthToSpace", depth_to_space, "shape"),
    Operation("SpaceToDepth", space_to_depth, "shape"),
)
