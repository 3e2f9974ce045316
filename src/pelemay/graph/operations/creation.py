"""Arrays made from a shape, a range, a window's size or a random stream.

In: host inputs, or an array whose shape counts. Out: a new array.

>>> import array_api_compat.numpy as xp
>>> import numpy as np
>>> arange(xp, np.array(3), np.array(9), np.array(3))
array([3, 6])
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pelemay.graph.dtypes import DType
from pelemay.graph.operations.activation import softmax
from pelemay.graph.operations.common import (
    Array,
    cast,
    cast_like,
    dtype_in,
    dtype_of,
    ints,
    is_narrow,
    number,
)
from pelemay.graph.operations.table import Operation


def constant_of_shape(xp: Any, shape: Array, *, value: Array | None = None) -> Array:
    filler = np.zeros(1, np.float32) if value is None else np.asarray(value)
    return np.full(ints(shape), filler.reshape(-1)[0], filler.dtype)


def arange(
    xp: Any, start: Array, limit: Array, delta: Array, *, stash_type: DType | None = None
) -> Array:
    """``start``, ``start + delta``, ... before ``limit``; narrow floats count in float32."""
    dtype = dtype_of(start)
    wide = (stash_type or DType.FLOAT32) if is_narrow(start) else dtype
    first, last, step = number(start), number(limit), number(delta)
    count = max(math.ceil((last - first) / step), 0)
    steps = cast(xp, xp.arange(count), wide)
    scale, origin = (xp.asarray(v, dtype=steps.dtype) for v in (step, first))
    return cast(xp, steps * scale + origin, dtype)


def eye_like(xp: Any, x: Array, *, dtype: DType | None = None, k: int = 0) -> Array:
    kind = dtype_in(xp, dtype) if dtype else x.dtype
    return xp.eye(x.shape[0], x.shape[1], k=k, dtype=kind)


def hann_window(
    xp: Any, size: Array, *, periodic: int = 1, output_datatype: DType | None = None
) -> Array:
    return _window((0.5, 0.5, 0.0), size, periodic, output_datatype)


def hamming_window(
    xp: Any, size: Array, *, periodic: int = 1, output_datatype: DType | None = None
) -> Array:
    return _window((25 / 46, 21 / 46, 0.0), size, periodic, output_datatype)


def blackman_window(
    xp: Any, size: Array, *, periodic: int = 1, output_datatype: DType | None = None
) -> Array:
    return _window((0.42, 0.5, 0.08), size, periodic, output_datatype)


def _window(
    terms: tuple[float, float, float], size: Array, periodic: int, dtype: DType | None
) -> Array:
    """A sum of cosines whose signs alternate: ``a - b cos(t) + c cos(2t)``."""
    count = int(number(size))
    angle = 2 * np.pi * np.arange(count) / max(count if periodic else count - 1, 1)
    constant, once, twice = terms
    window = constant - once * np.cos(angle) + twice * np.cos(2 * angle)
    return window.astype((dtype or DType.FLOAT32).numpy)


def _stream(seed: float | None) -> np.random.RandomState:
    """NumPy promises that this generator's numbers never change for a seed."""
    return np.random.RandomState(None if seed is None else int(seed) & 0xFFFFFFFF)


def random_normal(
    xp: Any,
    *,
    shape: tuple[int, ...],
    dtype: DType | None = None,
    mean: float = 0.0,
    scale: float = 1.0,
    seed: float | None = None,
) -> Array:
    numbers = _stream(seed).normal(mean, scale, shape)
    return np.asarray(numbers).astype((dtype or DType.FLOAT32).numpy)


def random_uniform(
    xp: Any,
    *,
    shape: tuple[int, ...],
    dtype: DType | None = None,
    low: float = 0.0,
    high: float = 1.0,
    seed: float | None = None,
) -> Array:
    numbers = _stream(seed).uniform(low, high, shape)
    return np.asarray(numbers).astype((dtype or DType.FLOAT32).numpy)


def random_normal_like(
    xp: Any,
    x: Array,
    *,
    dtype: DType | None = None,
    mean: float = 0.0,
    scale: float = 1.0,
    seed: float | None = None,
) -> Array:
    kind = dtype or dtype_of(x)
    return random_normal(xp, shape=tuple(x.shape), dtype=kind, mean=mean, scale=scale, seed=seed)


def random_uniform_like(
    xp: Any,
    x: Array,
    *,
    dtype: DType | None = None,
    low: float = 0.0,
    high: float = 1.0,
    seed: float | None = None,
) -> Array:
    kind = dtype or dtype_of(x)
    return random_uniform(xp, shape=tuple(x.shape), dtype=kind, low=low, high=high, seed=seed)


def bernoulli(xp: Any, x: Array, *, dtype: DType | None = None, seed: float | None = None) -> Array:
    """1 with the probability that ``x`` says, else 0."""
    drawn = _stream(seed).uniform(size=x.shape) < np.asarray(x).astype(np.float64)
    return np.asarray(drawn).astype((dtype or dtype_of(x)).numpy)


def multinomial(
    xp: Any,
    x: Array,
    *,
    dtype: DType | None = None,
    sample_size: int = 1,
    seed: float | None = None,
) -> Array:
    """Class numbers drawn by unnormalised log-probabilities: (batch, classes) to (batch, n)."""
    import array_api_compat.numpy as host

    ends = np.cumsum(softmax(host, np.asarray(x).astype(np.float64), axis=1), axis=1)
    drawn = _stream(seed).uniform(size=(x.shape[0], sample_size))
    classes = (drawn[:, :, None] >= ends[:, None, :-1]).sum(axis=-1)
    return classes.astype((dtype or DType.INT32).numpy)


def dropout(
    xp: Any,
    x: Array,
    ratio: Array | None = None,
    training_mode: Array | None = None,
    *,
    seed: float | None = None,
) -> tuple[Array, Array]:
    """``x`` and a mask of ones; in training a random part of ``x`` is 0, the rest scaled up."""
    share = 0.5 if ratio is None else float(number(ratio))
    if training_mode is None or not number(training_mode) or share == 0:
        return x, xp.broadcast_to(xp.asarray(True), x.shape)
    mask = xp.asarray(_stream(seed).uniform(size=tuple(x.shape)) >= share)
    kept = cast_like(xp, mask, x) * x
    scale = xp.asarray(1 / (1 - share) if share < 1 else 0, dtype=x.dtype)
    return kept * scale, mask


ROWS = (
    Operation("ConstantOfShape", constant_of_shape, "creation", host=(0,), on_host=True),
    Operation("Range", arange, "creation", host=(0, 1, 2)),
    Operation("EyeLike", eye_like, "creation"),
    Operation("HannWindow", hann_window, "creation", host=(0,), on_host=True),
    Operation("HammingWindow", hamming_window, "creation", host=(0,), on_host=True),
    Operation("BlackmanWindow", blackman_window, "creation", host=(0,), on_host=True),
    Operation("RandomNormal", random_normal, "creation", on_host=True, random=True),
    Operation("RandomUniform", random_uniform, "creation", on_host=True, random=True),
    Operation("RandomNormalLike", random_normal_like, "creation", on_host=True, random=True),
    Operation("RandomUniformLike", random_uniform_like, "creation", on_host=True, random=True),
    Operation("Bernoulli", bernoulli, "creation", on_host=True, random=True),
    Operation("Multinomial", multinomial, "creation", on_host=True, random=True),
    Operation("Dropout", dropout, "creation", host=(1, 2), random=True),
)
