"""Reading images between their pixels, by linear or cubic interpolation.

In: images of shape (N, C, *spatial) and coordinates in pixels. Out: values of shape (N, C, points).

>>> import array_api_compat.numpy as xp
>>> sample(xp, xp.asarray([[[0.0, 10.0]]]), xp.asarray([[[0.25, 3.0]]]))
array([[[2.5, 0. ]]])
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

from pelemay.graph.operations.common import Array

Taps = Callable[[Any, Array], dict[int, Array]]
"""From the distances to the pixel before to the weights of the pixels around, by their steps."""

Settle = Callable[[Array, int], Array]
"""From whole coordinates along an axis to those to read instead; what is left outside is 0."""


def linear_taps(xp: Any, distance: Array) -> dict[int, Array]:
    return {0: 1 - distance, 1: distance}


def nearest_taps(xp: Any, distance: Array) -> dict[int, Array]:
    return {0: xp.ones_like(distance)}


def cubic_taps(xp: Any, distance: Array, a: float = -0.75) -> dict[int, Array]:
    """Weights of four pixels.

    Keys, Cubic convolution interpolation for digital image processing, 1981, equation (4).
    """
    return {step: cubic(xp, xp.abs(step - distance), a) for step in (-1, 0, 1, 2)}


def cubic(xp: Any, distance: Array, a: float) -> Array:
    """Keys' kernel at a distance >= 0."""
    near = ((a + 2) * distance - (a + 3)) * distance * distance + 1
    far = ((distance - 5) * distance + 8) * distance * a - 4 * a
    return xp.where(distance <= 1, near, xp.where(distance < 2, far, xp.zeros_like(distance)))


def sample(
    xp: Any,
    images: Array,
    coordinates: Array,
    taps: Taps = linear_taps,
    settle: Settle | None = None,
) -> Array:
    """Interpolate along every axis.

    Parameters
    ----------
    images : array of shape (N, C, *spatial)
    coordinates : array of shape (N, rank, points)
        Floating-point numbers; 0 is the first pixel's centre.
    taps : callable
        Weights of the pixels around.
    settle : callable, optional
        Where to read instead outside of the image; if not given, pixels outside are 0.

    Returns
    -------
    array of shape (N, C, points)
        In the type of ``coordinates``.
    """
    below = xp.floor(coordinates)
    axes = [
        taps(xp, coordinates[:, axis, :] - below[:, axis, :]) for axis in range(images.ndim - 2)
    ]
    total: Any = 0
    for steps in itertools.product(*axes):
        weight: Any = math.prod(axis[step] for axis, step in zip(axes, steps, strict=True))
        places = [below[:, axis, :] + step for axis, step in enumerate(steps)]
        values = pixels(xp, images, places, settle)
        total = total + xp.astype(values, coordinates.dtype) * xp.expand_dims(weight, axis=1)
    return total


def pixels(xp: Any, images: Array, coordinates: list[Array], settle: Settle | None = None) -> Array:
    """The pixels at whole coordinates, an array of shape (N, points) for each axis."""
    position: Any = 0
    inside: Any = True
    for axis, (along, size) in enumerate(zip(coordinates, images.shape[2:], strict=True)):
        settled = along if settle is None else settle(along, axis)
        inside = inside & (settled >= 0) & (settled <= size - 1)
        position = position * size + xp.astype(xp.clip(settled, 0, size - 1), xp.int64)
    found = take_points(xp, images, position)
    return xp.where(xp.expand_dims(inside, axis=1), found, xp.zeros_like(found))


def take_points(xp: Any, images: Array, positions: Array) -> Array:
    """The pixels at flat positions of shape (N, points), the same for each channel."""
    n, channels, *sizes = images.shape
    size = math.prod(sizes)
    lines = xp.reshape(xp.moveaxis(images, 1, 0), (channels, n * size))
    first = xp.expand_dims(xp.arange(n, dtype=positions.dtype), axis=1) * size
    found = xp.take(lines, xp.reshape(positions + first, (-1,)), axis=1)
    return xp.moveaxis(xp.reshape(found, (channels, n, positions.shape[1])), 0, 1)
