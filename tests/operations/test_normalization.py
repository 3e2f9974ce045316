"""Normalisation: the same over every namespace, like onnxruntime, and true to its purpose."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from pelemay.graph import DType
from pelemay.graph.operations.normalization import ROWS

RNG = np.random.default_rng(10)


def floats(*shape: int, dtype: type = np.float64) -> np.ndarray:
    return RNG.uniform(0.5, 2.0, shape).astype(dtype)


# Quarters: their sums are exact, so that little is lost where a mean is taken away.
X = RNG.integers(-8, 9, (2, 4, 3, 5)) / 4
PER_CHANNEL = (floats(4), floats(4), floats(4), floats(4))
CASES = [
    ("BatchNormalization", (X, *PER_CHANNEL), {"epsilon": 0.01}),
    ("BatchNormalization", (X, *PER_CHANNEL), {"training_mode": 1, "momentum": 0.5}),
    ("BatchNormalization", (floats(3, 4), *PER_CHANNEL), {}),
    ("BatchNormalization", (floats(6), floats(1), floats(1), floats(1), floats(1)), {}),
    ("LayerNormalization", (X, floats(5), floats(5)), {}),
    ("LayerNormalization", (X, floats(3, 5)), {"axis": 2, "epsilon": 0.5}),
    ("RMSNormalization", (X, floats(3, 5)), {"axis": -2}),
    ("InstanceNormalization", (X, floats(4), floats(4)), {"epsilon": 0.1}),
    ("GroupNormalization", (X, floats(4), floats(4)), {"num_groups": 2}),
    ("LRN", (floats(2, 7, 3),), {"size": 4, "alpha": 0.5, "beta": 0.6, "bias": 2.0}),
    ("LRN", (floats(1, 2, 3, 3),), {"size": 5}),
    ("LpNormalization", (X,), {"p": 1, "axis": 1}),
    ("LpNormalization", (np.float64([[3, 4], [0, 0]]),), {}),
    ("MeanVarianceNormalization", (X,), {}),
]


@pytest.mark.parametrize(("name", "inputs", "attributes"), CASES)
def test_every_namespace_gives_what_numpy_gives(agree, name, inputs, attributes):
    agree(name, *inputs, **attributes)


def test_every_operation_has_a_case():
    assert {row.name for row in ROWS} == {name for name, _, _ in CASES}


@pytest.mark.parametrize(("name", "inputs", "attributes"), CASES)
def test_close_to_onnxruntime(run, run_onnxruntime, name, inputs, attributes):
    unknown = name == "RMSNormalization" or attributes.get("training_mode")
    if unknown or inputs[0].ndim == 1 or attributes.get("size") == 4:
        pytest.skip("onnxruntime cannot run it")
    narrow = [x.astype(np.float32) for x in inputs]
    (expected,) = run_onnxruntime(name, *narrow, **attributes)
    np.testing.assert_allclose(run(name, *narrow, **attributes)[0], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ml_dtypes.bfloat16])
@pytest.mark.parametrize(("name", "inputs", "attributes"), CASES)
def test_the_type_stays(run, name, inputs, attributes, dtype):
    outputs = run(name, *(x.astype(dtype) for x in inputs), **attributes)
    assert outputs[0].dtype == dtype
    assert np.all(np.isfinite(outputs[0].astype(float)))


def test_training_gives_running_statistics(run):
    zeros, ones = np.zeros(4), np.ones(4)
    y, mean, variance = run(
        "BatchNormalization", X, ones, zeros, zeros, ones, training_mode=1, epsilon=0.0
    )
    np.testing.assert_allclose(y.mean(axis=(0, 2, 3)), 0, atol=1e-14)
    np.testing.assert_allclose(y.std(axis=(0, 2, 3)), 1)
    np.testing.assert_allclose(mean, 0.1 * X.mean(axis=(0, 2, 3)))
    np.testing.assert_allclose(variance, 0.9 + 0.1 * X.var(axis=(0, 2, 3)))


def test_batch_normalization_gives_one_output_when_not_training(run):
    assert len(run("BatchNormalization", X, *PER_CHANNEL)) == 1


def test_mean_and_deviation_have_the_stash_type(run):
    half = X.astype(np.float16)
    y, mean, inverse = run("LayerNormalization", half, np.ones(5, np.float16))
    assert (y.dtype, mean.dtype, inverse.dtype) == (np.float16, np.float32, np.float32)
    y, mean, _ = run("LayerNormalization", half, np.ones(5, np.float16), stash_type=DType.FLOAT64)
    assert (y.dtype, mean.dtype) == (np.float16, np.float64)


def test_large_half_floats_do_not_overflow(run):
    x = np.full((1, 8), 60000, np.float16)
    (y,) = run("RMSNormalization", x, np.ones(8, np.float16))
    np.testing.assert_array_equal(y, np.ones_like(x))
