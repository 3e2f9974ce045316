"""Quantized operations of onnxruntime's: on instructions, equal to it but for rounding."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.support.quantized import Quantized, dialect_of, differences, model_of

U8, I8, F = np.uint8, np.int8, np.float32


def data(dtype: Any, *shape: int, seed: int = 0, half: bool = False) -> Any:
    limits = np.iinfo(dtype)
    found = np.random.default_rng(seed).integers(limits.min, limits.max + 1, shape)
    return (found // 2 if half else found).astype(dtype)


def grid(scale: float, zero: Any) -> tuple[Any, Any]:
    return F(scale), zero


IMAGE = data(U8, 2, 8, 9, 9)
WEIGHTS = data(I8, 16, 6, seed=3, half=True)
SCALES = np.linspace(0.01, 0.03, 6).astype(F)
BIAS = np.arange(6).astype(np.int32) * 100 - 300
A = data(U8, 5, 16)

CASES: dict[str, Quantized] = {
    "QLinearAdd": Quantized(
        "QLinearAdd",
        [A, *grid(0.03, U8(5)), data(U8, 16, seed=1), *grid(0.05, U8(9)), F(0.1), U8(7)],
    ),
    "QLinearMul": Quantized(
        "QLinearMul",
        [A, *grid(0.03, U8(5)), data(U8, 5, 16, seed=1), *grid(0.05, U8(9)), F(0.4), U8(120)],
    ),
    "QLinearSigmoid": Quantized("QLinearSigmoid", [A, *grid(0.05, U8(128)), *grid(1 / 256, U8(0))]),
    "QLinearLeakyRelu": Quantized(
        "QLinearLeakyRelu", [A, *grid(0.05, U8(128)), *grid(0.03, U8(20))], {"alpha": 0.1}
    ),
    "QLinearSoftmax": Quantized(
        "QLinearSoftmax",
        [A, *grid(0.05, U8(128)), *grid(1 / 256, U8(0))],
        {"axis": -1, "opset": 13},
    ),
    "QLinearGlobalAveragePool": Quantized(
        "QLinearGlobalAveragePool", [IMAGE, *grid(0.05, U8(100)), *grid(0.033, U8(90))]
    ),
    "QLinearGlobalAveragePool, channels last": Quantized(
        "QLinearGlobalAveragePool",
        [IMAGE, *grid(0.05, U8(100)), *grid(0.033, U8(90))],
        {"channels_last": 1},
    ),
    "QLinearAveragePool": Quantized(
        "QLinearAveragePool",
        [IMAGE, *grid(0.05, U8(100)), *grid(0.0331, U8(90))],
        {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [2, 2]},
    ),
    "QLinearConcat": Quantized(
        "QLinearConcat",
        [*grid(0.05, U8(100)), A, *grid(0.05, U8(100)), data(U8, 5, 3), *grid(0.033, U8(90))],
        {"axis": 1},
        constants=(0, 1, 3, 4, 6, 7),
    ),
    "QGemm": Quantized(
        "QGemm",
        [A, *grid(0.02, U8(7)), WEIGHTS, SCALES, np.zeros(6, I8), BIAS, *grid(0.3, U8(120))],
        {"transB": 0},
    ),
    "QGemm, turned and real": Quantized(
        "QGemm",
        [A, *grid(0.02, U8(7)), WEIGHTS.T.copy(), F(0.02), I8(0), BIAS],
        {"transB": 1, "alpha": 0.5},
    ),
    "DynamicQuantizeMatMul": Quantized(
        "DynamicQuantizeMatMul",
        [
            *(np.random.default_rng(4).standard_normal((5, 16)).astype(F), WEIGHTS, SCALES),
            *(np.zeros(6, I8), np.linspace(-1, 1, 6).astype(F)),
        ],
    ),
    "MatMulIntegerToFloat": Quantized(
        "MatMulIntegerToFloat",
        [A, WEIGHTS, F(0.02), F(0.01), U8(7), I8(0), np.linspace(-1, 1, 6).astype(F)],
    ),
    "QuantizeLinear": Quantized(
        "QuantizeLinear",
        [np.linspace(-3, 3, 64).reshape(4, 16).astype(F), F(0.03), U8(20)],
    ),
    "DequantizeLinear": Quantized("DequantizeLinear", [A, F(0.03), U8(20)]),
}

ON_INTEGERS = {
    "QLinearAdd": "QBinary",
    "QLinearMul": "QBinary",
    "QLinearSigmoid": "QTable",
    "QLinearLeakyRelu": "QTable",
    "QLinearAveragePool": "QAveragePool",
    "QLinearConcat": "QTable",
    "QGemm": "QMatMul",
    "DynamicQuantizeMatMul": "QMatMul",
    "MatMulIntegerToFloat": "QMatMul",
}
"""What an operation becomes in the dialect; the others are real between two instructions."""


@pytest.fixture(params=CASES.values(), ids=CASES)
def case(request: pytest.FixtureRequest) -> Quantized:
    return request.param


@pytest.mark.parametrize("backend", ["reference", "native"])
def test_as_onnxruntime(case: Quantized, backend: str) -> None:
    found = differences(case, backend)
    assert found.units <= 1
    assert found.share <= 0.05


def test_it_is_computed_on_integers(case: Quantized) -> None:
    model, _ = model_of(case)
    graph = dialect_of(model.SerializeToString())
    wanted = ON_INTEGERS.get(case.op)
    assert wanted is None or wanted in {node.op for node in graph.nodes}
