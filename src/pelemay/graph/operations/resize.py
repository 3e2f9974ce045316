"""Images made larger or smaller, or sampled along a grid.

In: an array, and scales, sizes or a grid. Out: the array with other sizes. Resizing is done one
axis after the other; along an axis each output is a weighted sum of a few inputs.

>>> import array_api_compat.numpy as xp, numpy as np
>>> resize(xp, xp.asarray([1.0, 3.0]), None, None, np.asarray([4]), mode="linear")
array([1. , 1.5, 2.5, 3. ])
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np

from pelemay.errors import ExecutionError
from pelemay.graph.dtypes import DType, Kind
from pelemay.graph.operations.common import (
    Array,
    axes_of,
    cast,
    cast_like,
    dtype_of,
    in_float32,
    ints,
    is_float,
    widened,
)
from pelemay.graph.operations.sampling import (
    Settle,
    Taps,
    cubic,
    cubic_taps,
    linear_taps,
    pixels,
    sample,
)
from pelemay.graph.operations.table import Operation
from pelemay.graph.operations.windows import Ints

Numbers = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Stretch:
    """What happens along one axis.

    Parameters
    ----------
    size, output : int
        Sizes of the input and the output.
    ideal : float
        The output's size before it was rounded.
    start, end : float
        The part of the input that is wanted; 0 and 1 are its ends.
    """

    size: int
    output: int
    ideal: float
    start: float = 0.0
    end: float = 1.0

    @property
    def scale(self) -> float:
        """How much longer the output is."""
        return self.ideal / self.size if self.size else 1.0


@dataclass(frozen=True)
class Filter:
    """Resize's attributes that say how inputs are weighted."""

    mode: str
    coordinates: str
    nearest: str
    a: float
    antialias: bool
    exclude_outside: bool


def resize(
    xp: Any,
    x: Array,
    roi: Array | None = None,
    scales: Array | None = None,
    sizes: Array | None = None,
    *,
    antialias: int = 0,
    axes: Ints | None = None,
    coordinate_transformation_mode: str = "half_pixel",
    cubic_coeff_a: float = -0.75,
    exclude_outside: int = 0,
    extrapolation_value: float = 0.0,
    keep_aspect_ratio_policy: str = "stretch",
    mode: str = "nearest",
    nearest_mode: str = "round_prefer_floor",
) -> Array:
    chosen = tuple(range(x.ndim)) if axes is None else axes_of(axes, x.ndim)
    crop = coordinate_transformation_mode == "tf_crop_and_resize"
    lengths = [x.shape[axis] for axis in chosen]
    stretches = stretches_of(
        lengths, scales, sizes, keep_aspect_ratio_policy, roi if crop else None
    )
    how = Filter(
        mode,
        coordinate_transformation_mode,
        nearest_mode,
        cubic_coeff_a,
        bool(antialias),
        bool(exclude_outside),
    )
    resized = partial(_resized, how=how, outside=extrapolation_value if crop else None)
    by_axis = dict(zip(chosen, stretches, strict=True))
    if mode == "nearest" or is_float(x):
        return resized(xp, x, by_axis)
    return _back_to_integer(xp, resized(xp, cast(xp, x, DType.FLOAT64), by_axis), x)


def _back_to_integer(xp: Any, y: Array, like: Array) -> Array:
    if dtype_of(like).kind not in (Kind.INT, Kind.UINT):
        return cast_like(xp, y, like)
    limits = xp.iinfo(like.dtype)
    return cast_like(xp, xp.clip(y, float(limits.min), float(limits.max)), like)


