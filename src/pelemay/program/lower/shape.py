"""What moves elements and computes none: reshaping, joining, cutting, padding.

In: nodes of the family "shape". Out: copies from one view to another; none where the plan gave the
output the input's place.

>>> runs([2, 1, 0, 1, 2, 1])
[(0, 2, 3, -1), (3, 1, 2, 1), (5, 1, 1, 0)]
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from pelemay.graph.operations.shape import slice_range, source_of
from pelemay.graph.operations.windows import Window, window_of
from pelemay.plan.layout import Permute, Reshape
from pelemay.program.lower.elementwise import emit_binary
from pelemay.program.lower.reduction import axis_of, ints_of
from pelemay.program.views import copy, copy_in_order, fill, given, option, part, part_along, shown

if TYPE_CHECKING:
    from pelemay.graph import Node
    from pelemay.program.lowering import Lowering
    from pelemay.program.operand import Operand

MOST_COPIES = 128
"""Copies that one padding may take before it is left to the reference."""

Ints = Sequence[int]


def _ends(l: Lowering, node: Node) -> tuple[Operand, Operand]:
    return l.bits(node.inputs[0]), l.bits(node.outputs[0])


def _in_order(l: Lowering, node: Node) -> None:
    """The same elements in the same order, whatever the shapes."""
    copy_in_order(l, *_ends(l, node))


def _transpose(l: Lowering, node: Node) -> None:
    x, y = _ends(l, node)
    order = node.attributes.get("perm") or tuple(reversed(range(x.rank)))
    copy(l, _needed(l, shown(l, x, Permute(tuple(order)))), y)  # type: ignore[arg-type]


def _needed(l: Lowering, operand: Operand | None) -> Operand:
    if operand is None:
        raise l.unsupported("its elements do not lie at regular strides")
    return operand


def _expand(l: Lowering, node: Node) -> None:
    copy(l, *_ends(l, node))


def _tile(l: Lowering, node: Node) -> None:
    """Repetitions are axes of their own, along which the input does not move."""
    x, y = _ends(l, node)
    sizes: list[int] = []
    strides: list[int] = []
    for n, stride, wanted in zip(x.shape, x.strides, y.shape, strict=True):
        times = wanted // n if n else 0
        sizes += [times, n] if times != 1 else [n]
        strides += [0, stride] if times != 1 else [stride]
    repeated = l.view_of(x, shape=sizes, strides=strides)
    copy(l, repeated, _needed(l, shown(l, y, Reshape(tuple(sizes)))))


def _concat(l: Lowering, node: Node) -> None:
    y = l.tensor(node.outputs[0])
    axis = axis_of(l, option(node, "axis"), y.rank)
    start = 0
    for name in node.inputs:
        x = l.tensor(name)
        copy(l, x, part_along(l, y, axis, start, x.shape[axis]))
        start += x.shape[axis]


def _split(l: Lowering, node: Node) -> None:
    x = l.tensor(node.inputs[0])
    axis = axis_of(l, option(node, "axis"), x.rank)
    start = 0
    for name in node.outputs:
        size = l.shape(name)[axis] if name else 0
        if name:
            copy(l, part_along(l, x, axis, start, size), l.tensor(name))
        start += size


def _slice(l: Lowering, node: Node) -> None:
    x, y = _ends(l, node)
    first, last = ints_of(l, node, 1) or (), ints_of(l, node, 2) or ()
    axes = ints_of(l, node, 3) or range(len(first))
    steps = ints_of(l, node, 4) or (1,) * len(first)
    ranges = [range(n) for n in x.shape]
    for axis, start, end, step in zip(axes, first, last, steps, strict=True):
        axis = axis_of(l, axis, x.rank)
        ranges[axis] = slice_range(x.shape[axis], start, end, step)
    turned = [axis for axis, r in enumerate(ranges) if r.step < 0]
    if not y.size:
        return
    starts = [min(r[0], r[-1]) for r in ranges]
    window = part(l, x, starts, [len(r) for r in ranges], [abs(r.step) for r in ranges])
    copy(l, window, y, turned)


def _pad(l: Lowering, node: Node) -> None:
    x, y = _ends(l, node)
    amounts = ints_of(l, node, 1) or ()
    axes = ints_of(l, node, 3) or range(x.rank)
    before, after = [0] * x.rank, [0] * x.rank
    half = len(amounts) // 2
    for axis, low, high in zip(axes, amounts[:half], amounts[half:], strict=True):
        axis = axis_of(l, axis, x.rank)
        before[axis], after[axis] = low, high
    mode = option(node, "mode")
    if mode != "constant":
        _pad_from_itself(l, x, y, mode, before, after)
    elif name := given(node, 2):
        pad_with(l, x, y, before, l.view(name, shape=(), strides=()))
    else:
        pad_with(l, x, y, before, l.scalar(0, y.dtype))


def pad_with(l: Lowering, x: Operand, y: Operand, before: Ints, value: Operand) -> None:
    """Put ``x`` into ``y`` that far from its start, negative for cut off, and ``value`` around."""
    starts = [max(n, 0) for n in before]
    skipped = [max(-n, 0) for n in before]
    kept = [
        max(min(n - skip, wanted - start), 0)
        for n, wanted, skip, start in zip(x.shape, y.shape, skipped, starts, strict=True)
    ]
    copy(l, part(l, x, skipped, kept), part(l, y, starts, kept))
    low, sizes = [0] * y.rank, list(y.shape)
    for axis, wanted in enumerate(y.shape):
        end = starts[axis] + kept[axis]
        for first, last in ((0, starts[axis]), (end, wanted)):
            low[axis], sizes[axis] = first, last - first
            copy(l, value, part(l, y, low, sizes))
        low[axis], sizes[axis] = starts[axis], kept[axis]


def _pad_from_itself(
    l: Lowering, x: Operand, y: Operand, mode: str, before: Ints, after: Ints
) -> None:
    """Runs of places along each axis, and a copy for each combination of runs."""
    axes = zip(x.shape, before, after, strict=True)
    along = [runs([source_of(mode, i, n) for i in range(-low, n + high)]) for n, low, high in axes]
    combinations = list(itertools.islice(itertools.product(*along), MOST_COPIES + 1))
    if len(combinations) > MOST_COPIES:
        raise l.unsupported(f"padding by '{mode}' takes more than {MOST_COPIES} copies")
    for chosen in combinations:
        target = part(l, y, [run[0] for run in chosen], [run[2] for run in chosen])
        starts = [at - (count - 1) * (step < 0) for _, at, count, step in chosen]
        source = part(l, x, starts, [count if step else 1 for _, _, count, step in chosen])
        copy(l, source, target, [axis for axis, run in enumerate(chosen) if run[3] < 0])


def runs(places: Sequence[int]) -> list[tuple[int, int, int, int]]:
    """Where places go up, down or stay: first index, its place, how many, the step."""
    found = []
    at = 0
    while at < len(places):
        end = at + 1
        step = places[end] - places[at] if end < len(places) else 0
        if abs(step) > 1:
            step = 0
        while end < len(places) and places[end] - places[end - 1] == step:
            end += 1
        found.append((at, places[at], end - at, step if end - at > 1 else 0))
        at = end
    return found


def _center_crop_pad(l: Lowering, node: Node) -> None:
    x, y = _ends(l, node)
    spare = [wanted - n for n, wanted in zip(x.shape, y.shape, strict=True)]
    before = [n // 2 if n > 0 else -(-n // 2) for n in spare]
    pad_with(l, x, y, before, l.scalar(0, y.dtype))


def _depth_to_space(l: Lowering, node: Node) -> None:
    x, y = _ends(l, node)
    n, channels, height, width = x.shape
    block = option(node, "blocksize")
    depth = channels // block**2
    crd = option(node, "mode") == "CRD"
    split = (
        (n, depth, block, block, height, width) if crd else (n, block, block, depth, height, width)
    )
    order = (0, 1, 4, 2, 5, 3) if crd else (0, 3, 4, 1, 5, 2)
    _rearrange(l, x, split, order, y)


def _space_to_depth(l: Lowering, node: Node) -> None:
    x, y = _ends(l, node)
    n, channels, height, width = x.shape
    block = option(node, "blocksize")
    split = (n, channels, height // block, block, width // block, block)
    order = (0, 1, 3, 5, 2, 4) if option(node, "mode") == "CRD" else (0, 3, 5, 1, 2, 4)
    _rearrange(l, x, split, order, y)


def _rearrange(l: Lowering, x: Operand, split: Ints, order: Ints, y: Operand) -> None:
    """Split axes, and transpose them into an output whose axes are split the same way."""
    moved = _needed(
        l, shown(l, _needed(l, shown(l, x, Reshape(tuple(split)))), Permute(tuple(order)))
    )
    copy(l, moved, _needed(l, shown(l, y, Reshape(moved.shape))))


def _col2im(l: Lowering, node: Node) -> None:
    """For each position in the window, what all windows have there is added to the image."""
    x, y = _ends(l, node)
    kernel = ints_of(l, node, 2) or ()
    names = ("strides", "dilations", "pads")
    how = {name: option(node, name) for name in names}
    window = window_of(y.shape[2:], kernel, **how)
    taps = math.prod(kernel)
    if taps > MOST_COPIES:
        raise l.unsupported(f"a window of {taps} positions takes more than {MOST_COPIES} sums")
    split = (*y.shape[:2], taps, *window.outputs)
    columns = _needed(l, shown(l, x, Reshape(split)))
    fill(l, 0, y)
    for tap, position in enumerate(window.positions):
        _add_tap(l, window, window.offsets(position), part_along(l, columns, 2, tap, 1), y)


def _add_tap(l: Lowering, window: Window, offsets: Ints, columns: Operand, y: Operand) -> None:
    """Add the columns whose place lies in the image; they are (n, channels, 1, outputs...)."""
    starts, counts, first = [0, 0], list(y.shape[:2]), [0, 0, 0]
    axes = zip(window.outputs, window.strides, offsets, window.begins, y.shape[2:], strict=True)
    for outputs, stride, offset, begin, size in axes:
        low = max(-(-(begin - offset) // stride), 0)
        high = min((size - 1 + begin - offset) // stride + 1, outputs)
        if high <= low:
            return
        starts.append(low * stride + offset - begin)
        counts.append(high - low)
        first.append(low)
    placed = part(l, y, starts, counts, (1, 1, *window.strides))
    added = part(l, columns, first, (*counts[:2], 1, *counts[2:]))
    seen = l.view_of(added, shape=counts, strides=(*added.strides[:2], *added.strides[3:]))
    emit_binary(l, "Add", [placed, seen], placed)


def _shape(l: Lowering, node: Node) -> None:
    shape = l.shape(node.inputs[0])[option(node, "start") : option(node, "end")]
    copy(l, l.literal(np.array(shape, np.int64)), l.tensor(node.outputs[0]))


def _size(l: Lowering, node: Node) -> None:
    count = int(np.prod(l.shape(node.inputs[0]), dtype=np.int64))
    fill(l, count, l.tensor(node.outputs[0]))


LOWERINGS: dict[tuple[str, str], Callable[[Lowering, Node], None]] = {
    ("", "CenterCropPad"): _center_crop_pad,
    ("", "Col2Im"): _col2im,
    ("", "Concat"): _concat,
    ("", "DepthToSpace"): _depth_to_space,
    ("", "Expand"): _expand,
    ("", "Flatten"): _in_order,
    ("", "Identity"): _in_order,
    ("", "Pad"): _pad,
    ("", "Reshape"): _in_order,
    ("", "Shape"): _shape,
    ("", "Size"): _size,
    ("", "Slice"): _slice,
    ("", "SpaceToDepth"): _space_to_depth,
    ("", "Split"): _split,
    ("", "Squeeze"): _in_order,
    ("", "Tile"): _tile,
    ("", "Transpose"): _transpose,
    ("", "Unsqueeze"): _in_order,
}
