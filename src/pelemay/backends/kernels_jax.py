"""Operations for which XLA has an instruction, and control flow that depends on data.

In: the arguments that the operation table's meaning takes. Out: the same result. Where XLA's
instruction does not mean the same, the table's meaning runs; what it can fuse by itself is left
to the table.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from pelemay.errors import UnsupportedError
from pelemay.graph.dtypes import Kind
from pelemay.graph.operations import control, convolution, pooling
from pelemay.graph.operations.common import axis_of, dtype_of, in_float32
from pelemay.graph.operations.table import Meaning
from pelemay.graph.operations.windows import Ints, Window, extent_of, window_of

Array = Any
Body = Callable[..., tuple[Any, ...]]


def _padding(x: Array, window: Window) -> list[tuple[int, int]]:
    """Elements to add before and behind each spatial axis, negative ones to crop."""
    axes = zip(
        x.shape[2:],
        window.begins,
        window.kernel,
        window.dilations,
        window.strides,
        window.outputs,
        strict=True,
    )
    return [(b, (o - 1) * s + extent_of(k, d) - n - b) for n, b, k, d, s, o in axes]


@in_float32
def conv(
    xp: Any,
    x: Array,
    w: Array,
    b: Array | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Ints = (),
    group: int = 1,
    kernel_shape: Ints = (),
    pads: Ints = (),
    strides: Ints = (),
) -> Array:
    convolution.check_weights(x.shape[1], w.shape, group, kernel_shape)
    window = window_of(
        x.shape[2:], w.shape[2:], strides=strides, dilations=dilations, pads=pads, auto_pad=auto_pad
    )
    y = lax.conv_general_dilated(
        x,
        w,
        window.strides,
        _padding(x, window),
        rhs_dilation=window.dilations,
        feature_group_count=group,
    )
    return _biased(y, b)


def _biased(y: Array, b: Array | None) -> Array:
    return y if b is None else y + b.reshape(-1, *(1,) * (y.ndim - 2))


@in_float32
def conv_transpose(xp: Any, x: Array, w: Array, b: Array | None = None, **attributes: Any) -> Array:
    """A convolution with dilated data and mirrored weights."""
    if attributes.get("auto_pad", "NOTSET") != "NOTSET" or attributes.get("output_shape"):
        return convolution.conv_transpose(xp, x, w, b, **attributes)
    rank = x.ndim - 2
    pads = attributes.get("pads") or (0,) * (2 * rank)
    extra = attributes.get("output_padding") or (0,) * rank
    strides, dilations = (attributes.get(name) or (1,) * rank for name in ("strides", "dilations"))
    extents = [extent_of(k, d) for k, d in zip(w.shape[2:], dilations, strict=True)]
    axes = zip(extents, pads[:rank], pads[rank:], extra, strict=True)
    group = attributes.get("group", 1)
    y = lax.conv_general_dilated(
        x,
        _mirrored(w, group),
        (1,) * rank,
        [(e - 1 - begin, e - 1 - end + more) for e, begin, end, more in axes],
        lhs_dilation=strides,
        rhs_dilation=dilations,
        feature_group_count=group,
    )
    return _biased(y, b)


def _mirrored(w: Array, group: int) -> Array:
    """From (C, M / group, *kernel) to (M, C / group, *kernel), turned around."""
    channels, outputs, *kernel = w.shape
    grouped = w.reshape(group, channels // group, outputs, *kernel).swapaxes(1, 2)
    merged = grouped.reshape(group * outputs, channels // group, *kernel)
    return jnp.flip(merged, tuple(range(2, merged.ndim)))


def max_pool(xp: Any, x: Array, **attributes: Any) -> Any:
    if attributes.get("num_outputs") != 1:
        return pooling.max_pool(xp, x, **attributes)
    names = ("strides", "dilations", "pads", "auto_pad", "ceil_mode")
    given = {name: attributes[name] for name in names if name in attributes}
    window = window_of(x.shape[2:], attributes["kernel_shape"], **given)
    floats = dtype_of(x).kind is Kind.FLOAT
    lowest: Any = -math.inf if floats else jnp.iinfo(x.dtype).min
    return lax.reduce_window(
        x,
        np.asarray(lowest, x.dtype),
        lax.max,
        (1, 1, *window.kernel),
        (1, 1, *window.strides),
        [(0, 0), (0, 0), *_padding(x, window)],
        window_dilation=(1, 1, *window.dilations),
    )


@in_float32
def erf(xp: Any, x: Array) -> Array:
    return lax.erf(x)


@in_float32
def gelu(xp: Any, x: Array, *, approximate: str = "none") -> Array:
    return jax.nn.gelu(x, approximate=approximate == "tanh")


@in_float32
def einsum(xp: Any, *operands: Array, equation: str) -> Array:
    return jnp.einsum(equation, *operands)


def _scattered(x: Array, where: tuple[Array, ...], updates: Array, reduction: str) -> Array:
    at = x.at[where]
    match reduction:
        case "add":
            return at.add(updates)
        case "mul":
            return at.multiply(updates)
        case "max":
            return at.max(updates)
        case "min":
            return at.min(updates)
    return at.set(updates)


def scatter_nd(
    xp: Any, x: Array, indices: Array, updates: Array, *, reduction: str = "none"
) -> Array:
    where = tuple(indices[..., i] for i in range(indices.shape[-1]))
    return _scattered(x, where, updates, reduction)


def scatter_elements(
    xp: Any, x: Array, indices: Array, updates: Array, *, axis: int = 0, reduction: str = "none"
) -> Array:
    places = list(jnp.indices(indices.shape, sparse=True))
    places[axis_of(axis, x.ndim)] = indices
    return _scattered(x, tuple(places), updates, reduction)


def if_else(xp: Any, condition: Array, *, then_branch: Body, else_branch: Body) -> Any:
    """Both branches compiled; they must give values of the same types and shapes."""
    if not isinstance(condition, jax.core.Tracer):
        return control.if_else(xp, condition, then_branch=then_branch, else_branch=else_branch)
    branches = (_on_device(then_branch), _on_device(else_branch))
    try:
        return lax.cond(condition.reshape(()), *branches)
    except TypeError as error:
        raise UnsupportedError(
            f"the branches give values of different types or shapes, and which one runs is only "
            f"known during the run: {error}",
            hint="use backend='reference', 'torch' or 'onnxruntime'",
        ) from error


def _on_device(branch: Body) -> Body:
    return lambda *inputs: jax.tree.map(jnp.asarray, branch(*inputs))


def loop(
    xp: Any,
    trip_count: Array | None = None,
    condition: Array | None = None,
    *initial: Any,
    body: Body,
) -> tuple[Any, ...]:
    """Unrolled where the rounds are known before the run, else a loop of XLA's."""
    try:
        return control.loop(xp, trip_count, condition, *initial, body=body)
    except (jax.errors.ConcretizationTypeError, jax.errors.TracerArrayConversionError):
        return _while(trip_count, condition, initial, body)


