"""Half precision: computed in float32, with casts at the rim only, weights as they are stored."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from pelemay.graph import DType
from pelemay.passes.derived import Derived
from pelemay.passes.simplify import simplify
from pelemay.passes.widen_half import widen_half

RNG = np.random.default_rng(8)
KINDS = {"float16": (np.float16, 2e-3), "bfloat16": (ml_dtypes.bfloat16, 2e-2)}


@pytest.mark.parametrize("kind", KINDS)
def test_casts_stand_at_the_rim(kind: str, graph_of: Any, kept: Any, ops: Any) -> None:
    dtype, tolerance = KINDS[kind]
    w = RNG.standard_normal((40, 30)).astype(dtype)
    text = f"""g ({kind}[5,40] x, {kind}[40,30] w) => ({kind}[5,30] y)
    {{ m = MatMul(x, w) s = Softmax(m) r = Relu(m) y = Mul(s, r) }}"""
    after = kept(graph_of(text, w=w), widen_half, rtol=tolerance)
    assert [node.op for node in after.nodes if node.op == "Cast"] == ["Cast"] * 2
    assert (after.nodes[0].op, after.nodes[-1].op) == ("Cast", "Cast")
    weights = after.constants[after.nodes[1].inputs[1]]
    assert isinstance(weights, Derived)
    assert (weights.operation, weights.sources[0].dtype.value) == ("Cast", kind)
    assert weights.dtype is DType.FLOAT32


def test_casts_inside_vanish(graph_of: Any, kept: Any, ops: Any) -> None:
    """A network that was exported with automatic mixed precision."""
    text = """g (float[5,4] x, float16[4,3] w, float[3] b) => (float[5,3] y)
    { h = Cast <to = 10> (x) m = MatMul(h, w) f = Cast <to = 1> (m) y = Add(f, b) }"""
    graph = graph_of(text, w=RNG.standard_normal((4, 3)).astype(np.float16))
    after = kept(graph, widen_half, simplify, rtol=2e-3)
    assert ops(after) == {"MatMul": 1, "Add": 1}


def test_tables_stay_narrow(graph_of: Any, kept: Any, ops: Any) -> None:
    table = RNG.standard_normal((100, 8)).astype(np.float16)
    text = """g (int64[3] i, float16[100,8] t) => (float16[3,8] y)
    { e = Gather(t, i) y = Exp(e) }"""
    after = kept(graph_of(text, t=table), widen_half, rtol=2e-3)
    assert [node.op for node in after.nodes] == ["Gather", "Cast", "Exp", "Cast"]
    assert after.nodes[0].inputs[0] == "t"


def test_branches_see_what_they_were_given(graph_of: Any, kept: Any) -> None:
    text = """g (float16[3] x, bool p) => (float16[3] y) { e = Exp(x) y = If (p) <
      then_branch = a () => (float16[3] r) { r = Neg(e) },
      else_branch = b () => (float16[3] s) { s = Abs(e) }
    > }"""
    kept(graph_of(text), widen_half, rtol=2e-3)


def test_bits_stay(graph_of: Any, kept: Any) -> None:
    text = """g (float16[3] x) => (int16[3] y) { n = Neg(x) y = BitCast <to = 5> (n) }"""
    kept(graph_of(text, opset=26), widen_half)


def test_an_output_that_is_an_input(graph_of: Any, kept: Any) -> None:
    text = "g (float16[3] x) => (float16[3] y, float16[3] z) { y = Neg(x) z = Identity(x) }"
    kept(graph_of(text), widen_half)


def test_what_is_wide_stays(graph_of: Any) -> None:
    graph = graph_of("g (float[3] x) => (float[3] y) { y = Exp(x) }")
    assert widen_half(graph) is graph
