"""Operations for which PyTorch has a true kernel.

In: the arguments that the operation table's meaning takes. Out: the same result. Where
PyTorch's kernel does not mean the same, the table's meaning runs.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.nn import functional

from pelemay.graph.dtypes import DType
from pelemay.graph.operations import (
    convolution,
    indexing,
    linear,
    normalization,
    pooling,
)
from pelemay.graph.operations.common import axis_of, in_float32, is_float
from pelemay.graph.operations.table import Meaning
from pelemay.graph.operations.windows import Ints, Window, extent_of, window_of

Tensor = Any

_CONV = {3: functional.conv1d, 4: functional.conv2d, 5: functional.conv3d}
_CONV_TRANSPOSE = {
    3: functional.conv_transpose1d,
    4: functional.conv_transpose2d,
    5: functional.conv_transpose3d,
}
_MAX_POOL = {3: functional.max_pool1d, 4: functional.max_pool2d, 5: functional.max_pool3d}
_AVERAGE_POOL = {3: functional.avg_pool1d, 4: functional.avg_pool2d, 5: functional.avg_pool3d}


def _symmetric(x: Tensor, window: Window) -> bool:
    """Whether equal padding on both sides gives exactly the window's outputs."""
    axes = zip(
        x.shape[2:],
        window.begins,
        window.kernel,
        window.dilations,
        window.strides,
        window.outputs,
        strict=True,
    )
    return all(b >= 0 and (n + 2 * b - extent_of(k, d)) // s + 1 == o for n, b, k, d, s, o in axes)


@in_float32
def conv(
    xp: Any,
    x: Tensor,
    w: Tensor,
    b: Tensor | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Ints = (),
    group: int = 1,
    kernel_shape: Ints = (),
    pads: Ints = (),
    strides: Ints = (),
) -> Tensor:
    convolution.check_weights(x.shape[1], tuple(w.shape), group, kernel_shape)
    window = window_of(
        x.shape[2:], w.shape[2:], strides=strides, dilations=dilations, pads=pads, auto_pad=auto_pad
    )
    if x.ndim not in _CONV:
        y = convolution.correlate(xp, x, w, window, group)
        return y if b is None else y + b.reshape(-1, *(1,) * (x.ndim - 2))
    padding = window.begins
    if not _symmetric(x, window):
        x, padding = window.padded(xp, x), (0,) * len(padding)
    return _CONV[x.ndim](x, w, b, window.strides, padding, window.dilations, group)


@in_float32
def conv_transpose(
    xp: Any, x: Tensor, w: Tensor, b: Tensor | None = None, **attributes: Any
) -> Tensor:
    rank = x.ndim - 2
    ones = (1,) * rank
    pads = attributes.get("pads") or (0,) * (2 * rank)
    extra = attributes.get("output_padding") or (0,) * rank
    strides, dilations = (attributes.get(name) or ones for name in ("strides", "dilations"))
    fits = (
        x.ndim in _CONV_TRANSPOSE
        and attributes.get("auto_pad", "NOTSET") == "NOTSET"
        and not attributes.get("output_shape")
        and pads[:rank] == pads[rank:]
        and all(e < max(s, d) for e, s, d in zip(extra, strides, dilations, strict=True))
    )
    if not fits:
        return convolution.conv_transpose(xp, x, w, b, **attributes)
    group = attributes.get("group", 1)
    return _CONV_TRANSPOSE[x.ndim](x, w, b, strides, pads[:rank], extra, group, dilations)


def _pool_window(x: Tensor, attributes: dict[str, Any]) -> Window:
    names = ("strides", "dilations", "pads", "auto_pad", "ceil_mode")
    given = {name: attributes[name] for name in names if name in attributes}
    return window_of(x.shape[2:], attributes["kernel_shape"], **given)


def max_pool(xp: Any, x: Tensor, **attributes: Any) -> Any:
    one = attributes.get("num_outputs") == 1
    if not one or x.ndim not in _MAX_POOL or not x.dtype.is_floating_point:
        return pooling.max_pool(xp, x, **attributes)
    window = _pool_window(x, attributes)
    padding = window.begins
    halves = all(2 * b <= k for b, k in zip(padding, window.kernel, strict=True))
    if not halves or not _symmetric(x, window):
        x, padding = window.padded(xp, x, -math.inf), (0,) * len(padding)
    return _MAX_POOL[x.ndim](x, window.kernel, window.strides, padding, window.dilations)


@in_float32
def average_pool(xp: Any, x: Tensor, **attributes: Any) -> Tensor:
    window = _pool_window(x, attributes)
    fits = (
        x.ndim in _AVERAGE_POOL
        and not attributes.get("ceil_mode")
        and set(window.dilations) == {1}
        and window.begins == window.ends
        and all(0 <= 2 * b <= k for b, k in zip(window.begins, window.kernel, strict=True))
    )
    if not fits:
        return pooling.average_pool(xp, x, **attributes)
    counts_padding = bool(attributes.get("count_include_pad", 0))
    pool = _AVERAGE_POOL[x.ndim]
    return pool(x, window.kernel, window.strides, window.begins, False, counts_padding)


def batch_normalization(
    xp: Any,
    x: Tensor,
    scale: Tensor,
    bias: Tensor,
    mean: Tensor,
    variance: Tensor,
    *,
    epsilon: float = 1e-5,
    momentum: float = 0.9,
    training_mode: int = 0,
) -> tuple[Tensor, ...]:
    given = (scale, bias, mean, variance)
    if training_mode or x.ndim < 2 or any(v.dtype != x.dtype for v in given):
        return normalization.batch_normalization(
            xp, x, *given, epsilon=epsilon, momentum=momentum, training_mode=training_mode
        )
    return (functional.batch_norm(x, mean, variance, scale, bias, False, 0.0, epsilon),)


def layer_normalization(
    xp: Any,
    x: Tensor,
    scale: Tensor,
    bias: Tensor | None = None,
    *,
    axis: int = -1,
    epsilon: float = 1e-5,
    stash_type: DType | None = None,
) -> tuple[Tensor, ...]:
    shape = x.shape[axis_of(axis, x.ndim) :]
    full = x.dtype in (torch.float32, torch.float64) and stash_type in (None, DType.FLOAT32)
    same = all(v is None or v.shape == shape for v in (scale, bias))
    if not full or not same:
        return normalization.layer_normalization(
            xp, x, scale, bias, axis=axis, epsilon=epsilon, stash_type=stash_type
        )
    return tuple(torch.native_layer_norm(x, shape, scale, bias, epsilon))


@in_float32
def instance_normalization(
    xp: Any, x: Tensor, scale: Tensor, bias: Tensor, *, epsilon: float = 1e-5
) -> Tensor:
    if math.prod(x.shape[2:]) < 2:
        return normalization.instance_normalization(xp, x, scale, bias, epsilon=epsilon)
    return functional.instance_norm(x, weight=scale, bias=bias, eps=epsilon)


@in_float32
def group_normalization(
    xp: Any,
    x: Tensor,
    scale: Tensor,
    bias: Tensor,
    *,
    num_groups: int,
    epsilon: float = 1e-5,
    stash_type: DType | None = None,
) -> Tensor:
    if stash_type not in (None, DType.FLOAT32):
        return normalization.group_normalization(
            xp, x, scale, bias, num_groups=num_groups, epsilon=epsilon, stash_type=stash_type
        )
    return functional.group_norm(x, num_groups, scale, bias, epsilon)


def relu(xp: Any, x: Tensor) -> Tensor:
    return torch.relu(x)


@in_float32
def leaky_relu(xp: Any, x: Tensor, *, alpha: float = 0.01) -> Tensor:
    return functional.leaky_relu(x, alpha)


@in_float32
def sigmoid(xp: Any, x: Tensor) -> Tensor:
    return torch.sigmoid(x)


@in_float32
def hard_swish(xp: Any, x: Tensor) -> Tensor:
    return functional.hardswish(x)


@in_float32
def swish(xp: Any, x: Tensor, *, alpha: float = 1.0) -> Tensor:
    return functional.silu(x) if alpha == 1 else x * torch.sigmoid(alpha * x)


@in_float32
def erf(xp: Any, x: Tensor) -> Tensor:
    return torch.erf(x)


@in_float32
def gelu(xp: Any, x: Tensor, *, approximate: str = "none") -> Tensor:
    return functional.gelu(x, approximate=approximate)


@in_float32
def softmax(xp: Any, x: Tensor, *, axis: int = -1) -> Tensor:
    return torch.softmax(x, axis)


@in_float32
def log_softmax(xp: Any, x: Tensor, *, axis: int = -1) -> Tensor:
    return torch.log_softmax(x, axis)


@in_float32
def gemm(
    xp: Any,
    a: Tensor,
    b: Tensor,
    c: Tensor | None = None,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,  # noqa: N803
    transB: int = 0,  # noqa: N803
) -> Tensor:
    if c is None or beta == 0 or not is_float(a):
        return linear.gemm(xp, a, b, c, alpha=alpha, beta=beta, transA=transA, transB=transB)
    return torch.addmm(c, a.T if transA else a, b.T if transB else b, alpha=alpha, beta=beta)


@in_float32
def einsum(xp: Any, *operands: Tensor, equation: str) -> Tensor:
    return torch.einsum(equation, *operands)


def gather(xp: Any, x: Tensor, indices: Tensor, *, axis: int = 0) -> Tensor:
    axis = axis_of(axis, x.ndim)
    flat = indices.reshape(-1).to(torch.int64)
    found = torch.index_select(x, axis, torch.where(flat < 0, flat + x.shape[axis], flat))
    return found.reshape(*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])