def _while(
    trip_count: Array | None, condition: Array | None, initial: tuple[Any, ...], body: Body
) -> tuple[Any, ...]:
    trips = jnp.asarray(np.iinfo(np.int64).max if trip_count is None else trip_count).reshape(())
    going = jnp.asarray(condition is None or condition).reshape(())

    def step(state: Any) -> Any:
        i, go, values = state
        results = body(i, go, *values)
        if len(results) > 1 + len(values):
            raise UnsupportedError(
                "a loop stacks values over a number of rounds that is only known during the run, "
                "and XLA needs every shape before",
                hint="use backend='reference', 'torch' or 'onnxruntime'",
            )
        proceeds = True if condition is None else results[0]
        return i + 1, jnp.asarray(proceeds).reshape(()), tuple(map(jnp.asarray, results[1:]))

    start = (jnp.zeros((), jnp.int64), going, tuple(map(jnp.asarray, initial)))
    try:
        return tuple(lax.while_loop(lambda s: s[1] & (s[0] < trips), step, start)[2])
    except TypeError as error:
        raise UnsupportedError(
            f"a value changes its shape or type from round to round of a loop: {error}",
            hint="use backend='reference', 'torch' or 'onnxruntime'",
        ) from error


KERNELS: dict[tuple[str, str], Meaning] = {
    ("", "Conv"): conv,
    ("", "ConvTranspose"): conv_transpose,
    ("", "MaxPool"): max_pool,
    ("", "Erf"): erf,
    ("", "Gelu"): gelu,
    ("", "Einsum"): einsum,
    ("", "ScatterND"): scatter_nd,
    ("", "ScatterElements"): scatter_elements,
    ("", "If"): if_else,
    ("", "Loop"): loop,
}
