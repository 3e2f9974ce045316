"""New arrays: ranges, windows and random streams."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pelemay.graph import DType
from pelemay.graph.operations.creation import ROWS

M = np.ones((3, 4), np.float32)


def n(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


CASES = [
    ("ConstantOfShape", (n(2, 3),), {}),
    ("ConstantOfShape", (n(),), {"value": np.array([7], np.int8)}),
    ("Range", (np.array(10), np.array(4), np.array(-2)), {}),
    ("Range", (np.float32(1), np.float32(2), np.float32(0.3)), {}),
    ("EyeLike", (M,), {"k": -1}),
    ("EyeLike", (M,), {"dtype": DType.INT32, "k": 2}),
    ("HannWindow", (n(8),), {}),
    ("HammingWindow", (n(8),), {"periodic": 0}),
    ("BlackmanWindow", (n(1),), {"periodic": 0, "output_datatype": DType.FLOAT64}),
    ("RandomNormal", (), {"shape": (3, 2), "seed": 1.0}),
    ("RandomUniform", (), {"shape": (3, 2), "seed": 1.0, "low": -1.0}),
    ("RandomNormalLike", (M,), {"seed": 2.0, "dtype": DType.FLOAT16}),
    ("RandomUniformLike", (M,), {"seed": 2.0}),
    ("Bernoulli", (M / 2,), {"seed": 3.0, "dtype": DType.BOOL}),
    ("Multinomial", (M,), {"seed": 4.0, "sample_size": 5}),
    ("Dropout", (M,), {}),
    ("Dropout", (M, np.float32(0.25), np.array(True)), {"seed": 5}),
]


@pytest.mark.parametrize(("name", "inputs", "attributes"), CASES)
def test_every_namespace_gives_what_numpy_gives(agree, name, inputs, attributes):
    agree(name, *inputs, **attributes)


def test_every_operation_has_a_case():
    assert {row.name for row in ROWS} == {name for name, _, _ in CASES}


@pytest.mark.parametrize("periodic", [0, 1])
@pytest.mark.parametrize("name", ["HannWindow", "HammingWindow", "BlackmanWindow"])
def test_windows_are_onnxruntimes(run, run_onnxruntime, name, periodic):
    expected = run_onnxruntime(name, n(11)[0], periodic=periodic)[0]
    np.testing.assert_allclose(run(name, n(11)[0], periodic=periodic)[0], expected, atol=1e-6)


@given(st.integers(-20, 20), st.integers(-20, 20), st.integers(-5, 5).filter(bool))
def test_integer_ranges_are_pythons(run, start, limit, delta):
    found = run("Range", *(np.array(v, np.int32) for v in (start, limit, delta)))[0]
    assert found.dtype == np.int32
    assert found.tolist() == list(range(start, limit, delta))


def test_long_narrow_ranges_do_not_stand_still(run):
    one, end = (np.array(v).astype(ml_dtypes.bfloat16) for v in (1, 512))
    found = run("Range", one, end, one)[0].astype(np.float32)
    assert found.size == 511
    assert found[-1] == 512  # 511 rounded to 8 bits


def test_moments_of_random_numbers(run):
    shape = (200, 500)
    normal = run("RandomNormal", shape=shape, mean=3.0, scale=2.0, seed=0.0)[0]
    assert (normal.mean(), normal.std()) == pytest.approx((3, 2), abs=0.03)
    uniform = run("RandomUniform", shape=shape, low=-1.0, high=3.0, seed=0.0)[0]
    assert uniform.min() >= -1
    assert uniform.max() < 3
    assert uniform.mean() == pytest.approx(1, abs=0.03)


def test_a_seed_repeats_and_none_does_not(run):
    shape = (64,)
    first, again = (run("RandomNormal", shape=shape, seed=9.0)[0] for _ in range(2))
    np.testing.assert_array_equal(first, again)
    free, other = (run("RandomNormal", shape=shape)[0] for _ in range(2))
    assert (free != other).any()


def test_draws_follow_their_probabilities(run):
    p = np.full((50000,), 0.2, np.float32)
    assert run("Bernoulli", p, seed=1.0)[0].mean() == pytest.approx(0.2, abs=0.01)
    logits = np.log(np.float32([[0.1, 0.2, 0.7], [0.5, 0.5, 0.0001]]))
    drawn = run("Multinomial", logits, sample_size=20000, seed=1.0)[0]
    assert drawn.dtype == np.int32
    shares = [np.mean(drawn[0] == k) for k in range(3)]
    assert shares == pytest.approx([0.1, 0.2, 0.7], abs=0.02)


def test_dropout_keeps_the_mean(run):
    x = np.ones((300, 300), np.float32)
    y, mask = run("Dropout", x, np.float32(0.75), np.array(True), seed=0)
    np.testing.assert_array_equal(y != 0, mask)
    assert set(np.unique(y)) == {0, 4}
    assert y.mean() == pytest.approx(1, abs=0.05)
