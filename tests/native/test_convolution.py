"""Convolutions of every form, against their meaning in double precision."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.nodes import Case

ACTIVATIONS = [
    ("Relu", 0.0, 0.0), ("Clip", -0.5, 0.75), ("LeakyRelu", 0.1, 0.0), ("HardSwish", 0.0, 0.0),
    ("HardSigmoid", 0.2, 0.5), ("Sigmoid", 0.0, 0.0), ("Swish", 1.0, 0.0), ("Tanh", 0.0, 0.0),
    ("Gelu", 0.0, 0.0), ("GeluTanh", 0.0, 0.0), ("Elu", 0.5, 0.0), ("Softplus", 0.0, 0.0),
    ("Mish", 0.0, 0.0),
]  # fmt: skip


def floats(shape: tuple[int, ...], seed: int) -> Any:
    return np.random.default_rng(seed).normal(0, 1, shape).astype(np.float32)


def conv_case(
    x: tuple[int, ...],
    w: tuple[int, ...],
    *,
    bias: bool = True,
    residual: bool = False,
    constant: bool = True,
    transposed: bool = False,
    **attributes: Any,
) -> Case:
    """Data of shape ``x`` with channels last, weights as ONNX has them."""
    outputs = w[1] * attributes.get("group", 1) if transposed else w[0]
    op = "pelemay::ConvTranspose" if transposed else "pelemay::Conv"
    weights = floats(w, 2) / np.float32(np.sqrt(np.prod(w[1:])))
    inputs = [floats(x, 1), weights, floats((outputs,), 3) if bias else None]
    if residual:
        y = Case(op, tuple(inputs), attributes).meaning(wide=False)[0]
        inputs.append(floats(y.shape, 4))
    return Case(op, tuple(inputs), attributes, (1, 2) if constant else ())


FORMS: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "pointwise": ((1, 9, 7, 40), (24, 40, 1, 1), {}),
    "pointwise, crowded rows": ((1, 5, 7, 512), (33, 512, 1, 1), {}),
    "pointwise, stride 2": ((2, 9, 8, 20), (17, 20, 1, 1), {"strides": (2, 2)}),
    "3x3": ((1, 9, 11, 16), (32, 16, 3, 3), {"pads": (1, 1, 1, 1)}),
    "3x3, long sums": ((1, 4, 5, 130), (20, 130, 3, 3), {"pads": (1, 1, 1, 1)}),
    "first layer": ((1, 31, 29, 3), (32, 3, 7, 7), {"pads": (3, 3, 3, 3), "strides": (2, 2)}),
    "one channel": ((1, 12, 12, 1), (5, 1, 5, 5), {"pads": (2, 2, 2, 2)}),
    "line by line": ((2, 9, 71, 5), (20, 5, 3, 5), {"pads": (1, 2, 1, 2)}),
    "line by line, stride 2": (
        (1, 34, 65, 3), (16, 3, 3, 3), {"pads": (0, 0, 1, 1), "strides": (2, 2)},
    ),
    "line by line, dilated": ((1, 12, 80, 4), (7, 4, 3, 3), {"dilations": (2, 3)}),
    "volume, line by line": ((1, 4, 5, 60, 3), (8, 3, 2, 3, 3), {"pads": (1, 1, 1, 0, 1, 1)}),
    "uneven": ((2, 10, 13, 5), (7, 5, 2, 4), {"pads": (0, 3, 1, 0), "strides": (3, 1)}),
    "dilated": ((1, 12, 14, 6), (10, 6, 3, 3), {"pads": (2, 4, 2, 4), "dilations": (2, 4)}),
    "pads beyond": ((1, 3, 3, 4), (4, 4, 2, 2), {"pads": (3, 3, 3, 3)}),
    "pads below zero": ((1, 9, 9, 4), (4, 4, 3, 3), {"pads": (-1, -2, 0, -1)}),
    "window beyond": ((1, 2, 2, 8), (8, 8, 5, 5), {"pads": (2, 2, 2, 2)}),
    "filtered": ((2, 13, 18, 40), (33, 40, 3, 3), {"pads": (1, 1, 1, 1)}),
    "filtered, pads": ((1, 11, 9, 64), (16, 64, 3, 3), {"pads": (0, 2, 1, -1)}),
    "filtered, kept": ((1, 40, 40, 32), (48, 32, 3, 3), {"pads": (1, 1, 1, 1)}),
    "filtered, deep": ((1, 7, 7, 512), (64, 512, 3, 3), {"pads": (1, 1, 1, 1)}),
    "filtered, deepest": ((1, 8, 8, 1024), (32, 1024, 3, 3), {"pads": (1, 1, 1, 1)}),
    "two groups": ((1, 8, 8, 12), (10, 6, 3, 3), {"pads": (1, 1, 1, 1), "group": 2}),
    "groups of 4": ((1, 8, 8, 64), (64, 4, 3, 3), {"pads": (1, 1, 1, 1), "group": 16}),
    "groups of 2": ((1, 9, 8, 22), (22, 2, 3, 3), {"pads": (1, 1, 1, 1), "group": 11}),
    "groups of 4, 5x5": ((1, 9, 8, 36), (36, 4, 5, 5), {"group": 9, "strides": (1, 2)}),
    "groups of 8, line": ((2, 31, 40), (40, 8, 4), {"group": 5, "dilations": (2,)}),
    "groups of 8": ((1, 8, 9, 32), (32, 8, 3, 3), {"group": 4, "strides": (2, 2)}),
    "groups of 32": ((1, 7, 7, 96), (96, 32, 3, 3), {"group": 3, "pads": (1, 1, 1, 1)}),
    "multiplied": ((1, 8, 8, 6), (18, 1, 3, 3), {"pads": (1, 1, 1, 1), "group": 6}),
    "line": ((2, 50, 8), (12, 8, 5), {"pads": (2, 2), "strides": (2,)}),
    "volume": ((1, 5, 6, 7, 4), (9, 4, 3, 2, 3), {"pads": (1, 0, 1, 1, 1, 1)}),
    "volume, strides": ((2, 6, 7, 5, 3), (4, 3, 2, 3, 3), {"strides": (2, 1, 2)}),
    "deep": ((1, 8, 8, 300), (300, 300, 1, 1), {}),
    "many": ((3, 20, 20, 32), (64, 32, 1, 1), {}),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("residual", [False, True])
def test_forms(name: str, residual: bool) -> None:
    x, w, attributes = FORMS[name]
    case = conv_case(x, w, residual=residual, bias=not residual, **attributes)
    case.check(of_largest=True, workers=(1, 2, 3, 5))


@pytest.mark.parametrize("name", FORMS)
def test_weights_of_the_run(name: str) -> None:
    x, w, attributes = FORMS[name]
    conv_case(x, w, constant=False, **attributes).check(of_largest=True, workers=(1, 2))


DEPTHWISE: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "3x3": ((1, 15, 17, 40), (3, 3), {"pads": (1, 1, 1, 1)}),
    "3x3, stride 2": ((2, 15, 16, 24), (3, 3), {"pads": (1, 1, 1, 1), "strides": (2, 2)}),
    "3x3, strides": ((1, 15, 16, 24), (3, 3), {"pads": (0, 1, 1, 0), "strides": (3, 2)}),
    "5x5": ((1, 12, 9, 33), (5, 5), {"pads": (2, 2, 2, 2)}),
    "5x5, stride 2": ((1, 12, 14, 16), (5, 5), {"pads": (1, 2, 2, 1), "strides": (2, 2)}),
    "7x7": ((1, 9, 9, 20), (7, 7), {"pads": (3, 3, 3, 3)}),
    "small": ((1, 2, 2, 100), (3, 3), {"pads": (1, 1, 1, 1)}),
    "dilated": ((1, 12, 12, 18), (3, 3), {"pads": (2, 3, 2, 3), "dilations": (2, 3)}),
    "line": ((1, 40, 18), (4,), {"pads": (3, 0)}),
    "volume": ((1, 4, 5, 6, 7), (3, 3, 3), {"pads": (1, 1, 1, 1, 1, 1)}),
    "channels": ((1, 7, 7, 960), (3, 3), {"pads": (1, 1, 1, 1)}),
}  # fmt: skip


@pytest.mark.parametrize("name", DEPTHWISE)
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("constant", [False, True])
def test_depthwise(name: str, residual: bool, constant: bool) -> None:
    x, kernel, attributes = DEPTHWISE[name]
    w = (x[-1], 1, *kernel)
    case = conv_case(x, w, residual=residual, constant=constant, group=x[-1], **attributes)
    case.check(of_largest=True, workers=(1, 2, 3, 5))


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=lambda a: a[0])
@pytest.mark.parametrize("residual", ["", "before", "after"])
@pytest.mark.parametrize("group", [1, 20, 0])
def test_epilogues(activation: tuple[str, float, float], residual: str, group: int) -> None:
    name, alpha, beta = activation
    more: dict[str, Any] = {"activation": name, "alpha": alpha, "beta": beta}
    if residual:
        more["residual_position"] = residual
    channels, padding = (20, 0) if group else (36, 1)
    w = (channels, channels // max(1, group), 3, 3)
    more.update(group=max(1, group), pads=(padding,) * 4)
    case = conv_case((1, 9, 10, channels), w, residual=bool(residual), **more)
    case.check(of_largest=True, workers=(1, 2))


@pytest.mark.parametrize("residual", ["before", "after"])
def test_long_sums_with_an_epilogue(residual: str) -> None:
    more = {"activation": "Tanh", "residual_position": residual}
    conv_case((1, 4, 4, 700), (40, 700, 1, 1), residual=True, **more).check(of_largest=True)


TRANSPOSED: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "stride 2": ((1, 7, 9, 16), (16, 8, 2, 2), {"strides": (2, 2)}),
    "stride 2, overlapping": (
        (2, 7, 5, 12), (12, 20, 4, 4), {"strides": (2, 2), "pads": (1, 1, 1, 1)},
    ),
    "stride 1": ((1, 6, 6, 5), (5, 7, 3, 3), {"pads": (1, 1, 1, 1)}),
    "odd": ((1, 5, 6, 4), (4, 6, 3, 3), {"strides": (2, 3), "pads": (1, 0, 0, 1)}),
    "output padding": (
        (1, 5, 6, 4), (4, 6, 3, 3), {"strides": (2, 2), "output_padding": (1, 1)},
    ),
    "dilated": ((1, 5, 6, 4), (4, 6, 3, 3), {"strides": (2, 2), "dilations": (3, 2)}),
    "dilated alike": ((1, 5, 6, 4), (4, 6, 3, 3), {"strides": (2, 2), "dilations": (2, 2)}),
    "groups": ((1, 5, 6, 8), (8, 3, 3, 3), {"strides": (2, 2), "group": 4}),
    "depthwise": ((1, 5, 6, 8), (8, 1, 3, 3), {"strides": (2, 2), "group": 8}),
    "line": ((1, 9, 6), (6, 5, 4), {"strides": (3,), "pads": (1, 2)}),
    "volume": ((1, 3, 4, 3, 4), (4, 5, 3, 2, 2), {"strides": (2, 1, 2)}),
}  # fmt: skip


@pytest.mark.parametrize("name", TRANSPOSED)
@pytest.mark.parametrize("residual", [False, True])
def test_transposed(name: str, residual: bool) -> None:
    x, w, attributes = TRANSPOSED[name]
    more = {"activation": "Sigmoid", "residual_position": "after"} if residual else {}
    case = conv_case(x, w, residual=residual, transposed=True, **attributes, **more)
    case.check(of_largest=True)


@pytest.mark.parametrize("name", TRANSPOSED)
def test_transposed_weights_of_the_run(name: str) -> None:
    x, w, attributes = TRANSPOSED[name]
    conv_case(x, w, constant=False, transposed=True, **attributes).check(of_largest=True)


def test_transposed_larger_strides_than_window() -> None:
    more = {"strides": (4, 4), "activation": "Relu"}
    conv_case((1, 3, 3, 4), (4, 5, 2, 2), transposed=True, **more).check(of_largest=True)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    rank = draw(st.integers(1, 3))
    most = {1: 40, 2: 14, 3: 6}[rank]

    def each(low: int, high: int) -> tuple[int, ...]:
        return tuple(draw(st.integers(low, high)) for _ in range(rank))

    group = draw(st.sampled_from([1, 1, 1, 2, 3, 5, 16]))
    inputs, outputs = draw(st.integers(1, 20)), draw(st.sampled_from([1, 1, 2, 4, 8, 16, 17, 40]))
    if draw(st.booleans()) and group > 1:
        inputs = outputs = 1
    kernel, dilations, strides = each(1, 5), each(1, 3), each(1, 3)
    pads = (*each(-1, 4), *each(-1, 4))
    extents = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    low = [e - b - a for e, b, a in zip(extents, pads[:rank], pads[rank:], strict=True)]
    sizes = tuple(draw(st.integers(max(1, n), max(1, n) + most)) for n in low)
    x = (draw(st.integers(1, 2)), *sizes, inputs * group)
    residual = draw(st.booleans())
    name, alpha, beta = draw(st.sampled_from([("", 0.0, 0.0), *ACTIVATIONS]))
    return conv_case(
        x,
        (outputs * group, inputs, *kernel),
        bias=draw(st.booleans()),
        residual=residual,
        constant=draw(st.booleans()),
        group=group,
        pads=pads,
        strides=strides,
        dilations=dilations,
        activation=name,
        alpha=alpha,
        beta=beta,
        residual_position=draw(st.sampled_from(["before", "after"])),
    )


@settings(max_examples=60, deadline=None)
@given(case=cases())
def test_any(case: Case) -> None:
    case.check(of_largest=True, workers=(1, 2, 3, 5))
