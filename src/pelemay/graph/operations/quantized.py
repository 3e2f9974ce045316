"""The dialect's operations on 8-bit integers: what passes make of quantized models.

Rows of domain ``pelemay``. In: data with channels last, (N, *spatial, C), or stacks of matrices, of
uint8 or int8, with zero points; weights as ONNX has them. A sum is exact in int32, and one float32
``multiplier`` takes it to the next scale: ``float32(sum) * multiplier``, rounded half to even, plus
the zero point, held within the type, or within ``low`` and ``high`` where an activation follows.
This is how onnxruntime's kernels compute, to the last bit.

>>> import array_api_compat.numpy as xp
>>> a, b = xp.asarray([[3, 200]], dtype=xp.uint8), xp.asarray([[2], [1]], dtype=xp.int8)
>>> q_matmul(xp, a, b, xp.asarray(0.25, dtype=xp.float32), to=DType.UINT8)
array([[52]], dtype=uint8)
"""

from __future__ import annotations

from typing import Any

from pelemay.errors import ExecutionError
from pelemay.graph.dtypes import DType, Kind
from pelemay.graph.operations import pooling
from pelemay.graph.operations.common import Array, cast, dtype_of
from pelemay.graph.operations.fused import DOMAIN, first_to_last, last_to_first
from pelemay.graph.operations.integer import conv_integer, matmul_integer
from pelemay.graph.operations.table import Operation
from pelemay.graph.operations.windows import Ints, window_of

BYTES = (DType.UINT8, DType.INT8)
"""Element types of quantized data."""


def range_of(dtype: DType) -> tuple[int, int]:
    """The least and the largest number of an integer type.

    >>> range_of(DType.INT8), range_of(DType.UINT8)
    ((-128, 127), (0, 255))
    """
    signed = dtype.kind is Kind.INT
    return (-(1 << (dtype.bits - 1)) if signed else 0), (1 << (dtype.bits - signed)) - 1


def _requantized(
    xp: Any, real: Array, zero_point: Array | None, to: DType, bounds: tuple[int | None, int | None]
) -> Array:
    """Float32 in units of the output, as integers within the bounds."""
    least, most = range_of(to)
    low, high = (
        limit if bound is None else min(max(bound, least), most)
        for bound, limit in zip(bounds, (least, most), strict=True)
    )
    units = xp.round(real)
    if zero_point is not None:
        units = units + cast(xp, xp.reshape(zero_point, ()), DType.FLOAT32)
    held = xp.minimum(
        xp.maximum(units, xp.asarray(low, dtype=real.dtype)), xp.asarray(high, dtype=real.dtype)
    )
    return cast(xp, held, to)


def _finished(
    xp: Any,
    sums: Array,
    multiplier: Array | None,
    y_zero_point: Array | None,
    float_bias: Array | None,
    to: DType,
    bounds: tuple[int | None, int | None],
) -> Array:
    """Sums of int32 as they are, as real numbers, or quantized again."""
    if to is DType.INT32:
        return sums
    if multiplier is None or to not in (*BYTES, DType.FLOAT32):
        raise ExecutionError(
            f"a sum of products of integers does not become {to.value} without a multiplier",
            hint="with one it becomes uint8, int8 or float32, without one int32",
        )
    real = cast(xp, sums, DType.FLOAT32) * multiplier
    if to is DType.FLOAT32:
        return real if float_bias is None else real + float_bias
    return _requantized(xp, real, y_zero_point, to, bounds)


def q_conv(
    xp: Any,
    x: Array,
    w: Array,
    multiplier: Array | None = None,
    bias: Array | None = None,
    x_zero_point: Array | None = None,
    w_zero_point: Array | None = None,
    y_zero_point: Array | None = None,
    float_bias: Array | None = None,
    *,
    to: DType,
    strides: Ints = (),
    dilations: Ints = (),
    pads: Ints = (),
    group: int = 1,
    low: int | None = None,
    high: int | None = None,
) -> Array:
    """A convolution; padding counts as the zero point.

    ``x`` is (N, *spatial, C), ``w`` (O, C / group, *kernel); multiplier and biases are (O,) or one
    number, ``bias`` in int32; the zero point of ``w`` is (O,) or one number.
    """
    sums = conv_integer(
        xp,
        xp.permute_dims(x, last_to_first(x.ndim)),
        w,
        x_zero_point,
        w_zero_point,
        strides=strides,
        dilations=dilations,
        pads=pads,
        group=group,
    )
    sums = xp.permute_dims(sums, first_to_last(x.ndim))
    sums = sums if bias is None else sums + bias
    return _finished(xp, sums, multiplier, y_zero_point, float_bias, to, (low, high))


def q_matmul(
    xp: Any,
    a: Array,
    b: Array,
    multiplier: Array | None = None,
    bias: Array | None = None,
    a_zero_point: Array | None = None,
    b_zero_point: Array | None = None,
    y_zero_point: Array | None = None,
    float_bias: Array | None = None,
    *,
    to: DType,
    trans_b: int = 0,
    low: int | None = None,
    high: int | None = None,
) -> Array:
    """A product of (stacks of) matrices; ``trans_b`` transposes the last two axes of ``b``.

    Multiplier, biases and the zero point of ``b`` are one number each, or one for each column.
    """
    right = xp.matrix_transpose(b) if trans_b else b
    sums = matmul_integer(xp, a, right, a_zero_point, b_zero_point)
    sums = sums if bias is None else sums + bias
    return _finished(xp, sums, multiplier, y_zero_point, float_bias, to, (low, high))


def _float(xp: Any, x: Array, zero_point: Array | None = None) -> Array:
    """``x - zero_point`` in float32, which is exact."""
    real = cast(xp, x, DType.FLOAT32)
    return real if zero_point is None else real - cast(xp, zero_point, DType.FLOAT32)


