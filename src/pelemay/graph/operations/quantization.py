"""Between real numbers and the integers or small floats that stand for them.

In: an array, a scale and a zero point: one number, one for each place along an axis, or one
for each block along an axis. Out: the quantized or the real array.

>>> import array_api_compat.numpy as xp
>>> quantize(xp, xp.asarray([-1.0, 0.26, 99.0]), xp.asarray(0.1), xp.asarray(128, dtype=xp.uint8))
array([118, 131, 255], dtype=uint8)
"""

from __future__ import annotations

from typing import Any

from pelemay.errors import ExecutionError
from pelemay.graph.dtypes import DType, Kind
from pelemay.graph.operations.casting import cast_to
from pelemay.graph.operations.common import (
    Array,
    along,
    axis_of,
    cast,
    dtype_of,
    full_like,
    part,
    widened,
)
from pelemay.graph.operations.table import Operation


def _spread(xp: Any, parameter: Array, x: Array, axis: int, block_size: int) -> Array:
    """A scale or zero point in a shape that broadcasts with ``x``."""
    if parameter.ndim == 0 or parameter.shape == (1,):
        return xp.reshape(parameter, ())
    axis = axis_of(axis, x.ndim)
    if parameter.ndim == 1 and not block_size:
        if parameter.shape[0] != x.shape[axis]:
            raise ExecutionError(
                f"{parameter.shape[0]} scales do not fit axis {axis} of shape {tuple(x.shape)}"
            )
        return along(xp, parameter, axis, x.ndim)
    if not block_size:
        raise ExecutionError("a scale of more than one dimension needs a block_size")
    return part(xp.repeat(parameter, block_size, axis=axis), axis, 0, x.shape[axis])


def quantize(
    xp: Any,
    x: Array,
    scale: Array,
    zero_point: Array | None = None,
    *,
    axis: int = 1,
    block_size: int = 0,
    output_dtype: DType | None = None,
    precision: DType | None = None,
    saturate: int = 1,
) -> Array:
    """``saturate(round(x / scale) + zero_point)``, dividing in the precision of the scale."""
    target = output_dtype or (DType.UINT8 if zero_point is None else dtype_of(zero_point))
    divisor = _spread(xp, scale, x, axis, block_size)
    kind = precision or dtype_of(divisor)
    ratio = widened(xp, cast(xp, x, kind) / cast(xp, divisor, kind))
    shift = None
    if zero_point is not None:
        shift = cast(xp, _spread(xp, zero_point, x, axis, block_size), dtype_of(ratio))
    if target.kind is Kind.FLOAT:
        moved = ratio if shift is None else ratio + shift
        return cast_to(xp, moved, to=target, saturate=saturate)
    rounded = xp.round(ratio)
    return _saturated(xp, rounded if shift is None else rounded + shift, target)


def _saturated(xp: Any, x: Array, target: DType) -> Array:
    """Floats held within an integer type, in that type."""
    signed = target.kind is Kind.INT
    low = -(1 << (target.bits - 1)) if signed else 0
    high = (1 << (target.bits - signed)) - 1
    held = xp.minimum(xp.maximum(x, full_like(xp, low, x)), full_like(xp, high, x))
    return cast_to(xp, held, to=target)


def dequantize(
    xp: Any,
    x: Array,
    scale: Array,
    zero_point: Array | None = None,
    *,
    axis: int = 1,
    block_size: int = 0,
    output_dtype: DType | None = None,
) -> Array:
    """``(x - zero_point) * scale``; narrow results are rounded once, from float32."""
    target = output_dtype or dtype_of(scale)
    wide = DType.FLOAT64 if target is DType.FLOAT64 else DType.FLOAT32
    exact = wide if dtype_of(x).kind is Kind.FLOAT else DType.INT32
    shifted = cast(xp, x, exact)
    if zero_point is not None:
        shifted = shifted - cast(xp, _spread(xp, zero_point, x, axis, block_size), exact)
    factor = cast(xp, _spread(xp, scale, x, axis, block_size), wide)
    return cast(xp, cast(xp, shifted, wide) * factor, target)


def dynamic_quantize(xp: Any, x: Array) -> tuple[Array, Array, Array]:
    """``x`` in uint8 over the range of its elements and 0, with the scale and zero point."""
    zero, one, most = (full_like(xp, v, x) for v in (0, 1, 255))
    low = xp.minimum(xp.min(x), zero) if x.size else zero
    high = xp.maximum(xp.max(x), zero) if x.size else zero
    scale = xp.where(high == low, one, (high - low) / most)
    zero_point = cast(xp, xp.round(xp.minimum(xp.maximum(-low / scale, zero), most)), DType.UINT8)
    return quantize(xp, x, scale, zero_point), scale, zero_point


ROWS = (
    Operation("QuantizeLinear", quantize, "quantization"),
    Operation("DequantizeLinear", dequantize, "quantization"),
    Operation("DynamicQuantizeLinear", dynamic_quantize, "quantization"),
)
