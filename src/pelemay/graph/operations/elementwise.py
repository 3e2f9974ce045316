"""Arithmetic, element by element, with NumPy broadcasting.

In: arrays of one element type. Out: an array of the broadcast shape and the same type.

>>> import array_api_compat.numpy as xp
>>> divide(xp, xp.asarray([-7, 7]), xp.asarray([2, 2]))
array([-3,  3])
"""

from __future__ import annotations

from functools import reduce
from typing import Any

from pelemay.graph.dtypes import DType, Kind
from pelemay.graph.operations.common import (
    Array,
    cast,
    cast_like,
    dtype_of,
    full_like,
    in_float32,
    is_float,
)
from pelemay.graph.operations.table import Operation


def add(xp: Any, a: Array, b: Array) -> Array:
    return a + b


def subtract(xp: Any, a: Array, b: Array) -> Array:
    return a - b


def multiply(xp: Any, a: Array, b: Array) -> Array:
    return a * b


def divide(xp: Any, a: Array, b: Array) -> Array:
    """The quotient ``a / b``; integers are truncated towards zero."""
    if is_float(a):
        return a / b
    floor = xp.floor_divide(a, b)
    if dtype_of(a).kind is Kind.UINT:
        return floor
    inexact = (xp.remainder(a, b) != 0) & ((a < 0) != (b < 0))
    return floor + cast_like(xp, inexact, a)


def modulo(xp: Any, a: Array, b: Array, *, fmod: int = 0) -> Array:
    """The remainder of ``a / b``: with the sign of ``b``, or of ``a`` if ``fmod``."""
    if not fmod:
        return xp.remainder(a, b)
    if is_float(a):
        return _fmod(xp, a, b)
    remainder = xp.remainder(a, b)
    crosses = (remainder != 0) & ((remainder < 0) != (a < 0))
    return xp.where(crosses, remainder - b, remainder)


@in_float32
def _fmod(xp: Any, a: Array, b: Array) -> Array:
    return xp.copysign(xp.remainder(xp.abs(a), xp.abs(b)), a)


def power(xp: Any, x: Array, y: Array) -> Array:
    """``x`` to the power ``y``, in the type of ``x``; integers are truncated."""
    if is_float(x):
        return _float_power(xp, x, y)
    if is_float(y):
        wide = _float_power(xp, cast(xp, x, DType.FLOAT64), cast(xp, y, DType.FLOAT64))
        return cast_like(xp, wide, x)
    return _integer_power(xp, x, cast_like(xp, y, x))


@in_float32
def _float_power(xp: Any, x: Array, y: Array) -> Array:
    if dtype_of(y) is DType.FLOAT64 and dtype_of(x) is DType.FLOAT32:
        return cast_like(xp, xp.pow(cast_like(xp, x, y), y), x)
    return xp.pow(x, cast_like(xp, y, x))


def _integer_power(xp: Any, x: Array, y: Array) -> Array:
    """Of a negative exponent only 1 and -1 have a reciprocal that is not truncated to 0."""
    zero, two = full_like(xp, 0, y), full_like(xp, 2, y)
    unit = (x == 1) | (x == -1)
    below = xp.where(unit, xp.pow(x, xp.remainder(y, two)), zero)
    return xp.where(y < 0, below, xp.pow(x, xp.maximum(y, zero)))


def total(xp: Any, *inputs: Array) -> Array:
    return reduce(lambda a, b: a + b, inputs)


@in_float32
def mean(xp: Any, *inputs: Array) -> Array:
    return total(xp, *inputs) / len(inputs)


def maximum(xp: Any, *inputs: Array) -> Array:
    return reduce(xp.maximum, inputs)


def minimum(xp: Any, *inputs: Array) -> Array:
    return reduce(xp.minimum, inputs)


def absolute(xp: Any, x: Array) -> Array:
    return x if dtype_of(x).kind is Kind.UINT else xp.abs(x)


def negative(xp: Any, x: Array) -> Array:
    return -x


@in_float32
def reciprocal(xp: Any, x: Array) -> Array:
    return 1 / x


def sqrt(xp: Any, x: Array) -> Array:
    return xp.sqrt(x)


def exp(xp: Any, x: Array) -> Array:
    return xp.exp(x)


def log(xp: Any, x: Array) -> Array:
    return xp.log(x)


