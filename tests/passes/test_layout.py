"""Channels last throughout: transpositions sink, meet and cancel; the meaning stays."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from pelemay.graph import Graph
from pelemay.passes.dead import remove_dead
from pelemay.passes.gemm import lower_products
from pelemay.passes.layout import lay_out

RNG = np.random.default_rng(9)
W = RNG.standard_normal((6, 6, 3, 3)).astype(np.float32)
VECTOR = RNG.standard_normal((6, 1, 1)).astype(np.float32)
INT = {
    "two": [2],
    "half": [3],
    "spatial": [2, 3],
    "channel": [1],
    "pads": [0, 0, 1, 0, 0, 0, 2, 1],
    "starts": [1, 0],
    "ends": [5, 7],
    "axes": [1, -1],
    "steps": [2, 3],
    "flat": [1, 6, 64],
    "grouped": [1, 2, 3, 8, 8],
    "back": [1, 6, 8, 8],
    "repeats": [1, 2, 1, 3],
    "wide": [1, 6, 8, 8],
    "sizes": [1, 6, 16, 12],
    "row": [1, 6, 1, 8],
}
FLOAT = {"w": W, "v": VECTOR, "scales": np.asarray([1, 1, 2, 2], np.float32)}
CONSTANTS = {name: np.asarray(value, np.int64) for name, value in INT.items()} | FLOAT
CONSTANTS["last"] = np.asarray(-1, np.int64)
CONSTANTS["pair"] = np.asarray([1, 2], np.int64)
CONSTANTS["spread"] = np.asarray([[0, 4], [2, 1]], np.int64)


def kind_of(array: np.ndarray) -> str:
    name = {"float32": "float"}.get(array.dtype.name, array.dtype.name)
    return f"{name}[{','.join(map(str, array.shape))}]" if array.shape else name


CONV = "Conv <pads = [1, 1, 1, 1]>"
BETWEEN = {
    "activation": ("m = Relu(c)", "1,6,8,8"),
    "constant for each channel": ("m = Mul(c, v)", "1,6,8,8"),
    "two branches": (f"d = {CONV} (c, w) m = Sub(d, c)", "1,6,8,8"),
    "gate": ("p = GlobalAveragePool(c) s = Sigmoid(p) m = Mul(c, s)", "1,6,8,8"),
    "concat": ("a = Relu(c) m = Concat <axis = 1> (a, c)", "1,12,8,8"),
    "split": ("a, b = Split <axis = 1, num_outputs = 2> (c) m = Add(a, b)", "1,3,8,8"),
    "slice": ("m = Slice(c, starts, ends, axes, steps)", "1,2,8,3"),
    "pad": ("m = Pad(c, pads)", "1,6,11,9"),
    "mean over channels": ("m = ReduceMean(c, channel)", "1,1,8,8"),
    "maximum over the image": ("m = ReduceMax(c, spatial)", "1,6,1,1"),
    "softmax over channels": ("m = Softmax <axis = 1> (c)", "1,6,8,8"),
    "resize by scales": ('m = Resize(c, "", scales)', "1,6,16,16"),
    "resize to sizes": ('m = Resize <mode = "linear"> (c, "", "", sizes)', "1,6,16,12"),
    "tile": ("m = Tile(c, repeats)", "1,12,8,24"),
    "sum of powers": ("m = CumSum(c, last)", "1,6,8,8"),
    "gather": ("m = Gather <axis = 1> (c, pair)", "1,2,8,8"),
    "transposed there and back": (
        "t = Transpose <perm = [0, 2, 3, 1]> (c) r = Relu(t) "
        "m = Transpose <perm = [0, 3, 1, 2]> (r)",
        "1,6,8,8",
    ),
    "normalised over channels": (
        "t = Transpose <perm = [0, 2, 3, 1]> (c) n = LayerNormalization(t, g) "
        "m = Transpose <perm = [0, 3, 1, 2]> (n)",
        "1,6,8,8",
    ),
    "instance normalisation": ("m = InstanceNormalization(c, g, g)", "1,6,8,8"),
    "group normalisation": ("m = GroupNormalization <num_groups = 2> (c, g, g)", "1,6,8,8"),
    "local response": ("m = LRN <size = 3> (c)", "1,6,8,8"),
    "parametric relu": ("m = PRelu(c, v)", "1,6,8,8"),
    "turned on its side": ("m = Transpose <perm = [0, 1, 3, 2]> (c)", "1,6,8,8"),
}
CONSTANTS["g"] = np.ones(6, np.float32)


def network(graph_of: Any, body: str, shape: str, x: str = "1,6,8,8") -> Graph:
    """A convolution, something, and a convolution of what is left of its channels."""
    channels = int(shape.split(",")[1])
    second = RNG.standard_normal((4, channels, 1, 1)).astype(np.float32)
    constants = {**CONSTANTS, "w2": second}
    typed = ", ".join(f"{kind_of(value)} {name}" for name, value in constants.items())
    out = ",".join(["1", "4", *shape.split(",")[2:]])
    text = f"""g (float[{x}] x, {typed}) => (float[{out}] y)
    {{ c = {CONV} (x, w) {body} y = Conv(m, w2) }}"""
    return remove_dead(graph_of(text, **constants))


def transposes(graph: Graph) -> int:
    return sum(node.op == "Transpose" for node in graph.nodes)


@pytest.mark.parametrize("name", BETWEEN)
def test_one_transpose_at_either_end(name: str, graph_of: Any, kept: Any) -> None:
    body, shape = BETWEEN[name]
    after = kept(network(graph_of, body, shape), lay_out, remove_dead)
    spatial = shape.split(",")[2:]
    assert transposes(after) == (1 if spatial == ["1", "1"] else 2)
    assert all(node.domain == "pelemay" for node in after.nodes if node.op == "Conv")


def test_channel_shuffle_moves_once(graph_of: Any, kept: Any) -> None:
    body = """a = Reshape(c, grouped) t = Transpose <perm = [0, 2, 1, 3, 4]> (a)
    m = Reshape(t, back)"""
    after = kept(network(graph_of, body, "1,6,8,8"), lay_out, remove_dead)
    assert transposes(after) == 3


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
def test_pixels_and_channels(mode: str, graph_of: Any, kept: Any) -> None:
    w = RNG.standard_normal((32, 24, 1, 1)).astype(np.float32)
    text = f"""g (float[1,6,8,8] x, float[32,24,1,1] w) => (float[1,2,16,16] y) {{
      a = SpaceToDepth <blocksize = 2> (x) c = Conv(a, w)
      y = DepthToSpace <blocksize = 4, mode = "{mode}"> (c) }}"""
    after = kept(graph_of(text, w=w), lay_out, remove_dead)
    assert transposes(after) == 2


LONE = {
    "1-d": ("1,3,9", "4,3,3", "Conv <pads = [1, 2], strides = [2]>", "1,4,5"),
    "2-d": ("2,4,7,6", "6,2,3,2", "Conv <group = 2, dilations = [2, 1]>", "2,6,3,5"),
    "3-d": ("1,2,4,5,6", "3,2,2,3,3", 'Conv <auto_pad = "SAME_UPPER">', "1,3,4,5,6"),
    "cropping": ("1,2,6,6", "3,2,2,2", "Conv <pads = [-1, 0, 1, -2]>", "1,3,5,3"),
    "transposed 1-d": ("1,2,5", "2,3,3", "ConvTranspose <strides = [2]>", "1,3,11"),
    "transposed 2-d": (
        "1,4,3,4",
        "4,3,3,3",
        "ConvTranspose <group = 2, strides = [2, 3], output_padding = [1, 0], pads = [1, 0, 1, 1]>",
        "1,6,6,11",
    ),
    "transposed to a shape": (
        "1,2,4,4",
        "2,3,2,2",
        "ConvTranspose <strides = [2, 2], output_shape = [9, 9]>",
        "1,3,9,9",
    ),
    "transposed, same": (
        "1,2,4,4",
        "2,3,3,3",
        'ConvTranspose <auto_pad = "SAME_UPPER", strides = [2, 2]>',
        "1,3,8,8",
    ),
}


@pytest.mark.parametrize("name", LONE)
def test_a_lone_convolution(name: str, graph_of: Any, kept: Any, ops: Any) -> None:
    x, w, node, y = LONE[name]
    weights = RNG.standard_normal(tuple(map(int, w.split(",")))).astype(np.float32)
    text = f"g (float[{x}] x, float[{w}] w) => (float[{y}] y) {{ y = {node} (x, w) }}"
    after = kept(graph_of(text, w=weights), lay_out, remove_dead)
    counted = ops(after)
    assert counted["Transpose"] == 2
    assert counted["pelemay::Conv"] + counted["pelemay::ConvTranspose"] == 1


POOLS = {
    "maximum": (
        "MaxPool <kernel_shape = [3, 2], strides = [2, 2], pads = [1, 0, 1, 1]>",
        "1,3,4,4",
    ),
    "maximum, rounded up": (
        "MaxPool <kernel_shape = [3, 3], strides = [2, 2], ceil_mode = 1>",
        "1,3,4,3",
    ),
    "average": ("AveragePool <kernel_shape = [2, 3], pads = [1, 1, 1, 1]>", "1,3,9,7"),
    "average, rounded up": (
        "AveragePool <kernel_shape = [3, 3], strides = [2, 2], ceil_mode = 1>",
        "1,3,4,3",
    ),
    "average over padding, rounded up": (
        "AveragePool <kernel_shape = [3, 3], strides = [2, 2], ceil_mode = 1, "
        "count_include_pad = 1, pads = [1, 1, 1, 1]>",
        "1,3,5,4",
    ),
    "power": ("LpPool <kernel_shape = [2, 2], p = 3>", "1,3,7,6"),
    "window of the whole image": ("AveragePool <kernel_shape = [8, 7]>", "1,3,1,1"),
    "maximum of the whole image": ("MaxPool <kernel_shape = [8, 7]>", "1,3,1,1"),
    "whole image": ("GlobalAveragePool", "1,3,1,1"),
    "whole image, maximum": ("GlobalMaxPool", "1,3,1,1"),
    "whole image, norm": ("GlobalLpPool <p = 2>", "1,3,1,1"),
}


@pytest.mark.parametrize("name", POOLS)
def test_a_pool_behind_a_convolution(name: str, graph_of: Any, kept: Any, ops: Any) -> None:
    node, y = POOLS[name]
    w = RNG.standard_normal((3, 3, 1, 1)).astype(np.float32)
    text = f"""g (float[1,3,8,7] x, float[3,3,1,1] w) => (float[{y}] y)
    {{ c = Conv(x, w) y = {node} (c) }}"""
    after = kept(graph_of(text, w=w), lay_out, remove_dead)
    assert transposes(after) == (1 if y.endswith("1,1") else 2)
    assert not {"MaxPool", "AveragePool", "LpPool"} & {
        node.op for node in after.nodes if not node.domain
    }


def test_indices_of_a_maximum_stay_as_they_are(graph_of: Any, kept: Any, ops: Any) -> None:
    text = """g (float[1,3,8,8] x) => (float[1,3,4,4] y, int64[1,3,4,4] i)
    { y, i = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (x) }"""
    assert ops(kept(graph_of(text), lay_out)) == {"MaxPool": 1}


def test_one_channel_is_not_moved(graph_of: Any, kept: Any, ops: Any) -> None:
    text = """g (float[1,1,8,8] x, float[1,1,3,3] w) => (float[1,1,6,6] y) { y = Conv(x, w) }"""
    after = kept(graph_of(text, w=W[:1, :1]), lay_out, remove_dead)
    assert ops(after) == {"Reshape": 2, "pelemay::Conv": 1}


def test_channels_that_come_last_stay_there(graph_of: Any, kept: Any, ops: Any) -> None:
    """As TensorFlow's models are exported."""
    text = """g (float[1,8,8,6] x, float[6,6,3,3] w) => (float[1,6,6,6] y)
    { t = Transpose <perm = [0, 3, 1, 2]> (x) c = Conv(t, w)
    y = Transpose <perm = [0, 2, 3, 1]> (c) }"""
    after = kept(graph_of(text, w=W), lay_out, remove_dead)
    assert ops(after) == {"pelemay::Conv": 1}


