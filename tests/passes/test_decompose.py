"""Operations without an instruction become steps that mean the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pelemay.backends.reference import numpy_table
from pelemay.compilation import compile_graph
from pelemay.graph import ArrayConstant, DType, Graph, Node, TensorType, check
from pelemay.graph.evaluate import evaluate
from pelemay.graph.typing import infer
from pelemay.passes.decompose import MEANINGS, decompose, decompose_quantized
from pelemay.passes.gemm import lower_products
from pelemay.passes.layout import lay_out
from pelemay.passes.quantized import fuse_quantized
from pelemay.passes.simplify import simplify
from pelemay.program.describe import fallbacks


def t(dtype: str, *shape: int) -> TensorType:
    return TensorType(DType.of(dtype), shape)


def one(op: str, kinds: str, outputs: int = 1, **attributes: Any) -> Graph:
    """A graph of one node over inputs of types such as ``"uint8 2 3"``, with commas between."""
    words = [kind.split() for kind in kinds.split(",")]
    inputs = {f"x{i}": t(kind, *map(int, sizes)) for i, (kind, *sizes) in enumerate(words)}
    made = {f"y{i}": None for i in range(outputs)}
    return infer(Graph("g", inputs, made, (Node(op, tuple(inputs), tuple(made), attributes),)))


def assert_gone(graph: Graph) -> None:
    assert [node.op for node in graph.nodes if (node.domain, node.op) in MEANINGS] == []


CASES = {
    "in blocks": one("QuantizeLinear", "float32 2 3 4, float32 2 3 2", axis=2, block_size=2),
    "to 16 bits": one("QuantizeLinear", "float32 2 3 4, float32, int16"),
    "to a float of one byte": one(
        "QuantizeLinear", "float32 2 3 4, float32", output_dtype=DType.FLOAT8_E4M3FN
    ),
    "dequantize blocks": one("DequantizeLinear", "int8 2 6, float32 2 3", block_size=2),
    "dequantize to halves": one("DequantizeLinear", "int8 2 6, float16, int8"),
    "moved windows": one(
        "DeformConv", "float32 1 4 5 5, float32 2 2 2 2, float32 1 8 4 4, float32 2", group=2
    ),
    "training": one(
        "BatchNormalization",
        "float32 4 3 2, float32 3, float32 3, float32 3, float32 3",
        3,
        training_mode=1,
    ),
}
INTEGERS = {
    "quantize": one("QuantizeLinear", "float32 2 3 4, float32, uint8"),
    "along an axis": one("QuantizeLinear", "float32 2 3 4, float32 3, int8 3", axis=-2),
    "dequantize": one("DequantizeLinear", "uint8 2 3, float32 3, uint8 3"),
    "dynamic": one("DynamicQuantizeLinear", "float32 2 3", 3),
    "integer product": one("MatMulInteger", "uint8 2 5 3, int8 3 4, uint8, int8 4"),
    "integer convolution": one(
        "ConvInteger",
        "uint8 1 4 5 6, uint8 6 2 3 2, uint8",
        group=2,
        pads=(1, 0, 1, 1),
        strides=(1, 2),
    ),
    "quantized product": one(
        "QLinearMatMul",
        "uint8 2 3, float32 1, uint8 1, int8 3 4, float32 4, int8 4, float32, uint8",
    ),
    "quantized convolution": one(
        "QLinearConv",
        "uint8 1 3 6 6, float32, uint8, uint8 4 3 3 3, float32 4, uint8 4, float32, uint8, int32 4",
    ),
}


@pytest.mark.parametrize("graph", CASES.values(), ids=CASES)
def test_steps(graph: Graph, kept: Any) -> None:
    assert_gone(kept(graph, decompose))
    assert_gone(kept(graph, decompose, simplify))


@pytest.mark.parametrize("graph", INTEGERS.values(), ids=INTEGERS)
def test_steps_of_integers(graph: Graph, kept: Any) -> None:
    passes = (simplify, decompose, lower_products, lay_out, fuse_quantized, decompose_quantized)
    kept(graph, *passes)
    program = compile_graph(graph)
    assert fallbacks(program.metadata) == []
    assert "host" not in {instruction.opcode for instruction in program.instructions}


@pytest.mark.parametrize("activation", ["none", "silu"])
@pytest.mark.parametrize("past", ["", ", float32 2 3 3"])
def test_a_causal_convolution_stays_one_node(activation: str, past: str, kept: Any) -> None:
    kinds = f"float32 2 3 5, float32 3 1 4, float32 3{past}"
    graph = one("CausalConvWithState", kinds, 2, activation=activation)
    after = kept(graph, decompose, simplify)
    assert [node.op for node in after.nodes if node.op in ("Conv", "Swish", "Mul")] == [
        "Conv",
        *(["Swish"] if activation == "silu" else []),
    ]


def test_a_loop_of_known_length_becomes_its_rounds(
    graph_of: Callable[..., Graph], kept: Any, ops: Any
) -> None:
    text = """g (float[3] x, int64[1] n, bool[1] c) => (float[3] y, float[4,3] z) {
        y, z = Loop <body = b (int64 i, bool go, float[3] s) => (bool again, float[3] t, float[3] u)
        { again = Identity (go)  f = Cast <to = 1> (i)  m = Mul (s, f)  t = Add (m, x)  u = Exp (t)
        }> (n, c, x) }"""
    graph = graph_of(text, n=np.array([4]), c=np.array([True]))
    after = kept(graph, decompose, simplify)
    assert ops(after)["Exp"] == 4
    assert_gone(after)


def test_a_loop_that_ends_early_stays(graph_of: Callable[..., Graph]) -> None:
    text = """g (float[3] x, int64[1] n, bool[1] c) => (float[3] y) {
        y = Loop <body = b (int64 i, bool go, float[3] s) => (bool again, float[3] t)
        { t = Add (s, s)  m = ReduceMax <keepdims = 0> (t)  again = Less (m, h) }> (n, c, x) }"""
    text = text.replace(
        "=> (float[3] y) {", "=> (float[3] y) { h = Constant <value_float = 9.0> ()"
    )
    graph = graph_of(text, n=np.array([4]), c=np.array([True]))
    assert [node.op for node in simplify(decompose(simplify(graph))).nodes] == ["Loop"]


def test_a_scan_becomes_its_rounds(graph_of: Callable[..., Graph], kept: Any, ops: Any) -> None:
    text = """g (float[2] s, float[5,2] x, float[2,2] w) => (float[2] t, float[5,2] y) {
        t, y = Scan <num_scan_inputs = 1,
        body = b (float[2] a, float[2] v) => (float[2] c, float[2] d)
        { m = MatMul (a, w)  c = Add (m, v)  d = Softmax (c) }> (s, x) }"""
    after = kept(graph_of(text), decompose)
    assert (ops(after)["MatMul"], ops(after)["Softmax"]) == (5, 5)
    assert_gone(after)


def test_attention_whose_scores_a_graph_changes(kept: Any) -> None:
    kind = TensorType(DType.FLOAT32, (1, 2, 3, 4))
    scores = TensorType(DType.FLOAT32, (1, 2, 3, 3))
    body = Graph("b", {"s": scores}, {"t": scores}, (Node("Tanh", ("s",), ("t",)),))
    node = Node(
        "FlexAttention", ("q", "k", "v"), ("y",), {"score_mod": body}, domain="ai.onnx.preview"
    )
    inputs = dict.fromkeys("qkv", kind)
    after = kept(infer(Graph("g", inputs, {"y": None}, (node,))), decompose)
    assert "Tanh" in [node.op for node in after.nodes]
    assert_gone(after)


def test_attention_in_double_precision(kept: Any) -> None:
    kind = t("float64", 1, 2, 3, 4)
    node = Node("FlexAttention", ("q", "k", "v"), ("y",), domain="ai.onnx.preview")
    assert_gone(
        kept(infer(Graph("g", dict.fromkeys("qkv", kind), {"y": None}, (node,))), decompose)
    )


@pytest.mark.parametrize("axis", [None, 0, -1])
def test_compress_by_a_known_condition(axis: int | None, kept: Any) -> None:
    attributes = {} if axis is None else {"axis": axis}
    node = Node("Compress", ("x", "c"), ("y",), attributes)
    condition = ArrayConstant.of(np.array([False, True]))
    graph = Graph("g", {"x": t("float32", 2, 3)}, {"y": None}, (node,), {"c": condition})
    assert_gone(kept(infer(graph), decompose))


def test_compress_by_a_condition_of_the_run_stays(graph_of: Callable[..., Graph]) -> None:
    graph = graph_of("g (float[2,3] x, bool[2] c) => (float[N] y) { y = Compress (x, c) }")
    assert [node.op for node in decompose(graph).nodes] == ["Compress"]


def edges() -> np.ndarray[Any, Any]:
    """Every upper half of a float32, with lower halves around what rounds."""
    upper = np.arange(1 << 16, dtype=np.uint32) << 16
    lower = np.array([0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF], np.uint32)
    return (upper[:, None] | lower).view(np.float32)


def cast(array: np.ndarray[Any, Any], to: DType, **attributes: Any) -> Graph:
    kind = TensorType(DType.of_numpy(array.dtype), array.shape)
    node = Node("Cast", ("x",), ("y",), {"to": to, **attributes})
    return Graph("g", {"x": kind}, {"y": TensorType(to, array.shape)}, (node,))


def assert_same_numbers(graph: Graph, array: np.ndarray[Any, Any]) -> None:
    after = decompose(graph)
    check(after)
    assert not any(node.op == "Cast" and is_tiny(after, node) for node in after.nodes)
    with np.errstate(all="ignore"):
        found, wanted = (evaluate(g, {"x": array}, numpy_table())["y"] for g in (after, graph))
    assert found.dtype == wanted.dtype
    numbers = [np.asarray(a).astype(np.float64) for a in (found, wanted)]
    assert np.array_equal(*numbers, equal_nan=True)
    signs = [np.signbit(n) & ~np.isnan(n) for n in numbers]
    assert np.array_equal(*signs)


def is_tiny(graph: Graph, node: Node) -> bool:
    kind = graph.type_of(node.inputs[0])
    assert isinstance(kind, TensorType)
    return any(dtype in TINY for dtype in (kind.dtype, node.attributes["to"]))


TINY = (DType.FLOAT8_E4M3FN, DType.FLOAT8_E4M3FNUZ, DType.FLOAT8_E5M2, DType.FLOAT8_E5M2FNUZ)


@pytest.mark.parametrize("saturate", [0, 1])
@pytest.mark.parametrize("to", TINY, ids=lambda dtype: dtype.value)
def test_to_a_float_of_one_byte(to: DType, saturate: int) -> None:
    assert_same_numbers(cast(edges(), to, saturate=saturate), edges())


@pytest.mark.parametrize("mode", ["up", "down", "nearest"])
def test_to_a_power_of_two(mode: str) -> None:
    array = np.abs(edges())
    assert_same_numbers(cast(array, DType.FLOAT8_E8M0FNU, round_mode=mode), array)


@pytest.mark.parametrize("to", [DType.FLOAT32, DType.FLOAT16, DType.FLOAT64, *TINY[:2]])
@pytest.mark.parametrize("source", [*TINY, DType.FLOAT8_E8M0FNU], ids=lambda dtype: dtype.value)
def test_from_a_float_of_one_byte(source: DType, to: DType) -> None:
    array = np.arange(256, dtype=np.uint8).view(source.numpy)
    if source is not to:
        assert_same_numbers(cast(array, to), array)


def test_double_rounding_is_refused() -> None:
    graph = cast(np.ones(3), DType.FLOAT8_E5M2)
    assert decompose(graph) is graph