def ceil(xp: Any, x: Array) -> Array:
    return xp.ceil(x)


def floor(xp: Any, x: Array) -> Array:
    return xp.floor(x)


def round_half_even(xp: Any, x: Array) -> Array:
    return xp.round(x)


def sign(xp: Any, x: Array) -> Array:
    return xp.sign(x)


def sin(xp: Any, x: Array) -> Array:
    return xp.sin(x)


def cos(xp: Any, x: Array) -> Array:
    return xp.cos(x)


def tan(xp: Any, x: Array) -> Array:
    return xp.tan(x)


def asin(xp: Any, x: Array) -> Array:
    return xp.asin(x)


def acos(xp: Any, x: Array) -> Array:
    return xp.acos(x)


def atan(xp: Any, x: Array) -> Array:
    return xp.atan(x)


def sinh(xp: Any, x: Array) -> Array:
    return xp.sinh(x)


def cosh(xp: Any, x: Array) -> Array:
    return xp.cosh(x)


def asinh(xp: Any, x: Array) -> Array:
    return xp.asinh(x)


def acosh(xp: Any, x: Array) -> Array:
    return xp.acosh(x)


def atanh(xp: Any, x: Array) -> Array:
    return xp.atanh(x)


def bit_shift(xp: Any, x: Array, y: Array, *, direction: str) -> Array:
    """``x`` shifted by ``y`` bits; a shift by more than the width leaves the sign alone."""
    dtype = dtype_of(x)
    outside = (y < 0) | (y >= dtype.bits)
    steps = xp.where(outside, full_like(xp, dtype.bits - 1, y), y)
    zero = full_like(xp, 0, x)
    if direction == "LEFT":
        return xp.where(outside, zero, xp.bitwise_left_shift(x, steps))
    shifted = xp.bitwise_right_shift(x, steps)
    return shifted if dtype.kind is Kind.INT else xp.where(outside, zero, shifted)


def bitwise_and(xp: Any, a: Array, b: Array) -> Array:
    return xp.bitwise_and(a, b)


def bitwise_or(xp: Any, a: Array, b: Array) -> Array:
    return xp.bitwise_or(a, b)


def bitwise_xor(xp: Any, a: Array, b: Array) -> Array:
    return xp.bitwise_xor(a, b)


def bitwise_not(xp: Any, x: Array) -> Array:
    return xp.bitwise_invert(x)


ROWS = (
    Operation("Add", add, "elementwise"),
    Operation("Sub", subtract, "elementwise"),
    Operation("Mul", multiply, "elementwise"),
    Operation("Div", divide, "elementwise"),
    Operation("Mod", modulo, "elementwise"),
    Operation("Pow", power, "elementwise"),
    Operation("Sum", total, "elementwise"),
    Operation("Mean", mean, "elementwise"),
    Operation("Max", maximum, "elementwise"),
    Operation("Min", minimum, "elementwise"),
    Operation("Abs", absolute, "elementwise"),
    Operation("Neg", negative, "elementwise"),
    Operation("Reciprocal", reciprocal, "elementwise"),
    Operation("Sqrt", sqrt, "elementwise"),
    Operation("Exp", exp, "elementwise"),
    Operation("Log", log, "elementwise"),
    Operation("Ceil", ceil, "elementwise"),
    Operation("Floor", floor, "elementwise"),
    Operation("Round", round_half_even, "elementwise"),
    Operation("Sign", sign, "elementwise"),
    Operation("Sin", sin, "elementwise"),
    Operation("Cos", cos, "elementwise"),
    Operation("Tan", tan, "elementwise"),
    Operation("Asin", asin, "elementwise"),
    Operation("Acos", acos, "elementwise"),
    Operation("Atan", atan, "elementwise"),
    Operation("Sinh", sinh, "elementwise"),
    Operation("Cosh", cosh, "elementwise"),
    Operation("Asinh", asinh, "elementwise"),
    Operation("Acosh", acosh, "elementwise"),
    Operation("Atanh", atanh, "elementwise"),
    Operation("BitShift", bit_shift, "elementwise"),
    Operation("BitwiseAnd", bitwise_and, "elementwise"),
    Operation("BitwiseOr", bitwise_or, "elementwise"),
    Operation("BitwiseXor", bitwise_xor, "elementwise"),
    Operation("BitwiseNot", bitwise_not, "elementwise"),
)