@pytest.mark.parametrize("flag", [0, 1])
def test_flattening_puts_the_weights_in_order(flag: int, graph_of: Any, kept: Any) -> None:
    weights = RNG.standard_normal((10, 216) if flag else (216, 10)).astype(np.float32)
    text = f"""g (float[2,6,8,8] x, float[6,6,3,3] w, {kind_of(weights)} d) => (float[2,10] y)
    {{ c = Conv(x, w) f = Flatten(c) y = Gemm <transB = {flag}> (f, d) }}"""
    after = kept(graph_of(text, w=W, d=weights), lower_products, lay_out, remove_dead)
    assert transposes(after) == 1


def test_flattening_for_others_moves_the_data(graph_of: Any, kept: Any) -> None:
    text = """g (float[2,6,8,8] x, float[6,6,3,3] w) => (float[2,216] y)
    { c = Conv(x, w) y = Flatten(c) }"""
    assert transposes(kept(graph_of(text, w=W), lay_out, remove_dead)) == 2


def test_transposed_matrices_are_flags(graph_of: Any, kept: Any, ops: Any) -> None:
    text = """g (float[2,4,3] a, float[2,5,4] b) => (float[2,3,5] y)
    { s = Transpose <perm = [0, 2, 1]> (a) t = Transpose <perm = [0, 2, 1]> (b)
    y = MatMul(s, t) }"""
    after = kept(graph_of(text), lower_products, lay_out)
    assert ops(after) == {"pelemay::MatMul": 1}
    assert dict(after.nodes[0].attributes) == {"trans_a": 1, "trans_b": 1}


