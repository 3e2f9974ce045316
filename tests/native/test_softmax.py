"""Softmax, its logarithm and hardmax, against their meaning."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.nodes import Case
from support.ops import run_op, workers_agree

OPS = ("Softmax", "LogSoftmax", "Hardmax")


def floats(*shape: int, seed: int = 0, scale: float = 3, dtype: Any = np.float32) -> Any:
    return np.random.default_rng(seed).normal(0, scale, shape).astype(dtype)


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("shape", [(3, 5, 7), (2, 1, 33), (4, 50, 70), (17, 3, 1)], ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_axes(op: str, axis: int, shape: tuple[int, ...], dtype: Any) -> None:
    Case(op, (floats(*shape, dtype=dtype),), {"axis": axis}).check(of_largest=op == "LogSoftmax")


@pytest.mark.parametrize("size", [*range(1, 36), 197, 1000, 50_257])
def test_tails(size: int) -> None:
    for op in OPS:
        case = Case(op, (floats(2, size),), {"axis": 1})
        case.check(workers=(1, 2), of_largest=op == "LogSoftmax")
    if size < 1000:
        Case("Softmax", (floats(3, size),), {"axis": 0}).check(workers=(1, 2))


@pytest.mark.parametrize("shift", [-1e4, 1e4, 3e38])
def test_far_from_zero(shift: float) -> None:
    x = floats(4, 40) + np.float32(shift)
    for axis in (0, 1):
        Case("Softmax", (x,), {"axis": axis}).check(workers=(1, 2))
        Case("LogSoftmax", (x,), {"axis": axis}).check(workers=(1, 2), of_largest=True)


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("axis", [0, 1])
def test_not_a_number_and_infinities(op: str, axis: int) -> None:
    x = floats(9, 40)
    x[1, 3], x[2, 4], x[3], x[4, 1] = np.nan, np.inf, -np.inf, -np.inf
    Case(op, (x,), {"axis": axis}).check(workers=(1, 2), of_largest=True)


@pytest.mark.parametrize("op", OPS)
def test_no_elements(op: str) -> None:
    Case(op, (np.empty((3, 0), np.float32),), {"axis": 0}).check(workers=(1, 2))


def test_strides_gaps_and_in_place(isa: str) -> None:
    wide = floats(6, 5, 40)
    for x in (wide[..., 3:20], wide[..., 3:20].transpose(1, 0, 2), wide.transpose(2, 0, 1)):
        for axis in range(3):
            powers = np.exp(x.astype(np.float64))
            ideal = powers / powers.sum(axis, keepdims=True)
            outputs = np.empty((*x.shape, 2), np.float32)
            outputs.view(np.uint8)[:] = 0x5B
            (y,) = run_op("softmax", [x], [outputs[..., 0]], (0, axis), isa=isa)
            np.testing.assert_allclose(y, ideal, 1e-5)
            dense = np.ascontiguousarray(x)
            (y,) = run_op("softmax", [dense], [None], (0, axis), alias={0: 0}, isa=isa)
            np.testing.assert_allclose(y, ideal, 1e-5)


@given(
    shape=st.lists(st.integers(1, 9), min_size=1, max_size=5),
    data=st.data(),
    op=st.sampled_from(OPS),
    scale=st.sampled_from([0.1, 5.0, 40.0]),
)
@settings(max_examples=100)
def test_random(shape: list[int], data: st.DataObject, op: str, scale: float) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    case = Case(op, (floats(*shape, scale=scale),), {"axis": axis})
    case.check(workers=(1, 2), of_largest=op == "LogSoftmax")


def test_results_do_not_depend_on_workers(isa: str) -> None:
    x = floats(37, 29)
    for axis in (0, 1):

        def run(workers: int, axis: int = axis) -> list[Any]:
            return run_op("softmax", [x], [(x.shape, x.dtype)], (0, axis), workers=workers, isa=isa)

        workers_agree(run)
