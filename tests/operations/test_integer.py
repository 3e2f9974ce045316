"""Integer products: the same over every namespace, and like onnxruntime to the last bit."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from pelemay.graph.operations.integer import ROWS

RNG = np.random.default_rng(17)


def integers(dtype: type, *shape: int) -> np.ndarray:
    limits = np.iinfo(dtype)
    return RNG.integers(limits.min, limits.max + 1, shape).astype(dtype)


U8, I8, F = np.uint8, np.int8, np.float32
IMAGE, FILTERS = integers(U8, 2, 4, 6, 7), integers(U8, 6, 2, 3, 3)
# Without VNNI onnxruntime adds pairs of products of unsigned and signed bytes in 16 bits, which
# saturates; 7-bit weights cannot.
SIGNED = integers(I8, 6, 4, 3, 3) // 2
PER_CHANNEL = (F([1, 2, 3, 4, 5, 6]) / 512, integers(I8, 6) * 0)
CONVS = [
    ((IMAGE, FILTERS, U8(9), U8(5)), {"group": 2, "pads": [1, 0, 2, 1]}),
    ((IMAGE, FILTERS), {"group": 2, "strides": [2, 1]}),
    ((IMAGE, integers(U8, 4, 1, 3, 3), U8(200)), {"group": 4, "auto_pad": "SAME_UPPER"}),
]
QCONVS = [
    (
        (
            IMAGE,
            F(0.02),
            U8(120),
            SIGNED,
            *PER_CHANNEL,
            F(0.3),
            U8(130),
            integers(np.int32, 6) // 2**20,
        ),
        {"pads": [1, 1, 1, 1]},
    ),
    ((IMAGE, F(0.02), U8(120), FILTERS, F(0.01), U8(7), F(1.5), U8(3)), {"group": 2}),
]
MATMULS = [
    (integers(U8, 3, 5), integers(I8, 5, 4) // 2, U8(7), I8(-3)),
    (integers(U8, 2, 3, 5), integers(U8, 5, 4)),
    (integers(I8, 3, 5), integers(I8, 5, 4), I8(7), integers(I8, 4)),
]
QMATMULS = [
    (
        integers(U8, 2, 3, 5),
        F(0.01),
        U8(113),
        integers(U8, 2, 5, 4),
        F(0.02),
        U8(114),
        F(0.03),
        U8(118),
    ),
    (integers(U8, 3, 5), F(0.01), U8(113), integers(I8, 5, 4), F(0.02), I8(4), F(0.5), U8(128)),
]
CASES = [
    *(("ConvInteger", *case) for case in CONVS),
    *(("QLinearConv", *case) for case in QCONVS),
    *(("MatMulInteger", case, {}) for case in MATMULS),
    *(("QLinearMatMul", case, {}) for case in QMATMULS),
]


@pytest.mark.parametrize(("name", "inputs", "attributes"), CASES)
def test_every_namespace_gives_what_numpy_gives(agree, name, inputs, attributes):
    agree(
        name, *inputs, **{k: tuple(v) if isinstance(v, list) else v for k, v in attributes.items()}
    )


def test_every_operation_has_a_case():
    assert {row.name for row in ROWS} == {name for name, _, _ in CASES}


@pytest.mark.parametrize(("name", "inputs", "attributes"), CASES)
def test_like_onnxruntime(like_onnxruntime, name, inputs, attributes):
    like_onnxruntime(name, *inputs, **attributes)


def test_rows_have_their_own_zero_points(run):
    a, b, zeros = integers(U8, 3, 5), integers(U8, 5, 4), integers(U8, 3)
    (y,) = run("MatMulInteger", a, b, zeros)
    expected = (a.astype(np.int32) - zeros[:, None]) @ b.astype(np.int32)
    np.testing.assert_array_equal(y, expected)


def test_sums_wrap_around_in_int32(run):
    length = 2**31 // 255**2 + 1
    (y,) = run("MatMulInteger", np.full((1, length), 255, U8), np.full((length, 1), 255, U8))
    assert y.dtype == np.int32
    assert y.item() == length * 255**2 - 2**32


def test_small_floats_are_summed_as_floats(run):
    fp8 = ml_dtypes.float8_e4m3fn
    a, b = np.ones((2, 3), fp8), np.full((3, 2), 2, fp8)
    (y,) = run("QLinearMatMul", a, F(1), fp8(0), b, F(1), fp8(0), F(1), fp8(0))
    assert y.dtype == fp8
    np.testing.assert_array_equal(y.astype(F), np.full((2, 2), 6))