def test_batch_axes_keep_their_order(graph_of: Any, kept: Any, ops: Any) -> None:
    text = """g (float[5,2,3,4] a, float[5,2,4,6] b) => (float[5,2,3,6] y)
    { s = Transpose <perm = [1, 0, 2, 3]> (a) t = Transpose <perm = [1, 0, 2, 3]> (b)
    m = MatMul(s, t) y = Transpose <perm = [1, 0, 2, 3]> (m) }"""
    assert ops(kept(graph_of(text), lower_products, lay_out)) == {"pelemay::MatMul": 1}


@pytest.mark.parametrize("b", ["2,4,6", "1,4,6", "4,6", "5,1,4,6"])
def test_operands_of_lower_rank(b: str, graph_of: Any, kept: Any) -> None:
    text = f"""g (float[2,5,3,4] a, float[{b}] b) => (float[5,2,3,6] y)
    {{ s = Transpose <perm = [1, 0, 2, 3]> (a) y = MatMul(s, b) }}"""
    kept(graph_of(text), lower_products, lay_out)


def test_heads_are_packed(graph_of: Any, kept: Any, ops: Any) -> None:
    """Reshape and Transpose around attention are gone."""
    shape = np.asarray([1, 5, 3, 4], np.int64)
    text = """g (float[1,5,12] q, float[1,5,12] k, float[1,5,12] v, float[1,1,5,5] m,
    int64[4] s, int64[3] f) => (float[1,5,12] y) {
      a = Reshape(q, s) b = Reshape(k, s) c = Reshape(v, s)
      d = Transpose <perm = [0, 2, 1, 3]> (a) e = Transpose <perm = [0, 2, 1, 3]> (b)
      g = Transpose <perm = [0, 2, 1, 3]> (c) h = Attention(d, e, g, m)
      t = Transpose <perm = [0, 2, 1, 3]> (h) y = Reshape(t, f)
    }"""
    graph = graph_of(text, opset=23, s=shape, f=np.asarray([1, 5, 12], np.int64))
    after = kept(graph, lay_out)
    assert ops(after)["Transpose"] == 0
    node = next(node for node in after.nodes if node.op == "Attention")
    assert node.attributes["q_num_heads"] == node.attributes["kv_num_heads"] == 3


