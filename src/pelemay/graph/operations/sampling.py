"""Reading images between their pixels.

In: images of shape (N, C, *spatial) and coordinates in pixels. Out: values of shape (N, C, points).

>>> import array_api_compat.numpy as xp
>>> sample(xp, xp.asarray([[[0.0, 10.0]]]), xp.asarray([[[0.25, 3.0]]]))
array([[[2.5, 0. ]]])
"""

from __future__ import annotations

import itertools
import math
from typing import Any

from pelemay.graph.operations.common import Array


def sample(xp: Any, images: Array, coordinates: Array) -> Array:
    """Interpolate linearly along every axis; pixels outside are 0.

    Parameters
    ----------
    images : array of shape (N, C, *spatial)
        Floating-point numbers.
    coordinates : array of shape (N, rank, points)
        0 is the first pixel's centre.

    Returns
    -------
    array of shape (N, C, points)
    """
    low = xp.floor(coordinates)
    high_share = coordinates - low
    total: Any = 0
    for corner in itertools.product((0, 1), repeat=images.ndim - 2):
        weight: Any = 1
        for axis, step in enumerate(corner):
            share = high_share[:, axis, :]
            weight = weight * (share if step else 1 - share)
        steps = xp.asarray(corner, dtype=coordinates.dtype)
        values = pixels(xp, images, low + steps[None, :, None])
        total = total + values * xp.expand_dims(weight, axis=1)
    return total


def pixels(xp: Any, images: Array, coordinates: Array) -> Array:
    """The pixels at whole coordinates of shape (N, rank, points); those outside are 0."""
    sizes = images.shape[2:]
    position: Any = 0
    inside: Any = True
    for axis, size in enumerate(sizes):
        along = coordinates[:, axis, :]
        inside = inside & (along >= 0) & (along <= size - 1)
        position = position * size + xp.astype(xp.clip(along, 0, size - 1), xp.int64)
    found = take_points(xp, images, position)
    return xp.where(xp.expand_dims(inside, axis=1), found, xp.zeros_like(found))


def take_points(xp: Any, images: Array, positions: Array) -> Array:
    """The pixels at flat positions of shape (N, points), the same for each channel."""
    n, channels, *sizes = images.shape
    size = math.prod(sizes)
    lines = xp.reshape(xp.moveaxis(images, 1, 0), (channels, n * size))
    first = xp.arange(n, dtype=positions.dtype)[:, None] * size
    found = xp.take(lines, xp.reshape(positions + first, (-1,)), axis=1)
    return xp.moveaxis(xp.reshape(found, (channels, n, -1)), 0, 1)
