"""Normalisation: batch, layer, instance, group, local response and others.

In: data and, for most, a scale and a bias. Out: an array of the data's shape and type.

>>> import array_api_compat.numpy as xp
>>> layer_normalization(xp, xp.asarray([1.0, 3.0]), xp.asarray([1.0, 1.0]), epsilon=0.0)[0]
array([-1.,  1.])
"""

from __future__ import annotations

import math
from typing import Any

from pelemay.graph.dtypes import DType
from pelemay.graph.operations.common import (
    Array,
    axis_of,
    cast,
    cast_like,
    dtype_of,
    in_float32,
    widened,
)
from pelemay.graph.operations.table import Operation
from pelemay.graph.operations.windows import Ints


def batch_normalization(
    xp: Any,
    x: Array,
    scale: Array,
    bias: Array,
    mean: Array,
    variance: Array,
    *,
    epsilon: float = 1e-5,
    momentum: float = 0.9,
    training_mode: int = 0,
) -> tuple[Array, ...]:
    """Normalise each channel (axis 1); in training by its own statistics.

    Ioffe and Szegedy, Batch normalization, arXiv 1502.03167.
    """
    wide = widened(xp, x)
    shape = (1, -1, *(1,) * (x.ndim - 2)) if x.ndim > 1 else (1,)
    old_mean, old_variance = (_like(xp, v, wide) for v in (mean, variance))
    new_mean, new_variance, running = old_mean, old_variance, ()
    if training_mode:
        axes = tuple(axis for axis in range(x.ndim) if axis != 1)
        new_mean, new_variance = xp.mean(wide, axis=axes), xp.var(wide, axis=axes)
        updates = ((old_mean, new_mean), (old_variance, new_variance))
        running = tuple(
            cast_like(xp, old * momentum + new * (1 - momentum), mean) for old, new in updates
        )
    factor = _like(xp, scale, wide) / xp.sqrt(new_variance + epsilon)
    centred = wide - xp.reshape(new_mean, shape)
    y = centred * xp.reshape(factor, shape) + xp.reshape(_like(xp, bias, wide), shape)
    return (cast_like(xp, y, x), *running)


def _like(xp: Any, x: Array, wide: Array) -> Array:
    """Parameters may have another floating-point type than the data."""
    return cast_like(xp, x, wide)


def _stage_one(xp: Any, x: Array, stash_type: DType | None) -> Array:
    """``x`` in the type of the statistics, which is never narrower than its own."""
    stash = stash_type or DType.FLOAT32
    return cast(xp, x, stash) if stash.bits > dtype_of(x).bits else widened(xp, x)


def layer_normalization(
    xp: Any,
    x: Array,
    scale: Array,
    bias: Array | None = None,
    *,
    axis: int = -1,
    epsilon: float = 1e-5,
    stash_type: DType | None = None,
) -> tuple[Array, Array, Array]:
    """The normalised data, the mean and the reciprocal of the standard deviation.

    Ba, Kiros and Hinton, Layer normalization, arXiv 1607.06450.
    """
    axes = tuple(range(axis_of(axis, x.ndim), x.ndim))
    wide = _stage_one(xp, x, stash_type)
    mean = xp.mean(wide, axis=axes, keepdims=True)
    centred = wide - mean
    inverse = 1 / xp.sqrt(xp.mean(centred * centred, axis=axes, keepdims=True) + epsilon)
    y = cast_like(xp, centred * inverse, x) * scale
    return y if bias is None else y + bias, mean, inverse


def rms_normalization(
    xp: Any,
    x: Array,
    scale: Array,
    *,
    axis: int = -1,
    epsilon: float = 1e-5,
    stash_type: DType | None = None,
) -> Array:
    """Zhang and Sennrich, Root mean square layer normalization, arXiv 1910.07467."""
    axes = tuple(range(axis_of(axis, x.ndim), x.ndim))
    wide = _stage_one(xp, x, stash_type)
    square = xp.mean(wide * wide, axis=axes, keepdims=True)
    normalized = cast_like(xp, wide / xp.sqrt(square + epsilon), x)
    return cast_like(xp, normalized, scale) * scale


