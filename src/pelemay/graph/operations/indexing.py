"""Reading and writing by index, and choosing by condition.

In: arrays and arrays of indices, which may be negative. Out: arrays of the data's type.

>>> import array_api_compat.numpy as xp
>>> gather(xp, xp.asarray([10, 20, 30]), xp.asarray([[0, -1]]))
array([[10, 30]])
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pelemay.graph.operations.common import (
    Array,
    along,
    as_int64,
    axis_of,
    full_like,
    number,
    part,
)
from pelemay.graph.operations.table import Operation


def _positive(xp: Any, indices: Array, length: int) -> Array:
    """Indices counted from the front, in int64."""
    wide = as_int64(xp, indices)
    return xp.where(wide < 0, wide + length, wide)


def gather(xp: Any, x: Array, indices: Array, *, axis: int = 0) -> Array:
    axis = axis_of(axis, x.ndim)
    flat = xp.reshape(_positive(xp, indices, x.shape[axis]), (-1,))
    found = xp.take(x, flat, axis=axis)
    return xp.reshape(found, (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]))


def gather_elements(xp: Any, x: Array, indices: Array, *, axis: int = 0) -> Array:
    """For each index the element there along ``axis``, at its own place along the others."""
    axis = axis_of(axis, x.ndim)
    for other, length in enumerate(indices.shape):
        if other != axis and length != x.shape[other]:
            x = part(x, other, 0, length)
    return xp.take_along_axis(x, _positive(xp, indices, x.shape[axis]), axis=axis)


def _linear(xp: Any, tuples: Array, sizes: tuple[int, ...]) -> Array:
    """Index tuples (..., k) into dimensions of these sizes, as row-major positions (...)."""
    position = xp.zeros(tuples.shape[:-1], dtype=xp.int64)
    for i, size in enumerate(sizes):
        position = position * size + _positive(xp, tuples[..., i], size)
    return position


def gather_nd(xp: Any, x: Array, indices: Array, *, batch_dims: int = 0) -> Array:
    """Slices of ``x`` named by index tuples, the last dimension of ``indices``."""
    depth = indices.shape[-1]
    batch, rest = x.shape[:batch_dims], x.shape[batch_dims + depth :]
    sizes = x.shape[batch_dims : batch_dims + depth]
    inner = indices.shape[batch_dims:-1]
    tuples = xp.reshape(indices, (math.prod(batch), math.prod(inner), depth))
    offsets = xp.arange(math.prod(batch), dtype=xp.int64)[:, None] * math.prod(sizes)
    rows = xp.reshape(_linear(xp, tuples, sizes) + offsets, (-1,))
    table = xp.reshape(x, (math.prod(batch) * math.prod(sizes), *rest))
    return xp.reshape(xp.take(table, rows, axis=0), (*batch, *inner, *rest))


def scatter_nd(
    xp: Any, x: Array, indices: Array, updates: Array, *, reduction: str = "none"
) -> Array:
    depth = indices.shape[-1]
    sizes, rest = x.shape[:depth], x.shape[depth:]
    rows = xp.reshape(_linear(xp, indices, sizes), (-1,))
    table = xp.reshape(x, (math.prod(sizes), *rest))
    values = xp.reshape(updates, (math.prod(indices.shape[:-1]), *rest))
    return xp.reshape(_scatter_rows(xp, table, rows, values, reduction), x.shape)


def scatter_elements(
    xp: Any, x: Array, indices: Array, updates: Array, *, axis: int = 0, reduction: str = "none"
) -> Array:
    """``x`` with each update put at its index along ``axis``, at its own place along the others."""
    axis, rank = axis_of(axis, x.ndim), x.ndim
    position = xp.zeros(indices.shape, dtype=xp.int64)
    for i, size in enumerate(x.shape):
        if i == axis:
            own = _positive(xp, indices, size)
        else:
            own = along(xp, xp.arange(indices.shape[i], dtype=xp.int64), i, rank)
        position = position * size + own
    table, rows, values = (xp.reshape(a, (-1,)) for a in (x, position, updates))
    return xp.reshape(_scatter_rows(xp, table, rows, values, reduction), x.shape)


def _scatter_rows(xp: Any, table: Array, rows: Array, values: Array, reduction: str) -> Array:
    """``table`` with ``values`` combined into its rows; without a reduction the last one wins.

    Written without item assignment: updates are sorted by row and combined within each row by
    a segmented scan (G. E. Blelloch, Prefix sums and their applications, 1990), and every row
    then looks up the end of its segment.
    """
    count = rows.shape[0]
    if count == 0:
        return table
    order = xp.argsort(rows, stable=True)
    rows, values = xp.take(rows, order, axis=0), xp.take(values, order, axis=0)
    step = 1 if reduction != "none" else count
    while step < count:
        same = along(xp, rows[step:] == rows[:-step], 0, values.ndim)
        joined = _combine(xp, reduction, values[:-step, ...], values[step:, ...])
        joined = xp.where(same, joined, values[step:, ...])
        values = xp.concat([values[:step, ...], joined], axis=0)
        step *= 2
    every = xp.arange(table.shape[0], dtype=rows.dtype)
    ends = xp.searchsorted(rows, every, side="right") - 1
    ends = xp.maximum(ends, full_like(xp, 0, ends))
    hit = along(xp, xp.take(rows, ends, axis=0) == every, 0, table.ndim)
    found = xp.take(values, ends, axis=0)
    return xp.where(hit, _combine(xp, reduction, table, found), table)


def _combine(xp: Any, reduction: str, old: Array, new: Array) -> Array:
    match reduction:
        case "add":
            return old + new
        case "mul":
            return old * new
        case "max":
            return xp.maximum(old, new)
        case "min":
            return xp.minimum(old, new)
        case _:
            return new


def tensor_scatter(
    xp: Any,
    cache: Array,
    update: Array,
    write_indices: Array | None = None,
    *,
    axis: int = -2,
    mode: str = "linear",
) -> Array:
    """``cache`` with ``update`` written along ``axis`` from each sample's write index on."""
    axis, rank = axis_of(axis, cache.ndim), cache.ndim
    length, written = cache.shape[axis], update.shape[axis]
    source = along(xp, xp.arange(length, dtype=xp.int64), axis, rank)
    if write_indices is not None:
        source = source - along(xp, as_int64(xp, write_indices), 0, rank)
    if mode == "circular":
        source = xp.remainder(source, full_like(xp, length, source))
    inside = (source >= 0) & (source < written)
    source = xp.where(inside, source, full_like(xp, 0, source))
    shape = tuple(n if i != axis else length for i, n in enumerate(update.shape))
    taken = xp.take_along_axis(update, xp.broadcast_to(source, shape), axis=axis)
    return xp.where(inside, taken, cache)


