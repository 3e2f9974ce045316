"""A small network whose early layers are large and whose late ones have the weights."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

IMAGE, CHANNELS = 32, 8


def network() -> onnx.ModelProto:
    """A residual block of three convolutions at full size, one that halves it, and a product."""
    random = np.random.default_rng(3)
    nodes, weights = [], []

    def weight(name: str, *shape: int) -> str:
        values = random.standard_normal(shape).astype(np.float32) / 8
        weights.append(numpy_helper.from_array(values, name))
        return name

    def conv(place: str, source: str, to: str, inputs: int, stride: int = 1) -> str:
        kernel = weight(f"{to}.weight", CHANNELS, inputs, 3, 3)
        how = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [stride, stride]}
        nodes.append(helper.make_node("Conv", [source, kernel], [to], place + to, **how))
        return to

    stem = conv("/body/", "image", "stem", 3)
    inner = conv("/body/block/", stem, "inner", CHANNELS)
    outer = conv("/body/block/", inner, "outer", CHANNELS)
    nodes.append(helper.make_node("Add", [outer, stem], ["sum"], "/body/block/sum"))
    conv("/body/", "sum", "half", CHANNELS, stride=2)
    nodes.append(helper.make_node("Flatten", ["half"], ["flat"], "/head/flat"))
    nodes.append(
        helper.make_node("MatMul", ["flat", weight("fc", 8 * 256, 100)], ["y"], "/head/fc")
    )
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("image", [1, 3, IMAGE, IMAGE]), ("y", [1, 100]))
    ]
    graph = helper.make_graph(nodes, "net", ends[:1], ends[1:], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