_REDUCTIONS = {"add": "sum", "mul": "prod", "max": "amax", "min": "amin"}


def scatter_elements(
    xp: Any, x: Tensor, indices: Tensor, updates: Tensor, *, axis: int = 0, reduction: str = "none"
) -> Tensor:
    if x.dtype == torch.bool:
        return indexing.scatter_elements(xp, x, indices, updates, axis=axis, reduction=reduction)
    at = indices.to(torch.int64)
    at = torch.where(at < 0, at + x.shape[axis], at)
    if reduction == "none":
        return torch.scatter(x, axis, at, updates)
    return torch.scatter_reduce(x, axis, at, updates, _REDUCTIONS[reduction])


KERNELS: dict[tuple[str, str], Meaning] = {
    ("", "Conv"): conv,
    ("", "ConvTranspose"): conv_transpose,
    ("", "MaxPool"): max_pool,
    ("", "AveragePool"): average_pool,
    ("", "BatchNormalization"): batch_normalization,
    ("", "LayerNormalization"): layer_normalization,
    ("", "InstanceNormalization"): instance_normalization,
    ("", "GroupNormalization"): group_normalization,
    ("", "Relu"): relu,
    ("", "LeakyRelu"): leaky_relu,
    ("", "Sigmoid"): sigmoid,
    ("", "HardSwish"): hard_swish,
    ("", "Swish"): swish,
    ("", "Erf"): erf,
    ("", "Gelu"): gelu,
    ("", "Softmax"): softmax,
    ("", "LogSoftmax"): log_softmax,
    ("", "Gemm"): gemm,
    ("", "Einsum"): einsum,
    ("", "Gather"): gather,
    ("", "ScatterElements"): scatter_elements,
}
