"""Reductions over axes, positions of extremes, running sums.

In: an array, axes as a host input or none for all. Out: an array of the same type (int64 for
positions). A reduction over no axes leaves the elements as they are.

>>> import array_api_compat.numpy as xp
>>> reduce_l1(xp, xp.asarray([[1.0, -2.0]]), keepdims=0)
np.float64(3.0)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pelemay.graph.dtypes import DType, Kind
from pelemay.graph.operations.common import (
    Array,
    as_int64,
    axes_of,
    axis_of,
    cast,
    cast_like,
    dtype_of,
    full_like,
    in_float32,
    ints,
    is_float,
    number,
    part,
    widened,
)
from pelemay.graph.operations.elementwise import absolute, divide
from pelemay.graph.operations.table import Operation


def _axes(x: Array, axes: Array | None, noop: int) -> tuple[int, ...]:
    given = () if axes is None else axes_of(ints(axes), x.ndim)
    return given if given or noop else tuple(range(x.ndim))


def _reduce(
    function: Callable[..., Array], x: Array, axes: tuple[int, ...], keepdims: int, **options: Any
) -> Array:
    """Apply a reduction of the standard, which gives ``axis=()`` no one meaning."""
    return function(x, axis=axes, keepdims=bool(keepdims), **options) if axes else x


@in_float32
def reduce_sum(
    xp: Any,
    x: Array,
    axes: Array | None = None,
    *,
    keepdims: int = 1,
    noop_with_empty_axes: int = 0,
) -> Array:
    found = _axes(x, axes, noop_with_empty_axes)
    return _reduce(xp.sum, x, found, keepdims, dtype=x.dtype)


@in_float32
def reduce_prod(
    xp: Any,
    x: Array,
    axes: Array | None = None,
    *,
    keepdims: int = 1,
    noop_with_empty_axes: int = 0,
) -> Array:
    found = _axes(x, axes, noop_with_empty_axes)
    return _reduce(xp.prod, x, found, keepdims, dtype=x.dtype)


@in_float32
def reduce_mean(
    xp: Any,
    x: Array,
    axes: Array | None = None,
    *,
    keepdims: int = 1,
    noop_with_empty_axes: int = 0,
) -> Array:
    found = _axes(x, axes, noop_with_empty_axes)
    if is_float(x):
        return _reduce(xp.mean, x, found, keepdims)
    count = 1
    for axis in found:
        count *= x.shape[axis]
    total = _reduce(xp.sum, x, found, keepdims, dtype=x.dtype)
    return divide(xp, total, full_like(xp, count, x))


@in_float32
def reduce_l1(
    xp: Any,
    x: Array,
    axes: Array | None = None,
    *,
    keepdims: int = 1,
    noop_with_empty_axes: int = 0,
) -> Array:
    found = _axes(x, axes, noop_with_empty_axes)
    return _reduce(xp.sum, absolute(xp, x), found, keepdims, dtype=x.dtype)


@in_float32
def reduce_l2(
    xp: Any,
    x: Array,
    axes: Array | None = None,
    *,
    keepdims: int = 1,
    noop_with_empty_axes: int = 0,
) -> Array:
    found = _axes(x, axes, noop_with_empty_axes)
    wide = x if is_float(x) else cast(xp, x, DType.FLOAT64)
    return cast_like(xp, xp.sqrt(_reduce(xp.sum, wide * wide, found, keepdims)), x)


@in_float32
def reduce_sum_square(
    xp: Any,
    x: Array,
    axes: Array | None = None,
    *,
    keepdims: int = 1,
    noop_with_empty_axes: int = 0,
) -> Array:
    found = _axes(x, axes, noop_with_empty_axes)
    return _reduce(xp.sum, x * x, found, keepdims, dtype=x.dtype)


@in_float32
def reduce_log_sum(
    xp: Any,
    x: Array,
    axes: Array | None = None,
    *,
    keepdims: int = 1,
    noop_with_empty_axes: int = 0,
) -> Array:
    found = _axes(x, axes, noop_with_empty_axes)
    return xp.log(_reduce(xp.sum, x, found, keepdims))


@in_float32
def reduce_log_sum_exp(
    xp: Any,
    x: Array,
    axes: Array | None = None,
    *,
    keepdims: int = 1,
    noop_with_empty_axes: int = 0,
) -> Array:
    """``log(sum(exp(x)))``, shifted by the largest finite element so that it cannot overflow."""
    found = _axes(x, axes, noop_with_empty_axes)
    if not found:
        return x
    if 0 in x.shape:
        return xp.log(_reduce(xp.sum, x, found, keepdims))
    top = xp.max(x, axis=found, keepdims=True)
    top = xp.where(xp.isfinite(top), top, full_like(xp, 0, x))
    result = xp.log(_reduce(xp.sum, xp.exp(x - top), found, True)) + top
    return result if keepdims else xp.squeeze(result, axis=found)


def reduce_max(
    xp: Any,
    x: Array,
    axes: Array | None = None,
    *,
    keepdims: int = 1,
    noop_with_empty_axes: int = 0,
) -> Array:
    found = _axes(x, axes, noop_with_empty_axes)
    if dtype_of(x) is DType.BOOL:
        return _reduce(xp.any, x, found, keepdims)
    if any(x.shape[axis] == 0 for axis in found):
        return _of_nothing(xp, x, found, keepdims, -1)
    return _reduce(xp.max, x, found, keepdims)


def reduce_min(
    xp: Any,
    x: Array,
    axes: Array | None = None,
    *,
    keepdims: int = 1,
    noop_with_empty_axes: int = 0,
) -> Array:
    found = _axes(x, axes, noop_with_empty_axes)
    if dtype_of(x) is DType.BOOL:
        return _reduce(xp.all, x, found, keepdims)
    if any(x.shape[axis] == 0 for axis in found):
        return _of_nothing(xp, x, found, keepdims, 1)
    return _reduce(xp.min, x, found, keepdims)


def _of_nothing(xp: Any, x: Array, axes: tuple[int, ...], keepdims: int, sign: int) -> Array:
    """The extreme of no elements: infinity, or the last number of an integer type."""
    dtype = dtype_of(x)
    if dtype.kind is Kind.FLOAT:
        value: float = sign * float("inf")
    else:
        limits = xp.iinfo(x.dtype)
        value = limits.max if sign > 0 else limits.min
    sizes = [1 if i in axes else n for i, n in enumerate(x.shape) if keepdims or i not in axes]
    return xp.full(tuple(sizes), value, dtype=x.dtype)


def arg_max(
    xp: Any, x: Array, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0
) -> Array:
    return _position(xp, xp.argmax, x, axis, keepdims, select_last_index)


def arg_min(
    xp: Any, x: Array, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0
) -> Array:
    return _position(xp, xp.argmin, x, axis, keepdims, select_last_index)


def _position(
    xp: Any, function: Callable[..., Array], x: Array, axis: int, keepdims: int, last: int
) -> Array:
    wide = widened(xp, x)
    axis = axis_of(axis, x.ndim)
    if not last:
        return as_int64(xp, function(wide, axis=axis, keepdims=bool(keepdims)))
    found = function(xp.flip(wide, axis=axis), axis=axis, keepdims=bool(keepdims))
    return as_int64(xp, x.shape[axis] - 1 - found)


@in_float32
def cumulative_sum(
    xp: Any, x: Array, axis: Array, *, exclusive: int = 0, reverse: int = 0
) -> Array:
    return _cumulate(xp, xp.cumulative_sum, x, axis, exclusive, reverse)


@in_float32
def cumulative_product(
    xp: Any, x: Array, axis: Array, *, exclusive: int = 0, reverse: int = 0
) -> Array:
    return _cumulate(xp, xp.cumulative_prod, x, axis, exclusive, reverse)


def _cumulate(
    xp: Any, function: Callable[..., Array], x: Array, axis: Array, exclusive: int, reverse: int
) -> Array:
    at = axis_of(number(axis), x.ndim)
    turned = xp.flip(x, axis=at) if reverse else x
    found = function(turned, axis=at, dtype=x.dtype, include_initial=bool(exclusive))
    if exclusive:
        found = part(found, at, 0, x.shape[at])
    return xp.flip(found, axis=at) if reverse else found


def top_k(
    xp: Any, x: Array, k: Array, *, axis: int = -1, largest: int = 1, sorted: int = 1
) -> tuple[Array, Array]:
    """The ``k`` extreme elements in order, and their positions; of equals the first is first."""
    at, count = axis_of(axis, x.ndim), number(k)
    wide = widened(xp, x)
    leading = _leading(wide, count, largest=bool(largest))
    if leading is not None:
        wide = wide[leading]
    order = xp.argsort(wide, axis=at, descending=bool(largest), stable=True)
    indices = part(as_int64(xp, order), at, 0, count)
    if leading is not None:
        indices = leading[indices]
    return xp.take_along_axis(x, indices, axis=at), indices


def _leading(x: Array, count: int, *, largest: bool) -> Array | None:
    """Where elements stand of a long NumPy vector that may be among the first, or None.

    The values alone are sorted much faster than their places.
    """
    if not isinstance(x, np.ndarray) or x.ndim != 1 or not 0 < 4 * count < x.size:
        return None
    ordered = np.sort(x)
    if ordered[-1] != ordered[-1]:  # NaN is sorted behind all others.
        return None
    return np.flatnonzero(x >= ordered[-count] if largest else x <= ordered[count - 1])


ROWS = (
    Operation("ReduceSum", reduce_sum, "reduction", host=(1,)),
    Operation("ReduceProd", reduce_prod, "reduction", host=(1,)),
    Operation("ReduceMean", reduce_mean, "reduction", host=(1,)),
    Operation("ReduceL1", reduce_l1, "reduction", host=(1,)),
    Operation("ReduceL2", reduce_l2, "reduction", host=(1,)),
    Operation("ReduceSumSquare", reduce_sum_square, "reduction", host=(1,)),
    Operation("ReduceLogSum", reduce_log_sum, "reduction", host=(1,)),
    Operation("ReduceLogSumExp", reduce_log_sum_exp, "reduction", host=(1,)),
    Operation("ReduceMax", reduce_max, "reduction", host=(1,)),
    Operation("ReduceMin", reduce_min, "reduction", host=(1,)),
    Operation("ArgMax", arg_max, "reduction"),
    Operation("ArgMin", arg_min, "reduction"),
    Operation("CumSum", cumulative_sum, "reduction", host=(1,)),
    Operation("CumProd", cumulative_product, "reduction", host=(1,)),
    Operation("TopK", top_k, "reduction", host=(1,)),
)
