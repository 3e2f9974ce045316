"""Pooling: the same over every namespace, and like onnxruntime."""

from __future__ import annotations

import numpy as np
import pytest

from pelemay.graph.operations.pooling import ROWS

RNG = np.random.default_rng(8)
LINE = RNG.permutation(14).reshape(1, 2, 7).astype(np.float32) - 7
IMAGE = RNG.permutation(2 * 3 * 6 * 7).reshape(2, 3, 6, 7).astype(np.float32) - 99
VOLUME = RNG.permutation(2 * 4 * 5 * 3).reshape(1, 2, 4, 5, 3).astype(np.float32)
BYTES = RNG.permutation(60).reshape(1, 2, 6, 5).astype(np.int8) - 30

MAX = [
    (LINE, {"kernel_shape": [2]}),
    (IMAGE, {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}),
    (IMAGE, {"kernel_shape": [3, 2], "strides": [2, 2], "ceil_mode": 1, "pads": [0, 1, 1, 0]}),
    (IMAGE, {"kernel_shape": [2, 2], "dilations": [2, 3], "strides": [1, 2]}),
    (IMAGE, {"kernel_shape": [2, 3], "storage_order": 1}),
    (IMAGE, {"kernel_shape": [3, 3], "auto_pad": "SAME_LOWER", "strides": [2, 2]}),
    (VOLUME, {"kernel_shape": [2, 2, 2], "strides": [2, 2, 1]}),
    (BYTES, {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}),
]
AVERAGE = [
    (LINE, {"kernel_shape": [2]}),
    (IMAGE, {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}),
    (IMAGE, {"kernel_shape": [3, 3], "pads": [1, 2, 0, 1], "count_include_pad": 1}),
    (IMAGE, {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}),
    (IMAGE, {"kernel_shape": [2, 2], "dilations": [2, 2], "pads": [1, 0, 1, 0]}),
    (IMAGE, {"kernel_shape": [4, 4], "auto_pad": "SAME_UPPER", "strides": [2, 3]}),
    (VOLUME, {"kernel_shape": [2, 2, 2]}),
]
LP = [
    (IMAGE, {"kernel_shape": [3, 3], "strides": [2, 2], "p": 1}),
    (IMAGE, {"kernel_shape": [2, 2], "pads": [1, 0, 1, 0]}),
]
POOLED = np.float32([[[[1, 2], [3, 4]]]])
PLACES = np.int64([[[[5, 7], [13, 15]]]])
UNPOOL = {"kernel_shape": (2, 2), "strides": (2, 2)}
CASES = [
    *(("MaxPool", (x,), attributes) for x, attributes in MAX),
    *(("AveragePool", (x,), attributes) for x, attributes in AVERAGE),
    *(("LpPool", (x,), attributes) for x, attributes in LP),
    ("GlobalAveragePool", (IMAGE,), {}),
    ("GlobalMaxPool", (VOLUME,), {}),
    ("GlobalLpPool", (IMAGE,), {"p": 3}),
    ("MaxUnpool", (POOLED, PLACES), UNPOOL),
    ("MaxUnpool", (POOLED, PLACES, np.int64([1, 1, 5, 6])), UNPOOL),
]


@pytest.mark.parametrize(("name", "inputs", "attributes"), CASES)
def test_every_namespace_gives_what_numpy_gives(agree, name, inputs, attributes):
    given = {k: tuple(v) if isinstance(v, list) else v for k, v in attributes.items()}
    agree(name, *inputs, **given)


def test_every_operation_has_a_case():
    assert {row.name for row in ROWS} == {name for name, _, _ in CASES}


@pytest.mark.parametrize(("x", "attributes"), MAX)
def test_largest_and_its_place_like_onnxruntime(like_onnxruntime, x, attributes):
    like_onnxruntime("MaxPool", x, outputs=2, **attributes)


@pytest.mark.parametrize(("x", "attributes"), AVERAGE)
def test_average_like_onnxruntime(like_onnxruntime, x, attributes):
    like_onnxruntime("AveragePool", x, **attributes)


@pytest.mark.parametrize(("x", "attributes"), LP)
def test_norm_like_onnxruntime(like_onnxruntime, x, attributes):
    like_onnxruntime("LpPool", x, **attributes)


@pytest.mark.parametrize("name", ["GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool"])
def test_global_like_onnxruntime(like_onnxruntime, name):
    like_onnxruntime(name, IMAGE)


def test_one_output_is_the_first_of_two(run):
    both = run("MaxPool", IMAGE, kernel_shape=(2, 3))
    one = run("MaxPool", IMAGE, kernel_shape=(2, 3), num_outputs=1)
    assert len(one) == 1
    np.testing.assert_array_equal(one[0], both[0])


def test_unpooling_puts_back_what_pooling_found(run):
    even = IMAGE[:, :, :, :6]
    best, places = run("MaxPool", even, **UNPOOL)
    (image,) = run("MaxUnpool", best, places, **UNPOOL)
    assert image.shape == even.shape
    again, _ = run("MaxPool", np.where(image == 0, -1000, image), **UNPOOL)
    np.testing.assert_array_equal(again, best)


def test_narrow_floats_are_summed_wide(run):
    (y,) = run("GlobalAveragePool", np.full((1, 1, 400), 400, np.float16))
    assert y.item() == 400
    assert y.dtype == np.float16
