"""Activations: the same over every namespace, like onnxruntime, and true to mathematics."""

from __future__ import annotations

import math

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pelemay.graph.operations.activation import ROWS

F = np.linspace(-6, 6, 24).reshape(2, 3, 4)
S = np.float32([[-3.0, -0.5, -0.0, 0.5, 3.0, 100.0, -100.0]])
H = S.astype(np.float16)

CASES = [
    ("Erf", (F,), {}),
    ("Relu", (F,), {}),
    ("Relu", (np.int32([-2, 0, 3]),), {}),
    ("LeakyRelu", (S,), {"alpha": 0.25}),
    ("LeakyRelu", (H,), {}),
    ("PRelu", (F, np.array([[0.5], [0.25], [2.0]])), {}),
    ("PRelu", (np.int32([-2, 0, 3]), np.int32([4])), {}),
    ("ThresholdedRelu", (S,), {"alpha": 0.5}),
    ("Clip", (S, np.float32(-1), np.float32(2)), {}),
    ("Clip", (S, None, np.float32(2)), {}),
    ("Clip", (np.int8([-2, 0, 3]), np.int8(-1)), {}),
    ("Elu", (S,), {"alpha": 2.0}),
    ("Celu", (S,), {"alpha": 2.0}),
    ("Selu", (S,), {}),
    ("Sigmoid", (S,), {}),
    ("HardSigmoid", (S,), {}),
    ("HardSwish", (S,), {}),
    ("Softplus", (S,), {}),
    ("Softsign", (S,), {}),
    ("Mish", (S,), {}),
    ("Swish", (S,), {"alpha": 1.5}),
    ("SwiGLU", (S, S), {}),
    ("Gelu", (F,), {}),
    ("Gelu", (S,), {"approximate": "tanh"}),
    ("Tanh", (S,), {}),
    ("Shrink", (S,), {"bias": 0.25}),
    ("Shrink", (np.int32([-2, 0, 3]),), {"bias": 1.0, "lambd": 1.5}),
    ("Softmax", (F,), {"axis": 1}),
    ("Softmax", (H,), {}),
    ("LogSoftmax", (F,), {"axis": 0}),
    ("Hardmax", (np.float32([[1, 3, 3], [2, 1, 0]]),), {}),
    ("Hardmax", (F,), {"axis": 0}),
]


@pytest.mark.parametrize(("name", "inputs", "attributes"), CASES)
def test_every_namespace_gives_what_numpy_gives(agree, name, inputs, attributes):
    agree(name, *inputs, **attributes)


def test_every_operation_has_a_case():
    assert {row.name for row in ROWS} == {name for name, _, _ in CASES}


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ml_dtypes.bfloat16])
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_type_stays(run, row, dtype):
    x = S.astype(dtype)
    inputs = (x, x) if row.name in ("PRelu", "SwiGLU") else (x,)
    assert run(row.name, *inputs)[0].dtype == dtype


@given(st.floats(-40, 40))
def test_erf_is_the_error_function(run, x):
    assert run("Erf", np.array([x]))[0][0] == pytest.approx(math.erf(x), rel=1e-15, abs=0)


def test_erf_at_the_ends(run):
    found = run("Erf", np.array([-np.inf, np.inf, np.nan, 5e-324]))[0]
    np.testing.assert_array_equal(found[:3], [-1, 1, np.nan])
    assert 0 <= found[3] <= 1e-323


@pytest.mark.parametrize(
    ("name", "attributes"),
    [
        ("Softmax", {"axis": 0}), ("LogSoftmax", {"axis": 0}), ("Sigmoid", {}), ("Softplus", {}),
        ("Elu", {"alpha": 0.5}), ("Selu", {}), ("HardSigmoid", {}), ("HardSwish", {}),
        ("Gelu", {}), ("Gelu", {"approximate": "tanh"}), ("Mish", {}), ("Celu", {"alpha": 0.5}),
    ],
)  # fmt: skip
def test_far_arguments_are_onnxruntimes(run, run_onnxruntime, name, attributes):
    x = np.float32([[-1e4, -80, -20, -1, 0], [1e-3, 1, 20, 80, 1e4]])
    expected = run_onnxruntime(name, x, opset=20 if name == "Gelu" else 18, **attributes)[0]
    np.testing.assert_allclose(run(name, x, **attributes)[0], expected, rtol=4e-6, atol=1e-6)


def test_crossed_bounds_give_the_upper_one(like_onnxruntime):
    like_onnxruntime("Clip", S, np.float32(2), np.float32(-1))


def test_softmax_of_nothing_is_nothing(run):
    assert run("Softmax", np.zeros((2, 0), np.float32))[0].shape == (2, 0)