def test_a_branch_reads_what_was_moved(graph_of: Any, kept: Any) -> None:
    text = """g (float[1,6,8,8] x, float[6,6,3,3] w, bool p) => (float[1,6,6,6] y)
    { c = Conv(x, w) y = If (p) <
      then_branch = a () => (float[1,6,6,6] r) { r = Relu(c) },
      else_branch = b () => (float[1,6,6,6] s) { s = Neg(c) }
    > }"""
    kept(graph_of(text, w=W), lay_out)


def test_outputs_keep_their_names(graph_of: Any, kept: Any) -> None:
    text = """g (float[1,6,8,8] x, float[6,6,3,3] w)
    => (float[1,6,6,6] c, float[1,6,6,6] r, float[1,6,6,6] t) {
      c = Conv(x, w) r = Relu(c) t = Transpose <perm = [0, 1, 3, 2]> (r) }"""
    after = kept(graph_of(text, w=W), lay_out)
    assert list(after.outputs) == ["c", "r", "t"]


def test_spatial_axes_may_be_held_in_another_order(graph_of: Any, kept: Any) -> None:
    """The kernel is turned instead of the image."""
    text = """g (float[1,6,8,9] x, float[6,6,3,3] w, float[6,6,3,1] u) => (float[1,6,5,6] y) {
      c = Conv(x, w) t = Transpose <perm = [0, 1, 3, 2]> (c)
      y = Conv <pads = [0, 0, 0, 0]> (t, u) }"""
    after = kept(graph_of(text, w=W, u=W[..., :1].copy()), lay_out, remove_dead)
    assert transposes(after) == 2
    assert Counter(node.op for node in after.nodes)["Conv"] == 2
