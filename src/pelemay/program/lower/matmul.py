"""Products of matrices.

In: nodes ``pelemay::MatMul``, and ``MatMul`` and ``Gemm`` of the standard. Out: one instruction, or
one for each slice of columns where a limit for a block of weights is set; a matrix that is constant
is packed when the program is made.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pelemay.graph import DType
from pelemay.program.lower.convolution import epilogue_of, optional
from pelemay.program.pack import WHOLE_BYTES, Columns, row_windows
from pelemay.program.panels import PANEL, matrix_panels, panels_of
from pelemay.program.schedule import SMALL, Product, split_of
from pelemay.program.slices import Slice, slices_of
from pelemay.program.views import part_along

if TYPE_CHECKING:
    from pelemay.graph import Node
    from pelemay.program.lowering import Lowering
    from pelemay.program.operand import Operand, Panels

NOTHING = (0, 0.0, 0.0, 0)
"""An epilogue that does nothing."""


@dataclass(frozen=True)
class Task:
    """One product to emit: operands of the output's rank, flags and epilogue."""

    a: Operand
    b: Operand
    y: Operand
    bias: Operand | None
    residual: Operand | None
    trans_a: bool
    trans_b: bool
    alpha: float
    epilogue: tuple[int | float, ...]
    name: str
    """Of b, for packing."""


def matrices(l: Lowering, node: Node) -> tuple[Operand, Operand, Operand]:
    """a, b and y as stacks of matrices of one rank: numpy.matmul's rules for vectors undone."""
    a, b, y = l.tensor(node.inputs[0]), l.tensor(node.inputs[1]), l.tensor(node.outputs[0])
    vector_a, vector_b = a.rank == 1, b.rank == 1
    if vector_a:
        a = l.view_of(a, shape=(1, *a.shape), strides=(0, *a.strides))
        y = l.view_of(y, shape=_put(y.shape, vector_b, 1), strides=_put(y.strides, vector_b, 0))
    if vector_b:
        b = l.view_of(b, shape=(*b.shape, 1), strides=(*b.strides, 1))
        y = l.view_of(y, shape=(*y.shape, 1), strides=(*y.strides, 1))
    return _of_rank(l, a, y.rank), _of_rank(l, b, y.rank), y


def _put(sizes: tuple[int, ...], at_end: bool, value: int) -> tuple[int, ...]:
    """Put the row's dimension back: before the last one, at the end if that went too."""
    at = len(sizes) if at_end else len(sizes) - 1
    return (*sizes[:at], value, *sizes[at:])


def _of_rank(l: Lowering, x: Operand, rank: int) -> Operand:
    ones = rank - x.rank
    if not ones:
        return x
    return l.view_of(x, shape=(*(1,) * ones, *x.shape), strides=(*(0,) * ones, *x.strides))


def _broadcast(l: Lowering, x: Operand, y: Operand) -> Operand:
    """An addend as if it had the shape of y."""
    x = _of_rank(l, x, y.rank)
    pairs = zip(x.shape, x.strides, y.shape, strict=True)
    strides = tuple(0 if n == 1 and wanted != 1 else stride for n, stride, wanted in pairs)
    return l.view_of(x, shape=y.shape, strides=strides)


def _addends(
    l: Lowering, bias: Operand | None, residual: Operand | None, y: Operand
) -> tuple[Operand | None, Operand | None]:
    """Bias and residual as the kernel takes them: a row, and the output's own shape."""
    if residual is not None:
        residual = _broadcast(l, residual, y)
    if bias is None or bias.shape == (y.shape[-1],):
        return bias, residual
    if residual is not None:
        raise l.unsupported(f"a bias of shape {bias.shape} beside a residual")
    return None, _broadcast(l, bias, y)


def matmul(l: Lowering, node: Node) -> None:
    """``pelemay::MatMul``, and the standard one, which has no attributes."""
    values = node.attributes
    a, b, y = matrices(l, node)
    bias, residual = _addends(l, optional(l, node, 2), optional(l, node, 3), y)
    epilogue = epilogue_of(l, node, "act_alpha", "act_beta")
    flags = bool(values.get("trans_a", 0)), bool(values.get("trans_b", 0))
    alpha = _number(values.get("alpha", 1.0))
    emit_product(l, Task(a, b, y, bias, residual, *flags, alpha, epilogue, node.inputs[1]))


def _number(value: Any) -> float:
    return float(value)


def gemm(l: Lowering, node: Node) -> None:
    """The standard's Gemm, with its addend as it is."""
    values = node.attributes
    a, b, y = matrices(l, node)
    beta, addend = _number(values.get("beta", 1.0)), optional(l, node, 2)
    if addend is not None and beta not in (0.0, 1.0):
        raise l.unsupported(f"the addend has a factor of {beta:g}")
    bias, residual = _addends(l, addend if beta else None, None, y)
    flags = bool(values.get("transA", 0)), bool(values.get("transB", 0))
    alpha = _number(values.get("alpha", 1.0))
    emit_product(l, Task(a, b, y, bias, residual, *flags, alpha, NOTHING, node.inputs[1]))


