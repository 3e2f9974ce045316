"""Types of the values between, as ONNX's shape inference finds them before anything is rewritten.

In: a ``ModelProto`` without functions. Out: one whose ``value_info`` says more. Nodes of other
domains than ONNX's own are hidden from it: some of their rules end the process where an input has
no type or a list is too short, and nothing here needs them.

>>> import onnx.parser
>>> model = onnx.parser.parse_model('''<ir_version: 10, opset_import: ["" : 21]>
... g (float[2] x) => (y) { a = Relu (x)  y = Neg (a) }''')
>>> [value.name for value in inferred(model).graph.value_info]
['a', 'y']
"""

from __future__ import annotations

import onnx
from onnx.checker import ValidationError
from onnx.shape_inference import InferenceError, infer_shapes

from pelemay.importers.functions import all_nodes

HIDDEN = "hidden."


def inferred(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The model with types of the values between; itself where inference fails."""
    foreign = any(node.domain not in ("", "ai.onnx") for node in all_nodes(proto.graph.node))
    try:
        found: onnx.ModelProto = infer_shapes(_with_hidden(proto) if foreign else proto)
    except (InferenceError, ValidationError, RuntimeError, ValueError):
        return proto
    if foreign:
        _show(found)
    return found


def _with_hidden(proto: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    for node in all_nodes(copy.graph.node):
        if node.domain not in ("", "ai.onnx"):
            node.op_type = HIDDEN + node.op_type
    return copy


def _show(proto: onnx.ModelProto) -> None:
    for node in all_nodes(proto.graph.node):
        if node.domain not in ("", "ai.onnx"):
            node.op_type = node.op_type.removeprefix(HIDDEN)
