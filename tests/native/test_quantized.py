"""Convolutions and products of 8-bit integers of every form: the bits of their meaning."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pelemay.graph import DType
from support.integers import check, conv_case, product_case
from support.layers import DEPTHWISE, FORMS, SHAPES

U8, I8 = np.uint8, np.int8
TYPES = [(U8, I8), (I8, I8), (U8, U8), (I8, U8)]
RESULTS = [DType.UINT8, DType.INT8, DType.INT32, DType.FLOAT32]


@pytest.mark.parametrize("name", FORMS)
def test_forms(name: str) -> None:
    x, w, attributes = FORMS[name]
    check(conv_case(x, w, each=True, **attributes), workers=(1, 3))


@pytest.mark.parametrize("name", DEPTHWISE)
@pytest.mark.parametrize("types", TYPES[:2])
def test_depthwise(name: str, types: tuple[Any, Any]) -> None:
    x, kernel, attributes = DEPTHWISE[name]
    w, (data, weights) = (x[-1], 1, *kernel), types
    check(conv_case(x, w, data=data, weights=weights, group=x[-1], **attributes), workers=(1, 3))


@pytest.mark.parametrize("types", TYPES)
@pytest.mark.parametrize("to", RESULTS)
@pytest.mark.parametrize("group", [1, 3, 21])
@pytest.mark.parametrize("each", [False, True])
def test_types(types: tuple[Any, Any], to: DType, group: int, each: bool) -> None:
    (data, weights), shape = types, (21, 21 // group, 3, 3)
    kinds = {"data": data, "weights": weights, "to": to, "each": each, "w_zero": 9}
    case = conv_case((1, 7, 9, 21), shape, pads=(1, 1, 1, 1), group=group, **kinds)
    check(case, workers=(1, 2))


@pytest.mark.parametrize("to", RESULTS[:2])
def test_bounds(to: DType) -> None:
    """A Relu and a Clip that came after the convolution."""
    for low, high in ((-7, None), (3, 90), (None, 5)):
        check(conv_case((1, 6, 7, 16), (24, 16, 1, 1), to=to, low=low, high=high))
        check(conv_case((1, 6, 7, 24), (24, 1, 3, 3), to=to, low=low, high=high, group=24))
        check(product_case((5, 20), (20, 17), to=to, low=low, high=high))


@pytest.mark.parametrize("group", [1, 20])
@pytest.mark.parametrize("each", [False, True])
def test_what_only_the_run_knows(group: int, each: bool) -> None:
    for data in (U8, I8):
        case = conv_case(
            (1, 6, 7, 20), (20, 20 // group, 3, 3), data=data, group=group, each=each, at_run=(2, 4)
        )
        check(case)


@pytest.mark.parametrize(("a", "b"), SHAPES)
@pytest.mark.parametrize("constant", [True, False])
def test_products(a: tuple[int, ...], b: tuple[int, ...], constant: bool) -> None:
    at_run = () if constant and len(b) == 2 else (1,)
    check(product_case(a, b, each=True, at_run=at_run), workers=(1, 3))


@pytest.mark.parametrize("types", TYPES)
@pytest.mark.parametrize("to", RESULTS)
@pytest.mark.parametrize("at_run", [(), (2, 4), (1, 2, 3, 4, 5)])
def test_types_of_products(types: tuple[Any, Any], to: DType, at_run: tuple[int, ...]) -> None:
    data, weights = types
    for b_zero in (0, 3):
        kinds = {"data": data, "weights": weights, "to": to, "b_zero": b_zero}
        check(product_case((9, 35), (35, 40), at_run=at_run, **kinds), workers=(1, 2))
    case = product_case((2, 9, 35), (2, 40, 35), at_run=(1, *at_run[1:]), trans_b=1, **kinds)
    check(case, workers=(1, 2))


@settings(max_examples=40)
@given(
    sizes=st.tuples(*(st.integers(1, 40),) * 4),
    window=st.tuples(*(st.integers(1, 3),) * 6),
    pads=st.tuples(*(st.integers(0, 2),) * 4),
    types=st.sampled_from(TYPES),
    w_zero=st.sampled_from([0, 5]),
)
def test_any_sizes(
    sizes: tuple[int, ...],
    window: tuple[int, ...],
    pads: tuple[int, ...],
    types: tuple[Any, Any],
    w_zero: int,
) -> None:
    height, width, channels, outputs = sizes
    x = (1, height + 6, width + 6, channels)
    options = {"strides": window[2:4], "dilations": window[4:], "pads": pads, "w_zero": w_zero}
    kinds = {"data": types[0], "weights": types[1]}
    check(conv_case(x, (outputs, channels, *window[:2]), **options, **kinds), workers=(2,))
    check(
        conv_case(x, (channels, 1, *window[:2]), group=channels, **options, **kinds), workers=(2,)
    )


def test_the_largest_sums_are_exact() -> None:
    """255 * -128 and 255 * 127 in every step: pairs of them saturate 16 bits."""
    for value in (-128, 127):
        case = product_case((3, 4096), (4096, 33), to=DType.INT32)
        a, b, *rest = case.inputs
        assert a is not None
        assert b is not None
        a[...], b[...] = 255, value
        check(case)
    case = conv_case((1, 5, 5, 64), (64, 1, 3, 3), group=64, to=DType.INT32)
    x, w, *rest = case.inputs
    assert x is not None
    assert w is not None
    assert rest
    x[...], w[...] = 255, -128
    check(case)
