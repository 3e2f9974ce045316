"""Quantized operations that onnxruntime adds to the standard ones.

Rows of domain ``com.microsoft``. In: 8-bit integers, each with its scale and zero point, which may
be left out where it is 0. Out: integers by the last scale, or real numbers. Each meaning is said as
standard operations on real numbers between DequantizeLinear and QuantizeLinear, a form that passes
turn back into integers; so all ways to write a quantized model meet in one. Source: onnxruntime,
docs/ContribOperators.md.

>>> import array_api_compat.numpy as xp
>>> x, s, z = xp.asarray([0, 128], dtype=xp.uint8), xp.float32(0.5), xp.uint8(128)
>>> qlinear_leaky_relu(xp, x, s, z, s, z, alpha=0.5)
array([ 64, 128], dtype=uint8)
"""

from __future__ import annotations

from typing import Any

from pelemay.graph.dtypes import DType
from pelemay.graph.operations.common import Array, cast, dtype_of, standard
from pelemay.graph.operations.fused import first_to_last, last_to_first
from pelemay.graph.operations.microsoft import DOMAIN
from pelemay.graph.operations.table import Operation
from pelemay.graph.operations.windows import Ints


def _real(xp: Any, x: Array, scale: Array, zero: Array | None = None, axis: int = 0) -> Array:
    return standard(xp, "DequantizeLinear", x, scale, zero, axis=axis)


def _integers(xp: Any, real: Array, scale: Array, zero: Array | None, like: Array) -> Array:
    """Quantized by a scale; in the type of ``like`` where there is no zero point."""
    if zero is not None:
        return standard(xp, "QuantizeLinear", real, scale, zero)
    return standard(xp, "QuantizeLinear", real, scale, output_dtype=dtype_of(like))


def _given(**attributes: Any) -> dict[str, Any]:
    """The attributes that are not empty."""
    return {name: value for name, value in attributes.items() if value != ()}


def qlinear_add(
    xp: Any,
    a: Array,
    a_scale: Array,
    a_zero: Array | None,
    b: Array,
    b_scale: Array,
    b_zero: Array | None,
    c_scale: Array,
    c_zero: Array | None = None,
) -> Array:
    real = standard(xp, "Add", _real(xp, a, a_scale, a_zero), _real(xp, b, b_scale, b_zero))
    return _integers(xp, real, c_scale, c_zero, a)


def qlinear_mul(
    xp: Any,
    a: Array,
    a_scale: Array,
    a_zero: Array | None,
    b: Array,
    b_scale: Array,
    b_zero: Array | None,
    c_scale: Array,
    c_zero: Array | None = None,
) -> Array:
    real = standard(xp, "Mul", _real(xp, a, a_scale, a_zero), _real(xp, b, b_scale, b_zero))
    return _integers(xp, real, c_scale, c_zero, a)


def qlinear_where(
    xp: Any,
    condition: Array,
    a: Array,
    a_scale: Array,
    a_zero: Array | None,
    b: Array,
    b_scale: Array,
    b_zero: Array | None,
    c_scale: Array,
    c_zero: Array | None = None,
) -> Array:
    left, right = _real(xp, a, a_scale, a_zero), _real(xp, b, b_scale, b_zero)
    return _integers(xp, standard(xp, "Where", condition, left, right), c_scale, c_zero, a)


def qlinear_sigmoid(
    xp: Any,
    x: Array,
    x_scale: Array,
    x_zero: Array | None,
    y_scale: Array,
    y_zero: Array | None = None,
) -> Array:
    real = standard(xp, "Sigmoid", _real(xp, x, x_scale, x_zero))
    return _integers(xp, real, y_scale, y_zero, x)


def qlinear_leaky_relu(
    xp: Any,
    x: Array,
    x_scale: Array,
    x_zero: Array | None,
    y_scale: Array,
    y_zero: Array | None = None,
    *,
    alpha: float = 0.01,
) -> Array:
    real = standard(xp, "LeakyRelu", _real(xp, x, x_scale, x_zero), alpha=alpha)
    return _integers(xp, real, y_scale, y_zero, x)


