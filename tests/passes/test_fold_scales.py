"""Factors and sums for each channel go into weights, which stay where they are stored."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pelemay.passes.batch_normalization import expand_batch_normalization
from pelemay.passes.dead import remove_dead
from pelemay.passes.derived import Derived
from pelemay.passes.fold_scales import fold_scales
from pelemay.passes.gemm import lower_products
from pelemay.passes.layout import lay_out

RNG = np.random.default_rng(4)


def normal(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


CONSTANTS = {
    "w": normal(6, 6, 3, 3),
    "grouped": normal(6, 3, 3, 3),
    "turned": normal(6, 2, 2, 2),
    "b": normal(6),
    "s": normal(6),
    "m": normal(6),
    "v": RNG.uniform(0.5, 2, 6).astype(np.float32),
    "c": normal(6, 1, 1),
    "d": normal(1, 6, 1, 1),
    "two": np.asarray(2, np.float32),
    "image": normal(6, 6),
}
KINDS = {
    "w": "float[6,6,3,3]",
    "grouped": "float[6,3,3,3]",
    "turned": "float[6,2,2,2]",
    "c": "float[6,1,1]",
    "d": "float[1,6,1,1]",
    "two": "float",
    "image": "float[6,6]",
}
NORM = "BatchNormalization(a, s, b, m, v)"
FOLDED = {
    "normalisation": f"a = Conv(x, w) y = {NORM}",
    "normalisation, biased": f"a = Conv(x, w, b) y = {NORM}",
    "groups": f"a = Conv <group = 2> (x, grouped) y = {NORM}",
    "transposed, groups": (
        "a = ConvTranspose <group = 3> (x, turned, b) y = BatchNormalization(a, s, b, m, v)"
    ),
    "a factor, a sum, a factor": "a = Conv(x, w, b) e = Mul(a, c) f = Add(d, e) y = Mul(f, two)",
    "difference and quotient": "a = Conv(x, w) e = Sub(a, c) y = Div(e, d)",
    "the other difference": "a = Conv(x, w, b) y = Sub(d, a)",
    "before": "e = Mul(x, c) f = Add(e, d) y = Conv(f, w, b)",
    "before, groups": "e = Mul(x, c) f = Add(e, d) y = Conv <group = 2> (f, grouped)",
    "a factor before padding": "e = Mul(x, c) y = Conv <pads = [1, 1, 1, 1]> (e, w)",
    "before and behind": "e = Mul(x, c) f = Conv(e, w) g = Add(f, d) y = Mul(g, c)",
}
LEFT = {
    "a sum before padding": "e = Add(x, c) y = Conv <pads = [1, 1, 1, 1]> (e, w)",
    "a factor for each pixel": "a = Conv(x, w) y = Mul(a, image)",
    "a quotient of a constant": "a = Conv(x, w) y = Div(c, a)",
}


def spelt(graph_of: Any, body: str) -> Any:
    typed = ", ".join(f"{KINDS.get(name, 'float[6]')} {name}" for name in CONSTANTS)
    text = f"g (float[2,6,8,8] x, {typed}) => (float[2,c,h,v] y) {{ {body} }}"
    return graph_of(text, **CONSTANTS)


STEPS = (expand_batch_normalization, lower_products, lay_out, fold_scales, remove_dead)


@pytest.mark.parametrize("name", FOLDED)
def test_it_is_folded(name: str, graph_of: Any, kept: Any, ops: Any) -> None:
    after = kept(spelt(graph_of, FOLDED[name]), *STEPS)
    assert set(ops(after)) <= {"Transpose", "pelemay::Conv", "pelemay::ConvTranspose"}


@pytest.mark.parametrize("name", LEFT)
def test_it_is_left(name: str, graph_of: Any, kept: Any, ops: Any) -> None:
    after = kept(spelt(graph_of, LEFT[name]), *STEPS)
    assert ops(after)["Add"] + ops(after)["Mul"] + ops(after)["Div"] == 1


@pytest.mark.parametrize("flag", [0, 1])
@pytest.mark.parametrize("alpha", [1.0, 0.5])
def test_products(flag: int, alpha: float, graph_of: Any, kept: Any, ops: Any) -> None:
    text = f"""g (float[3,6] x, float[6,6] w, float[6] b, float[6] s) => (float[3,6] y)
    {{ e = Mul(x, s) f = Add(e, b) p = Gemm <alpha = {alpha}, transB = {flag}> (f, w, b)
    q = Sub(p, s) y = Mul(q, b) }}"""
    graph = graph_of(text, w=normal(6, 6), b=CONSTANTS["b"], s=CONSTANTS["s"])
    after = kept(graph, *STEPS)
    assert ops(after)["pelemay::MatMul"] == 1
    assert len(after.nodes) == (1 if alpha == 1 else 4)


def test_a_value_read_elsewhere_is_not_scaled(graph_of: Any, kept: Any, ops: Any) -> None:
    text = """g (float[1,6,8,8] x, float[6,6,3,3] w, float[6,1,1] c)
    => (float[1,6,6,6] y, float[1,6,6,6] a) { a = Conv(x, w) y = Mul(a, c) }"""
    graph = graph_of(text, w=CONSTANTS["w"], c=CONSTANTS["c"])
    assert ops(kept(graph, *STEPS))["Mul"] == 1


def test_weights_are_not_held(graph_of: Any, kept: Any) -> None:
    after = kept(spelt(graph_of, FOLDED["normalisation"]), *STEPS)
    node = next(node for node in after.nodes if node.op == "Conv")
    weights = after.constants[node.inputs[1]]
    assert isinstance(weights, Derived)
    assert weights.sources[0].array() is CONSTANTS["w"] or np.shares_memory(
        weights.sources[0].array(), CONSTANTS["w"]
    )
