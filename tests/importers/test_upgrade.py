"""Older operator sets mean here what onnxruntime, reading the same model, says they mean."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from pelemay.graph.operations import find
from pelemay.importers.upgrade import RULES, SPOKEN_SINCE
from pelemay.onnx_backend import prepare

onnxruntime = pytest.importorskip("onnxruntime")

RANDOM = np.random.default_rng(7)
X = RANDOM.standard_normal((2, 3, 4, 5)).astype(np.float32)
POSITIVE = np.abs(X) + 0.5
ROWS = np.array([True, False])


def model_of(
    op: str, version: int, inputs: list[np.ndarray[Any, Any]], **attributes: Any
) -> onnx.ModelProto:
    names = [f"x{i}" for i in range(len(inputs))]
    made = ["y0", "y1"] if op in ("Split", "TopK") else ["y0"]
    node = helper.make_node(op, names, made, **attributes)
    types = [
        helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)
        for n, x in zip(names, inputs, strict=True)
    ]
    results = [helper.make_empty_tensor_value_info(n) for n in made]
    graph = helper.make_graph([node], "old", types, results)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", version)])
    model.ir_version = 4
    return onnx.shape_inference.infer_shapes(model)


def i64(*values: int) -> np.ndarray[Any, Any]:
    return np.array(values, np.int64)


CASES: dict[str, tuple[str, int, list[np.ndarray[Any, Any]], dict[str, Any]]] = {
    "BatchNormalization-9": (
        "BatchNormalization", 9, [X, X[0, :, 0, 0], X[1, :, 0, 0], X[0, :, 1, 1],
                                  POSITIVE[0, :, 0, 0]], {"epsilon": 1e-3}),
    "Clip-6": ("Clip", 7, [X], {"min": -0.5, "max": 0.25}),
    "Clip-6, one side": ("Clip", 10, [X], {"max": 0.25}),
    "DFT-17": ("DFT", 17, [X[0, :, :, :1]], {"axis": 1, "onesided": 1}),
    "Dropout-7": ("Dropout", 7, [X], {"ratio": 0.3}),
    "GridSample-16": ("GridSample", 16, [X, np.tanh(X[:, :2, :, :2])], {"mode": "bicubic"}),
    "GroupNormalization-18": (
        "GroupNormalization", 18, [np.concatenate([X, X], 1), X[0, 0, 0, :3], X[1, 0, 0, :3]],
        {"num_groups": 3, "epsilon": 1e-2}),
    "Hardmax-1": ("Hardmax", 9, [X], {"axis": 2}),
    "LogSoftmax-1": ("LogSoftmax", 9, [X], {}),
    "PRelu-7": ("PRelu", 7, [X, X[0, :, :1, :1]], {}),
    "Pad-2": ("Pad", 7, [X], {"pads": [0, 1, 0, 2, 0, 0, 1, 0], "value": 1.5}),
    "Pad-2, reflect": ("Pad", 7, [X], {"pads": [0, 0, 1, 2, 0, 0, 1, 0], "mode": "reflect"}),
    "ReduceL1-1": ("ReduceL1", 9, [X], {"axes": [1, 3]}),
    "ReduceL2-1": ("ReduceL2", 9, [X], {"axes": [-1], "keepdims": 0}),
    "ReduceLogSum-1": ("ReduceLogSum", 9, [POSITIVE], {"axes": [2]}),
    "ReduceLogSumExp-1": ("ReduceLogSumExp", 9, [X], {}),
    "ReduceMax-1": ("ReduceMax", 9, [X], {"axes": [0]}),
    "ReduceMean-1": ("ReduceMean", 13, [X], {"axes": [2, 3]}),
    "ReduceMin-1": ("ReduceMin", 9, [X], {"axes": [0]}),
    "ReduceProd-1": ("ReduceProd", 9, [X], {"axes": [1]}),
    "ReduceSum-1": ("ReduceSum", 9, [X], {"axes": [1], "keepdims": 0}),
    "ReduceSumSquare-1": ("ReduceSumSquare", 9, [X], {"axes": [1]}),
    "Resize-10": ("Resize", 10, [X, np.array([1, 1, 2, 1.5], np.float32)], {"mode": "nearest"}),
    "Resize-10, linear": (
        "Resize", 10, [X, np.array([1, 1, 2, 1.5], np.float32)], {"mode": "linear"}),
    "RoiAlign-10": (
        "RoiAlign", 10, [X, np.array([[0, 0, 3, 3]], np.float32), i64(1)],
        {"output_height": 2, "output_width": 2, "sampling_ratio": 2}),
    "Scatter-9": ("Scatter", 9, [X[0, 0], np.zeros((1, 5), np.int64), X[1, 0, :1]], {"axis": 0}),
    "Slice-1": ("Slice", 9, [X], {"starts": [1, 0], "ends": [3, -1], "axes": [2, 3]}),
    "Softmax-1": ("Softmax", 9, [X], {}),
    "Softmax-1, last axis": ("Softmax", 9, [X], {"axis": 3}),
    "Squeeze-1": ("Squeeze", 9, [X[:1, :, :1]], {"axes": [0, 2]}),
    "Squeeze-1, all": ("Squeeze", 9, [X[:1, :, :1]], {}),
    "Unsqueeze-1": ("Unsqueeze", 9, [X], {"axes": [0, 4]}),
    "Upsample-7": ("Upsample", 7, [X], {"scales": [1.0, 1.0, 2.0, 3.0], "mode": "nearest"}),
    "Upsample-9": (
        "Upsample", 9, [X, np.array([1, 1, 2, 2], np.float32)], {"mode": "linear"}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_old_form_against_onnxruntime(name: str) -> None:
    op, version, inputs, attributes = CASES[name]
    model = model_of(op, version, inputs, **attributes)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    feeds = {arg.name: x for arg, x in zip(session.get_inputs(), inputs, strict=True)}
    expected = session.run(None, feeds)
    rep = prepare(model)
    assert all(node.version == 0 for node in rep.graph.nodes), "the rule did not apply"
    for want, got in zip(expected, rep.run(inputs), strict=True):
        assert got.dtype == want.dtype
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("op", "version", "inputs", "attributes", "expected"),
    [
        ("Add", 6, [X, X[0, :, 0, 0]], {"broadcast": 1, "axis": 1},
         X + X[0, :, 0, 0].reshape(3, 1, 1)),
        ("Mul", 6, [X, X[0, 0, 0]], {"broadcast": 1}, X * X[0, 0, 0]),
        ("Sub", 1, [X, X], {}, np.zeros_like(X)),
        ("Div", 6, [X, POSITIVE[0, 0]], {"broadcast": 1, "axis": 2}, X / POSITIVE[0, 0]),
        ("Pow", 1, [POSITIVE, X[0, 0, 0, :1]], {"broadcast": 1}, POSITIVE ** X[0, 0, 0, 0]),
        ("And", 1, [X > 0, X[0, 0, 0] > 0], {"broadcast": 1}, (X > 0) & (X[0, 0, 0] > 0)),
        ("Or", 1, [X > 0, ROWS], {"broadcast": 1, "axis": 0}, (X > 0) | ROWS.reshape(2, 1, 1, 1)),
        ("Xor", 1, [X > 0, X > 0], {}, np.zeros_like(X, bool)),
        ("Equal", 1, [np.int32([[1, 2]]), np.int32([1, 3])], {"broadcast": 1},
         np.array([[True, False]])),
        ("Greater", 1, [X, X[0, 0, 0]], {"broadcast": 1}, X[0, 0, 0] < X),
        ("Less", 1, [X, X[0, 0, 0]], {"broadcast": 1}, X[0, 0, 0] > X),
        ("Cast", 1, [X], {"to": "INT32"}, X.astype(np.int32)),
        ("Concat", 1, [X, X], {}, np.concatenate([X, X], 1)),
        ("Gemm", 6, [X[0, 0], X[0, 0].T, X[0, 0, :, 0]], {"broadcast": 1},
         X[0, 0] @ X[0, 0].T + X[0, 0, :, 0]),
        ("PRelu", 6, [X, np.float32([0.1, 0.2, 0.3])], {},
         np.where(X < 0, X * np.float32([0.1, 0.2, 0.3]).reshape(3, 1, 1), X)),
        ("Reshape", 1, [X], {"shape": [6, -1]}, X.reshape(6, 20)),
        ("Split", 2, [X], {"axis": 1, "split": [1, 2]}, X[:, :1]),
        ("TopK", 1, [X[0, 0]], {"k": 2}, -np.sort(-X[0, 0], -1)[:, :2]),
        ("Pad", 1, [X[0, 0]], {"paddings": [1, 0, 0, 2]}, np.pad(X[0, 0], ((1, 0), (0, 2)))),
        ("Relu", 1, [X], {"consumed_inputs": [0]}, np.maximum(X, 0)),
        ("Upsample", 1, [X], {"height_scale": 2.0, "width_scale": 1.0},
         X.repeat(2, axis=2)),
    ],
)  # fmt: skip
def test_forms_that_onnxruntime_no_longer_reads(
    op: str, version: int, inputs: list[Any], attributes: dict[str, Any], expected: Any
) -> None:
    rep = prepare(model_of(op, version, inputs, **attributes))
    assert all(node.version == 0 for node in rep.graph.nodes), "the rule did not apply"
    np.testing.assert_allclose(rep.run(inputs)[0], expected, rtol=1e-6)


def test_every_rule_has_a_case() -> None:
    tried = {name.split("-")[0] for name in CASES}
    tried |= {
        "Add", "And", "Cast", "Concat", "Div", "Equal", "Gemm", "Greater", "Less", "Mul", "Or",
        "Pow", "Reshape", "Split", "Sub", "TopK", "Xor",
    }  # fmt: skip
    # A Scan has a body: tests/conformance/test_older_opsets.py has it.
    tried.add("Scan")
    assert set(RULES) <= tried


@pytest.mark.parametrize("op", [*RULES, *SPOKEN_SINCE])
def test_rules_end_in_rows(op: str) -> None:
    assert find("ScatterElements" if op == "Scatter" else "Resize" if op == "Upsample" else op)


def test_what_cannot_be_said_keeps_its_version() -> None:
    node = helper.make_node("Dropout", ["x"], ["y", "mask"], ratio=0.5)
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])
    # The mask is an output of the model, and its type is the old one.
    out = [helper.make_empty_tensor_value_info(n) for n in ("y", "mask")]
    model = helper.make_model(
        helper.make_graph([node], "g", [value], out), opset_imports=[helper.make_opsetid("", 9)]
    )
    assert prepare(model).graph.nodes[0].version == 9
