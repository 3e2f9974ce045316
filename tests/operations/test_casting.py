"""Casts: over every namespace, and like onnxruntime where it has the types."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from pelemay.graph import DType
from pelemay.graph.operations.casting import ROWS

F = np.float32([-3.7, -1.0, -0.0, 0.4, 2.5, 100.0])

CASES = [
    ("Cast", (F,), {"to": DType.FLOAT64}),
    ("Cast", (F,), {"to": DType.INT32}),
    ("Cast", (F,), {"to": DType.BOOL}),
    ("Cast", (np.int32([-1, 200, 300, 65536]),), {"to": DType.UINT8}),
    ("Cast", (np.int32([-1, 200, 300, 65536]),), {"to": DType.INT8}),
    ("Cast", (np.array([True, False]),), {"to": DType.FLOAT32}),
    ("CastLike", (F, np.int64([0])), {}),
]


@pytest.mark.parametrize(("name", "inputs", "attributes"), CASES)
def test_every_namespace_gives_what_numpy_gives(agree, name, inputs, attributes):
    agree(name, *inputs, **attributes)


def test_every_operation_has_a_case():
    assert {row.name for row in ROWS} == {name for name, _, _ in CASES} | {"BitCast"}


@pytest.mark.parametrize(
    "to",
    [DType.FLOAT8_E4M3FN, DType.FLOAT8_E4M3FNUZ, DType.FLOAT8_E5M2, DType.FLOAT8_E5M2FNUZ],
)
@pytest.mark.parametrize("saturate", [0, 1])
def test_small_floats_are_onnxruntimes(run, run_onnxruntime, to, saturate):
    """Every float32 whose upper 16 bits are anything and whose lower ones are all 0.

    Without saturation onnxruntime rounds what lies between the largest number and the next
    power of two in its own way, so that is left to the test below.
    """
    import onnx

    x = (np.arange(65536, dtype=np.uint32) << 16).view(np.float32)
    largest = float(ml_dtypes.finfo(to.numpy).max)
    between = (np.abs(x) > largest) & (np.abs(x) < 2.0 ** np.ceil(np.log2(largest)))
    x = x[np.isfinite(x) & ~(between & (not saturate))]
    code = onnx.helper.np_dtype_to_tensor_dtype(to.numpy)
    model = onnx.helper.make_model(
        onnx.helper.make_graph(
            [
                onnx.helper.make_node("Cast", ["x"], ["small"], to=code, saturate=saturate),
                onnx.helper.make_node("Cast", ["small"], ["y"], to=onnx.TensorProto.FLOAT),
            ],
            "g",
            [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, x.shape)],
            [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, x.shape)],
        ),
        ir_version=10,
        opset_imports=[onnx.helper.make_opsetid("", 21)],
    )
    ort = pytest.importorskip("onnxruntime")
    expected = ort.InferenceSession(model.SerializeToString()).run(None, {"x": x})[0]
    found = run("Cast", x, to=to, saturate=saturate)[0].astype(np.float32)
    np.testing.assert_array_equal(found, expected)


def test_without_saturation_what_rounds_up_from_the_largest_is_lost(run):
    e4m3 = run("Cast", np.float32([464, 465, -480]), to=DType.FLOAT8_E4M3FN, saturate=0)[0]
    np.testing.assert_array_equal(e4m3.astype(np.float32), [448, np.nan, np.nan])
    e5m2 = run("Cast", np.float32([61439, 61440, -65000]), to=DType.FLOAT8_E5M2, saturate=0)[0]
    np.testing.assert_array_equal(e5m2.astype(np.float32), [57344, np.inf, -np.inf])


@pytest.mark.parametrize(
    ("x", "to"),
    [
        (np.int64([-1, 7, 8, 300]), DType.INT4),
        (np.int64([-1, 7, 16, 300]), DType.UINT4),
        (np.float32([-8.9, 7.9]), DType.INT4),
        (np.int32([1, 2, -3]), DType.UINT2),
    ],
)
def test_below_one_byte_the_lowest_bits_stay(run, x, to):
    found = run("Cast", x, to=to)[0]
    bits = x.astype(np.int64) & ((1 << to.bits) - 1)
    assert found.dtype == to.numpy
    np.testing.assert_array_equal(found.astype(np.int64) & ((1 << to.bits) - 1), bits)


def test_powers_of_two_are_rounded_as_told(run):
    x = np.float32([1.0, 1.25, 1.5, 1.75, 3.0, np.nan])
    for mode, expected in {
        "up": [1, 2, 2, 2, 4, np.nan],
        "down": [1, 1, 1, 1, 2, np.nan],
        "nearest": [1, 1, 2, 2, 4, np.nan],
    }.items():
        found = run("Cast", x, to=DType.FLOAT8_E8M0FNU, round_mode=mode)[0]
        np.testing.assert_array_equal(found.astype(np.float32), expected)


def test_texts_become_numbers_and_back(run):
    texts = np.array([["1.5", "-INF"], ["nan", "1e3"]], object)
    found = run("Cast", texts, to=DType.FLOAT32)[0]
    np.testing.assert_array_equal(found, np.float32([[1.5, -np.inf], [np.nan, 1000]]))
    big = np.array([str(2**62 + 1)], object)
    assert run("Cast", big, to=DType.INT64)[0].tolist() == [2**62 + 1]
    assert run("Cast", np.int64([2**62 + 1]), to=DType.STRING)[0].tolist() == [str(2**62 + 1)]
    assert run("Cast", np.float32([0.1]), to=DType.STRING)[0].tolist() == ["0.1"]


def test_bits_are_kept(run):
    x = np.float32([1.0, -0.0, np.nan])
    there = run("BitCast", x, to=DType.UINT32)[0]
    assert there.tolist()[:2] == [0x3F800000, 0x80000000]
    np.testing.assert_array_equal(run("BitCast", there, to=DType.FLOAT32)[0], x)


def test_bits_below_one_byte_are_kept(run):
    x = np.arange(-8, 8).astype(ml_dtypes.int4)
    there = run("BitCast", x, to=DType.UINT4)[0]
    np.testing.assert_array_equal(there.astype(int), np.arange(-8, 8) % 16)
    np.testing.assert_array_equal(
        run("BitCast", there, to=DType.INT4)[0].astype(int), x.astype(int)
    )


def test_a_cast_to_the_same_type_copies_nothing(run):
    assert run("Cast", F, to=DType.FLOAT32)[0] is F
