"""The dialect's operations on 8-bit integers: what onnxruntime gives for the form in its files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import array_api_compat.numpy as xp
import numpy as np
import pytest
from tests.support.quantized import Quantized, model_of, onnxruntimes

from pelemay.errors import ExecutionError
from pelemay.graph import DType, Graph, Node, TensorType
from pelemay.graph.operations import find
from pelemay.graph.operations.fused import DOMAIN
from pelemay.graph.operations.quantized import ROWS
from pelemay.graph.typing import infer
from pelemay.passes.quantized.softmax import powers_of

RNG = np.random.default_rng(23)
U8, I8, F = np.uint8, np.int8, np.float32
TYPES = (U8, I8)


def integers(dtype: type, *shape: int) -> np.ndarray:
    limits = np.iinfo(dtype)
    return RNG.integers(limits.min, limits.max + 1, shape).astype(dtype)


def dialect(name: str, *inputs: Any, **attributes: Any) -> np.ndarray:
    """What the row gives, with the type and shape that its typing rule says."""
    row = find(name, DOMAIN)
    assert row is not None
    found = np.asarray(row.meaning(xp, *inputs, **attributes))
    kinds = {
        f"i{i}": TensorType(DType.of_numpy(np.asarray(x).dtype), np.shape(x))
        for i, x in enumerate(inputs)
        if x is not None
    }
    names = tuple("" if x is None else f"i{i}" for i, x in enumerate(inputs))
    node = Node(name, names, ("y",), attributes, domain=DOMAIN)
    kind = infer(Graph("one", kinds, {"y": None}, (node,))).outputs["y"]
    assert kind == TensorType(DType.of_numpy(found.dtype), found.shape)
    return found


def last(x: np.ndarray) -> np.ndarray:
    return np.moveaxis(x, 1, -1)


def equal_but_for(units: int, share: float, found: np.ndarray, expected: np.ndarray) -> None:
    """Equal, but for a share of the elements that are that many units apart."""
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    apart = np.abs(found.astype(np.int64) - expected)
    assert apart.max(initial=0) <= units
    assert (apart > 0).mean() <= share


CONVS: list[tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = [
    ((2, 4, 9, 7), (6, 4, 3, 3), {"pads": (1, 1, 0, 2)}),
    ((1, 6, 9, 7), (6, 1, 3, 3), {"group": 6, "strides": (2, 1)}),
    ((1, 4, 9, 7), (6, 2, 1, 3), {"group": 2, "dilations": (1, 2)}),
    ((1, 3, 11), (5, 3, 4), {"strides": (3,)}),
]


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize(("shape", "weights", "attributes"), CONVS)
def test_a_convolution_is_onnxruntimes(
    run_onnxruntime: Callable[..., list[np.ndarray]],
    shape: tuple[int, ...],
    weights: tuple[int, ...],
    attributes: dict[str, Any],
    per_channel: bool,
    kind: type,
) -> None:
    # Without VNNI onnxruntime's sums of pairs saturate; 7-bit weights cannot.
    x, w = integers(kind, *shape), integers(I8, *weights) // 2
    count = weights[:1] if per_channel else ()
    sx, sy, sw = F(0.02), F(0.5), RNG.uniform(0.01, 0.04, count).astype(F)
    zx, zy, zw = kind(7), kind(31), np.zeros(count, I8)
    bias = RNG.integers(-4000, 4000, weights[:1]).astype(np.int32)
    (expected,) = run_onnxruntime("QLinearConv", x, sx, zx, w, sw, zw, sy, zy, bias, **attributes)
    found = dialect(
        *("QConv", last(x), w, sx * sw / sy, bias, zx, zw, zy),
        to=DType.of_numpy(np.dtype(kind)),
        **attributes,
    )
    np.testing.assert_array_equal(found, last(expected))


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("per_channel", [False, True])
def test_a_product_is_onnxruntimes(
    run_onnxruntime: Callable[..., list[np.ndarray]], per_channel: bool, kind: type
) -> None:
    a, b = integers(kind, 2, 5, 16), integers(I8, 16, 6) // 2
    count = (6,) if per_channel else ()
    sa, sy, sb = F(0.02), F(0.7), RNG.uniform(0.01, 0.04, count).astype(F)
    za, zy, zb = kind(7), kind(31), np.zeros(count, I8)
    (expected,) = run_onnxruntime("QLinearMatMul", a, sa, za, b, sb, zb, sy, zy)
    inputs = (a, b, sa * sb / sy, None, za, zb, zy)
    to = DType.of_numpy(np.dtype(kind))
    np.testing.assert_array_equal(dialect("QMatMul", *inputs, to=to), expected)
    turned = (a, b.T.copy(), *inputs[2:])
    np.testing.assert_array_equal(dialect("QMatMul", *turned, to=to, trans_b=1), expected)
    held = dialect("QMatMul", *inputs, to=to, low=31, high=60)
    np.testing.assert_array_equal(held, np.clip(expected, 31, 60))


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("axis", [-1, 1])
@pytest.mark.parametrize(("x_scale", "y_scale"), [(0.02, 0.002), (0.1, 1 / 255), (0.4, 1 / 256)])
def test_a_softmax_is_onnxruntimes(x_scale: float, y_scale: float, axis: int, kind: type) -> None:
    x, zero = integers(kind, 20, 40, 50), kind(np.iinfo(kind).min)
    inputs = [x, F(x_scale), zero, F(y_scale), zero]
    model, feeds = model_of(Quantized("QLinearSoftmax", inputs, {"axis": axis, "opset": 13}))
    (expected,) = onnxruntimes(model.SerializeToString(), feeds)
    factor = np.floor(F(1) / F(y_scale))
    found = dialect("QSoftmax", x, powers_of(F(x_scale)), factor, zero, axis=axis)
    if kind is I8:
        # What is beyond int8 wraps around there.
        expected = np.where(found == 127, found, expected)
    equal_but_for(1, 1e-4, found, expected)


def test_sums_may_stay_integers_or_become_real_numbers(
    run_onnxruntime: Callable[..., list[np.ndarray]],
) -> None:
    a, b, za, zb = integers(U8, 5, 16), integers(I8, 16, 6) // 2, U8(9), I8(-3)
    (sums,) = run_onnxruntime("MatMulInteger", a, b, za, zb)
    found = dialect("QMatMul", a, b, None, None, za, zb, to=DType.INT32)
    np.testing.assert_array_equal(found, sums)
    factors, bias = RNG.uniform(0.01, 0.02, 6).astype(F), RNG.standard_normal(6).astype(F)
    (real,) = run_onnxruntime(
        *("MatMulIntegerToFloat", a, b, F(0.5), factors, za, np.full(6, zb), bias),
        domain="com.microsoft",
    )
    inputs = (a, b, F(0.5) * factors, None, za, zb, None, bias)
    found = dialect("QMatMul", *inputs, to=DType.FLOAT32)
    # onnxruntime multiplies and adds in one step where the machine can.
    np.testing.assert_allclose(found, real, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("operation", ["Add", "Mul"])
def test_a_sum_or_product_of_two_is_onnxruntimes(
    run_onnxruntime: Callable[..., list[np.ndarray]], operation: str, kind: type
) -> None:
    a, b = integers(kind, 64, 50), integers(kind, 50)
    inputs = (a, F(0.03), kind(5), b, F(0.05), kind(100), F(0.07 if operation == "Add" else 2))
    (expected,) = run_onnxruntime(f"QLinear{operation}", *inputs, kind(20), domain="com.microsoft")
    found = dialect("QBinary", *inputs, kind(20), operation=operation)
    # Without an instruction that multiplies and adds in one step, onnxruntime rounds in between.
    equal_but_for(1, 1e-3, found, expected)
    held = dialect("QBinary", *inputs, kind(20), operation=operation, low=20)
    np.testing.assert_array_equal(held, np.maximum(found, kind(20)))


@pytest.mark.parametrize("kind", TYPES)
def test_a_table_is_looked_up(kind: type) -> None:
    x = np.arange(256).astype(U8).view(kind)[None]
    table = integers(I8, 256)
    np.testing.assert_array_equal(dialect("QTable", x, table), table[x.view(U8)])


POOLS: list[dict[str, Any]] = [
    {"kernel_shape": (2, 2), "strides": (2, 2)},
    {"kernel_shape": (3, 3), "pads": (1, 1, 1, 1), "strides": (2, 1)},
    {"kernel_shape": (3, 2), "pads": (0, 1, 1, 0), "count_include_pad": 1},
    {"kernel_shape": (3, 3), "strides": (2, 2), "ceil_mode": 1},
]


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("attributes", POOLS)
def test_a_mean_of_windows_is_onnxruntimes(
    run_onnxruntime: Callable[..., list[np.ndarray]], attributes: dict[str, Any], kind: type
) -> None:
    x, scale, zero, target, other = (
        integers(kind, 2, 8, 10, 10),
        F(0.03),
        kind(5),
        F(0.0217),
        kind(9),
    )
    (expected,) = run_onnxruntime(
        *("QLinearAveragePool", x, scale, zero, target, other),
        domain="com.microsoft",
        **attributes,
    )
    found = dialect("QAveragePool", last(x), scale / target, zero, other, **attributes)
    # onnxruntime sums real numbers, whose rounding decides where a mean lies between two units.
    equal_but_for(1, 0.002, found, last(expected))


@pytest.mark.parametrize("kind", TYPES)
def test_a_mean_of_the_image_is_onnxruntimes(
    run_onnxruntime: Callable[..., list[np.ndarray]], kind: type
) -> None:
    x, scale, zero, target, other = integers(kind, 2, 64, 7, 9), F(0.03), kind(5), F(0.02), kind(9)
    (expected,) = run_onnxruntime(
        "QLinearGlobalAveragePool", x, scale, zero, target, other, domain="com.microsoft"
    )
    found = dialect("QAveragePool", last(x), scale / target, zero, other, kernel_shape=(7, 9))
    np.testing.assert_array_equal(found, last(expected))


def test_what_the_dialect_lacks_is_refused() -> None:
    a = integers(U8, 2, 2)
    with pytest.raises(ExecutionError, match="without a multiplier"):
        dialect("QMatMul", a, a, to=DType.UINT8)
    with pytest.raises(ExecutionError, match="'Sub' is not in the dialect"):
        dialect("QBinary", a, F(1), U8(0), a, F(1), U8(0), F(1), U8(0), operation="Sub")


def test_the_rows_are_all_of_the_dialect() -> None:
    assert {row.domain for row in ROWS} == {DOMAIN}
