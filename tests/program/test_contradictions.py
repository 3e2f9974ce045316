"""Nodes that contradict themselves are refused, by name, before a program is made."""

from __future__ import annotations

import onnx.parser
import pytest

from pelemay.compilation import compile_graph
from pelemay.errors import GraphError
from pelemay.importers import from_proto

HEADER = '<ir_version: 11, opset_import: ["": 23]>\n'

Q, K = "float[2,3,4,8] q", "float[2,3,6,8] k"

CONTRADICTIONS = {
    "a missing input": (
        f"g ({Q}, {K}) => (float[2,3,4,8] y) {{ y = Attention (q, k) }}",
        r"Attention 'y': input 2 \('v'\) is missing",
    ),
    "batches": (
        f"g ({Q}, {K}, float[6,3,6,8] v) => (float[2,3,4,8] y) {{ y = Attention (q, k, v) }}",
        "batches of queries, keys and values differ: 2, 6",
    ),
    "heads": (
        f"g ({Q}, {K}, float[2,1,6,8] v) => (float[2,3,4,8] y) {{ y = Attention (q, k, v) }}",
        "heads of keys and values differ: 1, 3",
    ),
    "sizes": (
        "g (float[2,3,4,9] q, float[2,3,6,8] k) => (float[2,3,4,8] y) { y = Attention (q, k, k) }",
        "sizes of queries and keys differ: 8, 9",
    ),
    "caches": (
        "g (float[2,4,3,8] x, float[49,4] c, float[50,4] s, int64[2,3] p) => (float[2,4,3,8] y)"
        " { y = RotaryEmbedding (x, c, s, p) }",
        "shapes of cosines and sines differ: 49, 50",
    ),
    "caches of tokens": (
        "g (float[2,4,3,8] x, float[50,4] c) => (float[2,4,3,8] y)"
        " { y = RotaryEmbedding (x, c, c) }",
        "cosines have 2 axes, 3 are needed",
    ),
    "axes": (
        "g (float[3,4,5] x, float[2,5] u, int64[3] i) => (float[3,4,5] y)"
        " { y = TensorScatter (x, u, i) }",
        "TensorScatter 'y': sizes 3 and 2 should be the same",
    ),
    "classes": (
        "g (float[39,5] x, int64[3] c) => (float y) { y = SoftmaxCrossEntropyLoss (x, c) }",
        "places of scores and classes differ: 3, 39",
    ),
    "a word": (
        "g (float[1,1,3,2] x, float[1,2,4,2] p) => (float[1,1,2,4] y)"
        ' { y = GridSample <mode = "lienar"> (x, p) }',
        "GridSample 'y': attribute 'mode' is 'lienar', not one of",
    ),
    "pictures": (
        "g (float[5,1,3,2] x, float[1,2,4,2] p) => (float[1,1,2,4] y) { y = GridSample (x, p) }",
        "GridSample 'y': sizes 5 and 1 should be the same",
    ),
    "what only the engine sees": (
        "g (float[1,1,2,2] x, int64[1,1,10,2] i) => (float[1,1,4,4] y)"
        " { y = MaxUnpool <kernel_shape = [2, 2], strides = [2, 2]> (x, i) }",
        "MaxUnpool 'y': the engine refuses what it would become: ",
    ),
    "what is said of an output": (
        "g (float[1,3,4,5] x, int64[1] a) => (float[3,33,5] y) { y = Squeeze (x, a) }",
        "the engine refuses what it would become: a tensor reaches beyond",
    ),
    "integers": (
        "g (int8[1,1,10,10] x, float[3,4] r, int64[3] b) => (int8[3,1,5,5] y)"
        " { y = RoiAlign <output_height = 5, output_width = 5> (x, r, b) }",
        "it takes floating-point numbers, not int8",
    ),
}


@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_they_are_refused(case: str) -> None:
    text, message = CONTRADICTIONS[case]
    graph = from_proto(onnx.parser.parse_model(HEADER + text)).graph
    with pytest.raises(GraphError, match=message):
        compile_graph(graph)


def test_a_name_that_is_no_text() -> None:
    text = "name (float[4] x) => (float[4] y) { y = Relu (x) }"
    data = onnx.parser.parse_model(HEADER + text).SerializeToString()
    with pytest.raises(GraphError, match="is not UTF-8"):
        from_proto(data.replace(b"name", b"nam\xff"))
