"""Reductions, positions of extremes, running sums and sorting, against their meaning."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.nodes import Case, product
from support.ops import run_op, workers_agree

SUMS = ("ReduceSum", "ReduceMean", "ReduceL1", "ReduceL2", "ReduceSumSquare")
ALL = (*SUMS, "ReduceMax", "ReduceMin", "ReduceProd", "ReduceLogSum", "ReduceLogSumExp")


def floats(*shape: int, seed: int = 0, dtype: Any = np.float32) -> Any:
    return np.random.default_rng(seed).normal(0.3, 1, shape).astype(dtype)


def reduction(op: str, x: Any, axes: tuple[int, ...], keepdims: int = 1) -> Case:
    attributes = {"keepdims": keepdims, "noop_with_empty_axes": int(not axes)}
    x = abs(x) + x.dtype.type(0.1) if op == "ReduceLogSum" else x
    return Case(op, (x, np.array(axes, np.int64)), attributes, (1,))


AXES = [(0,), (1,), (2,), (0, 1), (1, 2), (0, 2), (0, 1, 2), ()]


@pytest.mark.parametrize("op", ALL)
@pytest.mark.parametrize("axes", AXES, ids=str)
@pytest.mark.parametrize("shape", [(3, 5, 7), (2, 1, 33), (4, 50, 70)], ids=str)
def test_axes(op: str, axes: tuple[int, ...], shape: tuple[int, ...]) -> None:
    x = floats(*shape)
    x = x / 2 + 1 if op == "ReduceProd" else x
    reduction(op, x, axes, keepdims=len(axes) % 2).check(of_largest=True)


@pytest.mark.parametrize("op", [*SUMS, "ReduceMax"])
@pytest.mark.parametrize("shape", [(1_000_003,), (7, 200_000), (300, 1000, 3)], ids=str)
def test_many_elements(op: str, shape: tuple[int, ...]) -> None:
    """Positive numbers, so that rounding errors pile up; one output is made by all workers."""
    x = np.abs(floats(*shape))
    reduction(op, x, tuple(range(len(shape)))).check()
    reduction(op, x, (0,)).check()


@pytest.mark.parametrize("size", [*range(1, 36), 63, 64, 65, 127, 129])
def test_tails(size: int) -> None:
    for op in ("ReduceSum", "ReduceMax", "ReduceMin", "ReduceL1"):
        reduction(op, floats(3, size), (1,)).check(of_largest=True, workers=(1, 2))
        reduction(op, floats(9, size), (0,)).check(of_largest=True, workers=(1, 2))


INTS = (np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64)


@pytest.mark.parametrize("op", [o for o in ALL if "Log" not in o])
@pytest.mark.parametrize("dtype", INTS)
def test_whole_numbers(op: str, dtype: Any) -> None:
    low = -9 if np.issubdtype(dtype, np.signedinteger) else 0
    x = np.random.default_rng(1).integers(low, 10, (3, 4, 5)).astype(dtype)
    x = np.where(x == 0, dtype(2), x) if op == "ReduceProd" else x
    for axes in ((1,), (0, 2), (0, 1, 2)):
        reduction(op, x, axes).check(workers=(1, 2))


@pytest.mark.parametrize("op", ALL)
def test_double(op: str) -> None:
    x = floats(3, 4, 5, dtype=np.float64)
    for axes in ((2,), (0,), (0, 2)):
        reduction(op, x, axes).check(rtol=1e-12, of_largest=True, workers=(1, 2))


@pytest.mark.parametrize("op", ["ReduceMax", "ReduceMin"])
def test_booleans(op: str) -> None:
    x = np.random.default_rng(2).random((4, 3, 5)) < 0.4
    for axes in ((0,), (1, 2)):
        reduction(op, x, axes).check(workers=(1, 2))


@pytest.mark.parametrize("op", ALL)
def test_no_elements(op: str) -> None:
    for shape, axes in (((3, 0, 4), (1,)), ((0, 2), (0,)), ((0,), (0,))):
        reduction(op, np.empty(shape, np.float32), axes).check(workers=(1, 2))


@pytest.mark.parametrize("op", ["ReduceMax", "ReduceMin", "ReduceSum", "ReduceLogSumExp"])
def test_not_a_number_and_infinities(op: str) -> None:
    x = floats(6, 70)
    x[1, 0], x[2, 69], x[3, 33], x[4, 5], x[4, 6] = np.nan, np.nan, np.inf, np.inf, -np.inf
    for axis in (0, 1):
        reduction(op, x, (axis,)).check(workers=(1, 2))


def test_strides_and_gaps(isa: str) -> None:
    """A part of wider pixels, transposed or not, reduced to part of wider pixels."""
    wide = floats(6, 5, 40)
    for x in (wide[..., 3:20], wide[..., 3:20].transpose(1, 0, 2), wide.transpose(2, 0, 1)):
        for axes in ((0,), (1,), (2,), (0, 2), (1, 2)):
            shape = tuple(1 if i in axes else n for i, n in enumerate(x.shape))
            y = np.empty((*shape, 2), np.float32)
            y.view(np.uint8)[:] = 0x5B
            params = (0, sum(1 << a for a in axes), 0.0)
            (found,) = run_op("reduce", [x], [y[..., 0]], params, isa=isa)
            ideal = x.astype(np.float64).sum(axes, keepdims=True)
            np.testing.assert_allclose(found, ideal, 1e-5, 1e-5)


@given(
    shape=st.lists(st.integers(1, 9), min_size=1, max_size=5),
    data=st.data(),
    op=st.sampled_from(ALL),
    seed=st.integers(0, 99),
)
@settings(max_examples=150)
def test_random(shape: list[int], data: st.DataObject, op: str, seed: int) -> None:
    axes = data.draw(st.sets(st.integers(0, len(shape) - 1), min_size=1))
    x = floats(*shape, seed=seed)
    reduction(op, x, tuple(sorted(axes)), data.draw(st.integers(0, 1))).check(
        rtol=2e-5, of_largest=True, workers=(1, 2)
    )


@pytest.mark.parametrize("op", ["ArgMax", "ArgMin"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, *INTS])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_positions(op: str, dtype: Any, axis: int) -> None:
    x = np.random.default_rng(3).integers(0, 4, (5, 6, 70)).astype(dtype)
    for options in product(keepdims=(0, 1), select_last_index=(0, 1)):
        Case(op, (x,), {"axis": axis, **options}).check()


@pytest.mark.parametrize("op", ["ArgMax", "ArgMin"])
def test_positions_of_not_a_number(op: str) -> None:
    x = floats(5, 9)
    x[1, 2] = x[1, 5] = x[3, 0] = np.nan
    for options in product(axis=(0, 1), select_last_index=(0, 1)):
        Case(op, (x,), options).check(workers=(1, 2))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, *INTS])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_top_k(dtype: Any, axis: int) -> None:
    x = np.random.default_rng(4).integers(0, 9, (7, 8, 20)).astype(dtype)
    for options in product(largest=(0, 1), k=(0, 1, 3, 7)):
        k = np.array([options.pop("k")])
        Case("TopK", (x, k), {"axis": axis, **options}, (1,)).check(workers=(1, 2))
        Case("TopK", (x, k), {"axis": axis, **options}, (1,), wanted=(1,)).check(workers=(1, 2))


@given(values=st.lists(st.sampled_from([-1.0, 0.0, 2.5, np.inf, -np.inf, np.nan]), min_size=1))
@settings(max_examples=60)
def test_top_k_of_special_numbers(values: list[float]) -> None:
    x = np.array(values, np.float32)
    for largest in (0, 1):
        case = Case("TopK", (x, np.array([len(values)])), {"largest": largest}, (1,))
        case.check(workers=(1, 2), sets=["scalar"])


@pytest.mark.parametrize("op", ["CumSum", "CumProd"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.int64, np.uint32])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_running(op: str, dtype: Any, axis: int) -> None:
    x = np.random.default_rng(5).integers(1, 4, (3, 6, 70)).astype(dtype)
    x = x[..., :9] if op == "CumProd" else x
    for options in product(exclusive=(0, 1), reverse=(0, 1)):
        Case(op, (x, np.array(axis)), options, (1,)).check()


@pytest.mark.parametrize("size", [1, 5, 100_000])
def test_running_sums_stay_exact(size: int) -> None:
    Case("CumSum", (np.abs(floats(size)), np.array(0)), {}, (1,)).check(rtol=1e-6)


def test_results_do_not_depend_on_workers(isa: str) -> None:
    x = floats(64, 5000)

    def run(workers: int) -> list[Any]:
        return run_op("reduce", [x], [((1, 1), np.float32)], (1, 3, 0.0), workers=workers, isa=isa)

    workers_agree(run)
