"""Convolutions of every form, against their meaning in double precision."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.layers import DEPTHWISE, FORMS, TRANSPOSED, conv_case
from support.nodes import Case

ACTIVATIONS = [
    ("Relu", 0.0, 0.0), ("Clip", -0.5, 0.75), ("LeakyRelu", 0.1, 0.0), ("HardSwish", 0.0, 0.0),
    ("HardSigmoid", 0.2, 0.5), ("Sigmoid", 0.0, 0.0), ("Swish", 1.0, 0.0), ("Tanh", 0.0, 0.0),
    ("Gelu", 0.0, 0.0), ("GeluTanh", 0.0, 0.0), ("Elu", 0.5, 0.0), ("Softplus", 0.0, 0.0),
    ("Mish", 0.0, 0.0),
]  # fmt: skip


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


@settings(max_examples=60)
@given(case=cases())
def test_any(case: Case) -> None:
    case.check(of_largest=True, workers=(1, 2, 3, 5))
