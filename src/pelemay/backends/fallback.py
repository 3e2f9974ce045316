"""What the operation table does not know: ``onnx.reference`` runs it, one node at a time.

In: a node, and the values of its inputs. Out: the values of its outputs.

>>> import numpy as np
>>> from pelemay.graph import Node
>>> node = Node("RegexFullMatch", ("x",), ("y",), {"pattern": "a+"}, version=20)
>>> run_node(node, [np.array(["aa", "b"], object)], {"pattern": "a+"})
(array([ True, False]),)
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import onnx
from onnx import AttributeProto, NodeProto, TypeProto, helper, numpy_helper

from pelemay.errors import UnsupportedError
from pelemay.graph import Attribute, Constant, DType, Graph, Node
from pelemay.importers.dtypes import number_of


def run_node(node: Node, inputs: list[Any], attributes: dict[str, Any]) -> tuple[Any, ...]:
    """Run one node through ``onnx.reference``.

    Parameters
    ----------
    node : Node
        Its version says which operator set is meant.
    inputs : list
        NumPy arrays, lists of them, or None for inputs left out.
    attributes : dict
        Not read: the node's own attributes are.

    Returns
    -------
    tuple
        The outputs.

    Raises
    ------
    UnsupportedError
        If ``onnx.reference`` has no such operation, or the node has sub-graphs.
    """
    types = tuple(
        (name, _type_of(value).SerializeToString())
        for name, value in zip(node.inputs, inputs, strict=True)
        if name
    )
    evaluator = _evaluator(_Key(node, types))
    feeds = {name: v for name, v in zip(node.inputs, inputs, strict=True) if name}
    results = iter(evaluator(feeds))
    return tuple(next(results) if name else None for name in node.outputs)


class _Key:
    """A node by identity, with the types of its inputs: nodes hold arrays and have no hash."""

    def __init__(self, node: Node, types: tuple[tuple[str, bytes], ...]) -> None:
        self.node = node
        self.types = types

    def __hash__(self) -> int:
        return hash((id(self.node), self.types))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and self.node is other.node and self.types == other.types


@lru_cache(maxsize=256)
def _evaluator(key: _Key) -> Callable[[dict[str, Any]], list[Any]]:
    from onnx.reference import ReferenceEvaluator

    node = key.node
    graph = helper.make_graph(
        [node_proto(node)],
        "one_node",
        [
            onnx.ValueInfoProto(name=name, type=TypeProto.FromString(raw))
            for name, raw in dict(key.types).items()
        ],
        [onnx.ValueInfoProto(name=name) for name in node.outputs if name],
    )
    opsets = [helper.make_opsetid(node.domain, node.version)]
    if node.domain:
        opsets.append(helper.make_opsetid("", min(onnx.defs.onnx_opset_version(), 21)))
    model = helper.make_model(graph, opset_imports=opsets)
    try:
        evaluator = ReferenceEvaluator(model)
    except Exception as error:
        raise UnsupportedError(
            f"neither the operation table nor onnx.reference runs {node.qualified} "
            f"(operator set {node.version}): {error}",
            where=node.label,
        ) from error
    return lambda feeds: list(evaluator.run(None, feeds))


def node_proto(node: Node) -> NodeProto:
    """The protobuf message of a node without sub-graphs."""
    proto = NodeProto(op_type=node.op, domain=node.domain, name=node.name)
    proto.input.extend(node.inputs)
    proto.output.extend(node.outputs)
    proto.attribute.extend(_attribute(name, value) for name, value in node.attributes.items())
    return proto


def _attribute(name: str, value: Attribute) -> AttributeProto:
    if isinstance(value, Graph):
        raise UnsupportedError(f"sub-graph '{name}' of an operation that is not in the table")
    if isinstance(value, DType):
        return helper.make_attribute(name, number_of(value))
    if isinstance(value, Constant):
        return helper.make_attribute(name, numpy_helper.from_array(value.array()))
    if value == ():
        return helper.make_attribute(name, [], attr_type=AttributeProto.INTS)
    return helper.make_attribute(name, value)


def _type_of(value: Any) -> TypeProto:
    if value is None:
        return TypeProto()
    if isinstance(value, list):
        element = _type_of(value[0]) if value else helper.make_tensor_type_proto(1, None)
        return helper.make_sequence_type_proto(element)
    if isinstance(value, dict):
        return TypeProto()
    array = np.asarray(value)
    return helper.make_tensor_type_proto(number_of(DType.of_numpy(array.dtype)), array.shape)
