"""Einstein sums that are products become products, and attention is recognised from them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pelemay.passes.einsum import lower_einsums
from pelemay.passes.fuse_attention import fuse_attention

PRODUCTS = {
    "ij,jk->ik": ("2,3", "3,4", "2,4"),
    "ij,jk": ("2,3", "3,4", "2,4"),
    "bij,bjk->bik": ("2,3,4", "2,4,5", "2,3,5"),
    "bhqd,bhkd->bhqk": ("2,3,4,5", "2,3,6,5", "2,3,4,6"),
    "bqhd,bkhd->bhqk": ("2,4,3,5", "2,6,3,5", "2,3,4,6"),
    "bhqk,bkhd->bqhd": ("2,3,4,6", "2,6,3,5", "2,4,3,5"),
    "btd,dhk->bthk": ("2,4,6", "6,3,5", "2,4,3,5"),
    "bthk,hkd->btd": ("2,4,3,5", "3,5,6", "2,4,6"),
    "i,j->ij": ("3", "4", "3,4"),
    "i,i->": ("3", "3", ""),
    "...ij,...jk->...ik": ("2,3,4", "2,4,5", "2,3,5"),
}
OTHERS = {
    "ij,jk->i": ("2,3", "3,4", "2"),
    "ii,ij->j": ("3,3", "3,4", "4"),
    "...ij,jk->...ik": ("1,3,4", "4,5", "1,3,5"),
}


def spelt(graph_of: Any, equation: str, shapes: tuple[str, str, str]) -> Any:
    a, b, y = (f"float[{shape}]" if shape else "float" for shape in shapes)
    return graph_of(
        f'g ({a} a, {b} b) => ({y} y) {{ y = Einsum <equation = "{equation}"> (a, b) }}'
    )


@pytest.mark.parametrize("equation", PRODUCTS)
def test_it_is_a_product(equation: str, graph_of: Any, kept: Any, ops: Any) -> None:
    after = kept(spelt(graph_of, equation, PRODUCTS[equation]), lower_einsums)
    assert ops(after)["MatMul"] == 1
    assert ops(after)["Einsum"] == 0


@pytest.mark.parametrize("equation", OTHERS)
def test_others_keep_their_meaning(equation: str, graph_of: Any, kept: Any) -> None:
    kept(spelt(graph_of, equation, OTHERS[equation]), lower_einsums)


def test_a_size_of_one_that_is_broadcast_stays(graph_of: Any, kept: Any, ops: Any) -> None:
    graph = spelt(graph_of, "...ij,...jk->...ik", ("1,3,4", "2,4,5", "2,3,5"))
    assert ops(kept(graph, lower_einsums)) == {"Einsum": 1}


def test_attention_by_einsum(graph_of: Any, kept: Any, ops: Any) -> None:
    """As Flax and much research code has it: heads behind tokens."""
    text = """g (float[2,4,3,8] q, float[2,6,3,8] k, float[2,6,3,8] v, float f)
    => (float[2,4,3,8] y) {
      a = Mul(q, f) s = Einsum <equation = "bqhd,bkhd->bhqk"> (a, k) p = Softmax(s)
      y = Einsum <equation = "bhqk,bkhd->bqhd"> (p, v) }"""
    graph = graph_of(text, f=np.asarray(0.5, np.float32))
    after = kept(graph, lower_einsums, fuse_attention)
    assert ops(after)["Attention"] == 1
