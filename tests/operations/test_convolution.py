"""Convolutions: the same over every namespace, and like onnxruntime."""

from __future__ import annotations

import numpy as np
import pytest

from pelemay.errors import ExecutionError
from pelemay.graph.operations.convolution import ROWS

RNG = np.random.default_rng(7)


def whole(*shape: int, dtype: type = np.float32) -> np.ndarray:
    """Small whole numbers: their sums are exact in every order."""
    return RNG.integers(-4, 5, shape).astype(dtype)


def halves(*shape: int) -> np.ndarray:
    return (RNG.integers(-3, 4, shape) / 2).astype(np.float32)


CONVS = [
    ((whole(1, 3, 7), whole(4, 3, 3)), {}),
    ((whole(2, 4, 7, 6), whole(6, 4, 3, 2), whole(6)), {"strides": [2, 1], "pads": [1, 0, 2, 1]}),
    ((whole(1, 4, 7, 7), whole(6, 2, 3, 3)), {"group": 2, "dilations": [2, 1]}),
    ((whole(1, 4, 6, 6), whole(8, 1, 3, 3), whole(8)), {"group": 4, "pads": [1, 1, 1, 1]}),
    ((whole(1, 2, 4, 5, 6), whole(3, 2, 2, 3, 3)), {"auto_pad": "SAME_UPPER"}),
    ((whole(1, 2, 8, 7), whole(3, 2, 4, 2)), {"auto_pad": "SAME_LOWER", "strides": [3, 2]}),
    ((whole(1, 2, 8, 7), whole(3, 2, 4, 2)), {"auto_pad": "VALID", "kernel_shape": [4, 2]}),
    ((whole(1, 70, 5, 5), whole(2, 70, 3, 3)), {}),
    ((whole(0, 3, 5, 5), whole(2, 3, 3, 3)), {}),
]
TRANSPOSED = [
    ((whole(1, 3, 5), whole(3, 2, 3)), {}),
    ((whole(1, 4, 3, 4), whole(4, 3, 3, 3), whole(6)), {"group": 2, "strides": [2, 3]}),
    ((whole(1, 2, 4, 4), whole(2, 3, 3, 3)), {"strides": [2, 2], "output_padding": [1, 1]}),
    ((whole(1, 2, 4, 4), whole(2, 3, 3, 3)), {"dilations": [2, 1], "pads": [1, 0, 2, 1]}),
    ((whole(1, 2, 4, 4), whole(2, 3, 2, 2)), {"strides": [2, 2], "output_shape": [7, 7]}),
    ((whole(1, 2, 4, 4), whole(2, 3, 1, 1)), {"pads": [1, 1, 0, 0], "strides": [2, 2]}),
    ((whole(1, 2, 3, 3, 3), whole(2, 2, 2, 2, 2)), {"strides": [2, 1, 2]}),
    ((whole(1, 2, 4, 4), whole(2, 3, 3, 3)), {"auto_pad": "SAME_UPPER", "strides": [2, 2]}),
]
DEFORMED = [
    ((whole(1, 4, 5, 5), whole(4, 2, 2, 2), halves(1, 16, 4, 4)), {"group": 2, "offset_group": 2}),
    (
        (whole(2, 2, 5, 6), whole(3, 2, 3, 3), halves(2, 18, 3, 3), whole(3), halves(2, 9, 3, 3)),
        {"pads": [1, 1, 1, 1], "strides": [2, 2], "dilations": [1, 1]},
    ),
]
CAUSAL = [
    ((whole(2, 3, 5), whole(3, 1, 4), whole(3), whole(2, 3, 3)), {}),
    ((whole(1, 3, 2), whole(3, 1, 4)), {"activation": "silu"}),
    ((whole(1, 2, 3), whole(2, 1, 1)), {}),
]
IMAGE_SHAPE = np.int64([5, 6])
FOLDED = [
    ((whole(2, 12, 20), IMAGE_SHAPE, np.int64([2, 2])), {}),
    (
        (whole(1, 6, 16), IMAGE_SHAPE, np.int64([3, 1])),
        {"pads": [1, 0, 0, 1], "strides": [1, 2], "dilations": [1, 2]},
    ),
]
CASES = [
    *(("Conv", *case) for case in CONVS),
    *(("ConvTranspose", *case) for case in TRANSPOSED),
    *(("DeformConv", *case) for case in DEFORMED),
    *(("CausalConvWithState", *case) for case in CAUSAL),
    *(("Col2Im", *case) for case in FOLDED),
]


def tuples(attributes: dict) -> dict:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in attributes.items()}


@pytest.mark.parametrize(("name", "inputs", "attributes"), CASES)
def test_every_namespace_gives_what_numpy_gives(agree, name, inputs, attributes):
    agree(name, *inputs, **tuples(attributes))


def test_every_operation_has_a_case():
    assert {row.name for row in ROWS} == {name for name, _, _ in CASES}


@pytest.mark.parametrize(("inputs", "attributes"), CONVS[:-1])
def test_convolution_like_onnxruntime(like_onnxruntime, inputs, attributes):
    like_onnxruntime("Conv", *inputs, **attributes)


@pytest.mark.parametrize(("inputs", "attributes"), TRANSPOSED)
def test_transposed_convolution_like_onnxruntime(like_onnxruntime, inputs, attributes):
    like_onnxruntime("ConvTranspose", *inputs, **attributes)


@pytest.mark.parametrize(("inputs", "attributes"), DEFORMED)
def test_deformable_convolution_like_onnxruntime(like_onnxruntime, inputs, attributes):
    like_onnxruntime("DeformConv", *inputs, **attributes)


@pytest.mark.parametrize(("inputs", "attributes"), FOLDED)
def test_columns_like_onnxruntime(like_onnxruntime, inputs, attributes):
    like_onnxruntime("Col2Im", *inputs, **attributes)


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_the_type_stays(run, dtype):
    (y,) = run("Conv", whole(1, 2, 5, dtype=dtype), whole(3, 2, 3, dtype=dtype))
    assert y.dtype == dtype


def test_narrow_floats_are_summed_wide(run):
    """4096 ones: float16 alone stops counting at 2048."""
    (y,) = run("Conv", np.ones((1, 4096, 1), np.float16), np.ones((1, 4096, 1), np.float16))
    assert y.item() == 4096


def test_pieces_with_state_are_the_whole(run):
    x, w, b = whole(2, 3, 9), whole(3, 1, 4), whole(3)
    whole_y, whole_state = run("CausalConvWithState", x, w, b)
    first, state = run("CausalConvWithState", x[:, :, :2], w, b)
    second, state = run("CausalConvWithState", x[:, :, 2:], w, b, state)
    np.testing.assert_array_equal(np.concatenate([first, second], axis=2), whole_y)
    np.testing.assert_array_equal(state, whole_state)


def test_weights_that_do_not_fit_are_refused(run):
    with pytest.raises(ExecutionError, match="do not fit 3 channels"):
        run("Conv", whole(1, 3, 5), whole(2, 2, 3))
    with pytest.raises(ExecutionError, match="contradicts"):
        run("Conv", whole(1, 3, 5), whole(2, 3, 3), kernel_shape=(5,))
