"""Sequences and optionals whose elements are known are taken apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import onnx.backend.test
import pytest

from pelemay.graph import Graph
from pelemay.importers import load
from pelemay.passes.sequences import unpack_sequences
from pelemay.passes.simplify import simplify

MakeGraph = Callable[..., Graph]
Kept = Callable[..., Graph]
Ops = Callable[[Graph], Counter[str]]

SIMPLE = Path(onnx.backend.test.__file__).parent / "data" / "simple"


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5, 6, 7])
def test_the_official_models_have_no_sequences_left(number: int, ops: Ops) -> None:
    graph = load(SIMPLE / f"test_sequence_model{number}" / "model.onnx").graph
    assert any("Sequence" in op for op in ops(graph))
    assert [op for op in ops(simplify(graph)) if "Sequence" in op] == []


def test_elements_are_found_through_inserts_and_erasures(
    graph_of: MakeGraph, kept: Kept, ops: Ops
) -> None:
    graph = graph_of("""g (float[2] a, float[2] b, float[3] c) => (x, y, n) {
        zero = Constant<value_int = 0>()  last = Constant<value_int = -1>()
        s0 = SequenceEmpty()  s1 = SequenceInsert(s0, a)  s2 = SequenceInsert(s1, b, zero)
        s3 = SequenceInsert(s2, c, last)  s4 = SequenceErase(s3, last)  s5 = Identity(s4)
        p = SequenceAt(s3, last)  q = SequenceAt(s4, last)  n = SequenceLength(s5)
        x = Neg(p)  y = Exp(q)
    }""")
    after = kept(graph, simplify)
    assert ops(after) == {"Identity": 1, "Neg": 1, "Exp": 1}
    assert [node.inputs for node in after.nodes[1:]] == [("a",), ("c",)]


@pytest.mark.parametrize(
    ("split", "parts"),
    [
        ("s = SplitToSequence<axis = 1>(x)", 5),
        ("k = Constant<value_int = 2>() s = SplitToSequence<axis = 1>(x, k)", 3),
        ("k = Constant<value_ints = [1, 4]>() s = SplitToSequence<axis = 1>(x, k)", 2),
        ("s = SplitToSequence<axis = 1, keepdims = 0>(x)", 5),
    ],
)
def test_a_split_gives_its_parts(
    split: str, parts: int, graph_of: MakeGraph, kept: Kept, ops: Ops
) -> None:
    graph = graph_of(f"""g (float[2,5] x) => (y) {{
        {split}  i = Constant<value_int = 1>()  e = SequenceAt(s, i)  y = Relu(e)
    }}""")
    after = kept(graph, simplify)
    assert len(after.nodes[0].outputs) == parts
    squeezed = {"Squeeze": 1} if "keepdims" in split else {}
    assert ops(after) == {"Split": 1, "Relu": 1, **squeezed}


@pytest.mark.parametrize("new", [0, 1])
def test_a_sequence_is_joined(new: int, graph_of: MakeGraph, kept: Kept, ops: Ops) -> None:
    graph = graph_of(f"""g (float[2,3] a, float[2,3] b) => (y) {{
        s = SequenceConstruct(a, b)  y = ConcatFromSequence<axis = -1, new_axis = {new}>(s)
    }}""")
    after = kept(graph, simplify)
    assert ops(after) == ({"Unsqueeze": 2, "Concat": 1} if new else {"Concat": 1})


def test_an_optional_that_is_known_is_opened(graph_of: MakeGraph, kept: Kept, ops: Ops) -> None:
    graph = graph_of("""g (float[2] x) => (y, a, b, c) {
        o = Optional(x)  e = OptionalGetElement(o)  f = OptionalGetElement(e)  y = Relu(f)
        a = OptionalHasElement(o)  b = OptionalHasElement(x)  c = OptionalHasElement()
    }""")
    after = kept(graph, simplify)
    assert ops(after) == {"Relu": 1, "Identity": 3}


def test_what_is_not_known_stays(graph_of: MakeGraph) -> None:
    graph = graph_of("""g (float[2] a, int64 i) => (y) {
        s = SequenceConstruct(a, a)  y = SequenceAt(s, i)
    }""")
    assert unpack_sequences(graph).nodes == graph.nodes
    far = graph_of("""g (float[2] a) => (y) {
        i = Constant<value_int = 9>()  s = SequenceConstruct(a, a)  y = SequenceAt(s, i)
    }""")
    assert unpack_sequences(far).nodes == far.nodes
