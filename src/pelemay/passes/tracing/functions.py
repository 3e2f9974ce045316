"""Functions of the Array API standard, as nodes.

In: traced arrays, among NumPy arrays and numbers. Out: a traced array. ``FUNCTIONS`` has them by
name; their parameters are those of the standard.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pelemay.errors import UnsupportedError
from pelemay.graph import DType, Kind
from pelemay.passes.tracing import elementwise, moving
from pelemay.passes.tracing.elementwise import cast, common_dtype, converted, recorder_of, unary

if TYPE_CHECKING:
    from pelemay.passes.tracing.array import Traced

Axes = int | Sequence[int] | None


def _asarray(x: Any, *, dtype: npt.DTypeLike | None = None) -> Any:
    if isinstance(x, (list, tuple)):
        return moving.stack(x)
    return x if dtype is None else cast(x, dtype)


def _filled(value: float, x: Traced, *, dtype: npt.DTypeLike | None = None) -> npt.NDArray[Any]:
    """An array of the shape of ``x`` that takes the memory of one element."""
    return np.broadcast_to(np.asarray(value, dtype or x.dtype), x.shape)


def _full_like(x: Traced, value: Any, *, dtype: npt.DTypeLike | None = None) -> Any:
    return _filled(value, x, dtype=dtype)


def _clip(x: Any, low: Any = None, high: Any = None) -> Any:
    for op, bound in (("Max", low), ("Min", high)):
        if bound is not None:
            limit = bound if hasattr(bound, "dtype") else np.asarray(bound, x.dtype)
            x = elementwise.binary(op, x, limit)
    return x


def _matmul(a: Any, b: Any) -> Traced:
    dtype = common_dtype(a, b)
    left, right = converted(a, dtype), converted(b, dtype)
    if left.shape[-1] != right.shape[0 if right.ndim == 1 else -2]:
        raise ValueError(f"matrices of shapes {left.shape} and {right.shape} have no product")
    rows = () if left.ndim == 1 else left.shape[-2:-1]
    columns = () if right.ndim == 1 else right.shape[-1:]
    stacks = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
    shape = (*stacks, *rows, *columns)
    return recorder_of(a, b).emit("MatMul", [left, right], shape, dtype)


def _reduced(op: str, x: Traced, *, axis: Axes = None, keepdims: bool = False) -> Traced:
    axes = _axes(axis, x.ndim)
    kept = [1 if i in axes else n for i, n in enumerate(x.shape)]
    shape = kept if keepdims else [n for i, n in enumerate(x.shape) if i not in axes]
    if not axes:
        return x
    operands = [x, x.recorder.integers(axes)]
    return x.recorder.emit(op, operands, shape, x.dtype, {"keepdims": int(keepdims)})


def _axes(axis: Axes, rank: int) -> list[int]:
    if axis is None:
        return list(range(rank))
    given = (axis,) if isinstance(axis, int) else tuple(axis)
    return [moving.axis_of(int(one), rank) for one in given]


def _sum(op: str, x: Traced, *, dtype: npt.DTypeLike | None = None, **options: Any) -> Traced:
    """Integers are summed in 64 bits, as NumPy does it."""
    kind = DType.of_numpy(np.dtype(x.dtype)).kind
    if dtype is None and kind is not Kind.FLOAT:
        dtype = np.uint64 if kind is Kind.UINT else np.int64
    return _reduced(op, x if dtype is None else cast(x, dtype), **options)


def _mean(x: Traced, *, axis: Axes = None, keepdims: bool = False) -> Traced:
    if DType.of_numpy(np.dtype(x.dtype)).kind is not Kind.FLOAT:
        raise UnsupportedError("the mean of integers has no steps")
    return _reduced("ReduceMean", x, axis=axis, keepdims=keepdims)


def _var(x: Traced, *, axis: Axes = None, keepdims: bool = False) -> Traced:
    centred = x - _mean(x, axis=axis, keepdims=True)
    return _mean(centred * centred, axis=axis, keepdims=keepdims)


def _argument(op: str, x: Traced, *, axis: int | None = None, keepdims: bool = False) -> Traced:
    if axis is None:
        raise UnsupportedError("a place in a flat array has no steps")
    at = moving.axis_of(axis, x.ndim)
    shape = [*x.shape[:at], *([1] if keepdims else []), *x.shape[at + 1 :]]
    attributes = {"axis": at, "keepdims": int(keepdims)}
    return x.recorder.emit(op, [x], shape, np.int64, attributes)


def _remainder(a: Any, b: Any) -> Traced:
    """With the sign of the divisor, which ONNX has for integers only."""
    if DType.of_numpy(common_dtype(a, b)).kind is Kind.FLOAT:
        raise UnsupportedError("the remainder of floats has no steps")
    return elementwise.binary("Mod", a, b)


def _shifted(direction: str, a: Any, b: Any) -> Traced:
    dtype = common_dtype(a, b)
    if DType.of_numpy(dtype).kind is not Kind.UINT:
        raise UnsupportedError("the bits of signed integers shifted have no steps")
    return elementwise.binary("BitShift", a, b, {"direction": direction})


def _test(op: str, x: Traced) -> Traced:
    return unary(op, x, np.bool_)


def _is_finite(x: Traced) -> Traced:
    return elementwise.compare("Less", unary("Abs", x), np.asarray(math.inf, x.dtype))


_UNARY = {
    "abs": "Abs",
    "acos": "Acos",
    "acosh": "Acosh",
    "asin": "Asin",
    "asinh": "Asinh",
    "atan": "Atan",
    "atanh": "Atanh",
    "bitwise_invert": "BitwiseNot",
    "ceil": "Ceil",
    "cos": "Cos",
    "cosh": "Cosh",
    "exp": "Exp",
    "floor": "Floor",
    "log": "Log",
    "logical_not": "Not",
    "negative": "Neg",
    "round": "Round",
    "sign": "Sign",
    "sin": "Sin",
    "sinh": "Sinh",
    "sqrt": "Sqrt",
    "tan": "Tan",
    "tanh": "Tanh",
}
_BINARY = {
    "add": "Add",
    "maximum": "Max",
    "minimum": "Min",
    "multiply": "Mul",
    "pow": "Pow",
    "subtract": "Sub",
}
_LOGICAL = {
    "bitwise_and": "And",
    "bitwise_or": "Or",
    "bitwise_xor": "Xor",
    "logical_and": "And",
    "logical_or": "Or",
    "logical_xor": "Xor",
}
_COMPARED = {
    "equal": "Equal",
    "greater": "Greater",
    "greater_equal": "GreaterOrEqual",
    "less": "Less",
    "less_equal": "LessOrEqual",
}

FUNCTIONS: dict[str, Callable[..., Any]] = {
    **moving.FUNCTIONS,
    **{name: partial(unary, op) for name, op in _UNARY.items()},
    **{name: partial(elementwise.binary, op) for name, op in _BINARY.items()},
    **{name: partial(elementwise.logical, op) for name, op in _LOGICAL.items()},
    **{name: partial(elementwise.compare, op) for name, op in _COMPARED.items()},
    "argmax": partial(_argument, "ArgMax"),
    "argmin": partial(_argument, "ArgMin"),
    "asarray": _asarray,
    "bitwise_left_shift": partial(_shifted, "LEFT"),
    "bitwise_right_shift": partial(_shifted, "RIGHT"),
    "astype": lambda x, dtype: cast(x, dtype),
    "clip": _clip,
    "divide": elementwise.divide,
    "full_like": _full_like,
    "isfinite": _is_finite,
    "isinf": partial(_test, "IsInf"),
    "isnan": partial(_test, "IsNaN"),
    "matmul": _matmul,
    "max": partial(_reduced, "ReduceMax"),
    "mean": _mean,
    "min": partial(_reduced, "ReduceMin"),
    "ones_like": partial(_filled, 1),
    "prod": partial(_sum, "ReduceProd"),
    "remainder": _remainder,
    "sum": partial(_sum, "ReduceSum"),
    "var": _var,
    "where": elementwise.where,
    "zeros_like": partial(_filled, 0),
}
