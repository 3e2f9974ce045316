"""Copies: transposed, broadcast, turned, between any strides."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pelemay.errors import PelemayError
from support.ops import SENTINEL, isas, run_op, strided, workers_agree

Array = Any

TYPES = ["uint8", "float16", "float32", "int64"]


def numbered(shape: tuple[int, ...], dtype: str = "float32") -> Array:
    """Different elements, as far as the type has so many."""
    return (np.arange(np.prod(shape, dtype=int)) % 60_000).reshape(shape).astype(dtype)


def copied(x: Array, output: Any = None, params: Any = (), **how: Any) -> Array:
    target = (x.shape, x.dtype) if output is None else output
    return run_op("copy", [x], [target], params, **how)[0]


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", [(2, 3, 5, 7), (3, 17, 4, 33), (1, 70, 1, 65)])
def test_transpositions(shape: tuple[int, ...], dtype: str, isa: str) -> None:
    x = numbered(shape, dtype)
    for order in itertools.permutations(range(4)):
        moved = x.transpose(order)
        np.testing.assert_array_equal(copied(moved, isa=isa), moved)


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 64])
def test_images(channels: int, isa: str) -> None:
    """Channels first to channels last and back."""
    first = numbered((2, channels, 19, 23))
    last = np.ascontiguousarray(first.transpose(0, 2, 3, 1))
    for x in (first.transpose(0, 2, 3, 1), last.transpose(0, 3, 1, 2)):
        workers_agree(lambda n, x=x: [copied(x, isa=isa, workers=n)])
        np.testing.assert_array_equal(copied(x, isa=isa), x)


@st.composite
def views(draw: Any) -> tuple[Array, Array]:
    """An input and an output of any strides, and the input broadcast."""
    rank = draw(st.integers(0, 5))
    sizes = st.sampled_from([0, 1, 2, 3, 7, 18])
    shape = tuple(draw(st.lists(sizes, min_size=rank, max_size=rank)))
    dtype = draw(st.sampled_from(TYPES))
    kept = [n if draw(st.integers(0, 3)) else 1 for n in shape]
    x = laid_out(draw, kept, dtype)
    output = laid_out(draw, list(shape), dtype, gap=SENTINEL)
    return x, output


def laid_out(draw: Any, shape: list[int], dtype: str, gap: int | None = None) -> Array:
    """An array whose axes lie in any order in memory, with gaps."""
    order = draw(st.permutations(range(len(shape))))
    gaps = [draw(st.sampled_from([0, 0, 1, 2])) for _ in shape]
    whole = numbered(tuple(shape[a] + gaps[a] for a in order), dtype)
    if gap is not None:
        whole.reshape(-1).view(np.uint8)[...] = gap
    inner = whole[(*(slice(0, shape[a]) for a in order), ...)]
    return inner.transpose(np.argsort(order)) if shape else inner


@settings(max_examples=200)
@given(pair=views(), isa=st.sampled_from(isas()), workers=st.integers(1, 3), data=st.data())
def test_any_strides(pair: tuple[Array, Array], isa: str, workers: int, data: Any) -> None:
    x, output = pair
    turned = data.draw(st.integers(0, 2**output.ndim - 1))
    axes = tuple(a for a in range(output.ndim) if turned >> a & 1)
    wanted = np.flip(np.broadcast_to(x, output.shape), axes)
    ours = copied(x, output, [turned], isa=isa, workers=workers)
    np.testing.assert_array_equal(ours, wanted)


@pytest.mark.parametrize("dtype", TYPES)
def test_filling(dtype: str, isa: str) -> None:
    x = np.array(7, dtype)
    for shape in ((5000,), (3, 1, 9), ()):
        ours = copied(x, (shape, x.dtype), isa=isa, workers=2)
        np.testing.assert_array_equal(ours, np.full(shape, x))


def test_into_wider_pixels(isa: str) -> None:
    for width in (1, 3, 8, 40):
        x = numbered((4, 5, width))
        out = strided(x.shape, np.float32, 61)
        np.testing.assert_array_equal(copied(x, out, isa=isa, workers=2), x)


def test_other_types_of_the_same_size() -> None:
    x = np.random.default_rng(0).normal(size=200).astype(np.float32)
    np.testing.assert_array_equal(copied(x, ((200,), np.uint32)), x.view(np.uint32))


@pytest.mark.parametrize(
    ("shape", "dtype", "params"),
    [((3, 4), "float32", ()), ((2, 3), "float64", ()), ((2, 3), "float32", (4,)),
     ((2, 3), "float32", (-1,)), ((2, 3), "float32", (0, 0))],
)  # fmt: skip
def test_refused(shape: tuple[int, ...], dtype: str, params: Any) -> None:
    with pytest.raises(PelemayError, match="parameters"):
        copied(np.ones((2, 3), np.float32), (shape, np.dtype(dtype)), params)
