"""Activation functions.

In: an array of floating-point numbers. Out: an array of the same shape and type; narrow types
are computed in float32.

>>> import array_api_compat.numpy as xp
>>> softmax(xp, xp.asarray([[0.0, 0.0]]))
array([[0.5, 0.5]])
"""

from __future__ import annotations

import math
from typing import Any

from pelemay.graph.dtypes import DType
from pelemay.graph.operations.common import (
    Array,
    cast,
    cast_like,
    full_like,
    in_float32,
    is_float,
)
from pelemay.graph.operations.table import Operation

# W. J. Cody, Rational Chebyshev approximations for the error function, Mathematics of
# Computation 23 (1969): erf(x) = x P(x^2)/Q(x^2) for |x| <= 0.46875, and beyond that
# erfc(x) = exp(-x^2) P(x)/Q(x). Highest power first.
_ERF_P = (
    1.85777706184603153e-1,
    3.16112374387056560e0,
    1.13864154151050156e2,
    3.77485237685302021e2,
    3.20937758913846947e3,
)
_ERF_Q = (
    1.0,
    2.36012909523441209e1,
    2.44024637934444173e2,
    1.28261652607737228e3,
    2.84423683343917062e3,
)
_ERFC_P = (
    2.15311535474403846e-8,
    5.64188496988670089e-1,
    8.88314979438837594e0,
    6.61191906371416295e1,
    2.98635138197400131e2,
    8.81952221241769090e2,
    1.71204761263407058e3,
    2.05107837782607147e3,
    1.23033935479799725e3,
)
_ERFC_Q = (
    1.0,
    1.57449261107098347e1,
    1.17693950891312499e2,
    5.37181101862009858e2,
    1.62138957456669019e3,
    3.29079923573345963e3,
    4.36261909014324716e3,
    3.43936767414372164e3,
    1.23033935480374942e3,
)


def _polynomial(coefficients: tuple[float, ...], x: Array) -> Array:
    value = x * coefficients[0] + coefficients[1]
    for coefficient in coefficients[2:]:
        value = value * x + coefficient
    return value


@in_float32
def erf(xp: Any, x: Array) -> Array:
    """The error function, to a few units in the last place.

    Beyond 6 it is 1 in double precision; the bound keeps the powers finite.
    """
    size = xp.minimum(xp.abs(x), full_like(xp, 6.0, x))
    square = size * size
    near = size * _polynomial(_ERF_P, square) / _polynomial(_ERF_Q, square)
    tail = xp.exp(-square) * _polynomial(_ERFC_P, size) / _polynomial(_ERFC_Q, size)
    found = xp.where(size <= 0.46875, near, 1.0 - tail)
    return xp.where(x < 0, -found, found)


def relu(xp: Any, x: Array) -> Array:
    return xp.maximum(x, full_like(xp, 0, x))


@in_float32
def leaky_relu(xp: Any, x: Array, *, alpha: float = 0.01) -> Array:
    return xp.where(x < 0, alpha * x, x)


def prelu(xp: Any, x: Array, slope: Array) -> Array:
    return xp.where(x < 0, slope * x, x)


@in_float32
def thresholded_relu(xp: Any, x: Array, *, alpha: float = 1.0) -> Array:
    return xp.where(x > alpha, x, full_like(xp, 0, x))


def clip(xp: Any, x: Array, low: Array | None = None, high: Array | None = None) -> Array:
    """``x`` held between ``low`` and ``high``; ``high`` wins if they cross."""
    raised = x if low is None else xp.maximum(x, low)
    return raised if high is None else xp.minimum(raised, high)


@in_float32
def elu(xp: Any, x: Array, *, alpha: float = 1.0) -> Array:
    return xp.where(x < 0, alpha * xp.expm1(x), x)


@in_float32
def celu(xp: Any, x: Array, *, alpha: float = 1.0) -> Array:
    zero = full_like(xp, 0, x)
    return xp.maximum(zero, x) + xp.minimum(zero, alpha * xp.expm1(x / alpha))


@in_float32
def selu(
    xp: Any, x: Array, *, alpha: float = 1.6732631921768188, gamma: float = 1.0507010221481323
) -> Array:
    return gamma * xp.where(x > 0, x, alpha * xp.expm1(x))


@in_float32
def sigmoid(xp: Any, x: Array) -> Array:
    small = xp.exp(-xp.abs(x))
    return xp.where(x >= 0, full_like(xp, 1, x), small) / (1 + small)


