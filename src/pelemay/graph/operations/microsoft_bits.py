"""Weights of 2, 4 or 8 bits, as onnxruntime's tools write them.

Rows of domain ``com.microsoft``. In: whole numbers without a sign, several in a byte, the first in
its lowest bits; a scale, and perhaps a zero point, for each block of them. Out: real numbers.
Source: onnxruntime, docs/ContribOperators.md.

>>> import numpy as np, array_api_compat.numpy as xp
>>> unpacked(xp, np.array([[0x21, 0x43]], np.uint8), 4)
array([[1, 2, 3, 4]], dtype=uint8)
"""

from __future__ import annotations

from typing import Any

from pelemay.errors import ExecutionError, UnsupportedError
from pelemay.graph.dtypes import DType, Kind
from pelemay.graph.operations.common import (
    Array,
    cast,
    cast_like,
    dtype_of,
    in_float32,
    is_float,
    standard,
)
from pelemay.graph.operations.microsoft import DOMAIN
from pelemay.graph.operations.table import Operation


def unpacked(xp: Any, x: Array, bits: int) -> Array:
    """The numbers of ``bits`` bits each that lie in the bytes of the last axis."""
    if bits == 8:
        return x
    if bits not in (2, 4):
        raise UnsupportedError(f"weights of {bits} bits")
    ones = xp.asarray((1 << bits) - 1, dtype=xp.uint8)
    parts = [
        xp.bitwise_and(xp.bitwise_right_shift(x, xp.asarray(shift, dtype=xp.uint8)), ones)
        for shift in range(0, 8, bits)
    ]
    return xp.reshape(xp.stack(parts, axis=-1), (*x.shape[:-1], x.shape[-1] * len(parts)))


def _zero_points(xp: Any, given: Array | None, shape: tuple[int, int], bits: int) -> Array:
    """The zero point of each block, or one for all, in float32."""
    rows, blocks = shape
    if given is None:
        return xp.asarray(float(1 << (bits - 1)), dtype=xp.float32)
    if is_float(given):
        return cast(xp, xp.reshape(given, shape), DType.FLOAT32)
    packed = xp.reshape(given, (rows, -1))
    return cast(xp, unpacked(xp, packed, bits)[:, :blocks], DType.FLOAT32)


def weights_of(
    xp: Any,
    b: Array,
    scales: Array,
    zero_points: Array | None,
    *,
    size: tuple[int, int],
    bits: int,
    block_size: int,
) -> Array:
    """The matrix (columns, steps of the sum) that packed weights (columns, blocks, bytes) mean."""
    columns, steps = size
    blocks = (steps + block_size - 1) // block_size
    shape = (columns, blocks)
    packed = xp.reshape(b, (columns, blocks, block_size * bits // 8))
    numbers = cast(xp, unpacked(xp, packed, bits), DType.FLOAT32)
    zero = _zero_points(xp, zero_points, shape, bits)
    zero = xp.reshape(zero, (*shape, 1)) if zero.ndim else zero
    real = (numbers - zero) * xp.reshape(cast(xp, scales, DType.FLOAT32), (*shape, 1))
    return xp.reshape(real, (columns, blocks * block_size))[:, :steps]


@in_float32
def matmul_nbits(
    xp: Any,
    a: Array,
    b: Array,
    scales: Array,
    zero_points: Array | None = None,
    g_idx: Array | None = None,
    bias: Array | None = None,
    *,
    K: int,  # noqa: N803
    N: int,  # noqa: N803
    block_size: int,
    accuracy_level: int = 0,
    bits: int = 4,
    weight_prepacked: int = 0,
) -> Array:
    """``a @ w.T + bias``, where ``w`` (N, K) has a scale for each block of a row.

    The accuracy level allows to compute with narrower numbers; here it is always float32.
    """
    if g_idx is not None or weight_prepacked:
        raise UnsupportedError("MatMulNBits with g_idx, or with weights packed for one machine")
    weights = weights_of(xp, b, scales, zero_points, size=(N, K), bits=bits, block_size=block_size)
    y = standard(xp, "MatMul", a, xp.matrix_transpose(weights))
    return y if bias is None else y + bias


def gather_block_quantized(
    xp: Any,
    data: Array,
    indices: Array,
    scales: Array,
    zero_points: Array | None = None,
    *,
    bits: int = 4,
    block_size: int = 128,
    gather_axis: int = 0,
    quantize_axis: int = 1,
) -> Array:
    """Rows of a table of narrow numbers, as real ones; only the rows taken are widened."""
    last = data.ndim - 1
    if gather_axis != 0 or quantize_axis % data.ndim != last:
        raise UnsupportedError("GatherBlockQuantized but of rows quantized along the last axis")
    packed = dtype_of(data) is DType.UINT8
    numbers = _taken(xp, data, indices)
    numbers = cast(xp, unpacked(xp, numbers, bits) if packed else numbers, DType.FLOAT32)
    factors = cast(xp, _taken(xp, scales, indices), DType.FLOAT32)
    if zero_points is not None:
        zeros = _taken(xp, zero_points, indices)
        zeros = unpacked(xp, zeros, bits)[..., : factors.shape[-1]] if packed else zeros
        zeros = xp.expand_dims(cast(xp, zeros, DType.FLOAT32), axis=-1)
    else:
        zeros = xp.asarray(float(1 << (bits - 1)) if packed else 0.0, dtype=xp.float32)
    width, blocks = numbers.shape[-1], factors.shape[-1]
    if blocks * block_size != width:
        raise ExecutionError(f"{blocks} blocks of {block_size} do not make rows of {width}")
    shape = (*numbers.shape[:-1], blocks, block_size)
    real = (xp.reshape(numbers, shape) - zeros) * xp.expand_dims(factors, axis=-1)
    return cast_like(xp, xp.reshape(real, numbers.shape), scales)


def _taken(xp: Any, table: Array, indices: Array) -> Array:
    if dtype_of(table).bits < 8:
        table = cast(xp, table, DType.INT8 if dtype_of(table).kind is Kind.INT else DType.UINT8)
    return standard(xp, "Gather", table, indices, axis=0)


ROWS = (
    Operation("GatherBlockQuantized", gather_block_quantized, "quantization", domain=DOMAIN),
    Operation("MatMulNBits", matmul_nbits, "linear", domain=DOMAIN),
)
