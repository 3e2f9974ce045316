"""The names in a model, checked before anything is converted.

In: a ``GraphProto``. Out: nothing, or a :class:`~pelemay.errors.GraphError`. The rules are those
of :func:`pelemay.graph.check`, applied to a graph that has names and nothing else: so a
cycle is found when a model is loaded, and its attributes need not be read for that.

>>> import onnx
>>> node = onnx.helper.make_node("Relu", ["y"], ["y"])
>>> check_structure(onnx.helper.make_graph([node], "g", [], []))
Traceback (most recent call last):
pelemay.errors.GraphError: graph 'g': Relu 'y' reads 'y' before it is made: a cycle, or a wrong order
"""  # noqa: E501

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from pelemay.errors import GraphError
from pelemay.graph import Graph, Node, check

if TYPE_CHECKING:
    from onnx import AttributeProto, GraphProto, NodeProto


def check_structure(proto: GraphProto) -> None:
    """Check names, order and nesting of a graph and of its sub-graphs.

    Raises
    ------
    GraphError
        As :func:`pelemay.graph.check`; also if an input, output or initializer has no name,
        or two of them have the same one.
    """
    check(_skeleton(proto))


def _skeleton(proto: GraphProto) -> Graph:
    where = f"graph '{proto.name}'"
    _check_text((proto.name,), where)
    initializers = [tensor.name for tensor in proto.initializer]
    initializers += [sparse.values.name for sparse in proto.sparse_initializer]
    inputs = [value.name for value in proto.input]
    outputs = [value.name for value in proto.output]
    for kind, names in (("initializer", initializers), ("input", inputs), ("output", outputs)):
        _check_unique(names, kind, where)
    return Graph(
        proto.name,
        inputs=dict.fromkeys([*inputs, *initializers]),
        outputs=dict.fromkeys(outputs),
        nodes=tuple(_node(node, where) for node in proto.node),
    )


def _node(proto: NodeProto, where: str) -> Node:
    if not proto.op_type:
        raise GraphError(f"node '{proto.name}' does not say its operation", where=where)
    _check_text((proto.op_type, proto.domain, proto.name, *proto.input, *proto.output), where)
    _check_text((a.name for a in proto.attribute), where)
    bodies = {a.name: tuple(map(_skeleton, _graphs(a))) for a in proto.attribute if a.type in _BODY}
    return Node(proto.op_type, tuple(proto.input), tuple(proto.output), bodies, name=proto.name)


_BODY = (5, 10)
"""AttributeProto.GRAPH and GRAPHS."""


def _graphs(attribute: AttributeProto) -> Iterator[GraphProto]:
    if attribute.HasField("g"):
        yield attribute.g
    yield from attribute.graphs


def _check_text(names: Iterable[str], where: str) -> None:
    """Protobuf gives bytes for a text that is not UTF-8."""
    for name in names:
        if type(name) is not str:
            raise GraphError(f"the name {name!r} is not UTF-8", where=where)


def _check_unique(names: Sequence[str], kind: str, where: str) -> None:
    _check_text(names, where)
    seen: set[str] = set()
    for name in names:
        if not name:
            raise GraphError(f"an {kind} has no name", where=where)
        if name in seen:
            raise GraphError(f"two {kind}s have the name '{name}'", where=where)
        seen.add(name)
