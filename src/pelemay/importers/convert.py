"""From ONNX's protobuf messages to a graph.

In: a ``ModelProto`` whose payloads may lie elsewhere, and a function that finds them. Out: a
:class:`~pelemay.graph.Graph` in the newest form of every operation that the table knows.

>>> import onnx.parser
>>> from pelemay.importers.tensors import constant_of_proto
>>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
... g (float[2] x) => (float[2] y) { y = Relu(x) }''')
>>> to_graph(proto, constant_of_proto).nodes[0].op
'Relu'
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import onnx
from onnx import AttributeProto, GraphProto, NodeProto, TensorProto, TypeProto

from pelemay.errors import ModelError
from pelemay.graph import (
    ArrayConstant,
    Attribute,
    Constant,
    DType,
    Graph,
    MapType,
    Node,
    OptionalType,
    SequenceType,
    Shape,
    SparseTensorType,
    TensorType,
    ValueType,
)
from pelemay.importers.dtypes import dtype_of
from pelemay.importers.functions import inlined
from pelemay.importers.upgrade import upgrade

MAX_DEPTH = 64

DTYPE_ATTRIBUTES = {
    "to", "dtype", "output_dtype", "output_datatype", "stash_type", "softmax_precision"
}  # fmt: skip


def to_graph(proto: onnx.ModelProto, constant_of: Callable[[TensorProto], Constant]) -> Graph:
    """Convert a model's graph, its functions inlined and its operations in their newest form.

    Parameters
    ----------
    proto : onnx.ModelProto
        The model; payloads need not be in it.
    constant_of : callable
        Gives the constant that a ``TensorProto`` stands for.

    Returns
    -------
    Graph
        Not yet checked.

    Raises
    ------
    ModelError
        If types, attributes or constants contradict themselves.
    """
    proto = inlined(proto)
    opsets = {opset.domain: opset.version for opset in proto.opset_import}
    opsets.setdefault("", opsets.get("ai.onnx", 1))
    return upgrade(_Converter(opsets, constant_of).graph(proto.graph))


@dataclass(frozen=True)
class _Converter:
    opsets: Mapping[str, int]
    constant_of: Callable[[TensorProto], Constant]

    def graph(self, proto: GraphProto, depth: int = 0) -> Graph:
        if depth > MAX_DEPTH:
            raise ModelError(f"sub-graphs nest deeper than {MAX_DEPTH}", where=proto.name)
        constants = {t.name: self.constant_of(t) for t in proto.initializer}
        for sparse in proto.sparse_initializer:
            constants[sparse.values.name] = self._sparse(sparse)
        nodes = []
        for node in proto.node:
            if node.op_type == "Constant" and node.domain in ("", "ai.onnx"):
                name, constant = self._constant_node(node)
                if name in constants:
                    raise ModelError(f"constant '{name}' is defined twice", where=node.name)
                constants[name] = constant
            else:
                nodes.append(self._node(node, depth))
        return Graph(
            proto.name,
            inputs={v.name: type_of(v.type) for v in proto.input if v.name not in constants},
            outputs={v.name: type_of(v.type) for v in proto.output},
            nodes=tuple(nodes),
            constants=constants,
            types={v.name: t for v in proto.value_info if (t := type_of(v.type)) is not None},
        )

    def _node(self, proto: NodeProto, depth: int) -> Node:
        domain = "" if proto.domain == "ai.onnx" else proto.domain
        where = f"{proto.op_type} '{proto.name or ', '.join(proto.output)}'"
        if domain not in self.opsets:
            raise ModelError(f"no operator set is imported for domain '{domain}'", where=where)
        attributes = {
            a.name: self._attribute(a, where, depth)
            for a in proto.attribute
            if not (a.name in DTYPE_ATTRIBUTES and a.type == AttributeProto.INT and a.i == 0)
        }
        return Node(
            proto.op_type,
            tuple(proto.input),
            tuple(proto.output),
            attributes,
            domain=domain,
            version=self.opsets[domain],
            name=proto.name,
        )

    def _attribute(self, proto: AttributeProto, where: str, depth: int) -> Attribute:
        read = _READERS.get(proto.type)
        if proto.type == AttributeProto.GRAPH:
            return self.graph(proto.g, depth + 1)
        if proto.type == AttributeProto.GRAPHS:
            return tuple(self.graph(g, depth + 1) for g in proto.graphs)
        if proto.type == AttributeProto.TENSOR:
            return self.constant_of(proto.t)
        if proto.type == AttributeProto.TENSORS:
            return tuple(self.constant_of(t) for t in proto.tensors)
        if proto.type == AttributeProto.SPARSE_TENSOR:
            return self._sparse(proto.sparse_tensor)
        if read is None:
            raise ModelError(
                f"attribute '{proto.name}' has type {proto.type}, which is not known", where=where
            )
        if proto.name in DTYPE_ATTRIBUTES and proto.type == AttributeProto.INT:
            return dtype_of(proto.i)
        value: Attribute = read(proto)
        return value

    def _sparse(self, proto: onnx.SparseTensorProto) -> Constant:
        from pelemay.importers.tensors import dense_of_sparse

        return dense_of_sparse(proto, self.constant_of)

    def _constant_node(self, proto: NodeProto) -> tuple[str, Constant]:
        where = f"Constant '{proto.name or ', '.join(proto.output)}'"
        if len(proto.attribute) != 1 or len(proto.output) != 1:
            raise ModelError("a Constant has exactly one attribute and one output", where=where)
        attribute = proto.attribute[0]
        value = self._attribute(attribute, where, depth=0)
        if attribute.name in ("value", "sparse_value") and isinstance(value, Constant):
            return proto.output[0], value
        if attribute.name not in _CONSTANT_DTYPES or isinstance(value, Constant):
            raise ModelError(f"attribute '{attribute.name}' is not a constant's", where=where)
        numpy = DType.of(_CONSTANT_DTYPES[attribute.name]).numpy
        return proto.output[0], ArrayConstant.of(value, numpy)  # type: ignore[arg-type]


_CONSTANT_DTYPES = {
    "value_float": "float32",
    "value_floats": "float32",
    "value_int": "int64",
    "value_ints": "int64",
    "value_string": "string",
    "value_strings": "string",
}


def _known_type(proto: TypeProto) -> ValueType:
    found = type_of(proto)
    if found is None:
        raise ModelError("an attribute that is a type says nothing")
    return found


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


_READERS: dict[int, Callable[[AttributeProto], Any]] = {
    AttributeProto.FLOAT: lambda a: a.f,
    AttributeProto.INT: lambda a: a.i,
    AttributeProto.STRING: lambda a: _text(a.s),
    AttributeProto.FLOATS: lambda a: tuple(a.floats),
    AttributeProto.INTS: lambda a: tuple(a.ints),
    AttributeProto.STRINGS: lambda a: tuple(map(_text, a.strings)),
    AttributeProto.TYPE_PROTO: lambda a: _known_type(a.tp),
    AttributeProto.TYPE_PROTOS: lambda a: tuple(map(_known_type, a.type_protos)),
}


def type_of(proto: TypeProto, depth: int = 0) -> ValueType | None:
    """The value type that a ``TypeProto`` means; None where it says nothing."""
    kind = proto.WhichOneof("value")
    if kind is None or depth > MAX_DEPTH:
        return None
    if kind == "tensor_type":
        tensor = proto.tensor_type
        return TensorType(dtype_of(tensor.elem_type), _shape(tensor)) if tensor.elem_type else None
    if kind == "sparse_tensor_type":
        sparse = proto.sparse_tensor_type
        return SparseTensorType(dtype_of(sparse.elem_type), _shape(sparse))
    if kind == "map_type":
        value = type_of(proto.map_type.value_type, depth + 1)
        return MapType(dtype_of(proto.map_type.key_type), value) if value else None
    if kind not in ("sequence_type", "optional_type"):
        return None
    element = type_of(getattr(proto, kind).elem_type, depth + 1)
    if element is None:
        return None
    return SequenceType(element) if kind == "sequence_type" else OptionalType(element)


def _shape(proto: TypeProto.Tensor | TypeProto.SparseTensor) -> Shape | None:
    if not proto.HasField("shape"):
        return None
    return tuple(_dim(dim) for dim in proto.shape.dim)


def _dim(proto: onnx.TensorShapeProto.Dimension) -> int | str | None:
    if proto.HasField("dim_value"):
        if proto.dim_value < 0:
            return None
        return proto.dim_value
    if not isinstance(proto.dim_param, str):
        raise ModelError("the name of a dimension is not UTF-8")
    return proto.dim_param or None