def qlinear_softmax(
    xp: Any,
    x: Array,
    x_scale: Array,
    x_zero: Array | None,
    y_scale: Array,
    y_zero: Array | None = None,
    *,
    axis: int = -1,
    opset: int = 13,
) -> Array:
    """Before ``opset`` 13 over all axes from ``axis`` on."""
    real = _real(xp, x, x_scale, x_zero)
    if opset >= 13:
        return _integers(xp, standard(xp, "Softmax", real, axis=axis), y_scale, y_zero, x)
    kept = x.shape[: axis % x.ndim]
    flat = standard(xp, "Softmax", xp.reshape(real, (*kept, -1)), axis=-1)
    return _integers(xp, xp.reshape(flat, x.shape), y_scale, y_zero, x)


def _first(xp: Any, x: Array, channels_last: int) -> Array:
    return xp.permute_dims(x, last_to_first(x.ndim)) if channels_last else x


def _last(xp: Any, x: Array, channels_last: int) -> Array:
    return xp.permute_dims(x, first_to_last(x.ndim)) if channels_last else x


def qlinear_global_average_pool(
    xp: Any,
    x: Array,
    x_scale: Array,
    x_zero: Array,
    y_scale: Array,
    y_zero: Array,
    *,
    channels_last: int = 0,
) -> Array:
    real = _real(xp, _first(xp, x, channels_last), x_scale, x_zero)
    y = _integers(xp, standard(xp, "GlobalAveragePool", real), y_scale, y_zero, x)
    return _last(xp, y, channels_last)


def qlinear_average_pool(
    xp: Any,
    x: Array,
    x_scale: Array,
    x_zero: Array | None,
    y_scale: Array,
    y_zero: Array | None = None,
    *,
    kernel_shape: Ints,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    channels_last: int = 0,
    count_include_pad: int = 0,
    pads: Ints = (),
    strides: Ints = (),
) -> Array:
    real = standard(
        xp,
        "AveragePool",
        _real(xp, _first(xp, x, channels_last), x_scale, x_zero),
        kernel_shape=kernel_shape,
        auto_pad=auto_pad,
        ceil_mode=ceil_mode,
        count_include_pad=count_include_pad,
        **_given(pads=pads, strides=strides),
    )
    return _last(xp, _integers(xp, real, y_scale, y_zero, x), channels_last)


def qlinear_reduce_mean(
    xp: Any,
    x: Array,
    x_scale: Array,
    x_zero: Array | None,
    y_scale: Array,
    y_zero: Array | None = None,
    *,
    axes: Ints,
    keepdims: int,
) -> Array:
    places = xp.asarray(axes, dtype=xp.int64)
    real = standard(xp, "ReduceMean", _real(xp, x, x_scale, x_zero), places, keepdims=keepdims)
    return _integers(xp, real, y_scale, y_zero, x)


def qlinear_concat(xp: Any, y_scale: Array, y_zero: Array, *parts: Array, axis: int) -> Array:
    """``parts`` are the arrays, each followed by its scale and zero point."""
    real = [_real(xp, *parts[i : i + 3]) for i in range(0, len(parts), 3)]
    return _integers(xp, standard(xp, "Concat", *real, axis=axis), y_scale, y_zero, parts[0])


def qlinear_conv(
    xp: Any,
    x: Array,
    x_scale: Array,
    x_zero: Array,
    w: Array,
    w_scale: Array,
    w_zero: Array,
    y_scale: Array,
    y_zero: Array,
    b: Array | None = None,
    *,
    auto_pad: str = "NOTSET",
    channels_last: int = 0,
    dilations: Ints = (),
    group: int = 1,
    kernel_shape: Ints = (),
    pads: Ints = (),
    strides: Ints = (),
) -> Array:
    """The standard one, whose data may have its channels last."""
    bias = None if b is None else _real(xp, b, xp.reshape(x_scale, ()) * w_scale)
    options = _given(dilations=dilations, kernel_shape=kernel_shape, pads=pads, strides=strides)
    real = standard(
        xp,
        "Conv",
        _real(xp, _first(xp, x, channels_last), x_scale, x_zero),
        _real(xp, w, w_scale, w_zero),
        bias,
        auto_pad=auto_pad,
        group=group,
        **options,
    )
    return _last(xp, _integers(xp, real, y_scale, y_zero, x), channels_last)


def qlinear_matmul(
    xp: Any,
    a: Array,
    a_scale: Array,
    a_zero: Array,
    b: Array,
    b_scale: Array,
    b_zero: Array,
    y_scale: Array,
    y_zero: Array,
) -> Array:
    """The standard one: scales of ``a`` belong to its rows, those of ``b`` to its columns."""
    left = _real(xp, a, a_scale, a_zero, axis=max(a.ndim - 2, 0))
    right = _real(xp, b, b_scale, b_zero, axis=b.ndim - 1)
    return _integers(xp, standard(xp, "MatMul", left, right), y_scale, y_zero, a)


