"""Activations are recognised whatever way an exporter spells them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from pelemay.graph import Graph
from pelemay.passes.fuse_activation import fuse_activations
from pelemay.passes.known_activations import POINTS, recognise

NUMBERS = {
    "half": 0.5,
    "one": 1.0,
    "two": 2.0,
    "three": 3.0,
    "six": 6.0,
    "zero": 0.0,
    "root2": 2**0.5,
    "inverse": 0.5**0.5,
    "k": (2 / np.pi) ** 0.5,
    "c": 0.044715,
    "quick": 1.702,
    "tenth": 0.1,
}
SPELLINGS = {
    "erf, x first": (
        "a = Div(x, root2) b = Erf(a) d = Add(b, one) e = Mul(x, d) y = Mul(e, half)",
        "Gelu",
    ),
    "erf, half first": (
        "h = Mul(x, half) a = Mul(x, inverse) b = Erf(a) d = Add(one, b) y = Mul(h, d)",
        "Gelu",
    ),
    "erf, share": (
        "a = Mul(x, inverse) b = Erf(a) h = Mul(b, half) d = Add(h, half) y = Mul(d, x)",
        "Gelu",
    ),
    "tanh, power": (
        """p = Pow(x, three) q = Mul(p, c) r = Add(x, q) s = Mul(r, k) t = Tanh(s)
        u = Add(t, one) v = Mul(x, half) y = Mul(v, u)""",
        "Gelu",
    ),
    "tanh, products": (
        """h = Mul(half, x) a = Mul(x, k) b = Mul(c, x) d = Mul(b, x) e = Add(one, d)
        f = Mul(a, e) t = Tanh(f) u = Add(one, t) y = Mul(h, u)""",
        "Gelu",
    ),
    "quick gelu": ("a = Mul(x, quick) b = Sigmoid(a) y = Mul(x, b)", "Swish"),
    "silu": ("a = Sigmoid(x) y = Mul(a, x)", "Swish"),
    "silu by exp": ("n = Neg(x) e = Exp(n) d = Add(e, one) y = Div(x, d)", "Swish"),
    "hard swish": ("a = HardSigmoid <alpha = 0.16666667> (x) y = Mul(x, a)", "HardSwish"),
    "hard swish by clip": (
        "a = Add(x, three) b = Clip(a, zero, six) d = Div(b, six) y = Mul(x, d)",
        "HardSwish",
    ),
    "hard sigmoid": ("a = Add(x, three) b = Clip(a, zero, six) y = Div(b, six)", "HardSigmoid"),
    "softplus": ("e = Exp(x) a = Add(e, one) y = Log(a)", "Softplus"),
    "mish": ("a = Softplus(x) b = Tanh(a) y = Mul(x, b)", "Mish"),
    "mish by exp": ("e = Exp(x) a = Add(e, one) l = Log(a) t = Tanh(l) y = Mul(x, t)", "Mish"),
    "relu": ("y = Max(x, zero)", "Relu"),
    "relu by clip": ("y = Clip(x, zero)", "Relu"),
    "relu6": ("a = Max(x, zero) y = Min(a, six)", "Clip"),
    "relu6 by relu": ("a = Relu(x) y = Min(a, six)", "Clip"),
    "leaky relu": ("a = Mul(x, tenth) y = Max(x, a)", "LeakyRelu"),
    "leaky relu by where": (
        "p = Greater(x, zero) a = Mul(x, tenth) y = Where(p, x, a)",
        "LeakyRelu",
    ),
    "elu": (
        "p = Less(x, zero) e = Exp(x) m = Sub(e, one) y = Where(p, m, x)",
        "Elu",
    ),
    "sigmoid": ("n = Neg(x) e = Exp(n) d = Add(e, one) y = Reciprocal(d)", "Sigmoid"),
}


def spelt(graph_of: Callable[..., Graph], body: str) -> Graph:
    """A graph that reads ``x``, and every number and a row as constants."""
    numbers = ", ".join(f"float {name}" for name in NUMBERS)
    constants = {name: np.asarray(value, np.float32) for name, value in NUMBERS.items()}
    constants["row"] = np.arange(5, dtype=np.float32)
    text = f"g (float[7,5] x, {numbers}, float[5] row) => (float[7,5] y) {{ {body} }}"
    return graph_of(text, **constants)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_it_is_one_operation(spelling: str, graph_of: Any, kept: Any, ops: Any) -> None:
    body, op = SPELLINGS[spelling]
    after = kept(spelt(graph_of, body), fuse_activations)
    assert ops(after) == {op: 1}


UNLIKE = {
    "two variables": "a = Sigmoid(x) y = Mul(a, row)",
    "no activation": "a = Mul(x, two) y = Add(a, one)",
    "another error": "a = Mul(x, half) b = Erf(a) d = Add(b, one) e = Mul(x, d) y = Mul(e, half)",
}


@pytest.mark.parametrize("name", UNLIKE)
def test_what_is_no_activation_stays(name: str, graph_of: Any) -> None:
    graph = spelt(graph_of, UNLIKE[name])
    assert fuse_activations(graph) is graph


def test_a_bound_far_away_is_kept(graph_of: Any, ops: Any) -> None:
    """As a box has that is clipped to its image; near zero it is a ReLU."""
    text = "g (float[7,5] x, float z, float m) => (float[7,5] y) { a = Max(x, z) y = Min(a, m) }"
    graph = graph_of(text, z=np.float32(0), m=np.float32(320))
    assert ops(fuse_activations(graph)) == {"Relu": 1, "Min": 1}
    assert recognise(np.clip(POINTS, 0, 1e6)) is None


def test_a_value_read_elsewhere_is_still_made(graph_of: Any, kept: Any, ops: Any) -> None:
    text = "g (float[7,5] x) => (float[7,5] y, float[7,5] a) { a = Sigmoid(x) y = Mul(a, x) }"
    after = kept(graph_of(text), fuse_activations)
    assert ops(after) == {"Sigmoid": 1, "Mul": 1}


def test_the_widest_region_wins(graph_of: Any, kept: Any, ops: Any) -> None:
    """The rectified part of a hard swish is an activation too; what follows it makes it larger."""
    body = "a = Add(x, three) b = Clip(a, zero, six) d = Div(b, six) e = Mul(x, d) y = Add(e, x)"
    assert ops(kept(spelt(graph_of, body), fuse_activations)) == {"HardSwish": 1, "Add": 1}


def test_pytorch_spellings(exported: Any, kept: Any, ops: Any) -> None:
    torch = pytest.importorskip("torch")
    nn = torch.nn
    x = np.zeros((2, 6), np.float32)
    wanted = {
        nn.GELU(): "Gelu",
        nn.GELU(approximate="tanh"): "Gelu",
        nn.SiLU(): "Swish",
        nn.Hardswish(): "HardSwish",
        nn.Mish(): "Mish",
        nn.ReLU6(): "Clip",
    }
    for module, op in wanted.items():
        assert ops(kept(exported(module, x, opset=13), fuse_activations)) == {op: 1}


@pytest.mark.parametrize("spelling", ["erf, x first", "tanh, power", "hard swish by clip"])
@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
def test_constants_of_half_precision(kind: str, spelling: str, graph_of: Any, ops: Any) -> None:
    body, op = SPELLINGS[spelling]
    dtype = np.dtype(getattr(ml_dtypes, kind) if kind == "bfloat16" else kind)
    numbers = ", ".join(f"{kind} {name}" for name in NUMBERS)
    constants = {name: np.asarray(value, dtype) for name, value in NUMBERS.items()}
    text = f"g ({kind}[7,5] x, {numbers}) => ({kind}[7,5] y) {{ {body} }}"
    after = fuse_activations(graph_of(text, **constants))
    assert ops(after) == {op: 1}
    found = after.nodes[0].attributes.get("approximate", "none")
    assert found == ("tanh" if "tanh" in spelling else "none")


def test_nothing_is_recognised_in_noise() -> None:
    assert recognise(np.random.default_rng(0).standard_normal(POINTS.shape)) is None
    assert recognise(np.full(POINTS.shape, np.nan)) is None
    assert recognise(POINTS * 1.0) is None