def stretches_of(
    lengths: list[int], scales: Array | None, sizes: Array | None, policy: str, roi: Array | None
) -> list[Stretch]:
    """What happens along each axis, from Resize's inputs and ``keep_aspect_ratio_policy``.

    Raises
    ------
    ExecutionError
        If neither scales nor sizes has one number an axis.
    """
    count = len(lengths)
    given = scales if scales is not None and scales.size else sizes
    if given is None or given.size != count:
        raise ExecutionError(f"neither scales nor sizes has {count} numbers")
    edges = [0.0] * count + [1.0] * count
    if roi is not None and roi.size:
        edges = [float(edge) for edge in np.asarray(roi, np.float64)]
    parts = list(zip(lengths, edges[:count], edges[count:], strict=True))
    if given is scales:
        return [_scaled(n, s, *e) for s, (n, *e) in zip(np.asarray(given), parts, strict=True)]
    wanted = ints(given)
    if policy == "stretch":
        return [Stretch(n, o, o, *e) for o, (n, *e) in zip(wanted, parts, strict=True)]
    extreme = min if policy == "not_larger" else max
    ratio = extreme(Fraction(o, n) for o, n in zip(wanted, lengths, strict=True))
    return [
        Stretch(n, math.floor(ratio * n + Fraction(1, 2)), float(ratio * n), *e) for n, *e in parts
    ]


def _scaled(length: int, scale: Any, start: float, end: float) -> Stretch:
    """In float32, as the scales are: 10 times 0.7 is 7, and a whole size is meant exactly."""
    ideal = np.float32(length) * np.float32(scale)
    output = math.floor(ideal * np.float32(end - start))
    exact = float(ideal) if ideal == round(ideal) else length * float(scale)
    return Stretch(length, output, exact, start, end)


@in_float32
def _resized(
    xp: Any, x: Array, by_axis: dict[int, Stretch], *, how: Filter, outside: float | None
) -> Array:
    beyond: dict[int, Numbers] = {}
    for axis, stretch in by_axis.items():
        whole = outside is None or (stretch.start, stretch.end) == (0.0, 1.0)
        if stretch.size == stretch.output == stretch.ideal and whole:
            continue
        where = coordinates_of(stretch, how.coordinates)
        beyond[axis] = (where < 0) | (where > stretch.size - 1)
        x = _along(xp, x, axis, *taps_of(where, stretch, how))
    if outside is None:
        return x
    return _fill(xp, x, beyond, outside)


def _fill(xp: Any, x: Array, beyond: dict[int, Numbers], value: float) -> Array:
    for axis, mask in beyond.items():
        shaped = xp.reshape(xp.asarray(mask), (-1, *(1,) * (x.ndim - 1 - axis)))
        x = xp.where(shaped, xp.asarray(value, dtype=x.dtype), x)
    return x


def _along(xp: Any, x: Array, axis: int, places: Numbers, weights: Numbers | None) -> Array:
    """Sum over the columns of ``places`` (outputs, taps): what lies there times its weight."""
    if weights is None:
        return xp.take(x, xp.asarray(places[:, 0]), axis=axis)
    total: Any = 0
    for tap in range(places.shape[1]):
        weight = xp.asarray(weights[:, tap], dtype=x.dtype)
        weight = xp.reshape(weight, (-1, *(1,) * (x.ndim - 1 - axis)))
        total = total + xp.take(x, xp.asarray(places[:, tap]), axis=axis) * weight
    return total


def _half_pixel(x: Numbers, s: Stretch) -> Numbers:
    return (x + 0.5) * s.size / s.ideal - 0.5


def _half_pixel_symmetric(x: Numbers, s: Stretch) -> Numbers:
    offset = s.size / 2 * (1 - s.output / s.ideal)
    return offset + _half_pixel(x, s)


def _pytorch_half_pixel(x: Numbers, s: Stretch) -> Numbers:
    return _half_pixel(x, s) if s.output > 1 else x * 0.0


def _align_corners(x: Numbers, s: Stretch) -> Numbers:
    return x * (s.size - 1) / (s.ideal - 1) if s.output > 1 else x * 0.0


def _asymmetric(x: Numbers, s: Stretch) -> Numbers:
    return x * s.size / s.ideal


def _crop(x: Numbers, s: Stretch) -> Numbers:
    last = s.size - 1
    if s.output > 1:
        return s.start * last + x * (s.end - s.start) * last / (s.output - 1)
    return x * 0.0 + 0.5 * (s.start + s.end) * last


