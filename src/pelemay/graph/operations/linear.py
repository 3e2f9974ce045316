"""Linear algebra.

In: matrices, or stacks of them. Out: products, sums of products, determinants.

>>> import array_api_compat.numpy as xp
>>> einsum(xp, xp.asarray([[1, 2], [3, 4]]), equation="ij->i")
array([3, 7])
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from pelemay.errors import ExecutionError
from pelemay.graph.operations.common import Array, cast_like, in_float32, is_float, widened
from pelemay.graph.operations.table import Operation


@in_float32
def matmul(xp: Any, a: Array, b: Array) -> Array:
    return xp.matmul(a, b)


@in_float32
def gemm(
    xp: Any,
    a: Array,
    b: Array,
    c: Array | None = None,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,  # noqa: N803
    transB: int = 0,  # noqa: N803
) -> Array:
    left = xp.matrix_transpose(a) if transA else a
    right = xp.matrix_transpose(b) if transB else b
    y = _scaled(xp, xp.matmul(left, right), alpha)
    return y if c is None or beta == 0 else y + _scaled(xp, c, beta)


def _scaled(xp: Any, x: Array, factor: float) -> Array:
    """The product; that of integers with a fraction is truncated."""
    if factor == 1:
        return x
    if is_float(x):
        return x * factor
    if factor == int(factor):
        return x * int(factor)
    return cast_like(xp, xp.astype(x, xp.float64) * factor, x)


def det(xp: Any, x: Array) -> Array:
    return cast_like(xp, xp.linalg.det(widened(xp, x)), x)


def einsum(xp: Any, *operands: Array, equation: str) -> Array:
    """Einstein's summation: two operands at a time, each pair by one matrix product."""
    terms, output = terms_of(equation, [x.ndim for x in operands])
    values = [_diagonals(xp, x, term) for x, term in zip(operands, terms, strict=True)]
    dtype = operands[0].dtype
    value, term = values[0]
    value = widened(xp, value)
    for index, (other, other_term) in enumerate(values[1:], start=1):
        later = {label for _, t in values[index + 1 :] for label in t}
        kept = later | set(output)
        value, term = _contract(xp, (value, term), (widened(xp, other), other_term), kept)
    value, term = _summed(xp, value, term, set(output))
    return xp.astype(xp.permute_dims(value, tuple(term.index(i) for i in output)), dtype)


Term = tuple[str, ...]
"""A label for each axis; the axes of an ellipsis are labelled by their place from the end."""


def terms_of(equation: str, ranks: list[int]) -> tuple[list[Term], Term]:
    """The labels of each operand's axes, and those of the result's.

    >>> terms_of("ij,jk", [2, 2])
    ([('i', 'j'), ('j', 'k')], ('i', 'k'))

    Raises
    ------
    ExecutionError
        If the equation does not fit operands of these ranks.
    """
    left, arrow, right = equation.replace(" ", "").partition("->")
    written = left.split(",")
    if len(written) != len(ranks):
        raise ExecutionError(f"equation '{equation}' does not have {len(ranks)} operands")
    terms = [_term(text, rank) for text, rank in zip(written, ranks, strict=True)]
    for text, term, rank in zip(written, terms, ranks, strict=True):
        if len(term) != rank:
            raise ExecutionError(f"'{text}' in '{equation}' does not name {rank} axes")
    dots = sorted({i for term in terms for i in term if len(i) > 1}, reverse=True)
    if arrow:
        return terms, tuple(_labels(right, dots))
    seen = [label for term in terms for label in term if len(label) == 1]
    return terms, (*dots, *sorted(label for label in set(seen) if seen.count(label) == 1))


def _term(text: str, rank: int) -> Term:
    count = rank - len(text.replace("...", ""))
    return tuple(_labels(text, [f"...{i:03}" for i in range(count, 0, -1)]))


def _labels(text: str, dots: list[str]) -> list[str]:
    before, ellipsis, behind = text.partition("...")
    return [*before, *(dots if ellipsis else ()), *behind]


def _diagonals(xp: Any, x: Array, term: Term) -> tuple[Array, Term]:
    """Take the diagonal of each two axes that have the same label."""
    for label in set(term):
        while term.count(label) > 1:
            first = term.index(label)
            second = term.index(label, first + 1)
            x = xp.moveaxis(x, (first, second), (-2, -1))
            size = x.shape[-1]
            places = xp.arange(size) * (size + 1)
            x = xp.take(xp.reshape(x, (*x.shape[:-2], size * size)), places, axis=-1)
            rest = [i for axis, i in enumerate(term) if axis not in (first, second)]
            term = (*rest, label)
    return x, term


def _summed(xp: Any, x: Array, term: Term, kept: set[str]) -> tuple[Array, Term]:
    """Sum over the axes whose labels nobody reads any more."""
    axes = tuple(axis for axis, label in enumerate(term) if label not in kept)
    if not axes:
        return x, term
    return xp.sum(x, axis=axes, dtype=x.dtype), tuple(i for i in term if i in kept)


def _contract(
    xp: Any, left: tuple[Array, Term], right: tuple[Array, Term], kept: set[str]
) -> tuple[Array, Term]:
    """Multiply and sum over what only these two have: one product of (batched) matrices."""
    a, a_term = _summed(xp, *left, kept | set(right[1]))
    b, b_term = _summed(xp, *right, kept | set(a_term))
    both = [i for i in a_term if i in b_term]
    batch, inner = [i for i in both if i in kept], [i for i in both if i not in kept]
    rows, columns = [i for i in a_term if i not in both], [i for i in b_term if i not in both]
    a = xp.permute_dims(a, tuple(a_term.index(i) for i in (*batch, *rows, *inner)))
    b = xp.permute_dims(b, tuple(b_term.index(i) for i in (*batch, *inner, *columns)))
    at, to = len(batch), len(batch) + len(rows)
    sizes = _common_sizes(a.shape[to:], b.shape[at : at + len(inner)])
    row_sizes, column_sizes = a.shape[at:to], b.shape[at + len(inner) :]
    a = xp.broadcast_to(a, (*a.shape[:to], *sizes))
    b = xp.broadcast_to(b, (*b.shape[:at], *sizes, *column_sizes))
    total = math.prod(sizes)
    a = xp.reshape(a, (*a.shape[:at], math.prod(row_sizes), total))
    b = xp.reshape(b, (*b.shape[:at], total, math.prod(column_sizes)))
    y = xp.matmul(a, b)
    return xp.reshape(y, (*y.shape[:-2], *row_sizes, *column_sizes)), (*batch, *rows, *columns)


def _common_sizes(a: Sequence[int], b: Sequence[int]) -> tuple[int, ...]:
    """Sizes after broadcasting: an ellipsis may stand for 1 in one operand."""
    return tuple(n if m == 1 else m for m, n in zip(a, b, strict=True))


ROWS = (
    Operation("MatMul", matmul, "linear"),
    Operation("Gemm", gemm, "linear"),
    Operation("Einsum", einsum, "linear"),
    Operation("Det", det, "linear"),
)
