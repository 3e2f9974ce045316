"""Convolutions and products of 8-bit integers.

In: nodes ``pelemay::QConv`` and ``pelemay::QMatMul``. Out: one instruction, or one for each slice
of output channels where a limit for a block of weights is set. Constant weights are packed when
the program is made, with all that an output channel has beside them: see
:mod:`pelemay.program.qpanels`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pelemay.graph import DType
from pelemay.graph.operations.quantized import BYTES, range_of
from pelemay.program.lower.convolution import Task, channel_slices, slice_of, window_of
from pelemay.program.lower.matmul import matrices
from pelemay.program.pack import WHOLE_BYTES, Columns, row_windows
from pelemay.program.panels import PANEL
from pelemay.program.qpanels import (
    BIAS,
    FLOATS,
    GROUP_BYTES,
    SUMS,
    ZEROS,
    Behind,
    groups_of,
    packed,
    panel_shape,
)
from pelemay.program.schedule import SMALL, Product, whole_split_of
from pelemay.program.slices import Slice, slices_of
from pelemay.program.views import given, part_along

if TYPE_CHECKING:
    from pelemay.graph import Constant, Node
    from pelemay.program.lowering import Lowering
    from pelemay.program.operand import Operand

MULTIPLIER, BIASES, X_ZERO, W_ZERO, Y_ZERO, FLOAT_BIAS = range(2, 8)
"""Numbers of the inputs of both operations, after data and weights."""


def known(l: Lowering, node: Node, index: int) -> Any:
    """The value of an input, as a flat array; None where it is left out.

    Raises
    ------
    UnsupportedError
        If only the run knows it.
    """
    name = given(node, index)
    if not name:
        return None
    constant = l.constant(name)
    if constant is None:
        raise l.unsupported(f"'{name}' is not known before the run")
    return np.asarray(constant.array()).reshape(-1)


def zero_point(l: Lowering, node: Node, index: int) -> int:
    """A zero point that is one number; 0 where it is left out."""
    values = known(l, node, index)
    if values is not None and values.size != 1:
        raise l.unsupported(f"'{node.inputs[index]}' has {values.size} zero points")
    return 0 if values is None else int(values[0])


@dataclass(frozen=True, eq=False)
class Finish:
    """What becomes of the sums.

    Parameters
    ----------
    zero : int
        Zero point of the data; 0 where it is an operand.
    zeros : Operand or None
        The same where only the run knows it.
    multiplier : Operand or None
        What sums are multiplied with, where only the run knows it.
    bounds : tuple of int
        Zero point of the output, and its least and largest number.
    """

    zero: int
    zeros: Operand | None
    multiplier: Operand | None
    bounds: tuple[int, int, int]


def _finish(l: Lowering, node: Node, y: Operand) -> Finish:
    values: Any = node.attributes
    bounds = (0, 0, 0)
    if y.dtype in BYTES:
        least, most = range_of(y.dtype)
        low, high = values.get("low"), values.get("high")
        low = least if low is None else min(max(int(low), least), most)
        high = most if high is None else min(max(int(high), least), most)
        bounds = (zero_point(l, node, Y_ZERO), low, max(low, high))
    zero, multiplier = given(node, X_ZERO), given(node, MULTIPLIER)
    at_run = bool(zero) and l.constant(zero) is None
    return Finish(
        0 if at_run else zero_point(l, node, X_ZERO),
        _one(l, l.tensor(zero)) if at_run else None,
        _flat(l, l.tensor(multiplier)) if multiplier and l.constant(multiplier) is None else None,
        bounds,
    )


def _one(l: Lowering, x: Operand) -> Operand:
    if x.size != 1:
        raise l.unsupported(f"{x.size} zero points of the data")
    return x


def _flat(l: Lowering, x: Operand) -> Operand:
    """One number, or one for each column."""
    if x.rank > 1 and not x.is_contiguous:
        raise l.unsupported("the multipliers do not lie together")
    return x if x.rank < 2 else l.view_of(x, shape=(x.size,), strides=(1,))


def _behind(l: Lowering, node: Node, channels: int, w: DType) -> Behind:
    """What lies behind the panels of constant weights."""

    def each(index: int, dtype: Any) -> Any:
        values = known(l, node, index)
        return None if values is None else np.resize(values.astype(dtype), channels)

    zeros = each(W_ZERO, np.int32)
    if w is DType.UINT8:
        zeros = np.full(channels, -128, np.int32) if zeros is None else zeros - 128
    name = given(node, MULTIPLIER)
    at_run = bool(name) and l.constant(name) is None
    return Behind(
        zeros.astype(np.int32) if zeros is not None and zeros.any() else None,
        each(BIASES, np.int32),
        None if at_run else each(MULTIPLIER, np.float32),
        each(FLOAT_BIAS, np.float32),
    )


@dataclass(frozen=True)
class _Task(Task):
    @property
    def is_depthwise(self) -> bool:
        """Whether each channel has a window of its own."""
        return self.group == self.x.shape[-1] == self.y.shape[-1]


def conv(l: Lowering, node: Node) -> None:
    """One convolution."""
    x, y = l.tensor(node.inputs[0]), l.tensor(node.outputs[0])
    weights = l.constant(node.inputs[1])
    if weights is None:
        raise l.unsupported("weights of 8 bits are not known before the run")
    _need_bytes(l, x.dtype, weights.dtype)
    group: Any = node.attributes.get("group", 1)
    rows = l.rows or (0, y.shape[-3] if y.rank > 3 else 1)
    window = window_of(node, weights.shape[2:])
    task = _Task(x, y, None, None, window, int(group), (), rows)
    finish = _finish(l, node, y)
    behind = _behind(l, node, y.shape[-1], weights.dtype)
    panel_bytes = groups_of(task.steps, behind.tail) * GROUP_BYTES
    for chosen in channel_slices(task, l.block_bytes, panel_bytes):
        _emit_conv(l, node.inputs[1], task, chosen, finish, behind)


def _need_bytes(l: Lowering, *dtypes: DType) -> None:
    for dtype in dtypes:
        if dtype not in BYTES:
            raise l.unsupported(f"data and weights are of 8 bits, not {dtype.value}")


def _emit_conv(
    l: Lowering, name: str, task: Task, chosen: Slice, finish: Finish, behind: Behind
) -> None:
    part, outputs = slice_of(l, task, chosen), task.y.shape[-1]
    own = behind.part(chosen.first, chosen.last)
    kind = "depthwise" if task.is_depthwise else str(part.group)
    key = f"q-{kind}-{behind.key}{chosen.key(outputs)}"
    together = 1 if task.is_depthwise else part.group
    _, groups, *rest = panel_shape(chosen.size // together, task.steps, own.tail)
    panels = together * panel_shape(chosen.size // together, task.steps, own.tail)[0]
    constant = l.constant(name)
    assert constant is not None

    def pieces() -> Iterator[Any]:
        for first, w in _windows(constant, together, chosen):
            rows = np.moveaxis(w, 1, -1).reshape(len(w), -1)
            yield packed(rows, behind.part(first, first + len(w)))

    weights = l.packed(name, key, (panels, groups, *rest), DType.INT8, pieces)
    rows = math.prod(part.made) // max(1, part.y.shape[-1])
    window, cost = part.window, math.prod(part.made) * part.steps
    geometry = (*window.kernel, *window.strides, *window.dilations, *window.begins, part.group)
    params = (*geometry, *part.rows, own.tail, finish.zero, *finish.bounds)
    split = whole_split_of(Product(rows, part.y.shape[-1] // part.group, part.steps))
    inputs = [part.x, weights, finish.zeros, _columns(l, finish.multiplier, chosen)]
    if task.is_depthwise:
        l.emit("qdepthwise", inputs, [part.y], params, cost=cost, serial=cost < SMALL)
    else:
        params = (*params, *split.params)
        l.emit("qconv", inputs, [part.y], params, cost=cost, serial=cost < SMALL)


def _columns(l: Lowering, multiplier: Operand | None, chosen: Slice) -> Operand | None:
    if multiplier is None or multiplier.size == 1:
        return multiplier
    return part_along(l, multiplier, 0, chosen.first, chosen.size)


def _windows(constant: Constant, group: int, chosen: Slice) -> Iterator[tuple[int, Any]]:
    """Rows of weights, whole panels of each group, and the first of them."""
    own = chosen.size // group
    for start in range(chosen.first, chosen.last, own):
        first = start
        for w in row_windows(constant, PANEL, start, start + own):
            yield first, w
            first += len(w)


def matmul(l: Lowering, node: Node) -> None:
    """One product."""
    a, b, y = matrices(l, node)
    _need_bytes(l, a.dtype, b.dtype)
    for operand in (a, y):
        if operand.shape[-1] > 1 and operand.strides[-1] != 1:
            raise l.unsupported("the elements of a row do not lie together")
    finish, trans_b = _finish(l, node, y), bool(node.attributes.get("trans_b", 0))
    if l.constant(node.inputs[1]) is not None and math.prod(b.shape[:-2]) == 1:
        _emit_packed(l, node, a, y, finish, trans_b)
    else:
        _emit_raw(l, node, (a, b, y), finish, trans_b)


def _emit_packed(
    l: Lowering, node: Node, a: Operand, y: Operand, finish: Finish, trans_b: bool
) -> None:
    """One instruction, or one for each slice of columns, over a matrix that is constant."""
    name, (columns, steps) = node.inputs[1], (y.shape[-1], a.shape[-1])
    constant = l.constant(name)
    assert constant is not None
    behind = _behind(l, node, columns, constant.dtype)
    matrix = _Matrix(constant, steps, columns, trans_b)
    split = whole_split_of(Product(y.size // max(1, columns), columns, steps))
    step_bytes = groups_of(steps, behind.tail) * GROUP_BYTES
    for chosen in slices_of(columns, step_bytes=step_bytes, limit=l.block_bytes):
        key = f"q-matrix-{int(trans_b)}-{behind.key}{chosen.key(columns)}"

        def pieces(chosen: Slice = chosen) -> Iterator[Any]:
            first = chosen.first
            for rows in matrix.rows(chosen.first, chosen.last):
                yield packed(rows, behind.part(first, first + len(rows)))
                first += len(rows)

        shape = panel_shape(chosen.size, steps, behind.tail)
        weights = l.packed(name, key, shape, DType.INT8, pieces)
        part = y
        if chosen.size != columns:
            part = part_along(l, y, y.rank - 1, chosen.first, chosen.size)
        multiplier = _columns(l, finish.multiplier, chosen)
        inputs = [a, weights, finish.zeros, multiplier, None, None, None]
        params = (0, 1, behind.tail, finish.zero, *finish.bounds, 0, split.columns, split.rows)
        cost = part.size * steps
        l.emit("qmatmul", inputs, [part], params, cost=cost, serial=cost < SMALL)


class _Matrix:
    """A constant matrix, (steps, columns), or turned."""

    def __init__(self, constant: Constant, steps: int, columns: int, turned: bool) -> None:
        self.constant, self.steps, self.columns, self.turned = constant, steps, columns, turned
        self.gathered = Columns(constant, steps, columns)

    def rows(self, first: int, last: int) -> Iterator[Any]:
        """Columns ``first`` to ``last``, each as a row; whole panels at a time."""
        if self.turned:
            yield from row_windows(self.constant, PANEL, first, last, row=self.steps)
        elif self.constant.nbytes > WHOLE_BYTES:
            for window in self.gathered.groups(first, last, PANEL):
                yield window.T
        else:
            b = self.constant.array().reshape(self.steps, self.columns)
            yield b[:, first:last].T


def _emit_raw(
    l: Lowering,
    node: Node,
    operands: tuple[Operand, Operand, Operand],
    finish: Finish,
    trans_b: bool,
) -> None:
    """A product whose matrices both are made by the run, or differ along the stack."""
    a, b, y = operands
    if b.shape[-1] > 1 and b.strides[-1] != 1:
        raise l.unsupported("the elements of a row do not lie together")
    columns, steps = y.shape[-1], a.shape[-1]
    name = given(node, W_ZERO)
    at_run = bool(name) and l.constant(name) is None
    zeros = _one(l, l.tensor(name)) if at_run else None
    zero = 0 if at_run else zero_point(l, node, W_ZERO)
    bias, more = (_row(l, node, index, columns) for index in (BIASES, FLOAT_BIAS))
    multiplier = finish.multiplier
    if multiplier is None and given(node, MULTIPLIER):
        multiplier = l.literal(known(l, node, MULTIPLIER).astype(np.float32))
    tail = SUMS | (BIAS if bias is not None else 0) | (FLOATS if more is not None else 0)
    if at_run or zero != (128 if b.dtype is DType.UINT8 else 0):
        tail |= ZEROS
    split = whole_split_of(Product(y.shape[-2], columns, steps))
    inputs = [a, b, finish.zeros, multiplier, zeros, bias, more]
    flags = (int(trans_b), 0, tail, finish.zero, *finish.bounds, zero)
    cost = y.size * steps
    params = (*flags, split.columns, split.rows)
    l.emit("qmatmul", inputs, [y], params, cost=cost, serial=cost < SMALL)


def _row(l: Lowering, node: Node, index: int, columns: int) -> Operand | None:
    """What is added to each column."""
    name = given(node, index)
    if not name:
        return None
    x = l.tensor(name)
    if x.shape != (columns,):
        x = l.literal(np.resize(known(l, node, index), columns))
    return x


LOWERINGS = {
    ("pelemay", "QConv"): conv,
    ("pelemay", "QMatMul"): matmul,
}
