"""Attention is recognised in the spellings of PyTorch and Hugging Face, with and without masks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from pelemay.passes.fuse_attention import fuse_attention

HEADS, TOKENS, DEPTH = 3, 7, 4
WIDTH = HEADS * DEPTH
FOUR = f"float[2,{HEADS},{TOKENS},{DEPTH}]"
TURNED = f"float[2,{HEADS},{DEPTH},{TOKENS}]"
NUMBERS = {
    "factor": 0.5,
    "root": 2.0,
    "low": -3.4028234663852886e38,
    "minus": -math.inf,
    "little": -10.0,
    "cap": 5.0,
    "zero": 0.0,
}
TRIANGLE = np.tri(TOKENS, dtype=bool)
CONSTANTS = {
    **{name: np.asarray(value, np.float32) for name, value in NUMBERS.items()},
    "later": np.where(TRIANGLE, 0, -math.inf).astype(np.float32)[None, None],
    "seen": TRIANGLE,
    "nothing": np.zeros((TOKENS, TOKENS), np.float32),
    "no": np.zeros((TOKENS, 1), bool),
    "last": np.asarray([-1], np.int64),
    "bias": np.random.default_rng(1).standard_normal((1, HEADS, TOKENS, TOKENS)).astype(np.float32),
}
PLAIN = "p = Softmax(s) y = MatMul(p, v)"
SPELLINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "bare": (f"s = MatMul(q, k) {PLAIN}", {"scale": 1.0}),
    "scaled scores": (f"r = MatMul(q, k) s = Div(r, root) {PLAIN}", {"scale": 0.5}),
    "scaled queries": (f"a = Mul(q, factor) s = MatMul(a, k) {PLAIN}", {"scale": 0.5}),
    "both scaled": (
        f"a = Mul(q, factor) b = Mul(factor, k) s = MatMul(a, b) {PLAIN}",
        {"scale": 0.25},
    ),
    "turned here": (
        f"t = Transpose <perm = [0, 1, 3, 2]> (r) a = Mul(t, factor) s = MatMul(q, a) {PLAIN}",
        {"scale": 0.5},
    ),
    "scaled, then turned": (
        f"a = Mul(r, factor) t = Transpose <perm = [0, 1, 3, 2]> (a) s = MatMul(q, t) {PLAIN}",
        {"scale": 0.5},
    ),
    "mask added": (f"r = MatMul(q, k) s = Add(m, r) {PLAIN}", {"masked": True}),
    "mask for keys": (f"r = MatMul(q, k) s = Add(r, keys) {PLAIN}", {"masked": True}),
    "two masks": (
        f"r = MatMul(q, k) t = Add(r, bias) s = Add(t, keys) {PLAIN}",
        {"masked": True},
    ),
    "mask chosen": (f"r = MatMul(q, k) s = Where(c, r, low) {PLAIN}", {"masked": True}),
    "mask filled": (f"r = MatMul(q, k) s = Where(c, low, r) {PLAIN}", {"masked": True}),
    "causal": (f"r = MatMul(q, k) s = Add(r, later) {PLAIN}", {"is_causal": 1}),
    "causal by where": (f"r = MatMul(q, k) s = Where(seen, r, minus) {PLAIN}", {"is_causal": 1}),
    "causal and masked": (
        f"r = MatMul(q, k) t = Where(seen, r, low) s = Add(t, bias) {PLAIN}",
        {"is_causal": 1, "masked": True},
    ),
    "capped": (
        f"r = MatMul(q, k) a = Div(r, cap) t = Tanh(a) s = Mul(t, cap) {PLAIN}",
        {"softcap": 5.0},
    ),
    "a mask of nothing": (f"r = MatMul(q, k) s = Add(r, nothing) {PLAIN}", {}),
    "guarded by rows": (
        "r = MatMul(q, k) s = Add(r, m) b = ReduceMax(m, last) e = Equal(b, minus) "
        "p = Softmax(s) g = Where(e, zero, p) y = MatMul(g, v)",
        {"masked": True},
    ),
    "guarded by nothing": (
        "s = MatMul(q, k) p = Softmax(s) g = Where(no, zero, p) y = MatMul(g, v)",
        {},
    ),
    "guarded": (
        "s = MatMul(q, k) p = Softmax(s) n = IsNaN(p) g = Where(n, zero, p) y = MatMul(g, v)",
        {"scale": 1.0},
    ),
}
INPUTS = {
    "q": FOUR,
    "k": TURNED,
    "v": FOUR,
    "r": FOUR,
    "m": f"float[2,1,{TOKENS},{TOKENS}]",
    "keys": f"float[2,1,1,{TOKENS}]",
    "c": f"bool[2,1,{TOKENS},{TOKENS}]",
}
KINDS = {
    "later": f"float[1,1,{TOKENS},{TOKENS}]",
    "seen": f"bool[{TOKENS},{TOKENS}]",
    "nothing": f"float[{TOKENS},{TOKENS}]",
    "no": f"bool[{TOKENS},1]",
    "last": "int64[1]",
    "bias": f"float[1,{HEADS},{TOKENS},{TOKENS}]",
}


def spelt(graph_of: Any, body: str) -> Any:
    made = {part.split(" =")[0].split()[-1] for part in body.split(") ")}
    inputs = [f"{kind} {name}" for name, kind in INPUTS.items() if name not in made]
    typed = [f"{KINDS.get(name, 'float')} {name}" for name in CONSTANTS]
    text = f"g ({', '.join(inputs + typed)}) => ({FOUR} y) {{ {body} }}"
    return graph_of(text, **CONSTANTS)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_it_is_one_operation(spelling: str, graph_of: Any, kept: Any) -> None:
    body, wanted = SPELLINGS[spelling]
    node = kept(spelt(graph_of, body), fuse_attention).producers["y"]
    assert node.op == "Attention"
    assert (len(node.inputs) == 4) == wanted.get("masked", False)
    for name in ("is_causal", "softcap", "scale"):
        default = {"scale": node.attributes["scale"]}.get(name, 0)
        assert node.attributes.get(name, 0) == pytest.approx(wanted.get(name, default))


UNLIKE = {
    "another axis": "s = MatMul(q, k) p = Softmax <axis = 2> (s) y = MatMul(p, v)",
    "a mask that does not hide": f"r = MatMul(q, k) s = Where(c, r, little) {PLAIN}",
    "a mask that is scaled": f"r = MatMul(q, k) t = Add(r, m) s = Mul(t, factor) {PLAIN}",
    "no product": f"s = Add(bias, m) {PLAIN}",
}


@pytest.mark.parametrize("name", UNLIKE)
def test_what_is_no_attention_stays(name: str, graph_of: Any) -> None:
    graph = spelt(graph_of, UNLIKE[name])
    assert fuse_attention(graph) is graph


def test_shares_read_elsewhere_stay(graph_of: Any) -> None:
    text = f"""g ({FOUR} q, {TURNED} k, {FOUR} v)
    => ({FOUR} y, float[2,{HEADS},{TOKENS},{TOKENS}] p) {{ s = MatMul(q, k) {PLAIN} }}"""
    graph = graph_of(text)
    assert fuse_attention(graph) is graph


@pytest.mark.parametrize("outer", ["", "6,", "1,2,3,"])
def test_any_number_of_outer_axes(outer: str, graph_of: Any, kept: Any, ops: Any) -> None:
    text = f"""g (float[{outer}5,4] q, float[{outer}4,7] k, float[{outer}7,3] v, float[5,7] m)
    => (float[{outer}5,3] y) {{ r = MatMul(q, k) s = Add(r, m) {PLAIN} }}"""
    assert ops(kept(graph_of(text), fuse_attention))["Attention"] == 1


def test_windows_with_masks_of_their_own(graph_of: Any, kept: Any, ops: Any) -> None:
    """Swin's shifted windows: one mask for each window."""
    text = f"""g (float[1,4,2,5,3] q, float[1,4,2,3,5] k, float[1,4,2,5,3] v, float[1,4,1,5,5] m)
    => (float[1,4,2,5,3] y) {{ r = MatMul(q, k) s = Add(r, m) {PLAIN} }}"""
    after = kept(graph_of(text), fuse_attention)
    assert ops(after)["Attention"] == 1