def emit_product(l: Lowering, task: Task) -> None:
    """Emit a product of stacks of matrices, with what is constant packed."""
    rows, columns = task.y.shape[-2:]
    steps = task.a.shape[-2 if task.trans_a else -1]
    cost = task.y.size * steps
    stacked = math.prod(task.y.shape[:-2])
    whole = task.residual is not None and bool(task.epilogue[3])
    plain = task.y.dtype != DType.FLOAT32 or not _is_dense(task)
    if not plain and _is_shared_constant(l, task):
        split = split_of(Product(rows * stacked, columns, steps, whole, l.widens))
        _emit_packed(l, task, steps, (*task.epilogue, *split.params))
        return
    split = split_of(Product(rows, columns, steps, whole))
    params = (int(task.trans_a), int(task.trans_b), 0, task.alpha, *task.epilogue, *split.params)
    inputs = [task.a, task.b, task.bias, task.residual]
    opcode = "matmul_plain" if plain else "matmul"
    l.emit(opcode, inputs, [task.y], params, cost=cost, serial=cost < SMALL)


def _is_dense(task: Task) -> bool:
    """Whether the elements of each row lie together, as the fast kernel wants them."""
    operands = (task.a, task.b, task.y, task.residual)
    return all(x is None or x.shape[-1] <= 1 or x.strides[-1] == 1 for x in operands)


def _is_shared_constant(l: Lowering, task: Task) -> bool:
    constant = l.constant(task.name)
    return constant is not None and math.prod(task.b.shape[:-2]) == 1


def _emit_packed(l: Lowering, task: Task, steps: int, params: tuple[int | float, ...]) -> None:
    """One instruction, or one for each slice of columns, over a matrix that is constant."""
    columns = task.y.shape[-1]
    matrix = _Matrix(l, task, steps, columns)
    panel_bytes = steps * PANEL * l.stored.numpy.itemsize
    for chosen in slices_of(columns, step_bytes=panel_bytes, limit=l.block_bytes):
        part, panels = _slice(l, task, chosen), matrix.packed(chosen)
        cost = part.y.size * steps
        inputs = [part.a, panels.weights, part.bias, part.residual, *panels.scales]
        flags = (int(task.trans_a), 0, 1, 1.0)
        l.emit("matmul", inputs, [part.y], (*flags, *params), cost=cost, serial=cost < SMALL)


def _slice(l: Lowering, task: Task, chosen: Slice) -> Task:
    """The part of a product that makes these columns."""
    if chosen.size == task.y.shape[-1]:
        return task

    def cut(operand: Operand | None) -> Operand | None:
        if operand is None:
            return None
        return part_along(l, operand, operand.rank - 1, chosen.first, chosen.size)

    y = cut(task.y)
    assert y is not None
    return replace(task, y=y, bias=cut(task.bias), residual=cut(task.residual))


class _Matrix:
    """A constant matrix, to be packed by slices of its columns."""

    def __init__(self, l: Lowering, task: Task, steps: int, columns: int) -> None:
        constant = l.constant(task.name)
        assert constant is not None
        self.lowering, self.task, self.constant = l, task, constant
        self.steps, self.columns = steps, columns
        self.gathered = Columns(constant, steps, columns)

    def packed(self, chosen: Slice) -> Panels:
        """The weights of one slice."""
        task = self.task
        key = f"matrix-{int(task.trans_b)}-{task.alpha!r}{chosen.key(self.columns)}"
        shape = (panels_of(chosen.size), self.steps, PANEL)
        pieces = self._rows if task.trans_b else self._columns
        return self.lowering.panels(
            task.name, key, shape, lambda: pieces(chosen.first, chosen.last)
        )

    def _rows(self, first: int, last: int) -> Iterator[Any]:
        for rows in row_windows(self.constant, PANEL, first, last, row=self.steps):
            yield from matrix_panels(rows, transposed=True, alpha=self.task.alpha)

    def _columns(self, first: int, last: int) -> Iterator[Any]:
        if self.constant.nbytes > WHOLE_BYTES:
            for window in self.gathered.groups(first, last, PANEL):
                yield from matrix_panels(window, alpha=self.task.alpha)
            return
        b = self.constant.array().reshape(self.steps, self.columns)
        yield from matrix_panels(b[:, first:last], alpha=self.task.alpha)


LOWERINGS = {
    ("pelemay", "MatMul"): matmul,
    ("", "MatMul"): matmul,
    ("", "Gemm"): gemm,
}
