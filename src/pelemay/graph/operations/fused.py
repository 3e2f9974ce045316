"""The dialect that passes end in: convolutions, pools and products as the engine runs them.

Rows of domain ``pelemay``. In: data with channels last, (N, *spatial, C); weights as ONNX has
them. Out: the same layout, with bias, residual and activation applied in the same step. Each
meaning permutes, and calls the meaning of the standard row.

>>> import array_api_compat.numpy as xp
>>> matmul(xp, xp.asarray([[1.0, -2.0]]), xp.asarray([[3.0, 0.0]]), trans_b=1, activation="Relu")
array([[3.]])
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pelemay.errors import ExecutionError
from pelemay.graph.operations import activation as act
from pelemay.graph.operations import convolution, normalization, pooling
from pelemay.graph.operations.common import Array, full_like, in_float32
from pelemay.graph.operations.table import Operation
from pelemay.graph.operations.windows import Ints

DOMAIN = "pelemay"

Activation = Callable[[Any, Array, float, float], Array]

ACTIVATIONS: dict[str, Activation] = {
    "": lambda xp, y, alpha, beta: y,
    "Relu": lambda xp, y, alpha, beta: act.relu(xp, y),
    "Clip": lambda xp, y, alpha, beta: act.clip(
        xp, y, full_like(xp, alpha, y), full_like(xp, beta, y)
    ),
    "LeakyRelu": lambda xp, y, alpha, beta: act.leaky_relu(xp, y, alpha=alpha),
    "HardSwish": lambda xp, y, alpha, beta: act.hard_swish(xp, y),
    "HardSigmoid": lambda xp, y, alpha, beta: act.hard_sigmoid(xp, y, alpha=alpha, beta=beta),
    "Sigmoid": lambda xp, y, alpha, beta: act.sigmoid(xp, y),
    "Swish": lambda xp, y, alpha, beta: act.swish(xp, y, alpha=alpha),
    "Tanh": lambda xp, y, alpha, beta: act.tanh(xp, y),
    "Gelu": lambda xp, y, alpha, beta: act.gelu(xp, y),
    "GeluTanh": lambda xp, y, alpha, beta: act.gelu(xp, y, approximate="tanh"),
    "Elu": lambda xp, y, alpha, beta: act.elu(xp, y, alpha=alpha),
    "Softplus": lambda xp, y, alpha, beta: act.softplus(xp, y),
    "Mish": lambda xp, y, alpha, beta: act.mish(xp, y),
}
"""What may follow a convolution or product in the same step, by name."""


def last_to_first(rank: int) -> Ints:
    """The permutation from (N, *spatial, C) to (N, C, *spatial).

    >>> last_to_first(4)
    (0, 3, 1, 2)
    """
    return (0, rank - 1, *range(1, rank - 1))


def first_to_last(rank: int) -> Ints:
    """The permutation from (N, C, *spatial) to (N, *spatial, C).

    >>> first_to_last(4)
    (0, 2, 3, 1)
    """
    return (0, *range(2, rank), 1)


def _first(xp: Any, x: Array) -> Array:
    return xp.permute_dims(x, last_to_first(x.ndim))


def _last(xp: Any, x: Array) -> Array:
    return xp.permute_dims(x, first_to_last(x.ndim))


def finished(
    xp: Any,
    y: Array,
    residual: Array | None,
    activation: str,
    factors: tuple[float, float],
    position: str,
) -> Array:
    """``y`` with a residual added before or after an activation.

    Raises
    ------
    ExecutionError
        If the activation or the position is none that the dialect has.
    """
    if activation not in ACTIVATIONS or position not in ("before", "after"):
        allowed = ", ".join(filter(None, ACTIVATIONS))
        raise ExecutionError(
            f"activation {activation!r} with a residual {position!r} it is not in the dialect",
            hint=f"activations are {allowed}; positions are before and after",
        )
    if residual is not None and position == "before":
        y = y + residual
    y = ACTIVATIONS[activation](xp, y, *factors)
    return y + residual if residual is not None and position == "after" else y


@in_float32
def conv(
    xp: Any,
    x: Array,
    w: Array,
    b: Array | None = None,
    residual: Array | None = None,
    *,
    strides: Ints = (),
    dilations: Ints = (),
    pads: Ints = (),
    group: int = 1,
    activation: str = "",
    alpha: float = 0.0,
    beta: float = 0.0,
    residual_position: str = "before",
) -> Array:
    y = convolution.conv(
        xp, _first(xp, x), w, b, strides=strides, dilations=dilations, pads=pads, group=group
    )
    return finished(xp, _last(xp, y), residual, activation, (alpha, beta), residual_position)


@in_float32
def conv_transpose(
    xp: Any,
    x: Array,
    w: Array,
    b: Array | None = None,
    residual: Array | None = None,
    *,
    strides: Ints = (),
    dilations: Ints = (),
    pads: Ints = (),
    output_padding: Ints = (),
    group: int = 1,
    activation: str = "",
    alpha: float = 0.0,
    beta: float = 0.0,
    residual_position: str = "before",
) -> Array:
    y = convolution.conv_transpose(
        xp,
        _first(xp, x),
        w,
        b,
        strides=strides,
        dilations=dilations,
        pads=pads,
        output_padding=output_padding,
        group=group,
    )
    return finished(xp, _last(xp, y), residual, activation, (alpha, beta), residual_position)


@in_float32
def matmul(
    xp: Any,
    a: Array,
    b: Array,
    bias: Array | None = None,
    residual: Array | None = None,
    *,
    trans_a: int = 0,
    trans_b: int = 0,
    alpha: float = 1.0,
    activation: str = "",
    act_alpha: float = 0.0,
    act_beta: float = 0.0,
    residual_position: str = "before",
) -> Array:
    """``act(alpha * a @ b + bias + residual)``; the flags transpose the last two axes."""
    left = xp.matrix_transpose(a) if trans_a else a
    right = xp.matrix_transpose(b) if trans_b else b
    y = xp.matmul(left, right)
    y = y if alpha == 1 else y * alpha
    y = y if bias is None else y + bias
    return finished(xp, y, residual, activation, (act_alpha, act_beta), residual_position)


def max_pool(
    xp: Any,
    x: Array,
    *,
    kernel_shape: Ints,
    ceil_mode: int = 0,
    dilations: Ints = (),
    pads: Ints = (),
    strides: Ints = (),
) -> Array:
    y = pooling.max_pool(
        xp,
        _first(xp, x),
        kernel_shape=kernel_shape,
        ceil_mode=ceil_mode,
        dilations=dilations,
        pads=pads,
        strides=strides,
        num_outputs=1,
    )
    return _last(xp, y)


def average_pool(
    xp: Any,
    x: Array,
    *,
    kernel_shape: Ints,
    ceil_mode: int = 0,
    count_include_pad: int = 0,
    dilations: Ints = (),
    pads: Ints = (),
    strides: Ints = (),
) -> Array:
    y = pooling.average_pool(
        xp,
        _first(xp, x),
        kernel_shape=kernel_shape,
        ceil_mode=ceil_mode,
        count_include_pad=count_include_pad,
        dilations=dilations,
        pads=pads,
        strides=strides,
    )
    return _last(xp, y)


def lp_pool(
    xp: Any,
    x: Array,
    *,
    kernel_shape: Ints,
    ceil_mode: int = 0,
    dilations: Ints = (),
    p: int = 2,
    pads: Ints = (),
    strides: Ints = (),
) -> Array:
    y = pooling.lp_pool(
        xp,
        _first(xp, x),
        kernel_shape=kernel_shape,
        ceil_mode=ceil_mode,
        dilations=dilations,
        p=p,
        pads=pads,
        strides=strides,
    )
    return _last(xp, y)


def instance_normalization(
    xp: Any, x: Array, scale: Array, bias: Array, *, epsilon: float = 1e-5
) -> Array:
    y = normalization.instance_normalization(xp, _first(xp, x), scale, bias, epsilon=epsilon)
    return _last(xp, y)


def group_normalization(
    xp: Any, x: Array, scale: Array, bias: Array, *, num_groups: int, epsilon: float = 1e-5
) -> Array:
    y = normalization.group_normalization(
        xp, _first(xp, x), scale, bias, num_groups=num_groups, epsilon=epsilon
    )
    return _last(xp, y)


def lrn(
    xp: Any, x: Array, *, size: int, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0
) -> Array:
    y = normalization.lrn(xp, _first(xp, x), size=size, alpha=alpha, beta=beta, bias=bias)
    return _last(xp, y)


ROWS = (
    Operation("Conv", conv, "convolution", domain=DOMAIN),
    Operation("ConvTranspose", conv_transpose, "convolution", domain=DOMAIN),
    Operation("MatMul", matmul, "linear", domain=DOMAIN),
    Operation("MaxPool", max_pool, "pooling", domain=DOMAIN),
    Operation("AveragePool", average_pool, "pooling", domain=DOMAIN),
    Operation("LpPool", lp_pool, "pooling", domain=DOMAIN),
    Operation("InstanceNormalization", instance_normalization, "normalization", domain=DOMAIN),
    Operation("GroupNormalization", group_normalization, "normalization", domain=DOMAIN),
    Operation("LRN", lrn, "normalization", domain=DOMAIN),
)
