"""Linear algebra beside the product of matrices.

In: Einsum and Det nodes. Out: a product of stacks of matrices where an equation is one, else the
instruction ``einsum``, which is slow and takes any equation.

>>> from pelemay.program.lower.linear import Labels
>>> Labels(("b", "i", "k"), ("b", "k", "j"), ("b", "i", "j")).inner
['k']
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pelemay.errors import ExecutionError
from pelemay.graph import DType
from pelemay.graph.operations.linear import terms_of
from pelemay.program.lower.matmul import NOTHING, Task, emit_product
from pelemay.program.lower.reduction import FLOATS, SMALL, bits, need_types, with_ones

if TYPE_CHECKING:
    from pelemay.graph import Node
    from pelemay.program.lowering import Lowering
    from pelemay.program.operand import Operand

Names = tuple[str, ...]

MAX_OPERANDS = 4
SUMMED_TYPES = (*FLOATS, DType.INT32, DType.INT64)


@dataclass(frozen=True)
class Labels:
    """What the axes of two operands and of their product are called."""

    a: Names
    b: Names
    y: Names

    @property
    def batch(self) -> list[str]:
        """Of the stack, and rows and columns but the last of them."""
        last = {*self.rows[-1:], *self.columns[-1:]}
        return [i for i in self.y if i not in last]

    @property
    def rows(self) -> list[str]:
        """Those that only ``a`` has."""
        return [i for i in self.y if i not in self.b]

    @property
    def columns(self) -> list[str]:
        """Those that only ``b`` has."""
        return [i for i in self.y if i not in self.a]

    @property
    def inner(self) -> list[str]:
        """Those that are summed."""
        return [i for i in self.a if i not in self.y]

    @property
    def is_product(self) -> bool:
        """Whether one axis that both have is summed, and no label comes twice."""
        names = (self.a, self.b, self.y)
        return (
            all(len(set(term)) == len(term) for term in names)
            and len(self.inner) == 1
            and self.inner == [i for i in self.b if i not in self.y]
            and set(self.y) <= {*self.a, *self.b}
        )


def _einsum(l: Lowering, node: Node) -> None:
    operands = [l.tensor(name) for name in node.inputs]
    y = l.tensor(node.outputs[0])
    equation: Any = node.attributes["equation"]
    try:
        terms, output = terms_of(equation, [x.rank for x in operands])
    except ExecutionError as error:
        raise l.unsupported(str(error)) from error
    need_types(l, SUMMED_TYPES, *operands, y)
    sizes = _sizes(l, operands, terms)
    if len(operands) == 2 and y.dtype is DType.FLOAT32:
        labels = Labels(terms[0], terms[1], output)
        inner = {dict(zip(t, x.shape, strict=True)).get(labels.inner[0]) for t, x in
                 zip(terms, operands, strict=True)} if labels.is_product else set()  # fmt: skip
        if len(inner) == 1 and len(labels.batch) + 2 <= 8:
            emit_product(l, _product(l, labels, operands, y))
            return
    if len(operands) > MAX_OPERANDS or len(sizes) > 8:
        raise l.unsupported(f"{len(operands)} operands with {len(sizes)} labels")
    _emit_any(l, operands, terms, y, output, sizes)


def _sizes(l: Lowering, operands: list[Operand], terms: list[Names]) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for x, term in zip(operands, terms, strict=True):
        for size, label in zip(x.shape, term, strict=True):
            known = sizes.get(label, 1)
            if size != 1 and known not in (1, size):
                raise l.unsupported(f"'{label}' is of size {known} and {size}")
            sizes[label] = max(known, size) if size and known else 0
    return sizes


def _product(l: Lowering, labels: Labels, operands: list[Operand], y: Operand) -> Task:
    """Views of rank batch + 2; of the two orders of a matrix the one with the last axis dense."""
    row, column, inner = labels.rows[-1:], labels.columns[-1:], labels.inner
    a, trans_a = _matrix(l, operands[0], labels.a, labels.batch, row, inner)
    b, trans_b = _matrix(l, operands[1], labels.b, labels.batch, inner, column)
    target = _along(l, y, labels.y, [*labels.batch, *(row or [""]), *(column or [""])])
    return Task(a, b, target, None, None, trans_a, trans_b, 1.0, NOTHING, "")


def _matrix(
    l: Lowering, x: Operand, term: Names, batch: list[str], rows: list[str], columns: list[str]
) -> tuple[Operand, bool]:
    plain = _along(l, x, term, [*batch, *(rows or [""]), *(columns or [""])])
    turned = _along(l, x, term, [*batch, *(columns or [""]), *(rows or [""])])
    dense = plain.shape[-1] == 1 or plain.strides[-1] == 1
    return (plain, False) if dense or turned.strides[-1] != 1 else (turned, True)


def _along(l: Lowering, x: Operand, term: Names, order: list[str]) -> Operand:
    """A view with one axis for each label, of size 1 for those that the operand does not have."""
    shape, strides = [], []
    for label in order:
        axes = [i for i, own in enumerate(term) if own == label]
        shape.append(x.shape[axes[0]] if axes else 1)
        strides.append(sum(x.strides[i] for i in axes) if axes else 1)
    return l.view_of(x, shape=shape, strides=strides)


def _emit_any(
    l: Lowering,
    operands: list[Operand],
    terms: list[Names],
    y: Operand,
    output: Names,
    sizes: dict[str, int],
) -> None:
    order = [*output, *(label for label in sizes if label not in output)]
    views = [_along(l, x, term, order) for x, term in zip(operands, terms, strict=True)]
    summed = range(len(output), len(order))
    total = 1
    for size in sizes.values():
        total *= size
    params = (bits(summed),)
    l.emit("einsum", views, [_along(l, y, output, order)], params, cost=total, serial=total < SMALL)


def _det(l: Lowering, node: Node) -> None:
    x = l.tensor(node.inputs[0])
    y = with_ones(l, node.outputs[0], (x.rank - 2, x.rank - 1), x.rank)
    need_types(l, FLOATS, x, y)
    cost = x.size * max(1, x.shape[-1])
    l.emit("det", [x], [y], (), cost=cost, serial=cost < SMALL)


LOWERINGS = {
    ("", "Einsum"): _einsum,
    ("", "Det"): _det,
}
