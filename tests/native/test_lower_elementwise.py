"""Nodes that work element by element, from the graph to the engine."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from support.nodes import Case

Array = Any
F32 = np.float32


def floats(*shape: int, seed: int = 0, dtype: Any = F32) -> Array:
    return np.random.default_rng(seed).normal(0, 2, shape).astype(dtype)


def whole(*shape: int, seed: int = 0, dtype: Any = np.int32, low: int = 0) -> Array:
    return np.random.default_rng(seed).integers(low, 9, shape).astype(dtype)


X, Y = floats(3, 5, 37), floats(3, 1, 37, seed=1)
POSITIVE, UNIT = np.abs(X) + F32(0.1), np.tanh(X) * F32(0.9)

ONE_INPUT: dict[str, Array] = {
    **dict.fromkeys(["Abs", "Ceil", "Cos", "Cosh", "Erf", "Exp", "Floor", "Neg", "Sin"], X),
    **dict.fromkeys(["Asinh", "Atan", "Reciprocal", "Round", "Sign", "Sinh", "Tan"], X),
    **dict.fromkeys(["Acos", "Asin", "Atanh"], UNIT),
    **dict.fromkeys(["Log", "Sqrt"], POSITIVE),
    "Acosh": POSITIVE + 1,
}


@pytest.mark.parametrize("op", ONE_INPUT)
def test_one_input(op: str) -> None:
    Case(op, (ONE_INPUT[op],), {}).check(of_largest=op in ("Sin", "Cos"))
    Case(op, (ONE_INPUT[op].astype(np.float64),), {}).check(rtol=1e-12, sets=("scalar",))


ACTIVATIONS: list[tuple[str, dict[str, Any]]] = [
    ("Relu", {}),
    ("LeakyRelu", {"alpha": 0.2}),
    ("LeakyRelu", {}),
    ("ThresholdedRelu", {"alpha": 0.7}),
    ("Elu", {"alpha": 1.5}),
    ("Celu", {"alpha": 0.5}),
    ("Selu", {}),
    ("Selu", {"alpha": 1.5, "gamma": 1.25}),
    ("Sigmoid", {}),
    ("HardSigmoid", {"alpha": 0.25, "beta": 0.6}),
    ("HardSigmoid", {}),
    ("HardSwish", {}),
    ("Softplus", {}),
    ("Softsign", {}),
    ("Mish", {}),
    ("Swish", {"alpha": 1.5}),
    ("Gelu", {}),
    ("Gelu", {"approximate": "tanh"}),
    ("Tanh", {}),
    ("Shrink", {"bias": 0.5, "lambd": 0.75}),
]


@pytest.mark.parametrize(("op", "attributes"), ACTIVATIONS, ids=str)
def test_activations(op: str, attributes: dict[str, Any]) -> None:
    Case(op, (X,), attributes).check(of_largest=True)
    Case(op, (X.astype(np.float64),), attributes).check(
        rtol=1e-9, of_largest=True, sets=("scalar",)
    )


@pytest.mark.parametrize("op", ["Relu", "Tanh", "Erf", "Neg", "Sqrt", "Elu"])
@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_narrow_floats(op: str, dtype: Any) -> None:
    """Computed in single precision, and rounded as the reference does."""
    x = (POSITIVE if op == "Sqrt" else X).astype(dtype)
    case = Case(op, (x,), {})
    limit = 1e-3 if dtype is np.float16 else 1e-2
    (wanted,) = case.meaning(wide=False)
    (ours,) = case.run(workers=2)
    np.testing.assert_allclose(ours.astype(F32), wanted.astype(F32), rtol=limit, atol=1e-6)


TWO_INPUTS = ["Add", "Sub", "Mul", "Div", "Max", "Min", "PRelu"]
COMPARISONS = ["Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"]


@pytest.mark.parametrize("op", [*TWO_INPUTS, *COMPARISONS])
def test_two_inputs(op: str) -> None:
    for x, y in ((X, Y), (Y, X), (X, floats(37)), (X, floats()), (X, X)):
        if op != "PRelu" or x.shape == X.shape:
            Case(op, (x, y), {}).check()
    Case(op, (X.astype(np.float64), Y.astype(np.float64)), {}).check(rtol=1e-14, sets=("scalar",))
    Case(op, (whole(4, 9), whole(4, 1, seed=1) + 1), {}).check(sets=("scalar",))


@pytest.mark.parametrize("op", ["Sum", "Mean", "Max", "Min"])
@pytest.mark.parametrize("count", [1, 2, 3, 16, 17, 40])
def test_many_inputs(op: str, count: int) -> None:
    inputs = tuple(floats(3, 1, 37, seed=i) for i in range(count - 1))
    Case(op, (*inputs, X), {}).check(of_largest=True)


@pytest.mark.parametrize("attributes", [{"fmod": 0}, {"fmod": 1}], ids=str)
def test_remainders(attributes: dict[str, int]) -> None:
    x, y = whole(50, low=-9), whole(50, seed=1, low=1)
    Case("Mod", (x, y), attributes).check(sets=("scalar",))
    Case("Mod", (X, Y), attributes).check(of_largest=True)


POWERS: list[tuple[Array, Array]] = [
    (X, np.array(2, F32)),
    (X, np.array([3.0], F32)),
    (X, np.array(2, np.int64)),
    (X, np.array(-1, np.int32)),
    (POSITIVE, np.array(0.5, F32)),
    (POSITIVE, np.array(0.5, np.float64)),
    (POSITIVE, Y),
    (np.array(3, F32), Y),
    (whole(40), np.array([2.5], F32)),
    (whole(40, low=-5), np.array([3], np.int64)),
    (whole(40, dtype=np.uint8), np.array([2], np.uint8)),
]


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("number", range(len(POWERS)))
def test_powers(number: int, known: bool) -> None:
    x, y = POWERS[number]
    Case("Pow", (x, y), {}, (1,) if known else ()).check()


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("limits", [(-0.5, 1.25), (None, 1.0), (0.0, None), (None, None), (2, 1)])
def test_clip(limits: tuple[float | None, float | None], known: bool) -> None:
    for x in (X, whole(50, low=-9), X.astype(np.float64)):
        low, high = (None if n is None else np.array(n, x.dtype) for n in limits)
        Case("Clip", (x, low, high), {}, (1, 2) if known else ()).check(rtol=1e-7)


@pytest.mark.parametrize("op", ["And", "Or", "Xor"])
def test_logic(op: str) -> None:
    Case(op, (X > 0, Y > 0.5), {}).check(sets=("scalar",))
    Case("Not", (X > 0,), {}).check(sets=("scalar",))


@pytest.mark.parametrize("op", ["BitwiseAnd", "BitwiseOr", "BitwiseXor"])
def test_bits(op: str) -> None:
    Case(op, (whole(40, low=-9), whole(40, seed=1)), {}).check(sets=("scalar",))
    Case("BitwiseNot", (whole(40, low=-9),), {}).check(sets=("scalar",))


@pytest.mark.parametrize("direction", ["LEFT", "RIGHT"])
def test_shifts(direction: str) -> None:
    x, y = whole(40, dtype=np.uint16), whole(40, seed=1, dtype=np.uint16)
    Case("BitShift", (x, y), {"direction": direction}).check(sets=("scalar",))


@pytest.mark.parametrize(
    "attributes", [{}, {"detect_negative": 0}, {"detect_positive": 0}], ids=str
)
def test_infinities(attributes: dict[str, int]) -> None:
    x = np.where(X > 2, np.inf, np.where(X < -2, -np.inf, X)).astype(F32)
    Case("IsInf", (x,), attributes).check()
    Case("IsNaN", (np.where(X > 1, np.nan, X).astype(F32),), {}).check()


def test_gated() -> None:
    Case("SwiGLU", (X, X[::-1].copy()), {"alpha": 1.5}).check(of_largest=True)


@pytest.mark.parametrize("dtype", [F32, np.float64, np.int8, np.int64, np.bool_, np.float16])
def test_where(dtype: Any) -> None:
    Case("Where", (Y > 0, X.astype(dtype), np.array(1, dtype)), {}).check()


def test_nothing() -> None:
    empty = np.zeros((0, 4), F32)
    Case("Add", (empty, empty), {}).check()
    Case("Relu", (empty,), {}).check()
    Case("Where", (empty > 0, empty, empty), {}).check()
