"""Element types: every one to every other."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from pelemay.engine import native
from support.ops import run_op, workers_agree

Array = Any

TYPES = tuple(native().DTYPES)
FLOATS = {"float32", "float64", "float16", "bfloat16"}


def dtype_of(name: str) -> np.dtype[Any]:
    return np.dtype(ml_dtypes.bfloat16) if name == "bfloat16" else np.dtype(name)


def bits_of(name: str) -> Array:
    """Elements of a type: all bit patterns where there are at most 65536, else many."""
    dtype = dtype_of(name)
    if name == "bool":
        return np.array([False, True] * 70)
    if dtype.itemsize <= 2:
        return np.arange(256**dtype.itemsize).astype(f"u{dtype.itemsize}").view(dtype)
    rng = np.random.default_rng(0)
    random = rng.integers(0, 256, 4000 * dtype.itemsize, dtype=np.uint8).view(dtype)
    if dtype.kind == "f":
        small = rng.normal(size=3000) * np.exp(rng.uniform(-30, 60, 3000))
        edges = [0.0, -0.0, np.inf, -np.inf, 65504, 65519.9, 65520, 2.0**-25, 2.0**-24, 6e-8]
        return np.concatenate([random, small.astype(dtype), np.array(edges, dtype)])
    limits = np.iinfo(dtype)
    edges = [0, 1, 2**24 + 1, limits.min, limits.max, 2049, 2051]
    return np.concatenate([random, np.array(edges, dtype)])


def defined(x: Array, target: str) -> Array:
    """The elements whose conversion NumPy and C define: floats whose fractionless part fits."""
    if x.dtype.name not in FLOATS or target in FLOATS or target == "bool":
        return x
    limits = np.iinfo(target)
    with np.errstate(all="ignore"):
        wide = x.astype(np.float64)
        fits = (np.trunc(wide) >= float(limits.min)) & (np.trunc(wide) <= float(limits.max))
        return x[fits & (wide < 2.0 ** (64 if target == "uint64" else 63))]


def converted(x: Array, target: str) -> Array:
    """What NumPy makes of it, except that halves of integers are rounded through float32."""
    with np.errstate(all="ignore"):
        if target in ("bfloat16", "float16") and x.dtype.kind in "iu":
            return x.astype(np.float32).astype(dtype_of(target))
        if x.dtype.name == "bfloat16" and target not in ("float32", "bfloat16"):
            return x.astype(np.float32).astype(dtype_of(target))
        return x.astype(dtype_of(target))


def cast(x: Array, target: str, **how: Any) -> Array:
    return run_op("cast", [x], [(x.shape, dtype_of(target))], **how)[0]


def same(ours: Array, wanted: Array) -> None:
    """Equal, NaN at the same places."""
    if ours.dtype.name in FLOATS:
        with np.errstate(all="ignore"):
            ours, wanted = ours.astype(np.float64), wanted.astype(np.float64)
    np.testing.assert_array_equal(ours, wanted)


@pytest.mark.parametrize("target", TYPES)
@pytest.mark.parametrize("source", TYPES)
def test_every_pair(source: str, target: str) -> None:
    x = defined(bits_of(source), target)
    same(cast(x, target), converted(x, target))


@pytest.mark.parametrize("pair", [("float16", "float32"), ("bfloat16", "float32")])
def test_halves_on_every_instruction_set(pair: tuple[str, str], isa: str) -> None:
    half, full = pair
    x = bits_of(half)
    same(cast(x, full, isa=isa), converted(x, full))
    y = bits_of(full)
    same(cast(y, half, isa=isa), converted(y, half))


def test_what_does_not_fit_is_defined() -> None:
    x = np.array([300.7, -1.5, np.nan, np.inf, 1e30, -1e30], np.float32)
    assert cast(x, "uint8").tolist() == [44, 255, 0, 0, 0, 0]
    least = np.iinfo(np.int64).min
    assert cast(x, "int64").tolist() == [300, -1, least, least, least, least]
    assert cast(np.array([2.0**63, 2.0**64 - 2048]), "uint64").tolist() == [2**63, 2**64 - 2048]
    assert cast(np.array([-5], np.int64), "uint16").tolist() == [65531]
    assert cast(x, "bool").tolist() == [True] * 6


def test_strides_and_broadcasting(isa: str) -> None:
    wide = np.arange(5 * 7 * 12, dtype=np.int32).reshape(5, 7, 12)
    x = wide[:, ::2, :9].transpose(1, 0, 2)
    ours = run_op("cast", [x], [(x.shape, np.float32)], isa=isa, workers=2)[0]
    np.testing.assert_array_equal(ours, x.astype(np.float32))
    column = np.arange(5, dtype=np.float16).reshape(5, 1)
    ours = run_op("cast", [column], [((5, 300), np.float32)], isa=isa)[0]
    np.testing.assert_array_equal(ours, np.broadcast_to(column, (5, 300)))


def test_any_number_of_workers(isa: str) -> None:
    x = np.random.default_rng(0).normal(size=70_001).astype(np.float32)
    workers_agree(lambda n: [cast(x, "float16", isa=isa, workers=n)])
