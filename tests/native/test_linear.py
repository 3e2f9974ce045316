"""Einstein's summation, determinants and Fourier transforms, against their meaning."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from support.nodes import Case


def floats(*shape: int, seed: int = 0, dtype: Any = np.float32) -> Any:
    return np.random.default_rng(seed).normal(0, 1, shape).astype(dtype)


EQUATIONS = {
    "ij,jk->ik": [(5, 17), (17, 9)],
    "bij,bjk->bik": [(3, 5, 17), (3, 17, 9)],
    "bhqd,bhkd->bhqk": [(2, 3, 7, 16), (2, 3, 9, 16)],
    "bqhd,bkhd->bhqk": [(2, 7, 3, 16), (2, 9, 3, 16)],
    "bhqk,bkhd->bqhd": [(2, 3, 7, 9), (2, 9, 3, 16)],
    "...ij,...jk->...ik": [(2, 3, 5, 4), (3, 4, 6)],
    "ij,j->i": [(5, 17), (17,)],
    "i,i->": [(37,), (37,)],
    "i,j->ij": [(5,), (7,)],
    "ij->ji": [(5, 7)],
    "ij->i": [(5, 70)],
    "ii->i": [(6, 6)],
    "ii->": [(6, 6)],
    "...ii->...i": [(4, 6, 6)],
    "ij,jk,kl->il": [(3, 4), (4, 5), (5, 6)],
    "ij,ij->": [(5, 7), (5, 7)],
    "abc,cd,db->ad": [(2, 3, 4), (4, 5), (5, 3)],
    "bij,bij->b": [(3, 4, 5), (3, 4, 5)],
    "bi,bjk->bijk": [(3, 4), (3, 5, 6)],
    "ij,kj->ik": [(5, 1), (7, 4)],
    "ba,cb": [(5, 4), (6, 5)],
}


@pytest.mark.parametrize("equation", EQUATIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.int64])
def test_einsum(equation: str, dtype: Any) -> None:
    shapes = EQUATIONS[equation]
    inputs = [floats(*shape, seed=i, dtype=np.float64) * 5 for i, shape in enumerate(shapes)]
    case = Case("Einsum", tuple(x.astype(dtype) for x in inputs), {"equation": equation})
    case.check(of_largest=True)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "shape", [(1, 1), (2, 2), (5, 5), (3, 4, 4), (2, 3, 20, 20), (0, 3, 3)], ids=str
)
def test_det(shape: tuple[int, ...], dtype: Any) -> None:
    x = floats(*shape, dtype=dtype)
    Case("Det", (x,), {}).check()
    if x.size:
        x[..., 0, :] = 0
        Case("Det", (x,), {}).check()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1, 2, 3, 8, 15, 64])
@pytest.mark.parametrize("axis", [0, 1, -2])
def test_dft(size: int, axis: int, dtype: Any) -> None:
    for parts in (1, 2):
        x = np.moveaxis(floats(size, 3, 4, parts, dtype=dtype), 0, axis % 4 if axis >= 0 else 2)
        x = np.ascontiguousarray(x)
        for length in (None, size + 3, max(1, size - 1)):
            inputs = (x, None if length is None else np.array(length), np.array(axis))
            for inverse in (0, 1):
                case = Case("DFT", inputs, {"inverse": inverse}, (1, 2))
                case.check(of_largest=True, workers=(1, 2))
            if parts == 1:
                Case("DFT", inputs, {"onesided": 1}, (1, 2)).check(of_largest=True)
            if parts == 2 and (length or size) > 1:
                options = {"onesided": 1, "inverse": 1}
                Case("DFT", inputs, options, (1, 2)).check(of_largest=True)


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("length", [16, 15])
@pytest.mark.parametrize("onesided", [0, 1])
def test_stft(parts: int, length: int, onesided: int) -> None:
    x, step = floats(2, 100, parts), np.array(7)
    window = np.hanning(length).astype(np.float32)
    for inputs in (
        (x, step, window),
        (x, step, None, np.array(length)),
        (x, step, window, np.array(length)),
    ):
        case = Case("STFT", inputs, {"onesided": onesided}, (1, 3))
        case.check(of_largest=True)
