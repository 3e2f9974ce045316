"""Small models that every backend runs, inputs for them, and what onnxruntime gives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

FLOAT, INT64, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL


class Case(NamedTuple):
    model: onnx.ModelProto
    feeds: dict[str, np.ndarray]


def _array(seed: int, *shape: int, scale: float = 1.0) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal(shape) * scale).astype(np.float32)


def _model(
    nodes: list[onnx.NodeProto],
    inputs: dict[str, tuple[int, list[Any]]],
    outputs: dict[str, tuple[int, list[Any]]],
    constants: dict[str, np.ndarray],
    opset: int = 17,
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info(n, *t) for n, t in inputs.items()],
        [helper.make_tensor_value_info(n, *t) for n, t in outputs.items()],
        [numpy_helper.from_array(v, n) for n, v in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    return model


def conv_net() -> Case:
    """Convolutions (strided, grouped, dilated, one-sided padding), pooling, normalisation."""
    node = helper.make_node
    nodes = [
        node("Conv", ["x", "w1", "b1"], ["c1"], strides=[2, 2], pads=[1, 1, 1, 1]),
        node("BatchNormalization", ["c1", "g", "b", "m", "v"], ["n1"]),
        node("Relu", ["n1"], ["r1"]),
        node("MaxPool", ["r1"], ["p1"], kernel_shape=[3, 3], strides=[2, 2], pads=[0, 0, 1, 1]),
        node("Conv", ["p1", "w2"], ["c2"], group=8, pads=[2, 2, 2, 2], dilations=[2, 2]),
        node("Conv", ["c2", "w3"], ["c3"], auto_pad="SAME_UPPER"),
        node("Add", ["c3", "p1"], ["a"]),
        node("AveragePool", ["a"], ["p2"], kernel_shape=[2, 2], pads=[1, 1, 0, 0]),
        node("ConvTranspose", ["p2", "w4"], ["t"], strides=[2, 2], pads=[1, 1, 1, 1]),
        node("Clip", ["t", "low", "high"], ["k"]),
        node("GlobalAveragePool", ["k"], ["gap"]),
        node("Flatten", ["gap"], ["f"]),
        node("Gemm", ["f", "w5", "b5"], ["y"], transB=1, alpha=0.5),
    ]
    constants = {
        "w1": _array(1, 8, 3, 3, 3, scale=0.3),
        "b1": _array(2, 8),
        "g": _array(3, 8),
        "b": _array(4, 8),
        "m": _array(5, 8),
        "v": np.abs(_array(6, 8)) + 0.5,
        "w2": _array(7, 8, 1, 3, 3, scale=0.3),
        "w3": _array(8, 8, 8, 2, 2, scale=0.3),
        "w4": _array(9, 8, 8, 4, 4, scale=0.3),
        "w5": _array(10, 5, 8),
        "b5": _array(11, 5),
        "low": np.array(-2, np.float32),
        "high": np.array(3, np.float32),
    }
    model = _model(nodes, {"x": (FLOAT, ["N", 3, 17, 19])}, {"y": (FLOAT, ["N", 5])}, constants)
    return Case(model, {"x": _array(0, 2, 3, 17, 19)})


def mlp() -> Case:
    nodes = [
        helper.make_node("MatMul", ["x", "w1"], ["h"]),
        helper.make_node("Add", ["h", "b1"], ["a"]),
        helper.make_node("Sigmoid", ["a"], ["s"]),
        helper.make_node("MatMul", ["s", "w2"], ["z"]),
        helper.make_node("Softmax", ["z"], ["y"]),
        helper.make_node("ArgMax", ["y"], ["label"], axis=1, keepdims=0),
    ]
    constants = {"w1": _array(1, 20, 40), "b1": _array(2, 40), "w2": _array(3, 40, 7)}
    outputs = {"y": (FLOAT, [3, 7]), "label": (INT64, [3])}
    model = _model(nodes, {"x": (FLOAT, [3, 20])}, outputs, constants)
    return Case(model, {"x": _array(0, 3, 20)})


def attention() -> Case:
    """Multi-head attention after a layer norm, then GELU from Erf, over 2 heads of 8."""
    node = helper.make_node
    nodes = [node("LayerNormalization", ["x", "g", "b"], ["n"])]
    for name in "qkv":
        nodes += [
            node("MatMul", ["n", f"w{name}"], [f"{name}0"]),
            node("Reshape", [f"{name}0", "heads"], [f"{name}1"]),
            node("Transpose", [f"{name}1"], [name], perm=[0, 2, 1, 3]),
        ]
    nodes += [
        node("Transpose", ["k"], ["kt"], perm=[0, 1, 3, 2]),
        node("MatMul", ["q", "kt"], ["scores"]),
        node("Mul", ["scores", "scale"], ["scaled"]),
        node("Softmax", ["scaled"], ["weights"]),
        node("MatMul", ["weights", "v"], ["mixed"]),
        node("Transpose", ["mixed"], ["back"], perm=[0, 2, 1, 3]),
        node("Reshape", ["back", "flat"], ["joined"]),
        node("Add", ["joined", "x"], ["r"]),
        node("Div", ["r", "root2"], ["d"]),
        node("Erf", ["d"], ["e"]),
        node("Add", ["e", "one"], ["e1"]),
        node("Mul", ["r", "e1"], ["m"]),
        node("Mul", ["m", "half"], ["y"]),
    ]
    constants = {
        "g": _array(1, 16),
        "b": _array(2, 16),
        **{f"w{name}": _array(i, 16, 16, scale=0.3) for i, name in enumerate("qkv", 3)},
        "heads": np.array([0, 0, 2, 8], np.int64),
        "flat": np.array([0, 0, 16], np.int64),
        "scale": np.array(8**-0.5, np.float32),
        "root2": np.array(2**0.5, np.float32),
        "one": np.array(1, np.float32),
        "half": np.array(0.5, np.float32),
    }
    shape = ["batch", "tokens", 16]
    model = _model(nodes, {"x": (FLOAT, shape)}, {"y": (FLOAT, shape)}, constants)
    return Case(model, {"x": _array(0, 2, 5, 16)})


def shapes() -> Case:
    """A shape computed in int64 from a shape, and one from an input."""
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Gather", ["s", "zero"], ["n"]),
        helper.make_node("Unsqueeze", ["n", "axis"], ["n1"]),
        helper.make_node("Concat", ["n1", "minus"], ["to"], axis=0),
        helper.make_node("Reshape", ["x", "to"], ["flat"]),
        helper.make_node("Tile", ["flat", "repeats"], ["y"]),
        helper.make_node("Gather", ["table", "ids"], ["rows"]),
        helper.make_node("ReduceSum", ["rows", "axis"], ["sum"], keepdims=0),
    ]
    constants = {
        "zero": np.array(0, np.int64),
        "axis": np.array([0], np.int64),
        "minus": np.array([-1], np.int64),
        "table": np.arange(600, dtype=np.int64).reshape(200, 3) + 2**40,
    }
    inputs = {"x": (FLOAT, ["a", 3, 4]), "repeats": (INT64, [2]), "ids": (INT64, ["k"])}
    outputs = {"y": (FLOAT, ["rows", 12]), "sum": (INT64, [3]), "to": (INT64, [2])}
    model = _model(nodes, inputs, outputs, constants)
    feeds = {"repeats": np.array([2, 1], np.int64), "ids": np.array([3, -1, 150], np.int64)}
    return Case(model, {"x": _array(0, 2, 3, 4), **feeds})


def if_else() -> Case:
    """A condition that depends on the data; the branches read from outside."""

    def branch(name: str, op: str) -> onnx.GraphProto:
        nodes = [helper.make_node(op, ["x", "w"], [f"{name}_out"])]
        return helper.make_graph(
            nodes, name, [], [helper.make_tensor_value_info(f"{name}_out", FLOAT, [20, 20])]
        )

    nodes = [
        helper.make_node("ReduceSum", ["x"], ["total"], keepdims=0),
        helper.make_node("Greater", ["total", "zero"], ["positive"]),
        helper.make_node(
            "If",
            ["positive"],
            ["y"],
            then_branch=branch("then", "Add"),
            else_branch=branch("else", "Mul"),
        ),
    ]
    constants = {"w": _array(1, 20, 20), "zero": np.array(0, np.float32)}
    model = _model(nodes, {"x": (FLOAT, [20, 20])}, {"y": (FLOAT, [20, 20])}, constants)
    return Case(model, {"x": -np.abs(_array(0, 20, 20))})


def _loop_body(nodes: list[onnx.NodeProto], scanned: bool) -> onnx.GraphProto:
    value = helper.make_tensor_value_info
    outputs = [value("go_on", BOOL, []), value("next", FLOAT, [4])]
    if scanned:
        outputs.append(value("each", FLOAT, [4]))
    inputs = [value("i", INT64, []), value("go", BOOL, []), value("state", FLOAT, [4])]
    return helper.make_graph(nodes, "body", inputs, outputs)


def loop() -> Case:
    """A known number of rounds; the values of all rounds are stacked."""
    body = _loop_body(
        [
            helper.make_node("Identity", ["go"], ["go_on"]),
            helper.make_node("Cast", ["i"], ["number"], to=FLOAT),
            helper.make_node("Add", ["state", "x"], ["next0"]),
            helper.make_node("Add", ["next0", "number"], ["next"]),
            helper.make_node("Mul", ["next", "next"], ["each"]),
        ],
        scanned=True,
    )
    nodes = [helper.make_node("Loop", ["trips", "true", "x"], ["last", "all"], body=body)]
    constants = {"trips": np.array(4, np.int64), "true": np.array(True)}
    outputs = {"last": (FLOAT, [4]), "all": (FLOAT, [4, 4])}
    model = _model(nodes, {"x": (FLOAT, [4])}, outputs, constants)
    return Case(model, {"x": _array(0, 4)})


def while_loop() -> Case:
    """Double until the sum exceeds 100: the rounds depend on the data."""
    body = _loop_body(
        [
            helper.make_node("Add", ["state", "state"], ["next"]),
            helper.make_node("ReduceSum", ["next"], ["total"], keepdims=0),
            helper.make_node("Less", ["total", "limit"], ["go_on"]),
        ],
        scanned=False,
    )
    nodes = [helper.make_node("Loop", ["", "true", "x"], ["last"], body=body)]
    constants = {"true": np.array(True), "limit": np.array(100, np.float32)}
    model = _model(nodes, {"x": (FLOAT, [4])}, {"last": (FLOAT, [4])}, constants)
    return Case(model, {"x": np.abs(_array(0, 4)) + 1})


def scatter() -> Case:
    nodes = [
        helper.make_node("ScatterElements", ["x", "at", "updates"], ["a"], axis=1, reduction="add"),
        helper.make_node("ScatterND", ["a", "places", "rows"], ["b"]),
        helper.make_node("TopK", ["b", "two"], ["best", "where"], axis=1),
        helper.make_node("Einsum", ["best", "best"], ["y"], equation="ij,kj->ik"),
    ]
    constants = {
        "at": np.array([[0, 2, -1], [1, 1, 0]], np.int64),
        "updates": _array(1, 2, 3),
        "places": np.array([[-1]], np.int64),
        "rows": _array(2, 1, 4),
        "two": np.array([2], np.int64),
    }
    outputs = {"y": (FLOAT, [3, 3]), "where": (INT64, [3, 2])}
    model = _model(nodes, {"x": (FLOAT, [3, 4])}, outputs, constants)
    return Case(model, {"x": _array(0, 3, 4)})


def double_precision() -> Case:
    nodes = [helper.make_node("MatMul", ["x", "w"], ["h"]), helper.make_node("Exp", ["h"], ["y"])]
    w = np.random.default_rng(1).standard_normal((30, 30)) / 10
    double = TensorProto.DOUBLE
    model = _model(nodes, {"x": (double, [2, 30])}, {"y": (double, [2, 30])}, {"w": w})
    return Case(model, {"x": np.random.default_rng(0).standard_normal((2, 30))})


CASES: dict[str, Callable[[], Case]] = {
    "conv_net": conv_net,
    "mlp": mlp,
    "attention": attention,
    "shapes": shapes,
    "if_else": if_else,
    "loop": loop,
    "while_loop": while_loop,
    "scatter": scatter,
    "double_precision": double_precision,
}


class Prepared(NamedTuple):
    path: Path
    model: onnx.ModelProto
    feeds: dict[str, np.ndarray]
    want: dict[str, np.ndarray]
    """Outputs of onnxruntime, in its order."""


@pytest.fixture(scope="session")
def small_models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Prepared]:
    ort = pytest.importorskip("onnxruntime")
    folder = tmp_path_factory.mktemp("models")
    made = {}
    for name, make in CASES.items():
        model, feeds = make()
        path = folder / f"{name}.onnx"
        onnx.save(model, path)
        session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        outputs = [output.name for output in session.get_outputs()]
        want = dict(zip(outputs, session.run(outputs, feeds), strict=True))
        made[name] = Prepared(path, model, feeds, want)
    return made


@pytest.fixture(params=CASES)
def small_model(request: pytest.FixtureRequest, small_models: dict[str, Prepared]) -> Prepared:
    return small_models[request.param]
