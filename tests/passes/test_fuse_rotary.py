"""Rotary positions written out, in the forms that exporters give them, and others that are not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pelemay.graph import ArrayConstant, DType, Graph, Node, TensorType
from pelemay.graph.typing import infer
from pelemay.passes.fuse_rotary import fuse_rotary
from pelemay.passes.simplify import simplify

BATCH, HEADS, TOKENS, SIZE = 2, 3, 5, 8
HALF = SIZE // 2

Kept = Callable[..., Graph]
Ops = Callable[[Graph], Counter[str]]


def _graph(
    angles: tuple[Node, ...], places: tuple[int, ...], constants: dict[str, Any], **changes: Any
) -> Graph:
    """Nodes that make ``cos`` and ``sin``, and the rotation of x by them."""
    bounds = {"zero": [0], "half": [HALF], "end": [2**62], "axis": [3], "two": [1]} | changes
    turned = bounds.pop("turned", ("less", "low"))
    nodes = (
        *angles,
        Node("Slice", ("x", "zero", "half", "axis"), ("low",)),
        Node("Slice", ("x", "half", "end", "axis"), ("high",)),
        Node("Neg", ("high",), ("less",)),
        Node("Concat", turned, ("turned",), {"axis": -1}),
        Node("Mul", ("cos", "x"), ("plain",)),
        Node("Mul", ("turned", "sin"), ("crossed",)),
        Node("Add", ("plain", "crossed"), ("y",)),
    )
    numbers = {n: ArrayConstant.of(np.array(v, np.int64)) for n, v in bounds.items()}
    numbers |= {n: ArrayConstant.of(v) for n, v in constants.items()}
    x = TensorType(DType.FLOAT32, (BATCH, HEADS, TOKENS, SIZE))
    inputs = {"x": x, "places": TensorType(DType.FLOAT32, places)}
    return infer(Graph("g", inputs, {"y": x}, nodes, numbers))


FREQUENCIES = (10.0 ** -np.arange(HALF)).astype(np.float32)
TWICE = (
    Node("Mul", ("places", "turns"), ("half_angles",)),
    Node("Concat", ("half_angles", "half_angles"), ("angles",), {"axis": -1}),
    Node("Cos", ("angles",), ("c",)),
    Node("Mul", ("c", "factor"), ("c_scaled",)),
    Node("Unsqueeze", ("c_scaled", "two"), ("cos",)),
    Node("Sin", ("angles",), ("s",)),
    Node("Unsqueeze", ("s", "two"), ("sin",)),
)
DOUBLED = (
    Node("Mul", ("places", "turns"), ("angles",)),
    Node("Cos", ("angles",), ("cos",)),
    Node("Sin", ("angles",), ("sin",)),
)
FACTOR = {"factor": np.array(1.25, np.float32)}

FORMS: dict[str, tuple[tuple[Node, ...], tuple[int, ...], dict[str, Any]]] = {
    "angles joined": (TWICE, (BATCH, TOKENS, 1), {"turns": FREQUENCIES, **FACTOR}),
    "one for all samples": (TWICE, (1, TOKENS, 1), {"turns": FREQUENCIES, **FACTOR}),
    "frequencies joined": (DOUBLED, (BATCH, 1, TOKENS, 1), {"turns": np.tile(FREQUENCIES, 2)}),
    "of rank 3": (DOUBLED, (1, TOKENS, 1), {"turns": np.tile(FREQUENCIES, 2)}),
}


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_exporters(form: str, kept: Kept, ops: Ops) -> None:
    after = kept(_graph(*FORMS[form]), fuse_rotary, infer, simplify)
    found = ops(after)
    assert found["RotaryEmbedding"] == 1
    assert found["Neg"] == found["Add"] == 0


OTHERS: dict[str, Graph] = {
    "frequencies of two halves": _graph(
        DOUBLED, (1, 1, TOKENS, 1), {"turns": np.arange(SIZE, dtype=np.float32)}
    ),
    "halves in place": _graph(*FORMS["angles joined"], turned=("low", "less")),
    "an angle for each head": _graph(
        DOUBLED, (1, HEADS, TOKENS, 1), {"turns": np.tile(FREQUENCIES, 2)}
    ),
    "one angle for all tokens": _graph(DOUBLED, (1, 1, 1, 1), {"turns": np.tile(FREQUENCIES, 2)}),
    "another half": _graph(
        *FORMS["frequencies joined"], zero=[HALF], half=[0], end=[HALF], turned=("less", "less")
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_others_are_left_as_they_are(name: str, kept: Kept) -> None:
    assert kept(OTHERS[name], fuse_rotary) == OTHERS[name]