COORDINATES: dict[str, Callable[[Numbers, Stretch], Numbers]] = {
    "half_pixel": _half_pixel,
    "half_pixel_symmetric": _half_pixel_symmetric,
    "pytorch_half_pixel": _pytorch_half_pixel,
    "align_corners": _align_corners,
    "asymmetric": _asymmetric,
    "tf_crop_and_resize": _crop,
}


def coordinates_of(stretch: Stretch, mode: str) -> Numbers:
    """Where in the input each output along the axis lies."""
    return COORDINATES[mode](np.arange(stretch.output, dtype=np.float64), stretch)


ROUNDINGS: dict[str, Callable[[Numbers], Numbers]] = {
    "round_prefer_floor": lambda x: np.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: np.floor(x + 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}


def taps_of(where: Numbers, stretch: Stretch, how: Filter) -> tuple[Numbers, Numbers | None]:
    """Indices of inputs and their weights, each (outputs, taps); None means a plain copy."""
    last = stretch.size - 1
    if how.mode == "nearest":
        nearest = ROUNDINGS[how.nearest](where)
        return np.clip(nearest, 0, last).astype(np.int64)[:, None], None
    shrink = min(1.0, stretch.scale) if how.antialias else 1.0
    reach = math.ceil((2 if how.mode == "cubic" else 1) / shrink)
    below = np.floor(where)
    places = below[:, None] + np.arange(1 - reach, reach + 1)
    distance = np.abs(places - where[:, None]) * shrink
    weights = cubic(np, distance, how.a) if how.mode == "cubic" else np.maximum(0, 1 - distance)
    if how.exclude_outside:
        weights = np.where((places < 0) | (places > last), 0, weights)
    if how.exclude_outside or how.antialias:
        weights = weights / weights.sum(axis=1, keepdims=True)
    return np.clip(places, 0, last).astype(np.int64), weights


Table = tuple[Numbers, Numbers | None]


def tables_of(
    attributes: Mapping[str, Any],
    shape: Ints,
    roi: Numbers | None,
    scales: Numbers | None,
    sizes: Numbers | None,
) -> dict[int, Table]:
    """For each axis that changes, what its outputs are made of: places and weights.

    Parameters
    ----------
    attributes : mapping
        Resize's, as far as they are given.
    shape : tuple of int
        Of the data.
    roi, scales, sizes : ndarray or None
        Resize's other inputs.

    Returns
    -------
    dict
        Axis to arrays (outputs, taps); a place of -1 is outside of what is wanted, weights of
        None mean a plain copy.
    """
    given = {**ROWS[0].attributes, **attributes}
    axes, rank = given["axes"], len(shape)
    chosen = range(rank) if axes is None else axes_of(axes, rank)
    coordinates = given["coordinate_transformation_mode"]
    crop = coordinates == "tf_crop_and_resize"
    policy = given["keep_aspect_ratio_policy"]
    lengths = [shape[axis] for axis in chosen]
    stretches = stretches_of(lengths, scales, sizes, policy, roi if crop else None)
    how = Filter(
        given["mode"],
        coordinates,
        given["nearest_mode"],
        given["cubic_coeff_a"],
        bool(given["antialias"]),
        bool(given["exclude_outside"]),
    )
    pairs = zip(chosen, stretches, strict=True)
    return {axis: _table(s, how, crop=crop) for axis, s in pairs if _changes(s, crop=crop)}


def _changes(stretch: Stretch, *, crop: bool) -> bool:
    whole = not crop or (stretch.start, stretch.end) == (0.0, 1.0)
    return not (stretch.size == stretch.output == stretch.ideal and whole)


def _table(stretch: Stretch, how: Filter, *, crop: bool) -> Table:
    where = coordinates_of(stretch, how.coordinates)
    places, weights = taps_of(where, stretch, how)
    if weights is not None:
        places, weights = trimmed(places, weights)
    if crop:
        beyond = (where < 0) | (where > stretch.size - 1)
        places = np.where(beyond[:, None], -1, places)
    return places, weights


def trimmed(
    places: np.ndarray[Any, Any], weights: np.ndarray[Any, Any]
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Without the taps whose weight is 0 for every output."""
    used = (weights != 0).any(axis=0)
    used[0] = used[0] or not used.any()
    return places[:, used], weights[:, used]


def grid_sample(
    xp: Any,
    x: Array,
    grid: Array,
    *,
    align_corners: int = 0,
    mode: str = "linear",
    padding_mode: str = "zeros",
) -> Array:
    """The pixels at the places that ``grid`` names, from -1 to 1 along each axis, last axis first.

    Jaderberg et al., Spatial transformer networks, arXiv 1506.02025.
    """
    sizes = x.shape[2:]
    borders = [(0.0, n - 1.0) if align_corners else (-0.5, n - 0.5) for n in sizes]
    settle = _settle(xp, padding_mode, borders)
    flat = xp.reshape(widened(xp, grid), (grid.shape[0], math.prod(grid.shape[1:-1]), len(sizes)))
    axes = []
    for axis, (low, high) in enumerate(borders):
        along = low + (flat[:, :, len(sizes) - 1 - axis] + 1) * ((high - low) / 2)
        axes.append(xp.round(along) if mode == "nearest" else along)
    if mode == "nearest":
        y = pixels(xp, x, axes, settle)
    else:
        y = cast_like(xp, _interpolated(xp, x, axes, mode, settle), x)
    return xp.reshape(y, (*x.shape[:2], *grid.shape[1:-1]))


def _interpolated(xp: Any, x: Array, axes: list[Array], mode: str, settle: Settle | None) -> Array:
    taps: Taps = cubic_taps if mode == "cubic" else linear_taps
    where = xp.stack(axes, axis=1)
    wide = xp.float64 if dtype_of(x) is DType.FLOAT64 else where.dtype
    return sample(xp, x, xp.astype(where, wide), taps, settle)


def _settle(xp: Any, padding: str, borders: list[tuple[float, float]]) -> Settle | None:
    def clamp(along: Array, axis: int) -> Array:
        low, high = borders[axis]
        return xp.clip(along, math.ceil(low), math.floor(high))

    def reflect(along: Array, axis: int) -> Array:
        low, high = borders[axis]
        if high == low:
            return xp.full_like(along, low)
        beyond = xp.abs(along - low)
        turns = xp.floor(beyond / (high - low))
        rest = beyond - turns * (high - low)
        mirrored = xp.where(turns % 2 == 0, low + rest, high - rest)
        return xp.where((along < low) | (along > high), mirrored, along)

    return {"border": clamp, "reflection": reflect}.get(padding)


@in_float32
def affine_grid(xp: Any, theta: Array, size: Array, *, align_corners: int = 0) -> Array:
    """A grid for GridSample: the places of all pixels, moved by the matrices ``theta``."""
    sizes = ints(size)[2:]
    axes = [centres(n, align_corners=bool(align_corners)) for n in sizes]
    mesh = np.meshgrid(*axes, indexing="ij")
    places = np.stack([*(axis.reshape(-1) for axis in reversed(mesh)), np.ones(math.prod(sizes))])
    moved = xp.matmul(theta, xp.asarray(places, dtype=theta.dtype))
    return xp.reshape(xp.matrix_transpose(moved), (theta.shape[0], *sizes, len(sizes)))


def centres(count: int, *, align_corners: bool) -> Numbers:
    """Where the pixels of an axis lie if it goes from -1 to 1.

    >>> centres(2, align_corners=False).tolist()
    [-0.5, 0.5]
    """
    if count == 1:
        return np.zeros(1)
    edge = 1 if align_corners else 1 - 1 / count
    return np.linspace(-edge, edge, count)


ROWS = (
    Operation("Resize", resize, "resize", host=(1, 2, 3)),
    Operation("GridSample", grid_sample, "resize"),
    Operation("AffineGrid", affine_grid, "resize", host=(1,)),
)
