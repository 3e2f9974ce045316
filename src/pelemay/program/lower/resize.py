"""Images made larger or smaller, and sampled.

In: nodes Resize, GridSample, RoiAlign and the like. Out: one instruction. What each output of a
resize is made of is known before the run: for each axis a table of places and weights.

>>> _whole(2)
(array([[0],
       [1]]), None)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from pelemay.graph.operations.resize import centres, tables_of
from pelemay.plan.layout import Reshape
from pelemay.program.views import SMALL, choice, copy, given, option, shown

if TYPE_CHECKING:
    from pelemay.graph import Node
    from pelemay.program.lowering import Lowering
    from pelemay.program.operand import Operand

SAMPLE_MODES = ("nearest", "linear", "cubic")
"""In the order of ``pm_sample_mode``."""

PADDINGS = ("zeros", "border", "reflection")
"""In the order of ``pm_pad_mode``."""

MOST_PLACES = 1 << 22
"""Along an axis that is resized: where each comes from is a constant of the program."""

Table = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any] | None]


def _resize(l: Lowering, node: Node) -> None:
    x, y = l.tensor(node.inputs[0]), l.tensor(node.outputs[0])
    if not y.size:
        return
    if max(y.shape[1:], default=0) > MOST_PLACES:
        raise l.unsupported(f"more than {MOST_PLACES} places along an axis would fill a table")
    tables = tables_of(node.attributes, x.shape, *(_known(l, node, i) for i in (1, 2, 3)))
    if not tables:
        copy(l, x, y)
        return
    first, last = min(tables), max(tables)
    ends = _shown(l, x, y, first, last)
    if ends is None and last < x.rank - 2:
        last = x.rank - 2
        ends = _shown(l, x, y, first, last)
    if ends is None:
        raise l.unsupported(f"{x.shape} or {y.shape} has gaps between its rows")
    inputs: list[Operand | None] = [ends[0]]
    for axis in range(first, last + 1):
        places, weights = tables.get(axis) or _whole(x.shape[axis])
        inputs.append(l.literal(places.astype(np.int32)))
        inputs.append(None if weights is None else l.literal(weights.astype(np.float64)))
    taps = math.prod(t[0].shape[1] for t in tables.values())
    rows = l.rows or (0, y.shape[first])
    size = y.size // y.shape[first] * (rows[1] - rows[0])
    params = (float(option(node, "extrapolation_value")), *rows)
    l.emit("resize", inputs, [ends[1]], params, cost=size * taps, serial=size < SMALL)


def _shown(
    l: Lowering, x: Operand, y: Operand, first: int, last: int
) -> tuple[Operand, Operand] | None:
    """Both with one axis before those that are resized, and one behind; None where gaps forbid."""
    found = []
    for operand in (x, y):
        front, behind = math.prod(x.shape[:first]), math.prod(x.shape[last + 1 :])
        seen = shown(l, operand, Reshape((front, *operand.shape[first : last + 1], behind)))
        if seen is None or (seen.shape[-1] > 1 and seen.strides[-1] != 1):
            return None
        found.append(seen)
    return found[0], found[1]


def _known(l: Lowering, node: Node, index: int) -> np.ndarray[Any, Any] | None:
    name = given(node, index)
    constant = l.constant(name)
    if name and constant is None:
        raise l.unsupported(f"'{name}' is not known before the run")
    return None if constant is None else np.asarray(constant.array())


def _whole(size: int) -> Table:
    return np.arange(size)[:, None], None


def _grid_sample(l: Lowering, node: Node) -> None:
    x, grid, y = (l.tensor(name) for name in (*node.inputs, *node.outputs))
    points, axes = math.prod(y.shape[2:]), x.rank - 2
    if not y.size:
        return
    places = l.view_of(grid, shape=(grid.shape[0], points, axes))
    found = l.view_of(y, shape=(*y.shape[:2], points))
    params = (
        choice(node, "mode", SAMPLE_MODES),
        choice(node, "padding_mode", PADDINGS),
        option(node, "align_corners"),
    )
    l.emit("grid_sample", [x, places], [found], params, cost=y.size << axes)


def _affine_grid(l: Lowering, node: Node) -> None:
    theta, y = l.tensor(node.inputs[0]), l.tensor(node.outputs[0])
    align = bool(option(node, "align_corners"))
    axes = [l.literal(centres(n, align_corners=align)) for n in y.shape[1:-1]]
    if y.size:
        l.emit("affine_grid", [theta, *axes], [y], serial=y.size < SMALL)


def _roi_align(l: Lowering, node: Node) -> None:
    x, rois, images = (l.tensor(name) for name in node.inputs)
    y = l.tensor(node.outputs[0])
    params = (
        option(node, "mode") == "max",
        option(node, "coordinate_transformation_mode") == "half_pixel",
        option(node, "sampling_ratio"),
        float(option(node, "spatial_scale")),
    )
    if y.size:
        l.emit("roi_align", [x, rois, images], [y], params, cost=16 * y.size)


def _max_roi_pool(l: Lowering, node: Node) -> None:
    x, rois, y = (l.tensor(name) for name in (*node.inputs, *node.outputs))
    scale = float(option(node, "spatial_scale"))
    if y.size:
        l.emit("max_roi_pool", [x, rois], [y], (scale,), cost=16 * y.size)


LOWERINGS: dict[tuple[str, str], Callable[[Lowering, Node], None]] = {
    ("", "AffineGrid"): _affine_grid,
    ("", "GridSample"): _grid_sample,
    ("", "MaxRoiPool"): _max_roi_pool,
    ("", "Resize"): _resize,
    ("", "RoiAlign"): _roi_align,
}
