"""Pooling, against its meaning, whole and by rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pelemay.graph.operations.windows import window_of
from support.nodes import Case
from support.ops import Held, run_op, workers_agree

OPS = ("MaxPool", "AveragePool", "LpPool")


def floats(*shape: int, seed: int = 0, dtype: Any = np.float32) -> Any:
    x = np.random.default_rng(seed).normal(0.2, 2, shape)
    return (x * 20 if np.issubdtype(dtype, np.integer) else x).astype(dtype)


def both(op: str, x: Any, attributes: dict[str, Any], **options: Any) -> None:
    """Channels first and last."""
    wanted = (0,) if op == "MaxPool" else None
    Case(op, (x,), attributes, wanted=wanted).check(of_largest=True, **options)
    last = np.ascontiguousarray(np.moveaxis(x, 1, -1))
    Case(f"pelemay::{op}", (last,), attributes).check(of_largest=True, **options)


WINDOWS = [
    {"kernel_shape": (3, 3), "strides": (2, 2), "pads": (1, 1, 1, 1)},
    {"kernel_shape": (2, 2)},
    {"kernel_shape": (3, 2), "strides": (2, 3), "dilations": (2, 1), "pads": (0, 1, 2, 0)},
    {"kernel_shape": (3, 3), "strides": (2, 2), "ceil_mode": 1},
    {"kernel_shape": (5, 5), "pads": (2, 2, 2, 2), "dilations": (1, 2)},
    {"kernel_shape": (2, 3), "strides": (3, 1), "ceil_mode": 1, "pads": (1, 1, 1, 1)},
    {"kernel_shape": (2, 2), "pads": (-1, 0, 0, -2)},
    {"kernel_shape": (11, 14)},
]


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("window", WINDOWS, ids=lambda w: "-".join(map(str, w["kernel_shape"])))
@pytest.mark.parametrize("channels", [1, 3, 16, 37, 64, 150])
def test_windows(op: str, window: dict[str, Any], channels: int) -> None:
    x = floats(2, channels, 11, 14)
    both(op, x, window, workers=(1, 3))
    if op == "AveragePool":
        both(op, x, {**window, "count_include_pad": 1}, workers=(1, 2))
    if op == "LpPool":
        for p in (1, 3):
            both(op, x, {**window, "p": p}, workers=(1, 2))


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("rank", [1, 3])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_ranks(op: str, rank: int, dtype: Any) -> None:
    x = floats(2, 20, *(9, 7, 8)[:rank], dtype=dtype)
    for kernel, stride, pad, ceil in ((3, 2, 1, 0), (2, 1, 0, 0), (3, 2, 0, 1)):
        window = {
            "kernel_shape": (kernel,) * rank,
            "strides": (stride,) * rank,
            "pads": (pad,) * (2 * rank),
            "ceil_mode": ceil,
        }
        both(op, x, window)


@pytest.mark.parametrize("auto_pad", ["SAME_UPPER", "SAME_LOWER", "VALID"])
def test_auto_pad(auto_pad: str) -> None:
    attributes = {"kernel_shape": (3, 2), "strides": (2, 2), "auto_pad": auto_pad}
    for op in OPS:
        Case(op, (floats(1, 5, 8, 9),), attributes, wanted=(0,)).check()


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
def test_whole_numbers(dtype: Any) -> None:
    both("MaxPool", floats(2, 19, 8, 9, dtype=dtype), WINDOWS[0])


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int8, np.uint8])
@pytest.mark.parametrize("window", WINDOWS, ids=lambda w: "-".join(map(str, w["kernel_shape"])))
def test_places_of_maxima(dtype: Any, window: dict[str, Any]) -> None:
    x = floats(2, 3, 11, 14, dtype=dtype)
    if x.dtype.kind == "f":
        x[0, 1, 3:9, 2:9], x[1, 2, 4, 4], x[1, 0] = -np.inf, np.nan, 5
    for order in (0, 1):
        Case("MaxPool", (x,), {**window, "storage_order": order}, wanted=(0, 1)).check()


def test_not_a_number_and_infinities() -> None:
    for channels in (1, 20, 70):
        x = floats(1, channels, 9, 9)
        x[0, 0, 4, 4], x[0, -1, 0, 0], x[0, -1, 5, 5] = np.nan, np.inf, -np.inf
        x[0, channels // 2, 2:8, 2:8] = -np.inf
        both("MaxPool", x, WINDOWS[0])


@pytest.mark.parametrize("op", ["GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_global(op: str, dtype: Any) -> None:
    for shape in ((2, 30, 7, 7), (1, 5, 3), (1, 3, 4, 5, 6)):
        powers: list[dict[str, Any]] = [{"p": p} for p in (1, 2, 3)] if "Lp" in op else [{}]
        for attributes in powers:
            Case(op, (floats(*shape, dtype=dtype),), attributes).check(of_largest=True)


def test_large_window() -> None:
    x = np.abs(floats(1, 20, 112, 112))
    both("AveragePool", x, {"kernel_shape": (112, 112)})


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int8])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_unpool(rank: int, dtype: Any) -> None:
    x = floats(2, 3, *(6, 8, 4)[:rank], dtype=dtype)
    window = {"kernel_shape": (2,) * rank, "strides": (2,) * rank}
    y, places = Case("MaxPool", (x,), window, wanted=(0, 1)).meaning(wide=False)
    Case("MaxUnpool", (y, places), window).check()
    for grown in (2, -1):
        shape = np.array([*x.shape[:2], *(n + grown for n in x.shape[2:])])
        Case("MaxUnpool", (y, places, shape), window, (2,)).check()


def test_unpool_of_several_for_one_place() -> None:
    """And places outside are left out."""
    x = np.arange(1, 9, dtype=np.float32).reshape(1, 2, 4)
    places = np.array([[[0, 3, 3, 1000], [-1, 3, 0, 15]]])
    Case("MaxUnpool", (x, places), {"kernel_shape": (2,), "strides": (2,)}).check()


def parameters(window: Any, kind: int, rows: tuple[int, int], power: float = 2.0) -> list[Any]:
    return [
        *(1, *window.kernel),
        *(1, *window.strides),
        *(1, *window.dilations),
        *(0, *window.begins),
        *(0, *window.ends),
        *(kind, power, 0, 0, *rows),
    ]


@given(
    op=st.sampled_from(OPS),
    size=st.tuples(st.integers(3, 14), st.integers(1, 9)),
    channels=st.sampled_from([1, 7, 16, 40]),
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 3)),
    strides=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    dilations=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    pads=st.tuples(*[st.integers(0, 2)] * 4),
    height=st.integers(1, 4),
)
@settings(max_examples=60)
def test_bands_of_rows(
    op: str,
    size: tuple[int, int],
    channels: int,
    kernel: tuple[int, int],
    strides: tuple[int, int],
    dilations: tuple[int, int],
    pads: tuple[int, int, int, int],
    height: int,
) -> None:
    """Bands of the output, each from a ring with just the rows that it reads, are the whole."""
    extents = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    fits = (n + b + e >= x for n, b, e, x in zip(size, pads[:2], pads[2:], extents, strict=True))
    assume(all(fits))
    attributes = {
        "kernel_shape": kernel,
        "strides": strides,
        "dilations": dilations,
        "pads": pads,
    }
    x = floats(1, *size, channels)
    window = window_of(size, kernel, strides=strides, dilations=dilations, pads=pads)
    whole = Case(f"pelemay::{op}", (x,), attributes).run(isa="scalar")[0]
    total = window.outputs[0]
    for first in range(0, total, height):
        last = min(total, first + height)
        ring = (last - first - 1) * strides[0] + extents[0]
        held = np.full((1, ring, size[1], channels), 777, np.float32)
        low = first * strides[0] - pads[0]
        for row in range(max(0, low), min(size[0], low + ring)):
            held[0, row % ring] = x[0, row]
        made = np.full((1, height, window.outputs[1], channels), 5, np.float32)
        outputs = [Held(made, total), None]
        params = parameters(window, OPS.index(op), (first, last))
        run_op("pool", [Held(held, size[0])], outputs, params, isa="scalar")
        for row in range(first, last):
            np.testing.assert_array_equal(made[0, row % height], whole[0, row])


def test_wider_pixels(isa: str) -> None:
    """Channels that are a part of wider pixels, in and out."""
    x = floats(1, 6, 7, 50)[..., 4:37]
    window = window_of((6, 7), (2, 2))
    y = np.empty((1, 5, 6, 80), np.float32)
    y.view(np.uint8)[:] = 0x5B
    (found,) = run_op("pool", [x], [y[..., 9:42], None], parameters(window, 0, (0, 5)), isa=isa)
    ideal = np.lib.stride_tricks.sliding_window_view(x, (2, 2), (1, 2)).max((-1, -2))
    np.testing.assert_array_equal(found, ideal)


@pytest.mark.parametrize("kind", range(3))
def test_results_do_not_depend_on_workers(isa: str, kind: int) -> None:
    x = floats(2, 9, 11, 21)
    params = parameters(window_of((9, 11), (3, 2)), kind, (0, 7))

    def run(workers: int) -> list[Any]:
        shape = ((2, 7, 10, 21), np.float32)
        return run_op("pool", [x], [shape, None], params, workers=workers, isa=isa)

    workers_agree(run, (1, 2, 3, 5, 8))


@pytest.mark.parametrize("op", OPS)
def test_no_elements(op: str) -> None:
    for shape in ((0, 3, 4, 4), (1, 0, 4, 4)):
        Case(op, (np.empty(shape, np.float32),), WINDOWS[1], wanted=(0,)).check()
