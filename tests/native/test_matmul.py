"""Products of matrices and of stacks of them, against their meaning in double precision."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.layers import SHAPES, floats, product_case
from support.nodes import Case

INTEGERS = (np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64)


@pytest.mark.parametrize("shapes", SHAPES, ids=str)
@pytest.mark.parametrize("constant", [False, True])
@pytest.mark.parametrize("more", [{}, {"bias": True}, {"residual": True, "bias": True}], ids=str)
def test_shapes(shapes: Any, constant: bool, more: dict[str, bool]) -> None:
    case = product_case(*shapes, constant=constant, **more)
    case.check(of_largest=True, workers=(1, 2, 3, 5))


@pytest.mark.parametrize("trans_a", [0, 1])
@pytest.mark.parametrize("trans_b", [0, 1])
@pytest.mark.parametrize("constant", [False, True])
@pytest.mark.parametrize("sizes", [(1, 7, 5), (3, 30, 20), (33, 21, 17), (50, 600, 40)])
@pytest.mark.parametrize("stack", [(), (3,)])
def test_flags(
    trans_a: int, trans_b: int, constant: bool, sizes: tuple[int, ...], stack: tuple[int, ...]
) -> None:
    m, k, n = sizes
    a, b = (k, m) if trans_a else (m, k), (n, k) if trans_b else (k, n)
    flags = {"trans_a": trans_a, "trans_b": trans_b, "alpha": 0.25}
    case = product_case((*stack, *a), (*stack, *b), constant=constant, bias=True, **flags)
    case.check(of_largest=True)


@pytest.mark.parametrize("k", [1, 2, 15, 16, 17, 64, 511, 512, 513, 2000])
@pytest.mark.parametrize("n", [1, 15, 16, 17, 31, 32, 33, 48, 100])
def test_tails(k: int, n: int) -> None:
    for m in (1, 13, 14, 15, 28, 29):
        product_case((m, k), (k, n)).check(of_largest=True, workers=(1,))
    product_case((13, k), (k, n), constant=True).check(of_largest=True, workers=(1,))


EPILOGUES = [("Relu", 0.0, 0.0), ("Clip", -1.0, 1.0), ("Gelu", 0.0, 0.0), ("Swish", 1.0, 0.0)]


@pytest.mark.parametrize("activation", EPILOGUES, ids=lambda a: a[0])
@pytest.mark.parametrize("position", ["before", "after"])
@pytest.mark.parametrize("constant", [False, True])
@pytest.mark.parametrize("k", [20, 1200])
def test_epilogues(
    activation: tuple[str, float, float], position: str, constant: bool, k: int
) -> None:
    name, alpha, beta = activation
    more = {"activation": name, "act_alpha": alpha, "act_beta": beta}
    case = product_case(
        (2, 19, k),
        (k, 37),
        constant=constant,
        bias=True,
        residual=True,
        alpha=k**-0.5,
        residual_position=position,
        **more,
    )
    case.check(of_largest=True)


@pytest.mark.parametrize("shapes", [((7,), (7,)), ((7,), (3, 7, 5)), ((3, 5, 7), (7,))], ids=str)
@pytest.mark.parametrize("op", ["MatMul", "pelemay::MatMul"])
def test_vectors(shapes: Any, op: str) -> None:
    inputs = tuple(floats(shape, i) for i, shape in enumerate(shapes))
    Case(op, inputs, {}).check(of_largest=True)


@pytest.mark.parametrize("addend", [(37,), (19, 37), (1, 37), (19, 1), (1,), ()], ids=str)
@pytest.mark.parametrize("factors", [(1.0, 1.0), (0.5, 1.0), (1.0, 0.0)])
def test_gemm(addend: tuple[int, ...], factors: tuple[float, float]) -> None:
    alpha, beta = factors
    inputs = (floats((50, 19), 1), floats((37, 50), 2), floats(addend, 3))
    attributes = {"transA": 1, "transB": 1, "alpha": alpha, "beta": beta}
    Case("Gemm", inputs, attributes, (1,)).check(of_largest=True)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integers_wrap(dtype: Any) -> None:
    info, random = np.iinfo(dtype), np.random.default_rng(5)
    a = random.integers(info.min, info.max, (2, 9, 17), dtype, endpoint=True)
    b = random.integers(info.min, info.max, (17, 11), dtype, endpoint=True)
    Case("MatMul", (a, b), {}).check()


def test_integers_scaled() -> None:
    a = np.arange(12, dtype=np.int32).reshape(3, 4)
    b = np.arange(20, dtype=np.int32).reshape(4, 5)
    Case("Gemm", (a, b, np.arange(5, dtype=np.int32)), {"alpha": 0.5}).check()


def test_doubles() -> None:
    a, b = floats((4, 9, 31), 1, np.float64), floats((4, 31, 7), 2, np.float64)
    Case("MatMul", (a, b), {}).check(rtol=1e-13, of_largest=True)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    stack = tuple(draw(st.lists(st.integers(1, 3), max_size=3)))

    def outer() -> tuple[int, ...]:
        kept = [draw(st.sampled_from([n, 1])) for n in stack]
        return tuple(kept[draw(st.integers(0, len(kept))) :])

    m, n, k = draw(st.integers(1, 60)), draw(st.integers(1, 80)), draw(st.integers(1, 200))
    trans_a, trans_b = draw(st.integers(0, 1)), draw(st.integers(0, 1))
    a = (*outer(), k, m) if trans_a else (*outer(), m, k)
    b = (*outer(), n, k) if trans_b else (*outer(), k, n)
    name, alpha, beta = draw(st.sampled_from([("", 0.0, 0.0), *EPILOGUES]))
    return product_case(
        a,
        b,
        bias=draw(st.booleans()),
        residual=draw(st.booleans()),
        constant=draw(st.booleans()),
        trans_a=trans_a,
        trans_b=trans_b,
        alpha=draw(st.sampled_from([1.0, 0.125])),
        activation=name,
        act_alpha=alpha,
        act_beta=beta,
        residual_position=draw(st.sampled_from(["before", "after"])),
    )


@settings(max_examples=80)
@given(case=cases())
def test_any(case: Case) -> None:
    case.check(of_largest=True, workers=(1, 2, 3, 5))