def qgemm(
    xp: Any,
    a: Array,
    a_scale: Array,
    a_zero: Array,
    b: Array,
    b_scale: Array,
    b_zero: Array,
    c: Array | None = None,
    y_scale: Array | None = None,
    y_zero: Array | None = None,
    *,
    alpha: float = 1.0,
    transA: int = 0,  # noqa: N803
    transB: int = 0,  # noqa: N803
) -> Array:
    """``c`` is in units of the sum; the result is real where it has no scale."""
    added = None
    if c is not None:
        unit = xp.reshape(a_scale, ()) * b_scale
        unit = unit if alpha == 1 else unit * xp.asarray(alpha, dtype=xp.float32)
        added = _real(xp, c, unit, axis=max(c.ndim - 1, 0))
    real = standard(
        xp,
        "Gemm",
        _real(xp, a, a_scale, a_zero),
        _real(xp, b, b_scale, b_zero, axis=0 if transB else 1),
        added,
        alpha=alpha,
        transA=transA,
        transB=transB,
    )
    return real if y_scale is None else _integers(xp, real, y_scale, y_zero, a)


def matmul_integer_to_float(
    xp: Any,
    a: Array,
    b: Array,
    a_scale: Array,
    b_scale: Array,
    a_zero: Array | None = None,
    b_zero: Array | None = None,
    bias: Array | None = None,
) -> Array:
    sums = standard(xp, "MatMulInteger", a, b, a_zero, b_zero)
    real = cast(xp, sums, DType.FLOAT32) * (a_scale * b_scale)
    return real if bias is None else real + bias


def dynamic_quantize_matmul(
    xp: Any,
    a: Array,
    b: Array,
    b_scale: Array,
    b_zero: Array | None = None,
    bias: Array | None = None,
) -> Array:
    """``a`` is quantized over the range that it has."""
    integers, scale, zero = standard(xp, "DynamicQuantizeLinear", a, outputs=3)
    return matmul_integer_to_float(xp, integers, b, scale, b_scale, zero, b_zero, bias)


def quantize_linear(
    xp: Any, x: Array, scale: Array, zero_point: Array | None = None, *, axis: int = 1
) -> Array:
    return standard(xp, "QuantizeLinear", x, scale, zero_point, axis=axis)


def dequantize_linear(
    xp: Any, x: Array, scale: Array, zero_point: Array | None = None, *, axis: int = 1
) -> Array:
    return standard(xp, "DequantizeLinear", x, scale, zero_point, axis=axis)


GROUP = "quantized"

ROWS = (
    Operation("DequantizeLinear", dequantize_linear, GROUP, domain=DOMAIN),
    Operation("DynamicQuantizeMatMul", dynamic_quantize_matmul, GROUP, domain=DOMAIN),
    Operation("MatMulIntegerToFloat", matmul_integer_to_float, GROUP, domain=DOMAIN),
    Operation("QGemm", qgemm, GROUP, domain=DOMAIN),
    Operation("QLinearAdd", qlinear_add, GROUP, domain=DOMAIN),
    Operation("QLinearAveragePool", qlinear_average_pool, GROUP, domain=DOMAIN),
    Operation("QLinearConcat", qlinear_concat, GROUP, domain=DOMAIN),
    Operation("QLinearConv", qlinear_conv, GROUP, domain=DOMAIN),
    Operation("QLinearGlobalAveragePool", qlinear_global_average_pool, GROUP, domain=DOMAIN),
    Operation("QLinearLeakyRelu", qlinear_leaky_relu, GROUP, domain=DOMAIN),
    Operation("QLinearMul", qlinear_mul, GROUP, domain=DOMAIN),
    Operation("QLinearReduceMean", qlinear_reduce_mean, GROUP, domain=DOMAIN),
    Operation("QLinearSigmoid", qlinear_sigmoid, GROUP, domain=DOMAIN),
    Operation("QLinearSoftmax", qlinear_softmax, GROUP, domain=DOMAIN),
    Operation("QLinearWhere", qlinear_where, GROUP, domain=DOMAIN),
    Operation("QuantizeLinear", quantize_linear, GROUP, domain=DOMAIN),
)
