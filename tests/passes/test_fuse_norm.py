"""Normalisations are recognised in the spellings of exporters, and nothing else is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pelemay.graph import Graph
from pelemay.passes.fuse_group_norm import fuse_group_norms
from pelemay.passes.fuse_norm import fuse_norms

RNG = np.random.default_rng(5)
ONE = np.asarray(1, np.float32)
CONSTANTS = {
    "axis": np.asarray([-1], np.int64),
    "first": np.asarray([0], np.int64),
    "eps": np.asarray(1e-5, np.float32),
    "two": np.asarray(2, np.float32),
    "minus": np.asarray(-0.5, np.float32),
    "one": ONE,
    "w": RNG.standard_normal(6).astype(np.float32),
    "b": RNG.standard_normal(6).astype(np.float32),
}
KINDS = {"axis": "int64[1]", "first": "int64[1]", "w": "float[6]", "b": "float[6]"}
VARIANCE = "v = ReduceMean(q, axis) a = Add(v, eps) s = Sqrt(a)"
CENTRED = f"m = ReduceMean(x, axis) d = Sub(x, m) q = Pow(d, two) {VARIANCE}"
SPELLINGS = {
    "quotient": (f"{CENTRED} n = Div(d, s) t = Mul(n, w) y = Add(t, b)", "LayerNormalization"),
    "factors swapped": (
        f"{CENTRED} n = Div(d, s) t = Mul(w, n) y = Add(b, t)",
        "LayerNormalization",
    ),
    "reciprocal": (f"{CENTRED} r = Reciprocal(s) y = Mul(d, r)", "LayerNormalization"),
    "one over": (f"{CENTRED} r = Div(one, s) n = Mul(d, r) y = Mul(n, w)", "LayerNormalization"),
    "difference twice": (
        "m = ReduceMean(x, axis) d = Sub(x, m) e = Sub(x, m) "
        f"q = Mul(e, e) {VARIANCE} y = Div(d, s)",
        "LayerNormalization",
    ),
    "power": (
        "m = ReduceMean(x, axis) d = Sub(x, m) q = Mul(d, d) v = ReduceMean(q, axis) "
        "a = Add(v, eps) r = Pow(a, minus) y = Mul(d, r)",
        "LayerNormalization",
    ),
    "without mean": (f"q = Pow(x, two) {VARIANCE} y = Div(x, s)", "RMSNormalization"),
    "llama": (
        f"q = Pow(x, two) {VARIANCE} r = Reciprocal(s) n = Mul(x, r) y = Mul(w, n)",
        "RMSNormalization",
    ),
    "rms, then a sum": (
        f"q = Pow(x, two) {VARIANCE} n = Div(x, s) t = Mul(n, w) y = Add(t, b)",
        "RMSNormalization",
    ),
}


def spelt(graph_of: Callable[..., Graph], body: str, **others: np.ndarray) -> Graph:
    constants = {**CONSTANTS, **others}
    typed = ", ".join(f"{KINDS.get(name, 'float')} {name}" for name in constants)
    text = f"g (float[2,5,6] x, {typed}) => (float[2,5,6] y) {{ {body} }}"
    return graph_of(text, **constants)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_it_is_one_operation(spelling: str, graph_of: Any, kept: Any) -> None:
    body, op = SPELLINGS[spelling]
    after = kept(spelt(graph_of, body), fuse_norms)
    maker = after.producers["y"]
    if maker.op == "Add":
        maker = after.producers[maker.inputs[0]]
    assert (maker.op, maker.inputs[0]) == (op, "x")
    assert maker.attributes["epsilon"] == pytest.approx(1e-5)


UNLIKE = {
    "another axis": f"{CENTRED.replace('(q, axis)', '(q, first)')} y = Div(d, s)",
    "another square": (
        f"m = ReduceMean(x, axis) d = Sub(x, m) q = Mul(x, x) {VARIANCE} y = Div(d, s)"
    ),
    "no mean": "q = Mul(x, x) v = ReduceSum(q, axis) a = Add(v, eps) s = Sqrt(a) y = Div(x, s)",
}


@pytest.mark.parametrize("name", UNLIKE)
def test_what_is_no_normalisation_stays(name: str, graph_of: Any, kept: Any, ops: Any) -> None:
    after = kept(spelt(graph_of, UNLIKE[name]), fuse_norms)
    assert ops(after)["LayerNormalization"] == 0


def test_channels_first_are_moved_behind(graph_of: Any, kept: Any, ops: Any) -> None:
    """ConvNeXt's layer normalisation over the channels of an image."""
    constants = {
        "c": np.asarray([1], np.int64),
        "e": np.asarray(1e-6, np.float32),
        "w": RNG.standard_normal((6, 1, 1)).astype(np.float32),
        "b": RNG.standard_normal((6, 1, 1)).astype(np.float32),
    }
    text = """g (float[2,6,3,4] x, int64[1] c, float e, float[6,1,1] w, float[6,1,1] b)
    => (float[2,6,3,4] y) { m = ReduceMean(x, c) d = Sub(x, m) q = Mul(d, d)
    v = ReduceMean(q, c) a = Add(v, e) s = Sqrt(a) n = Div(d, s) t = Mul(w, n) y = Add(t, b) }"""
    after = kept(graph_of(text, **constants), fuse_norms)
    assert after.producers["y"].op == "Transpose"
    assert ops(after)["LayerNormalization"] == 1


def test_pytorch_layers(exported: Any, kept: Any, ops: Any) -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    x = np.zeros((2, 6, 5), np.float32)
    layer = torch.nn.LayerNorm((6, 5))
    torch.nn.init.normal_(layer.weight)
    assert ops(kept(exported(layer, x, opset=14), fuse_norms))["LayerNormalization"] == 1


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("groups", [1, 3, 6])
def test_group_normalisation(groups: int, affine: bool, exported: Any, kept: Any, ops: Any) -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    layer = torch.nn.GroupNorm(groups, 6, affine=affine)
    if affine:
        torch.nn.init.normal_(layer.weight)
        torch.nn.init.normal_(layer.bias)
    after = kept(exported(layer, np.zeros((2, 6, 4, 3), np.float32)), fuse_group_norms)
    assert ops(after)["GroupNormalization"] == 1
    assert after.nodes[-1].op == "GroupNormalization"