@in_float32
def hard_sigmoid(xp: Any, x: Array, *, alpha: float = 0.2, beta: float = 0.5) -> Array:
    return clip(xp, alpha * x + beta, full_like(xp, 0, x), full_like(xp, 1, x))


@in_float32
def hard_swish(xp: Any, x: Array) -> Array:
    return x * hard_sigmoid(xp, x, alpha=1 / 6, beta=0.5)


@in_float32
def softplus(xp: Any, x: Array) -> Array:
    return xp.maximum(x, full_like(xp, 0, x)) + xp.log1p(xp.exp(-xp.abs(x)))


@in_float32
def softsign(xp: Any, x: Array) -> Array:
    return x / (1 + xp.abs(x))


@in_float32
def mish(xp: Any, x: Array) -> Array:
    return x * xp.tanh(softplus(xp, x))


@in_float32
def swish(xp: Any, x: Array, *, alpha: float = 1.0) -> Array:
    return x * sigmoid(xp, alpha * x)


@in_float32
def swiglu(xp: Any, gate: Array, x: Array, *, alpha: float = 1.0) -> Array:
    return swish(xp, gate, alpha=alpha) * x


@in_float32
def gelu(xp: Any, x: Array, *, approximate: str = "none") -> Array:
    if approximate == "tanh":
        inner = math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)
        return 0.5 * x * (1 + xp.tanh(inner))
    return 0.5 * x * (1 + erf(xp, x * math.sqrt(0.5)))


def tanh(xp: Any, x: Array) -> Array:
    return xp.tanh(x)


def shrink(xp: Any, x: Array, *, bias: float = 0.0, lambd: float = 0.5) -> Array:
    if is_float(x):
        return _shrink(xp, x, bias, lambd)
    return cast_like(xp, _shrink(xp, cast(xp, x, DType.FLOAT64), bias, lambd), x)


@in_float32
def _shrink(xp: Any, x: Array, bias: float, lambd: float) -> Array:
    inside = xp.where(x > lambd, x - bias, full_like(xp, 0, x))
    return xp.where(x < -lambd, x + bias, inside)


@in_float32
def softmax(xp: Any, x: Array, *, axis: int = -1) -> Array:
    if 0 in x.shape:
        return x
    powers = xp.exp(x - xp.max(x, axis=axis, keepdims=True))
    return powers / xp.sum(powers, axis=axis, keepdims=True)


@in_float32
def log_softmax(xp: Any, x: Array, *, axis: int = -1) -> Array:
    if 0 in x.shape:
        return x
    shifted = x - xp.max(x, axis=axis, keepdims=True)
    return shifted - xp.log(xp.sum(xp.exp(shifted), axis=axis, keepdims=True))


def hardmax(xp: Any, x: Array, *, axis: int = -1) -> Array:
    """1 at the first largest element along ``axis``, 0 elsewhere."""
    if 0 in x.shape:
        return x
    last = xp.moveaxis(x, axis, -1)
    best = xp.argmax(last, axis=-1, keepdims=True)
    chosen = xp.arange(last.shape[-1], dtype=best.dtype) == best
    return xp.moveaxis(cast_like(xp, chosen, x), -1, axis)


ROWS = (
    Operation("Erf", erf, "activation"),
    Operation("Relu", relu, "activation"),
    Operation("LeakyRelu", leaky_relu, "activation"),
    Operation("PRelu", prelu, "activation"),
    Operation("ThresholdedRelu", thresholded_relu, "activation"),
    Operation("Clip", clip, "activation"),
    Operation("Elu", elu, "activation"),
    Operation("Celu", celu, "activation"),
    Operation("Selu", selu, "activation"),
    Operation("Sigmoid", sigmoid, "activation"),
    Operation("HardSigmoid", hard_sigmoid, "activation"),
    Operation("HardSwish", hard_swish, "activation"),
    Operation("Softplus", softplus, "activation"),
    Operation("Softsign", softsign, "activation"),
    Operation("Mish", mish, "activation"),
    Operation("Swish", swish, "activation"),
    Operation("SwiGLU", swiglu, "activation"),
    Operation("Gelu", gelu, "activation"),
    Operation("Tanh", tanh, "activation"),
    Operation("Shrink", shrink, "activation"),
    Operation("Softmax", softmax, "activation"),
    Operation("LogSoftmax", log_softmax, "activation"),
    Operation("Hardmax", hardmax, "activation"),
)
