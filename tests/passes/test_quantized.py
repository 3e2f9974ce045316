"""Quantized models: recognised in every form, on integers, and with onnxruntime's results."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import pytest
from tests.support.quantized import dialect_of, difference, onnxruntimes
from tests.support.quantized_networks import NETWORKS, feeds, quantized

from pelemay.backends.reference import numpy_table
from pelemay.graph.evaluate import evaluate
from pelemay.onnx_backend import NativeBackend

pytest.importorskip("onnxruntime")

STATIC: dict[str, dict[str, Any]] = {
    "qdq": {"activation_type": "QUInt8", "weight_type": "QInt8"},
    "qdq of int8, per channel": {
        "activation_type": "QInt8",
        "weight_type": "QInt8",
        "per_channel": True,
    },
    "qdq of uint8": {"activation_type": "QUInt8", "weight_type": "QUInt8"},
    "qoperator, per channel": {
        "activation_type": "QUInt8",
        "weight_type": "QInt8",
        "per_channel": True,
        "quant_format": "QOperator",
    },
    "qoperator of int8": {
        "activation_type": "QInt8",
        "weight_type": "QInt8",
        "quant_format": "QOperator",
    },
}
FALLBACK: dict[str, dict[str, Any]] = {
    "activations of int16": {"activation_type": "QInt16", "weight_type": "QInt8"},
    "weights of int4": {"activation_type": "QUInt8", "weight_type": "QInt4", "per_channel": True},
}
ON_INTEGERS = {
    "images": {"QConv": 4, "QBinary": 1, "QMatMul": 1, "QAveragePool": 1},
    "activations": {"QConv": 1, "QBinary": 2, "QAveragePool": 1},
    "tokens": {"QMatMul": 6, "QBinary": 2, "QSoftmax": 1},
}
"""Operations of the dialect that a network has at least, once it is quantized."""

APART = {"images": 1, "activations": 3, "tokens": 3}
"""Units from onnxruntime's result. A mean of a window is one unit apart where it lies between two,
and the sum that follows has finer units. Softmax and LayerNormalization are real in between: where
they fall on the other side of a tie, a unit more goes into the products that follow."""


def units(found: Any, expected: Any) -> float:
    """The largest difference, in steps of the result's own grid."""
    steps = np.diff(np.unique(expected))
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    return float(np.abs(found - expected).max() / steps.min())


@pytest.mark.parametrize("form", STATIC)
@pytest.mark.parametrize("network", NETWORKS)
def test_quantized_with_onnxruntimes_tool(network: str, form: str, tmp_path: Path) -> None:
    model = quantized(NETWORKS[network](), tmp_path, **STATIC[form])
    data = model.SerializeToString()
    graph = dialect_of(data)
    found = Counter(node.op for node in graph.nodes)
    assert all(found[op] >= count for op, count in ON_INTEGERS[network].items()), found
    (given,) = feeds(model, 1, seed=7)
    (expected,) = onnxruntimes(data, given)
    (y,) = evaluate(graph, given, numpy_table()).values()
    assert units(np.asarray(y), expected) <= APART[network] + 0.01
    (native,) = NativeBackend.prepare(model, allow_fallback=False).run(list(given.values()))
    assert units(native, np.asarray(y)) <= (APART[network] if network == "tokens" else 0) + 0.01


@pytest.mark.parametrize("form", FALLBACK)
def test_what_has_no_integer_kernel_is_real_in_between(form: str, tmp_path: Path) -> None:
    model = quantized(NETWORKS["tokens"](), tmp_path, **FALLBACK[form])
    data = model.SerializeToString()
    (given,) = feeds(model, 1, seed=7)
    (expected,) = onnxruntimes(data, given)
    (y,) = NativeBackend.prepare(model, allow_fallback=False).run(list(given.values()))
    assert np.abs(y - expected).max() <= APART["tokens"] / 128 * np.abs(expected).max()


