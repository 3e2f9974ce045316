"""Changing the element type: conversion by value, and reinterpretation of the bits.

In: an array. Out: an array of the same shape with another element type.

>>> import array_api_compat.numpy as xp
>>> cast_to(xp, xp.asarray([1.9, -1.9]), to=DType.INT32)
array([ 1, -1], dtype=int32)
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pelemay.graph.dtypes import DType, Kind
from pelemay.graph.operations.common import Array, cast, dtype_in, dtype_of, full_like, is_float
from pelemay.graph.operations.table import Operation

_NEVER_INFINITE = (DType.FLOAT6_E2M3FN, DType.FLOAT6_E3M2FN, DType.FLOAT4_E2M1FN)


def cast_to(xp: Any, x: Array, *, to: DType, saturate: int = 1, round_mode: str = "up") -> Array:
    """``x`` with elements of type ``to``.

    Parameters
    ----------
    xp : namespace
        Array API namespace of ``x``.
    x : array
        Any shape.
    to : DType
        The new element type.
    saturate : int
        Whether numbers beyond an 8-bit float type become its largest, not NaN or infinity.
    round_mode : str
        ``"up"``, ``"down"`` or ``"nearest"``, for powers of two (float8_e8m0fnu) only.

    Returns
    -------
    array
        The same shape as ``x``.
    """
    source = dtype_of(x)
    if source is to:
        return x
    if DType.STRING in (source, to):
        return _cast_string(np.asarray(x), to)
    if to is DType.FLOAT8_E8M0FNU:
        return xp.asarray(
            _power_of_two(np.asarray(cast(xp, x, DType.FLOAT32)), saturate, round_mode)
        )
    if to.kind is Kind.FLOAT and to.bits <= 8:
        return _cast_small_float(xp, x, to, bool(saturate))
    return _cast_number(xp, x, to)


def _cast_number(xp: Any, x: Array, to: DType) -> Array:
    """Integers go to types below one byte through int32, which keeps the lowest bits."""
    if to.kind in (Kind.INT, Kind.UINT) and to.bits < 8 and is_float(x):
        return cast(xp, cast(xp, x, DType.INT32), to)
    return cast(xp, x, to)


def _cast_small_float(xp: Any, x: Array, to: DType, saturate: bool) -> Array:
    wide = x if is_float(x) and dtype_of(x).bits >= 32 else cast(xp, x, DType.FLOAT32)
    if saturate or to in _NEVER_INFINITE:
        limit = full_like(xp, _largest(to), wide)
        wide = xp.minimum(xp.maximum(wide, -limit), limit)
    return cast(xp, wide, to)


def _largest(dtype: DType) -> float:
    import ml_dtypes

    return float(ml_dtypes.finfo(dtype.numpy).max)


def _power_of_two(x: np.ndarray[Any, Any], saturate: int, round_mode: str) -> np.ndarray[Any, Any]:
    """The exponent field of float32 is the whole of float8_e8m0fnu."""
    bits = x.view(np.uint32)
    exponent = ((bits >> 23) & 255).astype(np.int32)
    fraction = bits & 0x7FFFFF
    if round_mode == "nearest":
        rises = (fraction > 0x400000) | ((fraction == 0x400000) & (exponent > 0))
    else:
        rises = (fraction > 0) & (round_mode == "up")
    top = 254 if saturate else 255
    rounded = np.minimum(exponent + rises, top)
    codes = np.where(exponent == 255, 255, rounded).astype(np.uint8)
    return codes.view(DType.FLOAT8_E8M0FNU.numpy)


def _cast_string(x: np.ndarray[Any, Any], to: DType) -> np.ndarray[Any, Any]:
    if to is DType.STRING:
        plain = x.astype(np.int8) if x.dtype == bool else x
        wide = plain if plain.dtype.kind in "iuf" else plain.astype(np.float32)
        return wide.astype(str).astype(object)
    texts = [t.decode() if isinstance(t, bytes) else str(t) for t in x.reshape(-1).tolist()]
    if to.kind in (Kind.INT, Kind.UINT):
        numbers: list[Any] = [_parse_integer(text) for text in texts]
        return np.array(numbers, np.int64).astype(to.numpy).reshape(x.shape)
    return np.array([float(text) for text in texts]).astype(to.numpy).reshape(x.shape)


def _parse_integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        return int(float(text))


def cast_like(
    xp: Any, x: Array, target: Array, *, saturate: int = 1, round_mode: str = "up"
) -> Array:
    return cast_to(xp, x, to=dtype_of(target), saturate=saturate, round_mode=round_mode)


def bit_cast(xp: Any, x: Array, *, to: DType) -> Array:
    """The same bits as another type of the same width."""
    if to.bits < 8 and isinstance(x, np.ndarray):
        return _bit_cast_narrow(x, to)
    return x.view(dtype_in(xp, to))


def _bit_cast_narrow(x: np.ndarray[Any, Any], to: DType) -> np.ndarray[Any, Any]:
    """Below one byte NumPy keeps an element in a byte, whose upper bits mean nothing."""
    codes = x.view(np.uint8) & ((1 << to.bits) - 1)
    unsigned = codes.astype(np.uint8)
    if to.kind is Kind.INT:
        unused = 8 - to.bits
        return (unsigned << unused).view(np.int8).__rshift__(unused).astype(to.numpy)
    return unsigned.view(to.numpy)


ROWS = (
    Operation("Cast", cast_to, "cast"),
    Operation("CastLike", cast_like, "cast"),
    Operation("BitCast", bit_cast, "cast"),
)