def test_channels_before_tokens(graph_of: Any, kept: Any, ops: Any) -> None:
    """Attention over the pixels of an image, as newer detectors have it."""
    text = """g (float[1,6,4,4] x, int64[4] heads, int64[4] image, float f)
    => (float[1,6,4,4] y) {
      a = Reshape(x, heads) t = Transpose <perm = [0, 1, 3, 2]> (a) r = MatMul(t, a)
      s = Mul(r, f) p = Softmax(s) u = Transpose <perm = [0, 1, 3, 2]> (p)
      o = MatMul(a, u) y = Reshape(o, image) }"""
    graph = graph_of(
        text,
        heads=np.asarray([1, 2, 3, 16], np.int64),
        image=np.asarray([1, 6, 4, 4], np.int64),
        f=CONSTANTS["factor"],
    )
    assert ops(kept(graph, fuse_attention))["Attention"] == 1


def test_layers_share_a_mask(graph_of: Any, kept: Any, ops: Any) -> None:
    text = f"""g ({FOUR} q, {TURNED} k, {FOUR} v, bool[2,1,{TOKENS},{TOKENS}] c, float low)
    => ({FOUR} y) {{
      r = MatMul(q, k) s = Where(c, r, low) p = Softmax(s) o = MatMul(p, v)
      r2 = MatMul(o, k) s2 = Where(c, r2, low) p2 = Softmax(s2) y = MatMul(p2, v)
    }}"""
    after = kept(graph_of(text, low=CONSTANTS["low"]), fuse_attention)
    masks = {node.inputs[3] for node in after.nodes if node.op == "Attention"}
    assert len(masks) == 1
    assert ops(after)["Attention"] == 2


