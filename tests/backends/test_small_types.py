"""Floats of one byte: the engine lacks them, the caller's arrays are still of their type."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import onnx.parser
import pytest

from pelemay.onnx_backend import NativeBackend

X = np.array([[0.1, -0.3, 1000.0], [2.0, np.nan, -0.0]], np.float32)


def run(text: str, *arrays: object, alone: bool = True) -> tuple[np.ndarray, ...]:
    model = onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["" : 21]> {text}')
    return NativeBackend.prepare(model, allow_fallback=not alone).run(arrays)


@pytest.mark.parametrize("kind", [(17, "float8_e4m3fn"), (19, "float8_e5m2")])
def test_there_and_back(kind: tuple[int, str]) -> None:
    number, name = kind
    dtype = np.dtype(getattr(ml_dtypes, name))
    small, back = run(
        f"g (float[2,3] x) => (y, float[2,3] z) {{ y = Cast <to = {number}> (x) "
        "z = Cast <to = 1> (y) }",
        X,
    )
    limit = float(ml_dtypes.finfo(dtype).max)
    wanted = np.clip(X, -limit, limit).astype(dtype)
    assert small.dtype == dtype
    np.testing.assert_array_equal(small.astype(np.float32), wanted.astype(np.float32))
    np.testing.assert_array_equal(back, wanted.astype(np.float32))


def test_moved_without_being_converted() -> None:
    x = X.astype(ml_dtypes.float8_e5m2)
    (y,) = run("g (float8e5m2[2,3] x) => (y) { y = Transpose <perm = [1, 0]> (x) }", x)
    np.testing.assert_array_equal(y.view(np.uint8), x.T.view(np.uint8))


def test_a_node_on_the_host_makes_one() -> None:
    x = X.astype(np.float64)
    (y,) = run("g (double[2,3] x) => (y) { y = Cast <to = 19> (x) }", x, alone=False)
    assert y.dtype == ml_dtypes.float8_e5m2
    assert y.shape == x.shape


def test_the_tail_reads_one() -> None:
    """Not before the run is known how many elements are not zero."""
    (y,) = run(
        "g (double[2,3] x) => (int64[2,n] y) { s = Cast <to = 19> (x) y = NonZero (s) }",
        X.astype(np.float64),
        alone=False,
    )
    np.testing.assert_array_equal(y, np.nonzero(X))
