"""Convolutions and matrix products of integers.

In: 8-bit integers, their zero points, and for the quantized operations the scales. Out: exact
sums in int32, or 8-bit integers again.

>>> import array_api_compat.numpy as xp
>>> a, zero = xp.asarray([[200, 3]], dtype=xp.uint8), xp.asarray(3, dtype=xp.uint8)
>>> matmul_integer(xp, a, xp.asarray([[2], [9]], dtype=xp.int8), zero)
array([[394]], dtype=int32)
"""

from __future__ import annotations

from typing import Any

from pelemay.graph.dtypes import DType
from pelemay.graph.operations.common import Array, cast, is_float, widened
from pelemay.graph.operations.convolution import check_weights, correlate
from pelemay.graph.operations.quantization import quantize
from pelemay.graph.operations.table import Operation
from pelemay.graph.operations.windows import Ints, window_of


def _exact(xp: Any, x: Array, zero_point: Array | None) -> Array:
    """``x - zero_point`` in a type in which the sums that follow are exact.

    NumPy has a fast product for floats only; float64 holds every sum of fewer than 2**37 products.
    """
    if is_float(x):
        wide = widened(xp, x)
    else:
        numpy = xp.__name__ == "array_api_compat.numpy"
        wide = xp.astype(x, xp.float64 if numpy else xp.int32)
    return wide if zero_point is None else wide - xp.astype(zero_point, wide.dtype)


def _int32(xp: Any, sums: Array) -> Array:
    """Sums in int32; those beyond it wrap around."""
    return sums if sums.dtype == xp.int32 else xp.astype(xp.astype(sums, xp.int64), xp.int32)


def _leading(xp: Any, parameter: Array | None, rank: int) -> Array | None:
    """One number for each place along the axis ``-rank``, in a shape that broadcasts."""
    if parameter is None or parameter.ndim != 1:
        return parameter
    return xp.reshape(parameter, (-1, *(1,) * (rank - 1)))


def _convolved(
    xp: Any,
    x: Array,
    w: Array,
    x_zero_point: Array | None,
    w_zero_point: Array | None,
    *,
    group: int,
    kernel_shape: Ints,
    **window: Any,
) -> Array:
    check_weights(x.shape[1], w.shape, group, kernel_shape)
    data = _exact(xp, x, None if x_zero_point is None else xp.reshape(x_zero_point, ()))
    weights = _exact(xp, w, _leading(xp, w_zero_point, w.ndim))
    sums = correlate(xp, data, weights, window_of(x.shape[2:], w.shape[2:], **window), group)
    return _int32(xp, sums)


def conv_integer(
    xp: Any,
    x: Array,
    w: Array,
    x_zero_point: Array | None = None,
    w_zero_point: Array | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Ints = (),
    group: int = 1,
    kernel_shape: Ints = (),
    pads: Ints = (),
    strides: Ints = (),
) -> Array:
    return _convolved(
        xp,
        x,
        w,
        x_zero_point,
        w_zero_point,
        group=group,
        kernel_shape=kernel_shape,
        auto_pad=auto_pad,
        dilations=dilations,
        pads=pads,
        strides=strides,
    )


def qlinear_conv(
    xp: Any,
    x: Array,
    x_scale: Array,
    x_zero_point: Array,
    w: Array,
    w_scale: Array,
    w_zero_point: Array,
    y_scale: Array,
    y_zero_point: Array,
    b: Array | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Ints = (),
    group: int = 1,
    kernel_shape: Ints = (),
    pads: Ints = (),
    strides: Ints = (),
) -> Array:
    sums = _convolved(
        xp,
        x,
        w,
        x_zero_point,
        w_zero_point,
        group=group,
        kernel_shape=kernel_shape,
        auto_pad=auto_pad,
        dilations=dilations,
        pads=pads,
        strides=strides,
    )
    if b is not None:
        sums = sums + _leading(xp, b, x.ndim - 1)
    factor = xp.reshape(x_scale, ()) * _leading(xp, w_scale, x.ndim - 1)
    return _requantized(xp, sums, factor / xp.reshape(y_scale, ()), y_zero_point)


def _requantized(xp: Any, sums: Array, factor: Array, zero_point: Array) -> Array:
    real = cast(xp, sums, DType.FLOAT32) * widened(xp, factor)
    return quantize(xp, real, xp.ones((), dtype=xp.float32), xp.reshape(zero_point, ()))


def matmul_integer(
    xp: Any,
    a: Array,
    b: Array,
    a_zero_point: Array | None = None,
    b_zero_point: Array | None = None,
) -> Array:
    return _int32(xp, _product(xp, a, a_zero_point, b, b_zero_point))


def _product(
    xp: Any, a: Array, a_zero_point: Array | None, b: Array, b_zero_point: Array | None
) -> Array:
    """Zero points of ``a`` belong to its rows, those of ``b`` to its columns."""
    rows = _leading(xp, a_zero_point, 2) if a.ndim > 1 else a_zero_point
    return xp.matmul(_exact(xp, a, rows), _exact(xp, b, b_zero_point))


def qlinear_matmul(
    xp: Any,
    a: Array,
    a_scale: Array,
    a_zero_point: Array,
    b: Array,
    b_scale: Array,
    b_zero_point: Array,
    y_scale: Array,
    y_zero_point: Array,
) -> Array:
    sums = _product(xp, a, a_zero_point, b, b_zero_point)
    rows = _leading(xp, a_scale, 2) if a.ndim > 1 else a_scale
    factor = widened(xp, rows) * widened(xp, b_scale) / widened(xp, y_scale)
    return _requantized(xp, sums, factor, y_zero_point)


ROWS = (
    Operation("ConvInteger", conv_integer, "integer"),
    Operation("MatMulInteger", matmul_integer, "integer"),
    Operation("QLinearConv", qlinear_conv, "integer"),
    Operation("QLinearMatMul", qlinear_matmul, "integer"),
)
