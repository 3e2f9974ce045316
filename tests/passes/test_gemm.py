"""Products in one form: factors, flags, biases, residuals, vectors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pelemay.passes.gemm import lower_products

RNG = np.random.default_rng(2)
SIDES = {
    "1d": "float[5]",
    "row": "float[1,5]",
    "one": "float[1]",
    "number": "float",
    "column": "float[3,1]",
    "whole": "float[3,5]",
}


def shape_of(kind: str) -> tuple[int, ...]:
    inner = kind.partition("[")[2].rstrip("]")
    return tuple(map(int, inner.split(","))) if inner else ()


@pytest.mark.parametrize("beta", [1.0, 0.5, 0.0])
@pytest.mark.parametrize("constant", [True, False])
@pytest.mark.parametrize("side", SIDES)
def test_what_is_added(
    side: str, constant: bool, beta: float, graph_of: Any, kept: Any, ops: Any
) -> None:
    kind = SIDES[side]
    text = f"""g (float[3,4] a, float[4,5] b, {kind} c) => (float[3,5] y)
    {{ y = Gemm <alpha = 0.5, beta = {beta}> (a, b, c) }}"""
    made = {"c": RNG.standard_normal(shape_of(kind)).astype(np.float32)} if constant else {}
    after = kept(graph_of(text, **made), lower_products)
    added = ops(after)["Add"]
    product = next(node for node in after.nodes if node.op == "MatMul")
    if beta == 0:
        assert (len(product.inputs), added) == (2, 0)
    elif side == "whole":
        assert (len(product.inputs), added) == (4, 0)
    elif constant and side != "column":
        assert (len(product.inputs), added) == (3, 0)
        assert after.constants[product.inputs[2]].shape == (5,)
    else:
        assert (len(product.inputs), added) == (2, 1)
    assert ops(after)["Gemm"] == 0


@pytest.mark.parametrize("a", [0, 1])
@pytest.mark.parametrize("b", [0, 1])
def test_flags(a: int, b: int, graph_of: Any, kept: Any) -> None:
    left, right = ("4,3" if a else "3,4"), ("5,4" if b else "4,5")
    text = f"""g (float[{left}] a, float[{right}] b) => (float[3,5] y)
    {{ y = Gemm <transA = {a}, transB = {b}> (a, b) }}"""
    node = kept(graph_of(text), lower_products).nodes[0]
    assert dict(node.attributes) == {k: 1 for k, v in (("trans_a", a), ("trans_b", b)) if v}


@pytest.mark.parametrize(
    ("a", "b", "y"),
    [
        ("3,4", "4,5", "3,5"),
        ("2,1,3,4", "6,4,5", "2,6,3,5"),
        ("4", "4,5", "5"),
        ("4", "2,4,5", "2,5"),
        ("3,4", "4", "3"),
        ("2,3,4", "4", "2,3"),
        ("4", "4", ""),
    ],
)
def test_vectors_become_matrices(
    a: str, b: str, y: str, graph_of: Any, kept: Any, ops: Any
) -> None:
    out = f"float[{y}]" if y else "float"
    text = f"g (float[{a}] a, float[{b}] b) => ({out} y) {{ y = MatMul(a, b) }}"
    after = kept(graph_of(text), lower_products)
    assert ops(after)["pelemay::MatMul"] == 1
    product = next(node for node in after.nodes if node.op == "MatMul")
    ranks = [len(getattr(after.type_of(name), "shape", ())) for name in product.inputs]
    assert min(ranks) >= 2


@pytest.mark.parametrize("kind", ["double", "int32", "float16"])
def test_other_types_stay(kind: str, graph_of: Any) -> None:
    text = f"g ({kind}[3,4] a, {kind}[4,5] b) => ({kind}[3,5] y) {{ y = MatMul(a, b) }}"
    graph = graph_of(text)
    assert lower_products(graph) is graph
