"""Fourier transforms: the same over every namespace, like NumPy and onnxruntime."""

from __future__ import annotations

import numpy as np
import pytest

from pelemay.errors import ExecutionError
from pelemay.graph import DType
from pelemay.graph.operations.signal import ROWS

RNG = np.random.default_rng(14)
# Whole numbers in a power of two of samples keep the transforms' rounding small.
REAL = RNG.integers(-2, 3, (2, 8, 1)).astype(np.float64)
COMPLEX = RNG.integers(-2, 3, (2, 8, 2)).astype(np.float64)
LENGTH, AXIS = np.int64(4), np.int64(1)
CASES = [
    ("DFT", (REAL,), {}),
    ("DFT", (COMPLEX, LENGTH, AXIS), {}),
    ("DFT", (COMPLEX, None, np.int64(-2)), {"inverse": 1}),
    ("DFT", (REAL, np.int64(16)), {"onesided": 1}),
    ("DFT", (COMPLEX[:, :5], np.int64(8)), {"onesided": 1, "inverse": 1}),
    ("DFT", (COMPLEX, None, np.int64(0)), {}),
    ("STFT", (REAL, np.int64(2), None, LENGTH), {}),
    ("STFT", (REAL, np.int64(1), np.float64([1, 2, 2, 1])), {"onesided": 0}),
    ("STFT", (COMPLEX, np.int64(2), np.ones(4), LENGTH), {}),
    ("MelWeightMatrix", tuple(map(np.asarray, (8, 16, 8192, 0.0, 4096.0))), {}),
]


@pytest.mark.parametrize(("name", "inputs", "attributes"), CASES)
def test_every_namespace_gives_what_numpy_gives(agree, name, inputs, attributes):
    agree(name, *inputs, **attributes)


def test_every_operation_has_a_case():
    assert {row.name for row in ROWS} == {name for name, _, _ in CASES}


@pytest.mark.parametrize("length", [3, 8, 11])
@pytest.mark.parametrize("inverse", [0, 1])
def test_transform_like_onnxruntime(run, run_onnxruntime, length, inverse):
    x = COMPLEX.astype(np.float32)
    inputs = (x, np.int64(length), AXIS)
    (expected,) = run_onnxruntime("DFT", *inputs, opset=20, inverse=inverse)
    (y,) = run("DFT", *inputs, inverse=inverse)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)


def test_short_transforms_like_onnxruntime(run, run_onnxruntime):
    x = RNG.uniform(-1, 1, (2, 30, 1)).astype(np.float32)
    inputs = (x, np.int64(3), np.hanning(7).astype(np.float32), np.int64(7))
    (expected,) = run_onnxruntime("STFT", *inputs)
    np.testing.assert_allclose(run("STFT", *inputs)[0], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("bands", [1, 5, 40])
def test_mel_weights_like_onnxruntime(run, run_onnxruntime, bands):
    numbers = (np.int64(bands), np.int64(64), np.int64(16000), np.float32(20), np.float32(7600))
    (expected,) = run_onnxruntime("MelWeightMatrix", *numbers)
    np.testing.assert_allclose(run("MelWeightMatrix", *numbers)[0], expected, atol=1e-6)


def test_the_inverse_takes_it_back(run):
    (spectrum,) = run("DFT", COMPLEX)
    np.testing.assert_allclose(run("DFT", spectrum, inverse=1)[0], COMPLEX, atol=1e-14)
    (half,) = run("DFT", REAL, onesided=1)
    np.testing.assert_allclose(run("DFT", half, onesided=1, inverse=1)[0], REAL, atol=1e-14)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_the_type_stays(run, dtype):
    assert run("DFT", REAL.astype(dtype))[0].dtype == dtype
    assert run("STFT", REAL.astype(dtype), np.int64(4), np.ones(4, dtype))[0].dtype == dtype


def test_mel_weights_have_the_type_asked_for(run):
    numbers = tuple(map(np.asarray, (8, 16, 8192, 0.0, 4096.0)))
    assert run("MelWeightMatrix", *numbers)[0].dtype == np.float32
    (y,) = run("MelWeightMatrix", *numbers, output_datatype=DType.FLOAT64)
    assert y.dtype == np.float64


def test_what_has_no_transform_is_refused(run):
    with pytest.raises(ExecutionError, match="last axis"):
        run("DFT", REAL, None, np.int64(-1))
    with pytest.raises(ExecutionError, match="real signal"):
        run("DFT", COMPLEX, onesided=1)
