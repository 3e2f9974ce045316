"""The dialect's rows: each is the standard row between two permutations, and an epilogue."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import array_api_compat.numpy as xp
import numpy as np
import pytest

from pelemay.errors import ExecutionError
from pelemay.graph.operations import find
from pelemay.graph.operations.fused import (
    ACTIVATIONS,
    DOMAIN,
    ROWS,
    first_to_last,
    last_to_first,
)

RNG = np.random.default_rng(11)


def normal(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def fused(name: str, *inputs: Any, **attributes: Any) -> np.ndarray:
    row = find(name, DOMAIN)
    assert row is not None
    return np.asarray(row.meaning(xp, *inputs, **attributes))


def standard(name: str, *inputs: Any, **attributes: Any) -> np.ndarray:
    row = find(name)
    assert row is not None
    result = row.meaning(xp, *inputs, **attributes)
    return np.asarray(result[0] if isinstance(result, tuple) else result)


def last(x: np.ndarray) -> np.ndarray:
    return np.moveaxis(x, 1, -1)


WINDOWS = [
    ("Conv", (normal(1, 3, 7), normal(4, 3, 3), normal(4)), {"pads": (1, 0)}),
    ("Conv", (normal(2, 4, 7, 6), normal(6, 2, 3, 2)), {"group": 2, "strides": (2, 1)}),
    (
        "Conv",
        (normal(1, 4, 7, 7), normal(8, 1, 3, 3), normal(8)),
        {"group": 4, "dilations": (2, 1)},
    ),
    ("Conv", (normal(1, 2, 4, 5, 6), normal(3, 2, 2, 3, 3)), {"pads": (0, 1, 1, 1, 0, 1)}),
    (
        "ConvTranspose",
        (normal(1, 4, 3, 4), normal(4, 3, 3, 3), normal(6)),
        {"group": 2, "strides": (2, 3), "output_padding": (1, 0), "pads": (1, 0, 1, 1)},
    ),
    ("ConvTranspose", (normal(1, 2, 5), normal(2, 3, 3)), {"dilations": (2,)}),
    ("AveragePool", (normal(1, 2, 6, 5),), {"kernel_shape": (3, 2), "pads": (1, 0, 1, 1)}),
    (
        "AveragePool",
        (normal(1, 2, 6, 5),),
        {"kernel_shape": (3, 2), "pads": (1, 0, 1, 1), "count_include_pad": 1, "strides": (2, 2)},
    ),
    ("LpPool", (normal(1, 2, 6),), {"kernel_shape": (2,), "p": 3, "strides": (2,)}),
    ("InstanceNormalization", (normal(2, 3, 4, 5), normal(3), normal(3)), {"epsilon": 1e-3}),
    ("GroupNormalization", (normal(2, 6, 4, 5), normal(6), normal(6)), {"num_groups": 3}),
    ("LRN", (normal(1, 6, 3, 3),), {"size": 3, "alpha": 0.1, "bias": 2.0}),
]


@pytest.mark.parametrize(("name", "inputs", "attributes"), WINDOWS)
def test_it_is_the_standard_row_with_channels_last(
    name: str, inputs: tuple[np.ndarray, ...], attributes: dict[str, Any]
) -> None:
    x, *rest = inputs
    expected = last(standard(name, x, *rest, **attributes))
    np.testing.assert_array_equal(fused(name, last(x), *rest, **attributes), expected)


@pytest.mark.parametrize("ceil_mode", [0, 1])
def test_max_pool_has_one_output(ceil_mode: int) -> None:
    x = normal(1, 2, 7, 8)
    attributes = {"kernel_shape": (3, 3), "strides": (2, 2), "pads": (0, 0, 1, 1)}
    expected = standard("MaxPool", x, num_outputs=1, ceil_mode=ceil_mode, **attributes)
    found = fused("MaxPool", last(x), ceil_mode=ceil_mode, **attributes)
    np.testing.assert_array_equal(found, last(expected))


PARAMETERS: dict[str, tuple[str, dict[str, float], Callable[..., tuple[Any, ...]]]] = {
    "Relu": ("Relu", {}, lambda: ()),
    "Clip": ("Clip", {}, lambda: (np.float32(-0.5), np.float32(0.75))),
    "LeakyRelu": ("LeakyRelu", {"alpha": 0.1}, lambda: ()),
    "HardSwish": ("HardSwish", {}, lambda: ()),
    "HardSigmoid": ("HardSigmoid", {"alpha": 0.3, "beta": 0.4}, lambda: ()),
    "Sigmoid": ("Sigmoid", {}, lambda: ()),
    "Swish": ("Swish", {"alpha": 1.5}, lambda: ()),
    "Tanh": ("Tanh", {}, lambda: ()),
    "Gelu": ("Gelu", {}, lambda: ()),
    "GeluTanh": ("Gelu", {"approximate": "tanh"}, lambda: ()),
    "Elu": ("Elu", {"alpha": 0.7}, lambda: ()),
    "Softplus": ("Softplus", {}, lambda: ()),
    "Mish": ("Mish", {}, lambda: ()),
}
BOUNDS = {"alpha": -0.5, "beta": 0.75}


def test_every_activation_is_tested() -> None:
    assert set(PARAMETERS) == set(ACTIVATIONS) - {""}


def activated(activation: str, y: np.ndarray) -> tuple[np.ndarray, dict[str, float]]:
    """The standard row's answer, and the factors that the dialect needs for it."""
    name, attributes, inputs = PARAMETERS[activation]
    factors = BOUNDS if activation == "Clip" else attributes
    expected = standard(name, y, *inputs(), **attributes)
    return expected, {k: v for k, v in factors.items() if k in ("alpha", "beta")}


