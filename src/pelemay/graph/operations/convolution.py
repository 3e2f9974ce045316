"""Convolutions.

In: data of shape (N, C, *spatial), weights of shape (M, C / group, *kernel). Out: an array of
shape (N, M, *spatial). A convolution is a sum of matrix products, one for each position in the
kernel, so no copy of the data is larger than the data.

>>> import array_api_compat.numpy as xp
>>> conv(xp, xp.asarray([[[1.0, 2.0, 3.0]]]), xp.asarray([[[1.0, 1.0]]]))
array([[[3., 5.]]])
"""

from __future__ import annotations

import itertools
import math
from typing import Any

from pelemay.errors import ExecutionError
from pelemay.graph.operations.activation import swish
from pelemay.graph.operations.common import Array, in_float32, ints
from pelemay.graph.operations.sampling import sample
from pelemay.graph.operations.table import Operation
from pelemay.graph.operations.windows import Ints, Window, extent_of, pad, window_of

CHANNELS_AT_ONCE = 64
"""Positions of the kernel share a matrix product while they have no more channels than this."""


@in_float32
def conv(
    xp: Any,
    x: Array,
    w: Array,
    b: Array | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Ints = (),
    group: int = 1,
    kernel_shape: Ints = (),
    pads: Ints = (),
    strides: Ints = (),
) -> Array:
    check_weights(x.shape[1], w.shape, group, kernel_shape)
    window = window_of(
        x.shape[2:], w.shape[2:], strides=strides, dilations=dilations, pads=pads, auto_pad=auto_pad
    )
    return _biased(xp, correlate(xp, x, w, window, group), b)


def check_weights(channels: int, weights: Ints, group: int, kernel_shape: Ints) -> None:
    """See that weights fit data of that many channels.

    Raises
    ------
    ExecutionError
        If they do not.
    """
    if weights[1] * group != channels or weights[0] % group:
        raise ExecutionError(
            f"weights of shape {tuple(weights)} in {group} group(s) do not fit {channels} channels"
        )
    if kernel_shape and tuple(kernel_shape) != tuple(weights[2:]):
        raise ExecutionError(
            f"kernel_shape {tuple(kernel_shape)} contradicts weights of shape {tuple(weights)}"
        )


