"""Linear algebra: the same over every namespace, like NumPy and onnxruntime."""

from __future__ import annotations

import numpy as np
import pytest

from pelemay.errors import ExecutionError
from pelemay.graph.operations.linear import ROWS

RNG = np.random.default_rng(9)


def whole(*shape: int, dtype: type = np.float32) -> np.ndarray:
    return RNG.integers(-4, 5, shape).astype(dtype)


A, B = whole(2, 3), whole(3, 4)
EINSUMS = [
    ("ij,jk->ik", A, B),
    ("ij,jk", A, B),
    ("bij , bjk -> bik", whole(2, 3, 4), whole(2, 4, 5)),
    ("...ij,...jk->...ik", whole(5, 2, 3, 4), whole(2, 4, 5)),
    ("...ij,jk", whole(5, 3, 4), whole(4, 2)),
    ("ii->i", whole(4, 4)),
    ("iij->j", whole(4, 4, 3)),
    ("iji->", whole(4, 3, 4)),
    ("i->", whole(5)),
    ("ij->ji", A),
    ("i,j->ij", whole(3), whole(4)),
    ("i,i", whole(5), whole(5)),
    ("ij,ij->ij", A, A),
    ("ij,jk,kl->il", A, B, whole(4, 2)),
    ("ab,ac,ad->bcd", whole(3, 2), whole(3, 4), whole(3, 5)),
    ("bhwc,hkc->bhwk", whole(2, 3, 4, 5), whole(3, 6, 5)),
    ("aB,Bc", A, B),
    ("...a,...a->...", whole(2, 1, 3), whole(4, 3)),
    (",ij", np.float32(3), A),
]
CASES = [
    ("MatMul", (A, B), {}),
    ("MatMul", (whole(3), B), {}),
    ("MatMul", (whole(5, 1, 2, 3), whole(4, 3, 2)), {}),
    ("MatMul", (whole(2, 3, dtype=np.int32), whole(3, dtype=np.int32)), {}),
    ("Gemm", (A, B, whole(4)), {"alpha": 0.5, "beta": 2.0}),
    ("Gemm", (whole(3, 2), whole(4, 3), whole(2, 1)), {"transA": 1, "transB": 1}),
    ("Gemm", (A, B), {}),
    ("Gemm", (whole(2, 3, dtype=np.int64), whole(3, 4, dtype=np.int64)), {"alpha": 2.0}),
    ("Det", (whole(2, 3, 4, 4, dtype=np.float64) + 9 * np.eye(4),), {}),
    *(("Einsum", tuple(operands), {"equation": e}) for e, *operands in EINSUMS),
]


@pytest.mark.parametrize(("name", "inputs", "attributes"), CASES)
def test_every_namespace_gives_what_numpy_gives(agree, name, inputs, attributes):
    agree(name, *inputs, **attributes)


def test_every_operation_has_a_case():
    assert {row.name for row in ROWS} == {name for name, _, _ in CASES}


@pytest.mark.parametrize(("equation", "operands"), [(e, x) for e, *x in EINSUMS])
def test_einsum_like_numpy(run, equation, operands):
    (y,) = run("Einsum", *operands, equation=equation)
    np.testing.assert_array_equal(y, np.einsum(equation.replace(" ", ""), *operands))


@pytest.mark.parametrize(("name", "inputs", "attributes"), [c for c in CASES if c[0] != "Einsum"])
def test_like_onnxruntime(like_onnxruntime, name, inputs, attributes):
    if name == "Det" or inputs[0].dtype == np.int64:
        pytest.skip("onnxruntime has it for float32 only")
    like_onnxruntime(name, *inputs, **attributes)


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float16, np.float64])
def test_einsum_keeps_the_type(run, dtype):
    (y,) = run("Einsum", np.ones((2, 3), dtype), np.ones((3, 2), dtype), equation="ij,jk")
    assert y.dtype == dtype


def test_bytes_wrap_around(run):
    (y,) = run("Einsum", np.full(3, 100, np.uint8), equation="i->")
    assert y == 300 % 256


def test_equations_that_do_not_fit_are_refused(run):
    with pytest.raises(ExecutionError, match="2 operands"):
        run("Einsum", A, B, equation="ij->ij")
    with pytest.raises(ExecutionError, match="does not name 2 axes"):
        run("Einsum", A, equation="ijk->i")
