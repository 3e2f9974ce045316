"""Activations and residuals go into the product before them, as far as there is room."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pelemay.graph.operations.fused import ACTIVATIONS
from pelemay.passes.dead import remove_dead
from pelemay.passes.fuse_epilogue import fuse_epilogues
from pelemay.passes.gemm import lower_products
from pelemay.passes.layout import lay_out

RNG = np.random.default_rng(6)
CONSTANTS = {
    "w": RNG.standard_normal((3, 3, 1, 1)).astype(np.float32),
    "low": np.asarray(-0.5, np.float32),
    "high": np.asarray(0.75, np.float32),
    "slope": np.asarray([0.3], np.float32),
}
KINDS = {"w": "float[3,3,1,1]", "slope": "float[1]"}
NODES = {
    "Relu": "Relu(a)",
    "Clip": "Clip(a, low, high)",
    "LeakyRelu": "LeakyRelu <alpha = 0.2> (a)",
    "HardSwish": "HardSwish(a)",
    "HardSigmoid": "HardSigmoid <alpha = 0.3> (a)",
    "Sigmoid": "Sigmoid(a)",
    "Swish": "Swish <alpha = 1.5> (a)",
    "Tanh": "Tanh(a)",
    "Gelu": "Gelu(a)",
    "GeluTanh": 'Gelu <approximate = "tanh"> (a)',
    "Elu": "Elu(a)",
    "Softplus": "Softplus(a)",
    "Mish": "Mish(a)",
}
OTHERS = {
    "LeakyRelu": "PRelu(a, slope)",
    "Clip": 'Clip(a, "", high)',
}


def spelt(graph_of: Any, body: str) -> Any:
    typed = ", ".join(f"{KINDS.get(name, 'float')} {name}" for name in CONSTANTS)
    text = f"g (float[1,3,4,5] x, {typed}) => (float[1,3,4,5] y) {{ {body} }}"
    return graph_of(text, opset=24, **CONSTANTS)


STEPS = (lower_products, lay_out, fuse_epilogues, remove_dead)


def test_every_activation_is_here() -> None:
    assert set(NODES) == set(ACTIVATIONS) - {""}


@pytest.mark.parametrize(("activation", "node"), [*NODES.items(), *OTHERS.items()])
def test_activations(activation: str, node: str, graph_of: Any, kept: Any, ops: Any) -> None:
    after = kept(spelt(graph_of, f"a = Conv(x, w) y = {node}"), *STEPS)
    assert ops(after) == {"Transpose": 2, "pelemay::Conv": 1}
    made = next(node for node in after.nodes if node.op == "Conv")
    assert made.attributes["activation"] == activation


@pytest.mark.parametrize(
    "node", ["Swish <alpha = 1.5> (a)", "HardSigmoid(a)", "Clip(a, low, high)"]
)
def test_a_product_names_its_factors_apart(node: str, graph_of: Any, kept: Any, ops: Any) -> None:
    text = f"""g (float[3,4] x, float[4,5] b, float low, float high) => (float[3,5] y)
    {{ a = Gemm <alpha = 0.5> (x, b) y = {node} }}"""
    numbers = {name: CONSTANTS[name] for name in ("low", "high")}
    after = kept(graph_of(text, opset=24, **numbers), *STEPS)
    assert ops(after) == {"pelemay::MatMul": 1}
    assert after.nodes[0].attributes["alpha"] == 0.5


RESIDUALS = {
    "before": ("a = Conv(x, w) s = Add(a, x) y = Relu(s)", 1, None),
    "after": ("a = Conv(x, w) r = Relu(a) y = Add(x, r)", 1, "after"),
    "alone": ("a = Conv(x, w) y = Add(x, a)", 1, None),
    "two convolutions": ("a = Conv(x, w) b = Conv(x, w) s = Add(a, b) y = Relu(s)", 2, None),
    "made later": ("a = Conv(x, w) b = Conv(x, w) r = Relu(b) y = Add(a, r)", 2, "after"),
}


@pytest.mark.parametrize("name", RESIDUALS)
def test_residuals(name: str, graph_of: Any, kept: Any, ops: Any) -> None:
    body, count, position = RESIDUALS[name]
    after = kept(spelt(graph_of, body), *STEPS)
    assert ops(after) == {"Transpose": 2, "pelemay::Conv": count}
    last = [node for node in after.nodes if node.op == "Conv"][-1]
    assert len(last.inputs) == 4
    assert last.attributes.get("residual_position") == position


LEFT = {
    "two activations": ("a = Conv(x, w) b = Relu(a) y = Sigmoid(b)", "Sigmoid"),
    "two residuals": ("a = Conv(x, w) b = Add(a, x) y = Add(b, x)", "Add"),
    "an activation after that": ("a = Conv(x, w) r = Tanh(a) b = Add(r, x) y = Relu(b)", "Relu"),
    "itself": ("a = Conv(x, w) y = Add(a, a)", "Add"),
    "one for each row": ("a = Conv(x, w) m = ReduceMax(x, i) y = Add(a, m)", "Add"),
    "read twice": ("a = Conv(x, w) r = Relu(a) y = Mul(a, r)", "Relu"),
}


@pytest.mark.parametrize("name", LEFT)
def test_what_has_no_room_stays(name: str, graph_of: Any, kept: Any, ops: Any) -> None:
    body, op = LEFT[name]
    text = f"""g (float[1,3,4,5] x, float[3,3,1,1] w, int64[1] i) => (float[1,3,4,5] y)
    {{ {body} }}"""
    graph = graph_of(text, w=CONSTANTS["w"], i=np.asarray([3], np.int64))
    assert ops(kept(graph, *STEPS))[op] == 1


def test_an_output_of_the_graph_is_still_made(graph_of: Any, kept: Any, ops: Any) -> None:
    text = """g (float[2,3] x, float[3,3] w) => (float[2,3] y, float[2,3] a)
    { a = MatMul(x, w) y = Relu(a) }"""
    assert ops(kept(graph_of(text), *STEPS)) == {"pelemay::MatMul": 1, "Relu": 1}
