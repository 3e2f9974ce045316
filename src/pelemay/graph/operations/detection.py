"""Boxes in images: choosing among them, and pooling what lies in them.

In: boxes, their scores, feature maps. Out: indices of boxes; a small feature map for each box.
What a box covers depends on its numbers, so all of this runs on the host, over NumPy.

>>> import numpy as np
>>> boxes = np.array([[[0, 0, 1, 1], [0, 0, 1, 0.9], [0, 2, 1, 3]]], np.float32)
>>> scores = np.array([[[0.9, 0.8, 0.7]]], np.float32)
>>> non_max_suppression(np, boxes, scores, np.array(9), np.array(0.5)).tolist()
[[0, 0, 0], [0, 0, 2]]
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from pelemay.graph.operations.common import Array, in_float32, number
from pelemay.graph.operations.table import Operation
from pelemay.graph.operations.windows import Ints

TOGETHER = 32
"""Boxes whose overlaps with all others are computed at a time."""

Numbers = np.ndarray[Any, Any]


def non_max_suppression(
    xp: Any,
    boxes: Array,
    scores: Array,
    max_output_boxes_per_class: Array | None = None,
    iou_threshold: Array | None = None,
    score_threshold: Array | None = None,
    *,
    center_point_box: int = 0,
) -> Array:
    """Rows of (batch, class, box): the best boxes that do not overlap better ones too much."""
    most = 0 if max_output_boxes_per_class is None else int(number(max_output_boxes_per_class))
    overlap = 0.0 if iou_threshold is None else number(iou_threshold)
    least = -math.inf if score_threshold is None else number(score_threshold)
    chosen: list[tuple[int, int, int]] = []
    for batch, of_class in itertools.product(range(scores.shape[0]), range(scores.shape[1])):
        corners = _corners(boxes[batch], center_point_box=bool(center_point_box))
        best = _best(corners, scores[batch, of_class], most, overlap, least)
        chosen += [(batch, of_class, box) for box in best]
    return np.array(chosen, np.int64).reshape(-1, 3)


def _corners(boxes: Numbers, *, center_point_box: bool) -> Numbers:
    """Low corners, then high corners, (boxes, 2, 2)."""
    first, second = boxes[:, :2], boxes[:, 2:]
    if center_point_box:
        first, second = first - second / 2, first + second / 2
    return np.stack([np.minimum(first, second), np.maximum(first, second)], axis=1)


def _best(corners: Numbers, scores: Numbers, most: int, overlap: float, least: float) -> list[int]:
    """The best boxes, some at a time: first among themselves, then against all others."""
    order = np.argsort(-scores, kind="stable")
    left = order[scores[order] > least]
    kept: list[int] = []
    while left.size and len(kept) < most:
        some, left = left[:TOGETHER], left[TOGETHER:]
        best = _apart(_overlaps(corners[some], corners[some]) <= overlap)
        kept += some[best].tolist()
        apart = _overlaps(corners[some[best]], corners[left]) <= overlap
        left = left[apart.all(axis=0)]
    return kept[:most]


def _apart(apart: Numbers) -> list[int]:
    """The first of some, and those after it that are apart from all taken before."""
    found: list[int] = []
    free = np.ones(len(apart), np.bool_)
    for one in range(len(apart)):
        if free[one]:
            found.append(one)
            free &= apart[one]
    return found


def _overlaps(some: Numbers, others: Numbers) -> Numbers:
    """Intersection over union of each of some boxes with others; 0 where a box has no area."""
    low = np.maximum(some[:, None, 0], others[:, 0])
    high = np.minimum(some[:, None, 1], others[:, 1])
    sides = np.maximum(high - low, 0)
    common = sides[..., 0] * sides[..., 1]
    union = _areas(some)[:, None] + _areas(others) - common
    return np.where(common > 0, common / np.where(union > 0, union, 1), 0)


def _areas(boxes: Numbers) -> Numbers:
    sides = boxes[:, 1] - boxes[:, 0]
    areas: Numbers = sides[:, 0] * sides[:, 1]
    return areas


def max_roi_pool(
    xp: Any, x: Array, rois: Array, *, pooled_shape: Ints, spatial_scale: float = 1.0
) -> Array:
    """The largest element in each part of each region.

    Girshick, Fast R-CNN, arXiv 1504.08083, section 2.1.
    """
    pooled = np.zeros((rois.shape[0], x.shape[1], *pooled_shape), x.dtype)
    for index, (batch, *edges) in enumerate(rois):
        left, top, right, bottom = (_half_up(edge * spatial_scale) for edge in edges)
        rows = _parts(top, bottom, pooled_shape[0], x.shape[2])
        columns = _parts(left, right, pooled_shape[1], x.shape[3])
        for (i, row), (j, column) in itertools.product(enumerate(rows), enumerate(columns)):
            part = x[int(batch), :, row, column]
            if part.size:
                pooled[index, :, i, j] = part.max(axis=(1, 2))
    return pooled


def _half_up(value: Any) -> int:
    return math.floor(abs(float(value)) + 0.5) * (1 if value >= 0 else -1)


def _parts(first: int, last: int, count: int, size: int) -> list[slice]:
    """A range of pixels in ``count`` parts, which overlap where it does not divide."""
    step = max(last - first + 1, 1) / count
    edges = [
        (math.floor(i * step) + first, math.ceil((i + 1) * step) + first) for i in range(count)
    ]
    return [slice(min(max(a, 0), size), min(max(b, 0), size)) for a, b in edges]


@in_float32
def roi_align(
    xp: Any,
    x: Array,
    rois: Array,
    batch_indices: Array,
    *,
    coordinate_transformation_mode: str = "half_pixel",
    mode: str = "avg",
    output_height: int = 1,
    output_width: int = 1,
    sampling_ratio: int = 0,
    spatial_scale: float = 1.0,
) -> Array:
    """Regions pooled at points between the pixels; He et al., Mask R-CNN, arXiv 1703.06870."""
    half = coordinate_transformation_mode == "half_pixel"
    pooled = np.zeros((rois.shape[0], x.shape[1], output_height, output_width), x.dtype)
    for index, batch in enumerate(batch_indices):
        left, top, right, bottom = rois[index] * spatial_scale - (0.5 if half else 0.0)
        height, width = bottom - top, right - left
        if not half:
            height, width = max(height, 1.0), max(width, 1.0)
        rows = _points(top, height, output_height, sampling_ratio, x.shape[2])
        columns = _points(left, width, output_width, sampling_ratio, x.shape[3])
        pool = _average if mode == "avg" else _largest
        pooled[index] = pool(x[int(batch)], rows, columns)
    return pooled


def _points(start: Any, extent: Any, count: int, ratio: int, size: int) -> Numbers:
    """Weights of pixels (outputs, points, 2 neighbours, pixels) along one axis."""
    points = ratio or max(0, math.ceil(extent / count))
    steps = np.arange(count * points).reshape(count, points) + 0.5
    where = start + steps * (extent / count / max(points, 1))
    inside = (where >= -1) & (where <= size)
    held = np.clip(where, 0, size - 1)
    low = np.floor(held)
    weights = np.zeros((count, points, 2, size), np.result_type(start))
    place = np.indices((count, points))
    for neighbour, share in enumerate((1 - (held - low), held - low)):
        pixel = np.minimum(low + neighbour, size - 1).astype(np.int64)
        weights[place[0], place[1], neighbour, pixel] = share * inside
    return weights


def _average(image: Numbers, rows: Numbers, columns: Numbers) -> Numbers:
    """Interpolation and mean are linear along each axis: two matrix products."""
    left, right = (w.sum(axis=2).sum(axis=1) / max(w.shape[1], 1) for w in (rows, columns))
    pooled: Numbers = left @ image @ right.T
    return pooled


def _largest(image: Numbers, rows: Numbers, columns: Numbers) -> Numbers:
    """The largest weighted pixel, as onnxruntime and the operation's published results have it."""
    outputs = (rows.shape[0], columns.shape[0])
    best = np.zeros((image.shape[0], *outputs), image.dtype)
    for i, j in np.ndindex(*outputs):
        tall = rows[i].reshape(-1, rows.shape[-1])
        wide = columns[j].reshape(-1, columns.shape[-1])
        if tall.size and wide.size:
            best[:, i, j] = (tall @ image @ wide.T).max(axis=(1, 2))
    return best


ROWS = (
    Operation("NonMaxSuppression", non_max_suppression, "detection", on_host=True),
    Operation("MaxRoiPool", max_roi_pool, "detection", on_host=True),
    Operation("RoiAlign", roi_align, "detection", on_host=True),
)
