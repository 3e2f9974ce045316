"""Elementary and activation functions in single precision, over all magnitudes of floats."""

from __future__ import annotations

from typing import Any

import array_api_compat.numpy as xp
import numpy as np
import pytest

from pelemay.engine import native
from pelemay.graph.operations import find
from support.ops import run_op

Array = Any

LIMIT = 1e-6

SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan, 1e-45, -1e-45, 1.1754944e-38, 3.4e38, -3.4e38]
EDGES = [88.7, 88.73, -87.5, -103.9, -104.1, 0.5, -0.5, 1.5, 2.5, 1.0, -1.0, 3.92, 3.93, 8192.5]


def samples() -> Array:
    """Floats of all exponents, many small and middling ones, and edges; a length with a tail."""
    rng = np.random.default_rng(0)
    every = np.arange(0, 2**32, 99991, dtype=np.uint64).astype(np.uint32).view(np.float32)
    spans = [rng.uniform(-w, w, 8000).astype(np.float32) for w in (0.1, 1, 5, 20, 105)]
    edges = np.array(SPECIAL + EDGES, np.float32)
    return np.concatenate([every, *spans, edges])


SAMPLES = samples()

UNARY = [
    "Abs", "Neg", "Sign", "Floor", "Ceil", "Round", "Sqrt", "Exp", "Log", "Reciprocal", "Erf",
    "Tan", "Asin", "Acos", "Atan", "Sinh", "Cosh", "Asinh", "Acosh", "Atanh", "IsNaN", "IsInf",
]  # fmt: skip

ACTIVATIONS: dict[str, tuple[str, float, float, dict[str, Any]]] = {
    "": ("Identity", 0, 0, {}),
    "Relu": ("Relu", 0, 0, {}),
    "LeakyRelu": ("LeakyRelu", 0.1, 0, {"alpha": 0.1}),
    "HardSwish": ("HardSwish", 0, 0, {}),
    "HardSigmoid": ("HardSigmoid", 0.3, 0.4, {"alpha": 0.3, "beta": 0.4}),
    "Sigmoid": ("Sigmoid", 0, 0, {}),
    "Swish": ("Swish", 1.7, 0, {"alpha": 1.7}),
    "Tanh": ("Tanh", 0, 0, {}),
    "Gelu": ("Gelu", 0, 0, {}),
    "GeluTanh": ("Gelu", 0, 0, {"approximate": "tanh"}),
    "Elu": ("Elu", 1.3, 0, {"alpha": 1.3}),
    "Softplus": ("Softplus", 0, 0, {}),
    "Mish": ("Mish", 0, 0, {}),
    "Selu": ("Selu", 1.6, 1.1, {"alpha": 1.6, "gamma": 1.1}),
    "Celu": ("Celu", 0.7, 0, {"alpha": 0.7}),
    "ThresholdedRelu": ("ThresholdedRelu", 0.7, 0, {"alpha": 0.7}),
    "Softsign": ("Softsign", 0, 0, {}),
    "Shrink": ("Shrink", 0.4, 0.6, {"bias": 0.4, "lambd": 0.6}),
}


def in_double(name: str, x: Array, **attributes: Any) -> Array:
    """The meaning in double precision."""
    with np.errstate(all="ignore"):
        return find(name).meaning(xp, x.astype(np.float64), **attributes)


def agree(ours: Array, exact: Array, scale: Array | float = 0.0) -> None:
    """The same NaN and infinities, and an error below LIMIT of the larger of result and scale."""
    with np.errstate(all="ignore"):
        wanted = exact.astype(np.float32)
    np.testing.assert_array_equal(np.isnan(ours), np.isnan(wanted))
    np.testing.assert_array_equal(ours[np.isinf(wanted)], wanted[np.isinf(wanted)])
    finite = np.isfinite(wanted)
    error = np.abs(ours[finite].astype(np.float64) - exact[finite])
    size = np.maximum(np.abs(exact), scale)[finite]
    assert (error <= LIMIT * size + 1.5e-45).all()


def unary(name: str, isa: str, alpha: float = 1.0, beta: float = 1.0) -> Array:
    code = native().UNARY.index(name)
    return run_op(
        "unary", [SAMPLES], [(SAMPLES.shape, np.float32)], [code, 0, alpha, beta], isa=isa
    )[0]


@pytest.mark.parametrize("name", UNARY)
def test_unary(name: str, isa: str) -> None:
    agree(unary(name, isa), in_double(name, SAMPLES).astype(np.float64))


@pytest.mark.parametrize("name", ["Sin", "Cos"])
def test_sine(name: str, isa: str) -> None:
    agree(unary(name, isa), in_double(name, SAMPLES), scale=1.0)


@pytest.mark.parametrize("signs", [(1, 0), (0, 1)])
def test_infinities_of_one_sign(signs: tuple[int, int], isa: str) -> None:
    ours = unary("IsInf", isa, float(signs[0]), float(signs[1]))
    exact = in_double("IsInf", SAMPLES, detect_negative=signs[0], detect_positive=signs[1])
    np.testing.assert_array_equal(ours, exact)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation(name: str, isa: str) -> None:
    operation, alpha, beta, attributes = ACTIVATIONS[name]
    params = [native().ACTIVATIONS.index(name), 0, float(alpha), float(beta)]
    (ours,) = run_op("activation", [SAMPLES], [(SAMPLES.shape, np.float32)], params, isa=isa)
    rounded = {k: float(np.float32(v)) if k != "approximate" else v for k, v in attributes.items()}
    with np.errstate(all="ignore"):
        size = np.abs(SAMPLES.astype(np.float64))
    exact = in_double(operation, SAMPLES, **rounded)
    agree(ours, exact, scale=np.where(np.isfinite(size), size, 0))


@pytest.mark.parametrize("name", ["Sigmoid", "Softplus", "Tanh", "Elu", "Celu", "Selu", "Relu"])
def test_activations_that_are_no_products_keep_small_numbers(name: str, isa: str) -> None:
    """Their error is small relative to the result, however small that is."""
    operation, alpha, beta, attributes = ACTIVATIONS[name]
    params = [native().ACTIVATIONS.index(name), 0, float(alpha), float(beta)]
    (ours,) = run_op("activation", [SAMPLES], [(SAMPLES.shape, np.float32)], params, isa=isa)
    rounded = {k: float(np.float32(v)) for k, v in attributes.items()}
    agree(ours, in_double(operation, SAMPLES, **rounded))


def test_clip_keeps_nan(isa: str) -> None:
    params = [native().ACTIVATIONS.index("Clip"), 0, -0.5, 1.5]
    (ours,) = run_op("activation", [SAMPLES], [(SAMPLES.shape, np.float32)], params, isa=isa)
    with np.errstate(all="ignore"):
        agree(ours, np.clip(SAMPLES.astype(np.float64), -0.5, 1.5))


@pytest.mark.parametrize("name", [n for n in native().ACTIVATIONS if n in ACTIVATIONS])
def test_double_precision(name: str) -> None:
    operation, alpha, beta, attributes = ACTIVATIONS[name]
    numbers = SAMPLES[~np.isnan(SAMPLES)][::7]
    x = np.concatenate([numbers, np.array(SPECIAL, np.float32)]).astype(np.float64)
    params = [native().ACTIVATIONS.index(name), 1, float(alpha), float(beta)]
    (ours,) = run_op("activation", [x], [(x.shape, np.float64)], params)
    exact = in_double(operation, x, **attributes)
    np.testing.assert_allclose(ours, exact, rtol=1e-12, atol=1e-14 * 104)
