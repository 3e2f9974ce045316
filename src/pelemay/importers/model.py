"""ONNX files, read in place.

In: a path, or a ``ModelProto`` or its bytes. Out: a checked :class:`Model`: what it takes and
gives, its graph, and its parameters, which stay where they are stored.

>>> import onnx.parser
>>> model = from_proto(onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
... g (float[2] x) => (float[2] y) { y = Relu(x) }'''))
>>> [str(value) for value in model.inputs], model.metadata.opsets[""]
(['x: float32[2]'], 17)
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pelemay.errors import ModelError
from pelemay.graph import DType, Graph, Shape, SparseTensorType, TensorType, ValueType, check
from pelemay.importers.external import ExternalFiles
from pelemay.importers.faults import model_errors, node_errors
from pelemay.importers.parameters import Parameters, TensorTable, parameters_of
from pelemay.importers.scan import scan_model
from pelemay.importers.source import Source, intact
from pelemay.importers.structure import check_structure

if TYPE_CHECKING:
    import onnx
    from google.protobuf.message import Message


@dataclass(frozen=True)
class ValueInfo:
    """An input or output of a model.

    Attributes
    ----------
    name : str
        The value's name.
    type : ValueType or None
        Its type; None if the model does not say it.
    """

    name: str
    type: ValueType | None

    @property
    def dtype(self) -> DType | None:
        """Element type, if it is a tensor of a known one."""
        return self.type.dtype if isinstance(self.type, (TensorType, SparseTensorType)) else None

    @property
    def shape(self) -> Shape | None:
        """Sizes; a name or None where one is not fixed; None if not even the rank is known."""
        return self.type.shape if isinstance(self.type, (TensorType, SparseTensorType)) else None

    def __str__(self) -> str:
        return f"{self.name}: {self.type or '?'}"


@dataclass(frozen=True)
class Metadata:
    """What a model says of itself.

    Attributes
    ----------
    opsets : mapping
        Domain to version of the operator set; ``""`` is ONNX's own.
    properties : mapping
        The model's ``metadata_props``.
    """

    ir_version: int = 0
    opsets: Mapping[str, int] = field(default_factory=dict)
    producer_name: str = ""
    producer_version: str = ""
    domain: str = ""
    model_version: int = 0
    doc_string: str = ""
    properties: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, proto: onnx.ModelProto) -> Metadata:
        """Read it from a model."""
        return cls(
            proto.ir_version,
            {_text(opset.domain): opset.version for opset in proto.opset_import},
            _text(proto.producer_name),
            _text(proto.producer_version),
            _text(proto.domain),
            proto.model_version,
            _text(proto.doc_string),
            {_text(entry.key): _text(entry.value) for entry in proto.metadata_props},
        )


def _text(value: str | bytes) -> str:
    """Protobuf gives bytes for a text that is not UTF-8; old exporters wrote such comments."""
    return value if isinstance(value, str) else value.decode("utf-8", "replace")


@dataclass(frozen=True, eq=False)
class Model:
    """A model whose wire format, tensors and names have been checked.

    Attributes
    ----------
    path : Path or None
        Its file; None if it was given in memory.
    proto : onnx.ModelProto
        The model without its large payloads; their tensors are marked as external.
    parameters : Parameters
        ONNX name to read-only array, in the file's order.
    metadata : Metadata
        What the model says of itself.
    inputs, outputs : tuple of ValueInfo
        In order; initializers are not counted as inputs.
    """

    path: Path | None
    proto: onnx.ModelProto
    parameters: Parameters
    metadata: Metadata
    inputs: tuple[ValueInfo, ...]
    outputs: tuple[ValueInfo, ...]
    _table: TensorTable = field(repr=False)

    @property
    def nbytes(self) -> int:
        """Bytes of all parameters as stored."""
        return self.parameters.nbytes

    @property
    def sources(self) -> tuple[Source, ...]:
        """The model's own bytes, then the files beside it that its tensors lie in."""
        return self._table.sources

    def release(self) -> None:
        """Give back the memory of the pages of its files that were read."""
        for source in self.sources:
            source.release()

    def intact(self) -> AbstractContextManager[None]:
        """A block in which something is made of its weights.

        Its end raises ``ExecutionError`` if one of its files became shorter, in the place of what
        the block raised.
        """
        return intact(self.sources)

    @cached_property
    def graph(self) -> Graph:
        """The graph, checked, with the types of values between as far as they can be inferred.

        Raises
        ------
        ModelError
            If the graph has a cycle, or names, types or attributes contradict each other.
        ExecutionError
            If a file became shorter.
        """
        from pelemay.importers.convert import to_graph
        from pelemay.importers.functions import inlined
        from pelemay.importers.inference import inferred

        with model_errors(_place(self.path)), self.intact():
            proto = inferred(inlined(self.proto))
            with node_errors():
                graph = to_graph(proto, self._table.constant_of)
            check(graph)
        return graph

    def full_proto(self) -> onnx.ModelProto:
        """The whole model as one ``ModelProto``, every payload in it: a copy of all of it.

        Raises
        ------
        ModelError
            If it is larger than protobuf can hold, 2 GiB.
        """
        import onnx
        from onnx.external_data_helper import load_external_data_for_model

        source = self.parameters.source
        with model_errors(_place(self.path)), self.intact():
            if source.size > 0x7FFFFFFF:
                raise ModelError("is larger than 2 GiB, which one protobuf message cannot hold")
            proto: onnx.ModelProto = onnx.ModelProto.FromString(bytes(source.buffer))
            if self.path is not None:
                load_external_data_for_model(proto, str(self.path.parent))
        return proto


