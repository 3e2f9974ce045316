"""Pooling over windows and over whole images.

In: data of shape (N, C, *spatial). Out: an array of shape (N, C, *windows).

>>> import array_api_compat.numpy as xp
>>> max_pool(xp, xp.asarray([[[1.0, 3.0, 2.0, 0.0]]]), kernel_shape=(2,), num_outputs=1)
array([[[3., 3., 2.]]])
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pelemay.graph.dtypes import Kind
from pelemay.graph.operations.common import Array, dtype_of, in_float32, ints
from pelemay.graph.operations.table import Operation
from pelemay.graph.operations.windows import Ints, Window, pad, window_of


def max_pool(
    xp: Any,
    x: Array,
    *,
    kernel_shape: Ints,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: Ints = (),
    pads: Ints = (),
    storage_order: int = 0,
    strides: Ints = (),
    num_outputs: int = 2,
) -> Any:
    window = window_of(
        x.shape[2:],
        kernel_shape,
        strides=strides,
        dilations=dilations,
        pads=pads,
        auto_pad=auto_pad,
        ceil_mode=ceil_mode,
    )
    padded = window.padded(xp, x, _lowest(xp, x))
    if num_outputs > 1:
        return _max_and_indices(xp, x, padded, window, column_major=bool(storage_order))
    best = None
    for position in window.positions:
        tap = window.tap(padded, position)
        best = tap if best is None else xp.maximum(best, tap)
    return best


def _lowest(xp: Any, x: Array) -> Any:
    return -math.inf if dtype_of(x).kind is Kind.FLOAT else int(xp.iinfo(x.dtype).min)


def _max_and_indices(
    xp: Any, x: Array, padded: Array, window: Window, *, column_major: bool
) -> tuple[Array, Array]:
    """The largest element of each window, and its place in the flattened ``x``."""
    steps = _steps(x.shape[2:], column_major=column_major)
    best = where = None
    for position in window.positions:
        tap = window.tap(padded, position)
        offset = sum(f * s for f, s in zip(window.offsets(position), steps, strict=True))
        here = xp.full(tap.shape, offset, dtype=xp.int64)
        if best is None:
            best, where = tap, here
        else:
            where = xp.where(tap > best, here, where)
            best = xp.maximum(best, tap)
    return best, where + xp.asarray(_first_indices(x.shape, window, steps))


def _steps(sizes: Ints, *, column_major: bool) -> Ints:
    """How far apart neighbours along each axis lie in the flattened image."""
    if column_major:
        return tuple(math.prod(sizes[:axis]) for axis in range(len(sizes)))
    return tuple(math.prod(sizes[axis + 1 :]) for axis in range(len(sizes)))


def _first_indices(shape: Ints, window: Window, steps: Ints) -> np.ndarray[Any, Any]:
    """The flat index of the first position of each window, of shape (N, C, *windows)."""
    images = np.arange(shape[0] * shape[1], dtype=np.int64) * math.prod(shape[2:])
    index = images.reshape(shape[0], shape[1], *(1,) * len(steps))
    for axis, step in enumerate(steps):
        along = np.arange(window.outputs[axis]) * window.strides[axis] - window.begins[axis]
        index = index + (along * step).reshape(-1, *(1,) * (len(steps) - 1 - axis))
    return index


@in_float32
def average_pool(
    xp: Any,
    x: Array,
    *,
    kernel_shape: Ints,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    count_include_pad: int = 0,
    dilations: Ints = (),
    pads: Ints = (),
    strides: Ints = (),
) -> Array:
    window = window_of(
        x.shape[2:],
        kernel_shape,
        strides=strides,
        dilations=dilations,
        pads=pads,
        auto_pad=auto_pad,
        ceil_mode=ceil_mode,
    )
    counts = counts_of(x.shape[2:], window, include_pad=bool(count_include_pad))
    return window_sum(xp, x, window) / xp.asarray(counts, dtype=x.dtype)


def window_sum(xp: Any, x: Array, window: Window) -> Array:
    padded = window.padded(xp, x)
    total: Any = 0
    for position in window.positions:
        total = total + window.tap(padded, position)
    return total


def counts_of(sizes: Ints, window: Window, *, include_pad: bool) -> np.ndarray[Any, Any]:
    """How many elements of the data, or of the padded data, each window spans."""
    total = np.ones((), np.int64)
    for axis, size in enumerate(sizes):
        starts = np.arange(window.outputs[axis]) * window.strides[axis]
        places = starts[:, None] + np.arange(window.kernel[axis]) * window.dilations[axis]
        begin = window.begins[axis]
        low, high = (0, begin + size + window.ends[axis]) if include_pad else (begin, begin + size)
        total = total[..., None] * ((places >= low) & (places < high)).sum(axis=1)
    return total


@in_float32
def lp_pool(
    xp: Any,
    x: Array,
    *,
    kernel_shape: Ints,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: Ints = (),
    p: int = 2,
    pads: Ints = (),
    strides: Ints = (),
) -> Array:
    window = window_of(
        x.shape[2:],
        kernel_shape,
        strides=strides,
        dilations=dilations,
        pads=pads,
        auto_pad=auto_pad,
        ceil_mode=ceil_mode,
    )
    return window_sum(xp, xp.abs(x) ** p, window) ** (1 / p)


def _spatial(x: Array) -> Ints:
    return tuple(range(2, x.ndim))


@in_float32
def global_average_pool(xp: Any, x: Array) -> Array:
    return xp.mean(x, axis=_spatial(x), keepdims=True)


def global_max_pool(xp: Any, x: Array) -> Array:
    return xp.max(x, axis=_spatial(x), keepdims=True)


@in_float32
def global_lp_pool(xp: Any, x: Array, *, p: int = 2) -> Array:
    return xp.sum(xp.abs(x) ** p, axis=_spatial(x), keepdims=True) ** (1 / p)


def max_unpool(
    xp: Any,
    x: Array,
    indices: Array,
    output_shape: Array | None = None,
    *,
    kernel_shape: Ints,
    pads: Ints = (),
    strides: Ints = (),
) -> Array:
    """Each element back to where MaxPool found it, zeros elsewhere.

    The indices belong to the shape that follows from the attributes; ``output_shape`` pads it.
    """
    rank = len(kernel_shape)
    strides, pads = strides or (1,) * rank, pads or (0,) * (2 * rank)
    axes = zip(x.shape[2:], kernel_shape, strides, pads[:rank], pads[rank:], strict=True)
    shape = (*x.shape[:2], *((n - 1) * s + k - b - e for n, k, s, b, e in axes))
    image = xp.reshape(_scattered(xp, x, indices, math.prod(shape)), shape)
    if output_shape is None:
        return image
    wanted = zip(ints(output_shape)[2:], image.shape[2:], strict=True)
    return pad(xp, image, (0,) * rank, [target - size for target, size in wanted])


def _scattered(xp: Any, x: Array, indices: Array, size: int) -> Array:
    """A flat array of zeros with the elements of ``x`` at ``indices``, found by binary search."""
    flat = xp.reshape(indices, (-1,))
    order = xp.argsort(flat)
    places, values = xp.take(flat, order), xp.take(xp.reshape(x, (-1,)), order)
    targets = xp.arange(size, dtype=flat.dtype)
    found = xp.clip(xp.searchsorted(places, targets), 0, flat.shape[0] - 1)
    hit = xp.take(places, found) == targets
    return xp.where(hit, xp.take(values, found), xp.zeros((), dtype=x.dtype))


ROWS = (
    Operation("MaxPool", max_pool, "pooling"),
    Operation("AveragePool", average_pool, "pooling"),
    Operation("LpPool", lp_pool, "pooling"),
    Operation("GlobalAveragePool", global_average_pool, "pooling"),
    Operation("GlobalMaxPool", global_max_pool, "pooling"),
    Operation("GlobalLpPool", global_lp_pool, "pooling"),
    Operation("MaxUnpool", max_unpool, "pooling", host=(2,)),
)
