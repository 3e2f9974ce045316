"""Normalisations, against their meaning."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.nodes import Case
from support.ops import run_op, workers_agree


def floats(*shape: int, seed: int = 0, shift: float = 0.5, dtype: Any = np.float32) -> Any:
    return np.random.default_rng(seed).normal(shift, 1.5, shape).astype(dtype)


DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])
SHAPES = pytest.mark.parametrize(
    "shape", [(2, 12, 5, 7), (1, 32, 1, 3), (3, 4, 40), (2, 36, 3, 3, 3)], ids=str
)


@DTYPES
@SHAPES
@pytest.mark.parametrize("axis", [-1, 1, 2])
def test_layer(shape: tuple[int, ...], axis: int, dtype: Any) -> None:
    x, own = floats(*shape, dtype=dtype), shape[axis:]
    scale, bias = floats(*own, seed=1, dtype=dtype), floats(*own, seed=2, dtype=dtype)
    for inputs in ((x, scale, bias), (x, scale), (x, scale[..., :1], bias), (x, scale, bias[:1])):
        for wanted in ((0,), (0, 1, 2), (0, 2)):
            Case("LayerNormalization", inputs, {"axis": axis}, (1, 2), wanted).check(
                of_largest=True
            )


@DTYPES
@SHAPES
@pytest.mark.parametrize("axis", [-1, 1, 2])
def test_root_mean_square(shape: tuple[int, ...], axis: int, dtype: Any) -> None:
    x, scale = floats(*shape, dtype=dtype), floats(*shape[axis:], seed=1, dtype=dtype)
    Case("RMSNormalization", (x, scale), {"axis": axis, "epsilon": 0.1}).check()


@pytest.mark.parametrize("size", [*range(1, 36), 192, 768, 5000])
def test_tails(size: int) -> None:
    x, scale, bias = floats(3, size), floats(size, seed=1), floats(size, seed=2)
    Case("LayerNormalization", (x, scale, bias), {}).check(of_largest=True, workers=(1, 2))
    Case("RMSNormalization", (x, scale), {}).check(workers=(1, 2))
    last = x.T.reshape(1, size, 3)
    Case("pelemay::InstanceNormalization", (last, scale[:3], scale[:3]), {}).check(
        of_largest=True, workers=(1, 2)
    ) if size > 2 else None


@pytest.mark.parametrize("shift", [100.0, -1e4])
def test_means_far_from_zero(shift: float) -> None:
    """The mean is known better than a float can say."""
    x = floats(8, 300, shift=shift)
    one, zero = np.ones(300, np.float32), np.zeros(300, np.float32)
    Case("LayerNormalization", (x, one, zero), {}).check(of_largest=True)
    last = np.ascontiguousarray(x.T)[None]
    Case("pelemay::InstanceNormalization", (last, one[:8], zero[:8]), {}).check(of_largest=True)


@DTYPES
@SHAPES
def test_instance(shape: tuple[int, ...], dtype: Any) -> None:
    x, c = floats(*shape, dtype=dtype), shape[1]
    scale, bias = floats(c, seed=1, dtype=dtype), floats(c, seed=2, dtype=dtype)
    Case("InstanceNormalization", (x, scale, bias), {"epsilon": 1e-3}).check(of_largest=True)
    last = np.ascontiguousarray(np.moveaxis(x, 1, -1))
    case = Case("pelemay::InstanceNormalization", (last, scale, bias), {}, (1, 2))
    case.check(of_largest=True)


@DTYPES
@SHAPES
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_group(shape: tuple[int, ...], groups: int, dtype: Any) -> None:
    x, c = floats(*shape, dtype=dtype), shape[1]
    scale, bias = floats(c, seed=1, dtype=dtype), floats(c, seed=2, dtype=dtype)
    attributes = {"num_groups": groups}
    Case("GroupNormalization", (x, scale, bias), attributes).check(of_largest=True)
    last = np.ascontiguousarray(np.moveaxis(x, 1, -1))
    case = Case("pelemay::GroupNormalization", (last, scale, bias), attributes, (1, 2))
    case.check(of_largest=True)


@DTYPES
@SHAPES
@pytest.mark.parametrize("size", [1, 2, 3, 5, 9])
def test_local_response(shape: tuple[int, ...], size: int, dtype: Any) -> None:
    x = floats(*shape, dtype=dtype) * 3
    last = np.ascontiguousarray(np.moveaxis(x, 1, -1))
    for beta in (0.75, 0.5, 1.0, 0.6):
        attributes = {"size": size, "alpha": 0.3, "beta": beta, "bias": 1.5}
        Case("LRN", (x,), attributes).check(workers=(1, 2))
        Case("pelemay::LRN", (last,), attributes).check(workers=(1, 2))


@DTYPES
@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_lp(p: int, axis: int, dtype: Any) -> None:
    x = floats(5, 6, 20, dtype=dtype)
    x[1], x[:, 2], x[:, :, 3] = 0, 0, 0
    Case("LpNormalization", (x,), {"axis": axis, "p": p}).check()


@DTYPES
@pytest.mark.parametrize("axes", [(0, 2, 3), (1,), (1, 2, 3), (0,), (3,), (0, 1, 2, 3)], ids=str)
def test_mean_variance(axes: tuple[int, ...], dtype: Any) -> None:
    x = floats(3, 4, 5, 20, dtype=dtype)
    Case("MeanVarianceNormalization", (x,), {"axes": axes}).check(of_largest=True)


@DTYPES
@pytest.mark.parametrize("shape", [(2, 12, 5, 7), (3, 4), (2, 3, 1500)], ids=str)
def test_batch(shape: tuple[int, ...], dtype: Any) -> None:
    x, c = floats(*shape, dtype=dtype), shape[1]
    given = [floats(c, seed=i, dtype=dtype) for i in range(3)]
    variance = abs(floats(c, seed=4, dtype=dtype))
    case = Case("BatchNormalization", (x, *given, variance), {"epsilon": 0.01}, wanted=(0,))
    case.check(of_largest=True)


def test_no_elements() -> None:
    x, c = np.empty((0, 4, 3), np.float32), np.ones(4, np.float32)
    Case("InstanceNormalization", (x, c, c), {}).check()
    Case("LayerNormalization", (x.transpose(0, 2, 1), c), {}, wanted=(0,)).check()
    Case("LRN", (x,), {"size": 3}).check()


def test_strides_gaps_and_in_place(isa: str) -> None:
    wide = floats(6, 5, 40)
    for x in (wide[..., 3:20], wide[..., 3:20].transpose(1, 0, 2), wide.transpose(2, 0, 1)):
        for axes in ((0,), (1,), (2,), (0, 1), (0, 2), (1, 2)):
            centred = x - x.mean(axes, keepdims=True, dtype=np.float64)
            ideal = centred / np.sqrt((centred**2).mean(axes, keepdims=True) + 0.5)
            outputs = np.empty((*x.shape, 2), np.float32)
            outputs.view(np.uint8)[:] = 0x5B
            params = (0, sum(1 << a for a in axes), 0.5)
            inputs, none = [x, None, None], [None, None]
            (y, *_) = run_op("norm", inputs, [outputs[..., 0], *none], params, isa=isa)
            np.testing.assert_allclose(y, ideal, 1e-5, 1e-5)
            inputs[0] = np.ascontiguousarray(x)
            y = run_op("norm", inputs, [None, *none], params, alias={0: 0}, isa=isa)[0]
            np.testing.assert_allclose(y, ideal, 1e-5, 1e-5)


@given(
    shape=st.lists(st.integers(1, 9), min_size=3, max_size=5),
    last=st.booleans(),
    groups=st.integers(1, 3),
    seed=st.integers(0, 9),
)
@settings(max_examples=60)
def test_random_groups(shape: list[int], last: bool, groups: int, seed: int) -> None:
    shape[1] *= groups
    x = floats(*shape, seed=seed)
    c = floats(shape[1], seed=seed + 1)
    if last:
        x = np.ascontiguousarray(np.moveaxis(x, 1, -1))
    op = "pelemay::GroupNormalization" if last else "GroupNormalization"
    attributes = {"num_groups": groups, "epsilon": 0.01}
    Case(op, (x, c, c), attributes).check(of_largest=True, workers=(1, 2))


def test_results_do_not_depend_on_workers(isa: str) -> None:
    x, c = floats(37, 29), floats(1, 29)
    for axes in (1, 2, 3):

        def run(workers: int, axes: int = axes) -> list[Any]:
            outputs = [(x.shape, x.dtype), None, None]
            params = (0, axes, 1e-5)
            return run_op("norm", [x, c, c], outputs, params, workers=workers, isa=isa)

        workers_agree(run)