def _multiplied_and_added(xp: Any, x: Array, factor: Array, added: Array) -> Array:
    """``x * factor + added`` in float32, rounded once: in float64 the product is exact."""
    wide, by, rest = (cast(xp, value, DType.FLOAT64) for value in (x, factor, added))
    return cast(xp, wide * by + rest, DType.FLOAT32)


def sum_terms(
    xp: Any, scales: tuple[Array, Array, Array], zeros: tuple[Array, Array, Array]
) -> tuple[Array, Array, Array]:
    """What a sum is made with: both factors, and what all zero points come to.

    Parameters
    ----------
    xp : namespace
        Of the arrays.
    scales, zeros : tuple
        Of both operands and of the result, one number each.
    """
    ra, rb = scales[0] / scales[2], scales[1] / scales[2]
    za, zb, zy = (_float(xp, zero) for zero in zeros)
    return ra, rb, zy - _multiplied_and_added(xp, za, ra, rb * zb)


def q_binary(
    xp: Any,
    a: Array,
    a_scale: Array,
    a_zero_point: Array,
    b: Array,
    b_scale: Array,
    b_zero_point: Array,
    y_scale: Array,
    y_zero_point: Array,
    *,
    operation: str,
    low: int | None = None,
    high: int | None = None,
) -> Array:
    """A sum or product of two quantized arrays that broadcast; scales are one number each.

    For a sum, ``a * ra + (b * rb + shift)`` in float32, where ``ra`` and ``rb`` are the scales in
    units of ``y_scale``: what all zero points come to is in ``shift``. Each product and its sum are
    rounded once, as onnxruntime does it with the instruction that multiplies and adds.
    """
    to = dtype_of(y_zero_point)
    if operation == "Mul":
        factor = a_scale * b_scale / y_scale
        real = _float(xp, a, a_zero_point) * _float(xp, b, b_zero_point) * factor
        return _requantized(xp, real, y_zero_point, to, (low, high))
    if operation != "Add":
        raise ExecutionError(
            f"the quantized operation {operation!r} is not in the dialect",
            hint="operations are Add and Mul",
        )
    scales, zeros = (a_scale, b_scale, y_scale), (a_zero_point, b_zero_point, y_zero_point)
    ra, rb, shift = sum_terms(xp, scales, zeros)
    right = _multiplied_and_added(xp, b, rb, shift)
    real = _multiplied_and_added(xp, a, ra, right)
    return _requantized(xp, real, None, to, (low, high))


def q_table(xp: Any, x: Array, table: Array) -> Array:
    """``table[x]``; the table has 256 elements, those of negative numbers behind the others."""
    places = xp.bitwise_and(xp.astype(x, xp.int32), xp.asarray(255, dtype=xp.int32))
    return xp.reshape(xp.take(table, xp.reshape(places, (-1,)), axis=0), x.shape)


def q_softmax(
    xp: Any, x: Array, powers: Array, factor: Array, y_zero_point: Array, *, axis: int = -1
) -> Array:
    """Shares along an axis: ``powers[255 + x - largest] * factor / sum``, in float32.

    ``powers`` are 256 whole numbers of int32, those of exp at each distance from the largest, whose
    sum is exact; ``factor`` is 1 in units of the result.
    """
    places = xp.astype(x, xp.int32)
    places = places - xp.max(places, axis=axis, keepdims=True) + 255
    found = xp.reshape(xp.take(powers, xp.reshape(places, (-1,)), axis=0), x.shape)
    total = xp.sum(xp.astype(found, xp.int64), axis=axis, keepdims=True)
    real = cast(xp, found, DType.FLOAT32) * factor / cast(xp, total, DType.FLOAT32)
    return _requantized(xp, real, y_zero_point, dtype_of(y_zero_point), (None, None))


def q_average_pool(
    xp: Any,
    x: Array,
    multiplier: Array,
    x_zero_point: Array,
    y_zero_point: Array,
    *,
    kernel_shape: Ints,
    ceil_mode: int = 0,
    count_include_pad: int = 0,
    dilations: Ints = (),
    pads: Ints = (),
    strides: Ints = (),
) -> Array:
    """The mean of each window of (N, *spatial, C): ``float32(sum) * (multiplier / count)``.

    ``multiplier`` is the scale of ``x`` in units of that of the result.
    """
    shifted = xp.astype(x, xp.int32) - xp.astype(x_zero_point, xp.int32)
    window = window_of(
        x.shape[1:-1],
        kernel_shape,
        strides=strides,
        dilations=dilations,
        pads=pads,
        ceil_mode=ceil_mode,
    )
    first = xp.permute_dims(shifted, last_to_first(x.ndim))
    counts = pooling.counts_of(x.shape[1:-1], window, include_pad=bool(count_include_pad))
    factors = multiplier / xp.asarray(counts, dtype=xp.float32)
    real = cast(xp, pooling.window_sum(xp, first, window), DType.FLOAT32) * factors
    y = _requantized(xp, real, y_zero_point, dtype_of(y_zero_point), (None, None))
    return xp.permute_dims(y, first_to_last(x.ndim))


ROWS = (
    Operation("QConv", q_conv, "quantized", domain=DOMAIN),
    Operation("QMatMul", q_matmul, "quantized", domain=DOMAIN),
    Operation("QBinary", q_binary, "quantized", domain=DOMAIN),
    Operation("QTable", q_table, "quantized", domain=DOMAIN),
    Operation("QSoftmax", q_softmax, "quantized", domain=DOMAIN),
    Operation("QAveragePool", q_average_pool, "quantized", domain=DOMAIN),
)