def test_heads_that_serve_a_group_are_not_repeated(graph_of: Any, kept: Any) -> None:
    shape = np.asarray([1, 2, 3, 5, 4], np.int64)
    heads = np.asarray([1, 6, 5, 4], np.int64)
    text = """g (float[1,6,5,4] q, float[1,2,5,4] k, float[1,2,5,4] v, int64[1] two,
    int64[5] shape, int64[4] heads) => (float[1,6,5,4] y) {
      a = Unsqueeze(k, two) b = Expand(a, shape) c = Reshape(b, heads)
      d = Unsqueeze(v, two) e = Expand(d, shape) f = Reshape(e, heads)
      t = Transpose <perm = [0, 1, 3, 2]> (c) s = MatMul(q, t) p = Softmax(s) y = MatMul(p, f)
    }"""
    graph = graph_of(text, two=np.asarray([2], np.int64), shape=shape, heads=heads)
    after = kept(graph, fuse_attention)
    node = after.producers["y"]
    assert node.op == "Attention"
    assert after.types[node.inputs[1]].shape == (1, 2, 5, 4)


def attention_module(kind: str) -> Any:
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional

    class Attend(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.qkv = torch.nn.Linear(WIDTH, 3 * WIDTH)
            self.out = torch.nn.Linear(WIDTH, WIDTH)

        def forward(self, x: Any) -> Any:
            parts = self.qkv(x).reshape(2, TOKENS, 3, HEADS, DEPTH).permute(2, 0, 3, 1, 4)
            q, k, v = parts[0], parts[1], parts[2]
            if kind == "manual":
                scores = (q @ k.transpose(-2, -1)) * DEPTH**-0.5
                y = scores.softmax(-1) @ v
            elif kind == "filled":
                scores = q @ k.transpose(-2, -1) / math.sqrt(DEPTH)
                hidden = torch.ones(TOKENS, TOKENS, dtype=torch.bool).triu(1)
                y = scores.masked_fill(hidden, -math.inf).softmax(-1) @ v
            else:
                y = functional.scaled_dot_product_attention(q, k, v, is_causal=kind == "causal")
            return self.out(y.transpose(1, 2).reshape(2, TOKENS, WIDTH))

    return Attend()


@pytest.mark.parametrize("opset", [13, 17])
@pytest.mark.parametrize("kind", ["manual", "filled", "fused", "causal"])
def test_pytorch_functions(kind: str, opset: int, exported: Any, kept: Any, ops: Any) -> None:
    x = np.zeros((2, TOKENS, WIDTH), np.float32)
    if kind in ("fused", "causal") and opset < 14:
        pytest.skip("PyTorch exports it for operator sets from 14")
    graph = exported(attention_module(kind), x, opset=opset)
    assert ops(kept(graph, fuse_attention))["Attention"] == 1


def test_pytorch_multi_head_attention(exported: Any, kept: Any, ops: Any) -> None:
    """Its heads and batch are one axis of a batched product."""
    torch = pytest.importorskip("torch")

    class Attend(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = torch.nn.MultiheadAttention(WIDTH, HEADS)

        def forward(self, x: Any) -> Any:
            return self.inner(x, x, x)[0]

    graph = exported(Attend(), np.zeros((TOKENS, 2, WIDTH), np.float32))
    assert ops(kept(graph, fuse_attention))["Attention"] == 1