@pytest.mark.parametrize("activation", PARAMETERS)
def test_a_convolution_ends_in_an_activation(activation: str) -> None:
    x, w, b = normal(1, 5, 5, 3), normal(4, 3, 3, 3), normal(4)
    expected, factors = activated(activation, fused("Conv", x, w, b))
    found = fused("Conv", x, w, b, activation=activation, **factors)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("activation", PARAMETERS)
def test_a_product_ends_in_an_activation(activation: str) -> None:
    a, b = normal(2, 3, 4), normal(4, 5)
    expected, factors = activated(activation, fused("MatMul", a, b))
    named = {f"act_{name}": value for name, value in factors.items()}
    found = fused("MatMul", a, b, activation=activation, **named)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", ["Conv", "ConvTranspose"])
def test_a_residual_goes_before_or_after(name: str) -> None:
    x, w, r = normal(1, 4, 4, 2), normal(2, 2, 1, 1), normal(1, 4, 4, 2)
    y = fused(name, x, w)
    before = fused(name, x, w, None, r, activation="Relu")
    after = fused(name, x, w, None, r, activation="Relu", residual_position="after")
    np.testing.assert_array_equal(before, np.maximum(y + r, 0))
    np.testing.assert_array_equal(after, np.maximum(y, 0) + r)


@pytest.mark.parametrize("trans_a", [0, 1])
@pytest.mark.parametrize("trans_b", [0, 1])
def test_a_product_is_scaled_biased_and_summed(trans_a: int, trans_b: int) -> None:
    a, b, bias, r = normal(2, 3, 4), normal(4, 5), normal(5), normal(2, 3, 5)
    left = np.swapaxes(a, 1, 2) if trans_a else a
    right = b.T if trans_b else b
    found = fused("MatMul", left, right, bias, r, trans_a=trans_a, trans_b=trans_b, alpha=0.5)
    np.testing.assert_allclose(found, a @ b * np.float32(0.5) + bias + r, rtol=1e-5, atol=1e-6)


def test_half_precision_is_computed_in_float32() -> None:
    x = np.full((1, 1, 1, 64), 300, np.float16)
    w = np.full((1, 64, 1, 1), 4, np.float16)
    r = np.full((1, 1, 1, 1), -76000 + 300, np.float32)
    assert fused("Conv", x, w, None, r)[0, 0, 0, 0] == np.float16(300 * 256 - 75700)


@pytest.mark.parametrize("wrong", [{"activation": "Dance"}, {"residual_position": "beside"}])
def test_what_the_dialect_lacks_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ExecutionError, match="not in the dialect"):
        fused("MatMul", normal(1, 2), normal(2, 1), **wrong)


@pytest.mark.parametrize("rank", [3, 4, 5])
def test_the_permutations_undo_each_other(rank: int) -> None:
    there, back = first_to_last(rank), last_to_first(rank)
    assert tuple(there[i] for i in back) == tuple(range(rank))


def test_the_rows_are_all_of_the_dialect() -> None:
    assert {row.domain for row in ROWS} == {DOMAIN}
