"""8-bit integers by elements, by windows, and to and from float32: the bits of their meaning."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pelemay.errors import ModelError
from pelemay.passes.quantized.softmax import powers_of
from support.integers import check, integers, softmax_case
from support.nodes import Case
from support.ops import run_op, strided

U8, I8, F = np.uint8, np.int8, np.float32
TYPES = [U8, I8]


@pytest.mark.parametrize("operation", ["Add", "Mul"])
@pytest.mark.parametrize("types", [(U8, U8, U8), (I8, I8, I8), (U8, I8, U8), (I8, U8, I8)])
@pytest.mark.parametrize(
    ("a", "b"),
    [((2, 7, 300), (2, 7, 300)), ((3, 5, 40), (40,)), ((3, 1, 9), (3, 4, 1)), ((9,), ())],
)
def test_binary(
    operation: str, types: tuple[Any, Any, Any], a: tuple[int, ...], b: tuple[int, ...]
) -> None:
    def operand(dtype: Any, shape: tuple[int, ...], scale: float, seed: int) -> list[Any]:
        zero = np.array(int(np.iinfo(dtype).min) + 100 + seed, dtype)
        return [integers(dtype, shape, seed), np.array(scale, F), zero]

    size = 0.9 if operation == "Add" else 4.0
    y = [np.array(size, F), np.array(int(np.iinfo(types[2]).min) + 120, types[2])]
    inputs = (*operand(types[0], a, 0.4, 1), *operand(types[1], b, 0.7, 2), *y)
    for bounds in ({}, {"low": -3, "high": 77}):
        attributes = {"operation": operation, **bounds}
        check(Case("pelemay::QBinary", inputs, attributes, (1, 2, 4, 5, 6, 7)))


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("result", [U8, I8, F])
def test_table(kind: Any, result: Any) -> None:
    table = np.arange(256).astype(np.uint8)[::-1].astype(result)
    check(Case("pelemay::QTable", (integers(kind, (3, 5, 1001), 1), table), {}, (1,)))


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("result", TYPES)
@pytest.mark.parametrize(
    ("shape", "axis"), [((3, 5, 601), -1), ((2, 37, 19), 1), ((70, 3), 0), ((4, 1), -1)]
)
def test_softmax(kind: Any, result: Any, shape: tuple[int, ...], axis: int) -> None:
    check(softmax_case(shape, kind, result, axis))


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize(
    ("shape", "kernel", "options"),
    [
        ((1, 9, 11, 37), (3, 3), {"pads": (1, 1, 1, 1), "strides": (2, 2)}),
        ((2, 7, 7, 70), (7, 7), {}),
        ((1, 8, 9, 16), (2, 3), {"pads": (1, 0, 1, 2), "count_include_pad": 1, "ceil_mode": 1}),
        ((2, 20, 5), (4,), {"strides": (3,)}),
        ((1, 4, 5, 6, 8), (2, 2, 2), {}),
    ],
)
def test_average_pool(
    kind: Any, shape: tuple[int, ...], kernel: tuple[int, ...], options: dict[str, Any]
) -> None:
    least = int(np.iinfo(kind).min)
    ends = (np.array(1.7, F), np.array(least + 90, kind), np.array(least + 110, kind))
    attributes = {"kernel_shape": kernel, **options}
    check(Case("pelemay::QAveragePool", (integers(kind, shape, 1), *ends), attributes, (1, 2, 3)))


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("op", ["QuantizeLinear", "DequantizeLinear"])
@pytest.mark.parametrize("axis", [None, 0, 1, -1])
@pytest.mark.parametrize("constant", [False, True])
def test_linear(kind: Any, op: str, axis: int | None, constant: bool) -> None:
    shape = (5, 6, 700)
    x: Any = np.random.default_rng(1).normal(0, 40, shape).astype(F)
    if op == "DequantizeLinear":
        x = integers(kind, shape, 1)
    count = () if axis is None else (shape[axis],)
    scale = np.random.default_rng(2).uniform(0.2, 0.9, count).astype(F)
    zero = integers(kind, count, 3)
    attributes = {} if axis is None else {"axis": axis}
    check(Case(op, (x, scale, zero), attributes, (1, 2) if constant else ()))


def test_ties_and_what_does_not_fit() -> None:
    x = np.array([0.5, 1.5, 2.5, -0.5, -1.5, 1e30, -1e30, np.inf, -np.inf, 0, 254.5, 255.5], F)
    for zero in (np.array(0, U8), np.array(3, U8), np.array(-1, I8)):
        check(Case("QuantizeLinear", (x, np.array(1, F), zero), {}))


def test_int32_becomes_float32() -> None:
    x = np.array([2**31 - 1, -(2**31), 7, 16777217], np.int32)
    check(Case("DequantizeLinear", (x, np.array(0.25, F)), {}))
    check(Case("DequantizeLinear", (x, np.array(0.25, F), np.array(5, np.int32)), {}))


@pytest.mark.parametrize("size", [1, 7, 10007])
@pytest.mark.parametrize("shift", [-5.0, 0.0, 5.0])
def test_dynamic(size: int, shift: float) -> None:
    x = (np.random.default_rng(size).normal(0, 1, size) + shift).astype(F)
    check(Case("DynamicQuantizeLinear", (x,), {}))
    check(Case("DynamicQuantizeLinear", (np.zeros(size, F),), {}))


@pytest.mark.parametrize("kind", TYPES)
def test_maxima(kind: Any) -> None:
    x = integers(kind, (2, 9, 10, 45), 1)
    attributes = {"kernel_shape": (3, 3), "strides": (2, 2), "pads": (1, 1, 1, 1)}
    check(Case("pelemay::MaxPool", (x,), attributes))


def test_gaps_stay_as_they_are(isa: str) -> None:
    """Elements of wider pixels, into wider pixels."""
    x, y = strided((3, 5, 20), U8, 24), strided((3, 5, 20), U8, 31)
    x[...] = integers(U8, x.shape, 1)
    table = np.arange(256).astype(U8)[::-1].copy()
    found = run_op("qtable", [x, table], [y], isa=isa, workers=2)[0]
    np.testing.assert_array_equal(found, 255 - x)
    factors = (0, 1.0, 0.0, 3.0, 0, 0, 0, 0, 255)
    y = strided((3, 5, 20), U8, 31)
    found = run_op("qbinary", [x, x], [y], factors, isa=isa, workers=2)[0]
    np.testing.assert_array_equal(found, np.minimum(x.astype(int) + 3, 255))


X, Y, ONE = integers(U8, (4, 6), 1), ((4, 6), U8), np.ones((), F)
POWERS = powers_of(F(0.1))
REFUSED: dict[str, tuple[str, list[Any], list[Any], tuple[Any, ...]]] = {
    "an unknown operation": ("qbinary", [X, X], [Y], (2, 1.0, 1.0, 0.0, 0, 0, 0, 0, 255)),
    "a zero point beyond": ("qbinary", [X, X], [Y], (0, 1.0, 1.0, 0.0, 0, 256, 0, 0, 255)),
    "bounds in disorder": ("qbinary", [X, X], [Y], (0, 1.0, 1.0, 0.0, 0, 0, 0, 9, 8)),
    "floats": ("qbinary", [X, X], [((4, 6), F)], (0, 1.0, 1.0, 0.0, 0, 0, 0, 0, 255)),
    "a short table": ("qtable", [X, np.zeros(255, U8)], [((4, 6), U8)], ()),
    "a table of another type": ("qtable", [X, np.zeros(256, I8)], [((4, 6), U8)], ()),
    "another shape": ("qtable", [X, np.zeros(256, U8)], [((4, 7), U8)], ()),
    "short powers": ("qsoftmax", [X, POWERS[1:]], [Y], (1, 255.0, 0)),
    "powers of another type": ("qsoftmax", [X, POWERS.astype(F)], [Y], (1, 255.0, 0)),
    "an axis beyond": ("qsoftmax", [X, POWERS], [Y], (2, 255.0, 0)),
    "an axis before": ("qsoftmax", [X, POWERS], [Y], (-1, 255.0, 0)),
    "shares of another shape": ("qsoftmax", [X, POWERS], [((6, 4), U8)], (1, 255.0, 0)),
    "shares that are real": ("qsoftmax", [X, POWERS], [((4, 6), F)], (1, 255.0, 0)),
    "a zero point of shares beyond": ("qsoftmax", [X, POWERS], [Y], (1, 255.0, 256)),
    "scales of another shape": ("dequantize", [X, np.ones(5, F), None], [((4, 6), F)], ()),
    "a zero point of another type": (
        "dequantize", [X, ONE, np.zeros((), I8)], [((4, 6), F)], (),
    ),
    "float64": ("quantize", [X.astype(np.float64), ONE, None], [((4, 6), U8)], ()),
    "int8 from a range": (
        "quantize_dynamic", [X.astype(F)], [((4, 6), I8), ((), F), ((), U8)], (),
    ),
    "two scales": ("quantize_dynamic", [X.astype(F)], [((4, 6), U8), ((2,), F), ((), U8)], ()),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    opcode, inputs, outputs, params = REFUSED[name]
    with pytest.raises(ModelError):
        run_op(opcode, inputs, outputs, params)