def _standardized(xp: Any, x: Array, axes: Ints, epsilon: float) -> Array:
    centred = x - xp.mean(x, axis=axes, keepdims=True)
    variance = xp.mean(centred * centred, axis=axes, keepdims=True)
    return centred / xp.sqrt(variance + epsilon)


def _per_channel(xp: Any, v: Array, rank: int) -> Array:
    return xp.reshape(v, (-1, *(1,) * (rank - 2)))


@in_float32
def instance_normalization(
    xp: Any, x: Array, scale: Array, bias: Array, *, epsilon: float = 1e-5
) -> Array:
    """Ulyanov, Vedaldi and Lempitsky, Instance normalization, arXiv 1607.08022."""
    y = _standardized(xp, x, tuple(range(2, x.ndim)), epsilon)
    return y * _per_channel(xp, scale, x.ndim) + _per_channel(xp, bias, x.ndim)


def group_normalization(
    xp: Any,
    x: Array,
    scale: Array,
    bias: Array,
    *,
    num_groups: int,
    epsilon: float = 1e-5,
    stash_type: DType | None = None,
) -> Array:
    """Wu and He, Group normalization, arXiv 1803.08494."""
    shape = (x.shape[0], num_groups, math.prod(x.shape[1:]) // num_groups)
    grouped = xp.reshape(_stage_one(xp, x, stash_type), shape)
    y = cast_like(xp, xp.reshape(_standardized(xp, grouped, (2,), epsilon), x.shape), x)
    return y * _per_channel(xp, scale, x.ndim) + _per_channel(xp, bias, x.ndim)


@in_float32
def lrn(
    xp: Any, x: Array, *, size: int, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0
) -> Array:
    """Divide by the power of neighbouring channels; Krizhevsky et al., AlexNet, section 3.3."""
    channels, before = x.shape[1], (size - 1) // 2
    edge = xp.zeros((x.shape[0], size, *x.shape[2:]), dtype=x.dtype)
    squares = xp.concat([edge[:, :before, ...], x * x, edge[:, : size - 1 - before, ...]], axis=1)
    total: Any = 0
    for first in range(size):
        total = total + squares[:, first : first + channels, ...]
    return x / (bias + alpha / size * total) ** beta


@in_float32
def lp_normalization(xp: Any, x: Array, *, axis: int = -1, p: int = 2) -> Array:
    """Divide by the norm along ``axis``; where that is 0 the result is 0."""
    size = xp.abs(x)
    if p == 1:
        norm = xp.sum(size, axis=axis, keepdims=True)
    else:
        norm = xp.sqrt(xp.sum(size * size, axis=axis, keepdims=True))
    return x / xp.where(norm == 0, xp.ones_like(norm), norm)


@in_float32
def mean_variance_normalization(xp: Any, x: Array, *, axes: Ints = (0, 2, 3)) -> Array:
    # ONNX's own definition of the function adds this to the standard deviation.
    deviation_epsilon = 1e-9
    centred = x - xp.mean(x, axis=axes, keepdims=True)
    variance = xp.mean(centred * centred, axis=axes, keepdims=True)
    return centred / (xp.sqrt(variance) + deviation_epsilon)


ROWS = (
    Operation("BatchNormalization", batch_normalization, "normalization"),
    Operation("LayerNormalization", layer_normalization, "normalization"),
    Operation("RMSNormalization", rms_normalization, "normalization"),
    Operation("InstanceNormalization", instance_normalization, "normalization"),
    Operation("GroupNormalization", group_normalization, "normalization"),
    Operation("LRN", lrn, "normalization"),
    Operation("LpNormalization", lp_normalization, "normalization"),
    Operation("MeanVarianceNormalization", mean_variance_normalization, "normalization"),
)