def load(path: str | os.PathLike[str]) -> Model:
    """Load an ONNX file; its weights stay in the file, and are read when they are used.

    A file that becomes shorter while the model is in use is an error of whatever reads it; where
    that is a view of a weight, the main thread raises it.

    Parameters
    ----------
    path : str or os.PathLike
        An ONNX file. External data is looked for in its folder.

    Returns
    -------
    Model
        Checked: the wire format, every tensor's type, shape and size, names, the graph.

    Raises
    ------
    ModelError
        If the file is missing, broken or hostile. The message says what is wrong and where.
    """
    file = Path(path)
    with model_errors(str(file)):
        return _model(Source.of_file(file), file.parent)


def from_proto(proto: onnx.ModelProto | bytes, folder: str | Path | None = None) -> Model:
    """Take a model that lies in memory.

    Parameters
    ----------
    proto : onnx.ModelProto or bytes
        The model, or what its file holds.
    folder : str or Path, optional
        Where external data is looked for; without one it is refused.

    Returns
    -------
    Model
        As :func:`load` gives.

    Raises
    ------
    ModelError
        As for :func:`load`.
    """
    with model_errors(_place(None)):
        data = proto if isinstance(proto, bytes) else proto.SerializeToString()
        return _model(Source.of_bytes(data), None if folder is None else Path(folder))


def _model(source: Source, folder: Path | None) -> Model:
    from pelemay.importers.convert import type_of

    with source.reading() as reader:
        scan = scan_model(reader)
    proto = _parsed(scan.stripped)
    table = TensorTable(source, scan, ExternalFiles(folder))
    parameters = parameters_of(proto.graph, table, source)
    values = [
        tuple(ValueInfo(value.name, type_of(value.type)) for value in listed)
        for listed in (proto.graph.input, proto.graph.output)
    ]
    check_structure(proto.graph)
    inputs = tuple(value for value in values[0] if value.name not in parameters)
    return Model(source.path, proto, parameters, Metadata.of(proto), inputs, values[1], table)


def _place(path: Path | None) -> str:
    return str(path) if path is not None else "model in memory"


def _parsed(stripped: bytes) -> onnx.ModelProto:
    import onnx

    proto: onnx.ModelProto = onnx.ModelProto.FromString(stripped)
    if not proto.HasField("graph"):
        raise ModelError("has no graph", hint="the file is not an ONNX model, or is truncated")
    if proto.ir_version >= 3 and not proto.opset_import:
        raise ModelError("imports no operator set", hint="the file is truncated, or damaged")
    size = proto.ByteSize()
    proto.DiscardUnknownFields()
    if proto.ByteSize() != size:
        _refuse_wrong_kinds(onnx.ModelProto.FromString(stripped))
    return proto


def _refuse_wrong_kinds(message: Message) -> None:
    """Refuse known fields that hold another kind of value; unknown fields are newer ones.

    Protobuf keeps a value of the wrong wire type, or of an enumeration that it does not know,
    as an unknown field, as though it had not been given.
    """
    from google.protobuf.unknown_fields import UnknownFieldSet

    known = message.DESCRIPTOR.fields_by_number
    for unknown in UnknownFieldSet(message):
        if unknown.field_number in known:
            name = f"{message.DESCRIPTOR.name}.{known[unknown.field_number].name}"
            raise ModelError(f"{name} holds a value of the wrong kind")
    for description, value in message.ListFields():
        if description.message_type is not None:
            for inner in value if description.is_repeated else (value,):
                _refuse_wrong_kinds(inner)
