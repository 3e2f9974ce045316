"""Comparison and logic, element by element, with NumPy broadcasting.

In: arrays of one element type. Out: a boolean array of the broadcast shape.

>>> import array_api_compat.numpy as xp
>>> is_infinite(xp, xp.asarray([-xp.inf, 1.0, xp.inf]), detect_negative=0)
array([False, False,  True])
"""

from __future__ import annotations

from typing import Any

from pelemay.graph.operations.common import Array, widened
from pelemay.graph.operations.table import Operation


def equal(xp: Any, a: Array, b: Array) -> Array:
    return a == b


def greater(xp: Any, a: Array, b: Array) -> Array:
    return a > b


def greater_or_equal(xp: Any, a: Array, b: Array) -> Array:
    return a >= b


def less(xp: Any, a: Array, b: Array) -> Array:
    return a < b


def less_or_equal(xp: Any, a: Array, b: Array) -> Array:
    return a <= b


def logical_and(xp: Any, a: Array, b: Array) -> Array:
    return xp.logical_and(a, b)


def logical_or(xp: Any, a: Array, b: Array) -> Array:
    return xp.logical_or(a, b)


def logical_xor(xp: Any, a: Array, b: Array) -> Array:
    return xp.logical_xor(a, b)


def logical_not(xp: Any, x: Array) -> Array:
    return xp.logical_not(x)


def is_nan(xp: Any, x: Array) -> Array:
    return xp.isnan(widened(xp, x))


def is_infinite(xp: Any, x: Array, *, detect_negative: int = 1, detect_positive: int = 1) -> Array:
    wide = widened(xp, x)
    found = xp.isinf(wide)
    if not detect_negative:
        found = found & (wide > 0)
    if not detect_positive:
        found = found & (wide < 0)
    return found


ROWS = (
    Operation("Equal", equal, "comparison"),
    Operation("Greater", greater, "comparison"),
    Operation("GreaterOrEqual", greater_or_equal, "comparison"),
    Operation("Less", less, "comparison"),
    Operation("LessOrEqual", less_or_equal, "comparison"),
    Operation("And", logical_and, "comparison"),
    Operation("Or", logical_or, "comparison"),
    Operation("Xor", logical_xor, "comparison"),
    Operation("Not", logical_not, "comparison"),
    Operation("IsNaN", is_nan, "comparison"),
    Operation("IsInf", is_infinite, "comparison"),
)
