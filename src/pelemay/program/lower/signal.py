"""Fourier transforms.

In: DFT and STFT nodes. Out: the instruction ``dft`` over views whose last two axes are the signal
and its parts; the frames of a short-time transform are a view in which they overlap.

>>> frames((2, 100, 1), (100, 1, 1), 16, 8)
((2, 11, 16, 1), (100, 8, 1, 1))
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pelemay.program.lower.reduction import FLOATS, SMALL, axis_of, ints_of, need_types

if TYPE_CHECKING:
    from pelemay.graph import Node
    from pelemay.program.lowering import Lowering
    from pelemay.program.operand import Operand

Ints = tuple[int, ...]


def frames(shape: Ints, strides: Ints, length: int, step: int) -> tuple[Ints, Ints]:
    """Shape and strides of the overlapping frames of (batch, samples, parts)."""
    batch, samples, parts = shape
    outer, sample, part = strides
    count = (samples - length) // step + 1
    return (batch, count, length, parts), (outer, step * sample, sample, part)


def _dft(l: Lowering, node: Node) -> None:
    x, y = l.tensor(node.inputs[0]), l.tensor(node.outputs[0])
    given, axes = ints_of(l, node, 1), ints_of(l, node, 2)
    axis = axis_of(l, axes[0] if axes else -2, x.rank)
    inverse, onesided = _flag(node, "inverse", 0), _flag(node, "onesided", 0)
    if axis == x.rank - 1:
        raise l.unsupported("the last axis holds real and imaginary parts, not a signal")
    if onesided and not inverse and x.shape[-1] != 1:
        raise l.unsupported("a one-sided transform of a complex signal")
    half = bool(onesided and inverse)
    own = 2 * (x.shape[axis] - 1) if half else x.shape[axis]
    length = given[0] if given else own
    views = [_signal_last(l, v, axis) for v in (x, y)]
    _emit(l, views[0], None, views[1], (length, inverse, half))


def _stft(l: Lowering, node: Node) -> None:
    x, y = l.tensor(node.inputs[0]), l.tensor(node.outputs[0])
    step = ints_of(l, node, 1) or (1,)
    window = l.tensor(node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2] else None
    given = ints_of(l, node, 3)
    length = given[0] if given else x.shape[1] if window is None else window.shape[0]
    if window is not None and window.shape != (length,):
        raise l.unsupported(f"a window of {window.shape} for frames of {length}")
    if step[0] < 1 or not 0 < length <= x.shape[1]:
        raise l.unsupported(f"frames of {length} with step {step[0]}")
    shape, strides = frames(x.shape, x.strides, length, step[0])
    _emit(l, l.view_of(x, shape=shape, strides=strides), window, y, (length, 0, 0))


def _emit(l: Lowering, x: Operand, window: Operand | None, y: Operand, params: Ints) -> None:
    need_types(l, FLOATS, x, window, y)
    if params[0] < 1:
        raise l.unsupported(f"a transform of length {params[0]}")
    cost = x.size * params[0]
    l.emit("dft", [x, window], [y], params, cost=cost, serial=cost < SMALL)


def _signal_last(l: Lowering, x: Operand, axis: int) -> Operand:
    """A view with the signal's axis before the last one."""
    order = [i for i in range(x.rank - 1) if i != axis] + [axis, x.rank - 1]
    shape, strides = ([values[i] for i in order] for values in (x.shape, x.strides))
    return l.view_of(x, shape=shape, strides=strides)


def _flag(node: Node, name: str, default: int) -> int:
    value: Any = node.attributes.get(name, default)
    return int(bool(value))


LOWERINGS = {
    ("", "DFT"): _dft,
    ("", "STFT"): _stft,
}
