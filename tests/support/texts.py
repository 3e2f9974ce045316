"""Small networks as ONNX's text; what one declares between its brackets becomes a random weight."""

from __future__ import annotations

import numpy as np
import onnx.parser

HEADER = '<ir_version: 10, opset_import: ["" : 21]>'

CONVOLUTION = """
    g (float[1,3,17,13] x) => (float[1,20,9,7] y)
    <float[20,3,3,3] w, float[20] b> {
        c = Conv <pads=[1,1,1,1], strides=[2,2]> (x, w, b)
        y = Relu (c)
    }"""

TRANSFORMER = """
    g (float[1,10,16] x) => (float[1,10,16] y)
    <float[16] s, float[16] z, float[16,16] w> {
        n = LayerNormalization <axis=-1> (x, s, z)
        q = MatMul (n, w)
        p = Softmax <axis=-1> (q)
        g1 = Gelu (p)
        y = Add (g1, x)
    }"""


def parsed(text: str) -> onnx.ModelProto:
    """The model of a text without a header, with its weights."""
    model = onnx.parser.parse_model(HEADER + text)
    rng = np.random.default_rng(0)
    for value in model.graph.value_info:
        shape = tuple(d.dim_value for d in value.type.tensor_type.shape.dim)
        array = rng.normal(size=shape, scale=0.3).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, value.name))
    del model.graph.value_info[:]
    return model