@pytest.mark.parametrize("network", ["images", "tokens"])
def test_quantized_while_it_runs(network: str, tmp_path: Path) -> None:
    model = quantized(NETWORKS[network](), tmp_path, dynamic=True)
    data = model.SerializeToString()
    graph = dialect_of(data)
    made = [node for node in graph.nodes if node.op in ("QConv", "QMatMul")]
    assert made
    assert {node.attributes["to"].value for node in made} == {"float32"}
    (given,) = feeds(model, 1, seed=7)
    (expected,) = onnxruntimes(data, given)
    (y,) = evaluate(graph, given, numpy_table()).values()
    assert difference(np.asarray(y), expected).units <= 10
    (native,) = NativeBackend.prepare(model, allow_fallback=False).run(list(given.values()))
    assert difference(native, expected).units <= 10


LAYERS: dict[str, tuple[str, tuple[int, ...], set[str]]] = {
    "mean of images": ("r = GlobalAveragePool (x)", (2, 3, 5, 7), {"QAveragePool"}),
    "mean of tokens": (
        "r = ReduceMean <axes = [1], keepdims = 0> (x)",
        (2, 9, 6),
        {"QAveragePool"},
    ),
    "mean of rows": ("r = ReduceMean <axes = [-1]> (x)", (2, 9, 6), {"QAveragePool"}),
    "mean of all": ("r = ReduceMean <keepdims = 0> (x)", (2, 9, 6), {"QAveragePool"}),
    "mean of the outer axes": ("r = ReduceMean <axes = [0, 1]> (x)", (4, 5, 6), {"QAveragePool"}),
    "padding": ("p = Pad (x, pads) r = Conv (p, w)", (1, 3, 6, 6), {"QConv"}),
    "softmax": ("r = Softmax <axis = 1> (x)", (2, 9, 6), {"QSoftmax"}),
    "a sum with a number": ("r = Add (x, one)", (9, 6), {"QTable"}),
    "a number times data": ("r = Mul (one, x)", (9, 6), {"QTable"}),
}
"""One operation of real numbers between two scales, and the integers that it becomes."""


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("kind", ["uint8", "int8"])
def test_layers(name: str, kind: str) -> None:
    body, shape, wanted = LAYERS[name]
    rank, least = len(shape), int(np.iinfo(kind).min)
    scale, zero = ("0.004", least) if name == "softmax" else ("0.05", least + 130)
    kept = rank if "keepdims = 0" not in body else 2 * body.count("[1]")
    text = f"""<ir_version: 8, opset_import: ["" : 17]> g ({kind}[{", ".join(map(str, shape))}] q)
    => ({kind}[{", ".join("abcd"[:kept])}] y)
    <float s = {{0.03}}, {kind} z = {{{least + 110}}}, float t = {{{scale}}}, {kind} o = {{{zero}}},
    int8 number = {{77}}, float third = {{0.013}}, int8 none = {{0}},
    int64[8] pads = {{0, 0, 1, 2, 0, 0, 0, 1}}>
    {{ x = DequantizeLinear (q, s, z)
    one = DequantizeLinear (number, third, none)
    w = DequantizeLinear (weights, third, none)
    {body} y = QuantizeLinear (r, t, o) }}"""
    model = onnx.parser.parse_model(text)
    weights = np.random.default_rng(1).integers(-60, 60, (4, 3, 3, 3)).astype(np.int8)
    model.graph.initializer.append(onnx.numpy_helper.from_array(weights, "weights"))
    data = model.SerializeToString()
    found = {node.op for node in dialect_of(data, finished=True).nodes}
    assert wanted <= found <= {*wanted, "Reshape", "Transpose"}
    limits = np.iinfo(kind)
    x = np.random.default_rng(2).integers(limits.min, limits.max + 1, shape).astype(kind)
    (expected,) = onnxruntimes(data, {"q": x})
    (y,) = NativeBackend.prepare(model, allow_fallback=False).run([x])
    assert difference(y, expected).units <= 1
    assert difference(y, expected).share <= 0.06, "ties of means"
