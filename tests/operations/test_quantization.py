"""Quantization: over every namespace, like onnxruntime, and back."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pelemay.errors import ExecutionError
from pelemay.graph import DType
from pelemay.graph.operations.quantization import ROWS

F = np.linspace(-40, 40, 48, dtype=np.float32).reshape(2, 4, 6)
S = np.float32(0.25)
C = np.float32([0.1, 0.2, 0.5, 1.0])
Z = np.array([0, 3, 128, 255], np.uint8)
BLOCKS = np.float32([[[0.1, 0.2], [0.3, 0.4], [0.5, 0.6], [1, 2]]] * 2)
Q = np.arange(48, dtype=np.uint8).reshape(2, 4, 6)

CASES = [
    ("QuantizeLinear", (F, S), {}),
    ("QuantizeLinear", (F, S, np.int8(-3)), {}),
    ("QuantizeLinear", (F, C, Z), {}),
    ("QuantizeLinear", (F, BLOCKS), {"axis": 2, "block_size": 3}),
    ("QuantizeLinear", (F * 1000, S), {"output_dtype": DType.INT16}),
    ("DequantizeLinear", (Q, S, np.uint8(7)), {}),
    ("DequantizeLinear", (Q, C, Z), {"axis": -2}),
    ("DequantizeLinear", (Q, BLOCKS), {"axis": 2, "block_size": 3}),
    ("DequantizeLinear", (Q.astype(np.int32) * 1000, S), {}),
    ("DynamicQuantizeLinear", (F,), {}),
    ("DynamicQuantizeLinear", (np.abs(F) + 1,), {}),
]


@pytest.mark.parametrize(("name", "inputs", "attributes"), CASES)
def test_every_namespace_gives_what_numpy_gives(agree, name, inputs, attributes):
    agree(name, *inputs, **attributes)


def test_every_operation_has_a_case():
    assert {row.name for row in ROWS} == {name for name, _, _ in CASES}


@pytest.mark.parametrize(
    ("name", "inputs", "attributes", "outputs"),
    [
        ("QuantizeLinear", (F, S, np.uint8(128)), {}, 1),
        ("QuantizeLinear", (F, C, Z), {"axis": 1}, 1),
        ("QuantizeLinear", (F, C, np.zeros(4, np.int8)), {"axis": 1}, 1),
        ("QuantizeLinear", (F, BLOCKS, np.ones((2, 4, 2), np.uint8)),
         {"axis": 2, "block_size": 3}, 1),
        ("QuantizeLinear", (F * 1e30, S, np.uint16(9)), {}, 1),
        ("DequantizeLinear", (Q, C, Z), {"axis": 1}, 1),
        ("DequantizeLinear", (Q, BLOCKS, np.full((2, 4, 2), 9, np.uint8)),
         {"axis": 2, "block_size": 3}, 1),
        ("DynamicQuantizeLinear", (F,), {}, 3),
        ("DynamicQuantizeLinear", (np.zeros((2, 2), np.float32),), {}, 3),
        ("DynamicQuantizeLinear", (-np.abs(F) - 1,), {}, 3),
    ],
)  # fmt: skip
def test_edges_are_onnxruntimes(like_onnxruntime, name, inputs, attributes, outputs):
    like_onnxruntime(name, *inputs, outputs=outputs, **attributes)


def test_halves_go_to_even(run):
    x = np.float32([-1.5, -0.5, 0.5, 1.5, 2.5])
    found = run("QuantizeLinear", x, np.float32(1), np.int8(0))[0]
    assert found.tolist() == [-2, 0, 0, 2, 2]


@pytest.mark.parametrize(
    ("dtype", "low", "high"),
    [
        (ml_dtypes.int4, -8, 7),
        (ml_dtypes.uint4, 0, 15),
        (ml_dtypes.int2, -2, 1),
        (ml_dtypes.float8_e4m3fn, -448, 448),
        (ml_dtypes.float4_e2m1fn, -6, 6),
    ],
)
def test_what_does_not_fit_saturates(run, dtype, low, high):
    x = np.float32([-1e9, 1e9])
    found = run("QuantizeLinear", x, np.float32(1), np.zeros((), dtype))[0]
    assert found.dtype == dtype
    assert found.astype(np.float32).tolist() == [low, high]


@given(st.lists(st.floats(-30, 30, width=32), min_size=1, max_size=30))
def test_there_and_back_is_off_by_half_a_step(run, values):
    x = np.array(values, np.float32)
    there = run("QuantizeLinear", x, S, np.int8(0))[0]
    back = run("DequantizeLinear", there, S, np.int8(0))[0]
    assert np.abs(back - x).max() <= S / 2


def test_doubles_stay_doubles(run):
    assert run("DequantizeLinear", np.int8([3]), np.float64(0.1))[0][0] == 3 * 0.1


@pytest.mark.parametrize("scale", [np.ones(3, np.float32), np.ones((2, 4, 6), np.float32)])
def test_scales_that_do_not_fit_are_refused(run, scale):
    with pytest.raises(ExecutionError):
        run("QuantizeLinear", F, scale)
