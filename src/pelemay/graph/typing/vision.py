"""Types of resizing, sampling, regions, spectra.

In: a :class:`Site`. Out: the types of its outputs.
"""

from __future__ import annotations

import numpy as np

from pelemay.errors import GraphError
from pelemay.graph.dtypes import Kind
from pelemay.graph.operations.common import axes_of, axis_of
from pelemay.graph.operations.resize import stretches_of
from pelemay.graph.typing.dims import computed, known, same, tensor
from pelemay.graph.typing.site import Numbers, Rule, Site, Types, int64
from pelemay.graph.values import Dim, Shape


def resize(site: Site) -> Types:
    """Sizes as they are given, or scaled."""
    shape = site.shape(0)
    if shape is None:
        return (tensor(site.dtype(0), None),)
    axes = site.attribute("axes")
    chosen = tuple(range(len(shape))) if axes is None else axes_of(axes, len(shape))
    dims: list[Dim] = list(shape)
    for axis, size in zip(chosen, _resized(site, [shape[axis] for axis in chosen]), strict=True):
        dims[axis] = size
    return (tensor(site.dtype(0), dims),)


def _resized(site: Site, lengths: list[Dim]) -> list[Dim]:
    unknown: list[Dim] = [None] * len(lengths)
    scales, policy = site.value(2), str(site.attribute("keep_aspect_ratio_policy"))
    given = scales if scales is not None and scales.size else site.value(3)
    if given is None:
        return unknown
    crop = site.attribute("coordinate_transformation_mode") == "tf_crop_and_resize"
    roi = site.value(1) if crop else None
    if crop and roi is None and given is scales:
        return unknown
    sizes = known(lengths)
    if sizes is not None:
        found = stretches_of(list(sizes), scales, site.value(3), policy, roi)
        return [stretch.output for stretch in found]
    if len(given.reshape(-1)) != len(lengths):
        raise GraphError(f"{given.size} numbers do not fit {len(lengths)} axes")
    return [_resized_axis(*axis, policy) for axis in _axes(lengths, scales, given)]


def _axes(
    lengths: list[Dim], scales: Numbers | None, given: Numbers
) -> list[tuple[Dim, float | None, int | None]]:
    """A length, and its scale or its size."""
    numbers = given.reshape(-1).tolist()
    if given is scales:
        return [(n, s, None) for n, s in zip(lengths, numbers, strict=True)]
    return [(n, None, o) for n, o in zip(lengths, numbers, strict=True)]


def _resized_axis(length: Dim, scale: float | None, size: int | None, policy: str) -> Dim:
    if scale is None:
        return size if policy == "stretch" else None
    if scale == 1:
        return length
    return computed(lambda n: int(np.floor(np.float32(n) * np.float32(scale))), length)


def grid_sample(site: Site) -> Types:
    """The data's channels at the grid's places."""
    x, grid = site.shape(0), site.shape(1)
    if x is None or grid is None:
        known_rank = x if x is not None else grid
        return (tensor(site.dtype(0), None if known_rank is None else (None,) * len(known_rank)),)
    same(grid[-1], len(x) - 2)
    return (tensor(site.dtype(0), (same(x[0], grid[0]), x[1], *grid[1:-1])),)


def affine_grid(site: Site) -> Types:
    """Coordinates for each pixel of the given size."""
    size = site.dims(1)
    if size is None:
        return (tensor(site.dtype(0), None),)
    return (tensor(site.dtype(0), (size[0], *size[2:], len(size) - 2)),)


def non_max_suppression(site: Site) -> Types:
    """Rows of three indices."""
    return (int64((None, 3)),)


def max_roi_pool(site: Site) -> Types:
    """A small map for each region."""
    x, rois = site.shape(0), site.shape(1)
    dims = (rois[0] if rois else None, x[1] if x else None, *site.attribute("pooled_shape"))
    return (tensor(site.dtype(0), dims),)


def roi_align(site: Site) -> Types:
    """A small map for each region, of floating-point numbers."""
    x, rois, dtype = site.shape(0), site.shape(1), site.dtype(0)
    if dtype is not None and dtype.kind is not Kind.FLOAT:
        raise GraphError(f"it takes floating-point numbers, not {dtype.value}")
    sizes = site.attribute("output_height"), site.attribute("output_width")
    return (tensor(dtype, (rois[0] if rois else None, x[1] if x else None, *sizes)),)


def dft(site: Site) -> Types:
    """A spectrum along the axis; its last axis holds the real and the imaginary part."""
    shape = site.shape(0)
    axis = site.number(2) if site.has(2) else -2
    if shape is None or axis is None:
        return (tensor(site.dtype(0), None if shape is None else (None,) * len(shape)),)
    at = axis_of(axis, len(shape))
    length: Dim = site.number(1) if site.has(1) else shape[at]
    inverse = site.attribute("inverse")
    one_sided = site.attribute("onesided")
    if one_sided:
        length = _one_sided(site, length, inverse, shape[at])
    last = 1 if one_sided and inverse else 2
    return (tensor(site.dtype(0), (*shape[:at], length, *shape[at + 1 : -1], last)),)


def _one_sided(site: Site, length: Dim, inverse: object, given: Dim) -> Dim:
    if not inverse:
        return computed(lambda n: n // 2 + 1, length)
    return length if site.has(1) else computed(lambda n: 2 * (n - 1), given)


def stft(site: Site) -> Types:
    """Frames of frequencies."""
    shape = site.shape(0)
    if shape is None:
        return (tensor(site.dtype(0), (None,) * 4),)
    length = _frame_length(site, shape)
    step = site.number(1)
    frames = computed(lambda n, k, s: (n - k) // s + 1, shape[1], length, step)
    one_sided = site.attribute("onesided") and shape[-1] == 1
    frequencies = computed(lambda k: k // 2 + 1, length) if one_sided else length
    return (tensor(site.dtype(0), (shape[0], frames, frequencies, 2)),)


def _frame_length(site: Site, shape: Shape) -> Dim:
    if site.has(3):
        return site.number(3)
    window = site.shape(2)
    if site.has(2):
        return window[0] if window else None
    return shape[1]


RULES: dict[str, Rule] = {
    "AffineGrid": affine_grid,
    "DFT": dft,
    "GridSample": grid_sample,
    "MaxRoiPool": max_roi_pool,
    "NonMaxSuppression": non_max_suppression,
    "Resize": resize,
    "RoiAlign": roi_align,
    "STFT": stft,
}