def correlate(xp: Any, x: Array, w: Array, window: Window, group: int) -> Array:
    """The convolution's sum, in the element type of ``x`` and ``w``, which is the same.

    Parameters
    ----------
    x : array of shape (N, C, *spatial)
    w : array of shape (M, C / group, *kernel)
    window : Window
    group : int
        Groups that the channels are in.

    Returns
    -------
    array of shape (N, M, *window.outputs)
    """
    padded = window.padded(xp, x)
    depthwise = w.shape[1] == 1
    step = 1 if depthwise else max(1, CHANNELS_AT_ONCE // max(x.shape[1], 1))
    positions = window.positions
    total = None
    while chunk := list(itertools.islice(positions, step)):
        patch = _patches(xp, padded, window, chunk, group)
        weight = _weights(xp, w, chunk, group)
        product = weight * patch if depthwise else xp.matmul(weight, patch)
        if total is None:
            total = product
        else:
            total += product
    return xp.reshape(total, (x.shape[0], w.shape[0], *window.outputs))


def _patches(xp: Any, padded: Array, window: Window, positions: list[Ints], group: int) -> Array:
    shape = (padded.shape[0], group, padded.shape[1] // group, math.prod(window.outputs))
    taps = [xp.reshape(window.tap(padded, position), shape) for position in positions]
    return taps[0] if len(taps) == 1 else xp.concat(taps, axis=2)


def _weights(xp: Any, w: Array, positions: list[Ints], group: int) -> Array:
    shape = (group, w.shape[0] // group, w.shape[1])
    taps = [xp.reshape(w[(..., *position)], shape) for position in positions]
    return taps[0] if len(taps) == 1 else xp.concat(taps, axis=2)


def _biased(xp: Any, y: Array, b: Array | None) -> Array:
    return y if b is None else y + xp.reshape(b, (-1, *(1,) * (y.ndim - 2)))


@in_float32
def conv_transpose(
    xp: Any,
    x: Array,
    w: Array,
    b: Array | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Ints = (),
    group: int = 1,
    kernel_shape: Ints = (),
    output_padding: Ints = (),
    output_shape: Ints = (),
    pads: Ints = (),
    strides: Ints = (),
) -> Array:
    """A convolution of the data spread by ``strides`` with the mirrored weights."""
    rank = x.ndim - 2
    strides, dilations = strides or (1,) * rank, dilations or (1,) * rank
    flipped = _transposed_weights(xp, w, group)
    check_weights(x.shape[1], flipped.shape, group, kernel_shape)
    extents = [extent_of(k, d) for k, d in zip(w.shape[2:], dilations, strict=True)]
    extra = output_padding or (0,) * rank
    axes = zip(x.shape[2:], strides, extra, extents, strict=True)
    full = [s * (n - 1) + o + e for n, s, o, e in axes]
    begins, outputs = transposed_sizes(x.shape[2:], full, auto_pad, output_shape, pads, strides)
    before = tuple(e - 1 - begin for e, begin in zip(extents, begins, strict=True))
    window = Window(w.shape[2:], (1,) * rank, dilations, before, before, outputs)
    return _biased(xp, correlate(xp, _spread(xp, x, strides), flipped, window, group), b)


def _transposed_weights(xp: Any, w: Array, group: int) -> Array:
    """From (C, M / group, *kernel) to the mirrored (M, C / group, *kernel)."""
    channels, outputs, *kernel = w.shape
    grouped = xp.reshape(w, (group, channels // group, outputs, *kernel))
    swapped = xp.permute_dims(grouped, (0, 2, 1, *range(3, grouped.ndim)))
    merged = xp.reshape(swapped, (group * outputs, channels // group, *kernel))
    return xp.flip(merged, axis=tuple(range(2, merged.ndim)))


def transposed_sizes(
    sizes: Ints, full: list[int], auto_pad: str, output_shape: Ints, pads: Ints, strides: Ints
) -> tuple[Ints, Ints]:
    """Elements to drop before the output, and the output's sizes."""
    rank = len(sizes)
    if auto_pad.startswith("SAME") and not output_shape:
        output_shape = tuple(n * s for n, s in zip(sizes, strides, strict=True))
    if output_shape:
        wanted = tuple(output_shape[-rank:])
        totals = [max(0, f - n) for f, n in zip(full, wanted, strict=True)]
        begins = (t // 2 if auto_pad == "SAME_UPPER" else t - t // 2 for t in totals)
        return tuple(begins), wanted
    pads = (pads if auto_pad == "NOTSET" else ()) or (0,) * (2 * rank)
    ends = zip(full, pads[:rank], pads[rank:], strict=True)
    return tuple(pads[:rank]), tuple(f - begin - end for f, begin, end in ends)


def _spread(xp: Any, x: Array, strides: Ints) -> Array:
    """Put ``stride - 1`` zeros between neighbours."""
    for axis, stride in enumerate(strides, start=2):
        if stride == 1 or not x.shape[axis]:
            continue
        before, size, behind = x.shape[:axis], x.shape[axis], x.shape[axis + 1 :]
        zeros = xp.zeros((*before, size, stride - 1, *behind), dtype=x.dtype)
        pairs = xp.concat([xp.expand_dims(x, axis=axis + 1), zeros], axis=axis + 1)
        flat = xp.reshape(pairs, (*before, size * stride, *behind))
        x = flat[(*(slice(None),) * axis, slice(0, (size - 1) * stride + 1), ...)]
    return x


@in_float32
def deform_conv(
    xp: Any,
    x: Array,
    w: Array,
    offset: Array,
    b: Array | None = None,
    mask: Array | None = None,
    *,
    dilations: Ints = (),
    group: int = 1,
    kernel_shape: Ints = (),
    offset_group: int = 1,
    pads: Ints = (),
    strides: Ints = (),
) -> Array:
    """A convolution whose positions in the kernel are moved, each window's apart.

    Dai et al., Deformable convolutional networks, arXiv 1703.06211; Zhu et al., 1811.11168.
    """
    check_weights(x.shape[1], w.shape, group, kernel_shape)
    window = window_of(x.shape[2:], w.shape[2:], strides=strides, dilations=dilations, pads=pads)
    rank, taps = x.ndim - 2, math.prod(window.kernel)
    n, points = x.shape[0], math.prod(window.outputs)
    moves = xp.reshape(offset, (n, offset_group, taps, rank, points))
    scales = None if mask is None else xp.reshape(mask, (n, offset_group, taps, points))
    images = xp.reshape(x, (n * offset_group, x.shape[1] // offset_group, *x.shape[2:]))
    total: Any = 0
    for index, position in enumerate(window.positions):
        where = _window_starts(xp, window, position, x) + moves[:, :, index, :, :]
        patch = sample(xp, images, xp.reshape(where, (n * offset_group, rank, points)))
        patch = xp.reshape(patch, (n, offset_group, images.shape[1], points))
        if scales is not None:
            patch = patch * scales[:, :, index, None, :]
        patch = xp.reshape(patch, (n, group, x.shape[1] // group, points))
        total = total + xp.matmul(_weights(xp, w, [position], group), patch)
    return _biased(xp, xp.reshape(total, (n, w.shape[0], *window.outputs)), b)


def _window_starts(xp: Any, window: Window, position: Ints, like: Array) -> Array:
    """Coordinates of ``position`` in all windows, in the unpadded data: (rank, points)."""
    axes = zip(window.outputs, window.strides, window.begins, window.offsets(position), strict=True)
    ranges = [xp.astype(xp.arange(o) * s + (f - b), like.dtype) for o, s, b, f in axes]
    grid = xp.meshgrid(*ranges, indexing="ij")
    return xp.stack([xp.reshape(axis, (-1,)) for axis in grid])


@in_float32
def causal_conv_with_state(
    xp: Any,
    x: Array,
    w: Array,
    b: Array | None = None,
    past: Array | None = None,
    *,
    activation: str = "none",
) -> tuple[Array, Array]:
    """A depthwise convolution over the past, and what the next call needs of it."""
    channels, kept = x.shape[1], w.shape[-1] - 1
    if past is None:
        past = xp.zeros((x.shape[0], channels, kept), dtype=x.dtype)
    line = xp.concat([past, x], axis=2)
    y = conv(xp, line, w, b, group=channels)
    if activation in ("silu", "swish"):
        y = swish(xp, y)
    return y, line[:, :, line.shape[2] - kept :]


def col2im(
    xp: Any,
    x: Array,
    image_shape: Array,
    block_shape: Array,
    *,
    dilations: Ints = (),
    pads: Ints = (),
    strides: Ints = (),
) -> Array:
    """An image as the sum of its windows, which ``x`` has as columns: (N, C * kernel, windows)."""
    sizes, kernel = ints(image_shape), ints(block_shape)
    taps = math.prod(kernel)
    window = window_of(sizes, kernel, strides=strides, dilations=dilations, pads=pads)
    columns = xp.reshape(x, (x.shape[0], x.shape[1] // taps, taps, *window.outputs))
    total: Any = 0
    for index, position in enumerate(window.positions):
        spread = _spread(xp, columns[:, :, index, ...], window.strides)
        offsets = zip(window.offsets(position), window.begins, strict=True)
        begins = [offset - begin for offset, begin in offsets]
        axes = zip(sizes, begins, spread.shape[2:], strict=True)
        total = total + pad(xp, spread, begins, [size - b - n for size, b, n in axes])
    return total


ROWS = (
    Operation("Conv", conv, "convolution"),
    Operation("ConvTranspose", conv_transpose, "convolution"),
    Operation("DeformConv", deform_conv, "convolution"),
    Operation("CausalConvWithState", causal_conv_with_state, "convolution"),
    Operation("Col2Im", col2im, "convolution", host=(1, 2)),
)