def reverse_sequence(
    xp: Any, x: Array, lengths: Array, *, batch_axis: int = 1, time_axis: int = 0
) -> Array:
    time = along(xp, xp.arange(x.shape[time_axis], dtype=xp.int64), time_axis, x.ndim)
    ends = along(xp, as_int64(xp, lengths), batch_axis, x.ndim)
    source = xp.where(time < ends, ends - 1 - time, time)
    return xp.take_along_axis(x, xp.broadcast_to(source, x.shape), axis=time_axis)


def one_hot(xp: Any, indices: Array, depth: Array, values: Array, *, axis: int = -1) -> Array:
    count = int(number(depth))
    axis = axis_of(axis, indices.ndim + 1)
    places = xp.expand_dims(_positive(xp, indices, count), axis=axis)
    classes = along(xp, xp.arange(count, dtype=xp.int64), axis, indices.ndim + 1)
    return xp.where(places == classes, values[1], values[0])


def where(xp: Any, condition: Array, x: Array, y: Array) -> Array:
    return xp.where(condition, x, y)


def trilu(xp: Any, x: Array, k: Array | None = None, *, upper: int = 1) -> Array:
    diagonal = 0 if k is None else int(number(k))
    return xp.triu(x, k=diagonal) if upper else xp.tril(x, k=diagonal)


def non_zero(xp: Any, x: Array) -> Array:
    array = np.atleast_1d(np.asarray(x))
    return np.stack(np.nonzero(array)).astype(np.int64)


def compress(xp: Any, x: Array, condition: Array, *, axis: int | None = None) -> Array:
    return np.compress(np.asarray(condition), np.asarray(x), axis=axis)


def unique(
    xp: Any, x: Array, *, axis: int | None = None, sorted: int = 1
) -> tuple[Array, Array, Array, Array]:
    """The different elements or slices, where each comes first, where each went, how often."""
    values, first, inverse, counts = np.unique(
        np.asarray(x), return_index=True, return_inverse=True, return_counts=True, axis=axis
    )
    inverse = inverse.reshape(-1)
    if not sorted:
        order = np.argsort(first, stable=True)
        values = np.take(values, order, axis=0 if axis is None else axis)
        first, counts = first[order], counts[order]
        inverse = np.argsort(order)[inverse]
    return values, as_int64(np, first), as_int64(np, inverse), as_int64(np, counts)


ROWS = (
    Operation("Gather", gather, "indexing"),
    Operation("GatherElements", gather_elements, "indexing"),
    Operation("GatherND", gather_nd, "indexing"),
    Operation("ScatterElements", scatter_elements, "indexing"),
    Operation("ScatterND", scatter_nd, "indexing"),
    Operation("TensorScatter", tensor_scatter, "indexing"),
    Operation("ReverseSequence", reverse_sequence, "indexing"),
    Operation("OneHot", one_hot, "indexing", host=(1,)),
    Operation("Where", where, "indexing"),
    Operation("Trilu", trilu, "indexing", host=(1,)),
    Operation("NonZero", non_zero, "indexing", on_host=True),
    Operation("Compress", compress, "indexing", on_host=True),
    Operation("Unique", unique, "indexing", on_host=True),
)
