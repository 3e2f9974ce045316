"""The parameters of a model: its initializers, each read where it lies.

In: constants by name. Out: :class:`Parameters`, a mapping from ONNX name to a read-only array.

>>> import numpy as np, onnx
>>> from pelemay.importers import from_proto
>>> w = onnx.numpy_helper.from_array(np.array([1.5, 2.5], np.float32), "w")
>>> model = from_proto(onnx.helper.make_model(onnx.helper.make_graph([], "g", [], [], [w])))
>>> model.parameters["w"], model.parameters.placement("w").encoding
(array([1.5, 2.5], dtype=float32), 'raw_data')
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from pelemay.errors import ModelError
from pelemay.graph import Constant, DType
from pelemay.importers.external import ExternalFiles
from pelemay.importers.scan import Payload, Scan
from pelemay.importers.source import Source
from pelemay.importers.stored import Array, Placement, StoredTensor
from pelemay.importers.tensors import (
    SparseTensor,
    checked_type,
    constant_of_proto,
    dense_of_sparse,
    stored_tensor,
)

if TYPE_CHECKING:
    from onnx import GraphProto, TensorProto


class TensorTable:
    """Finds the elements of any tensor of a model: in the model's file, beside it, or inline.

    Parameters
    ----------
    source : Source
        The model's own bytes.
    scan : Scan
        Where large payloads lie in them.
    files : ExternalFiles
        The files beside it.
    """

    def __init__(self, source: Source, scan: Scan, files: ExternalFiles) -> None:
        self._source = source
        self._scan = scan
        self._files = files
        self._rows: dict[int, StoredTensor] = {}

    @property
    def sources(self) -> tuple[Source, ...]:
        """The model's own bytes, then the files beside it that tensors were found in."""
        return (self._source, *self._files.sources)

    def constant_of(self, proto: TensorProto) -> Constant:
        """The constant that a tensor of the stripped model stands for.

        Raises
        ------
        ModelError
            If the tensor contradicts itself, or its elements cannot be found.
        """
        row = self._row(proto)
        if row is None:
            external = proto.data_location == proto.EXTERNAL
            return self._external(proto) if external else constant_of_proto(proto)
        if row not in self._rows:
            self._rows[row] = self._stored(proto, self._scan.payloads[row])
        return self._rows[row]

    def _row(self, proto: TensorProto) -> int | None:
        for entry in proto.external_data:
            if entry.key == self._scan.secret:
                return int(entry.value)
        return None

    def _stored(self, proto: TensorProto, payload: Payload) -> StoredTensor:
        if payload.external:
            raise ModelError(
                "it has elements both in the model and in another file",
                where=f"tensor '{proto.name}'",
            )
        return stored_tensor(proto, self._source, payload)

    def _external(self, proto: TensorProto) -> StoredTensor:
        entries = {entry.key: entry.value for entry in proto.external_data}
        try:
            if not all(isinstance(value, str) for value in entries.values()):
                raise ModelError("an entry of external_data is not UTF-8")
            dtype, shape = checked_type(proto)
            if dtype is DType.STRING:
                raise ModelError("strings cannot lie in another file")
            source, payload = self._files.payload(entries, dtype.bytes_of(math.prod(shape)))
        except ModelError as error:
            raise error.at(f"tensor '{proto.name}'") from error
        return stored_tensor(proto, source, payload, "external")


class Parameters(Mapping[str, Array]):
    """ONNX name to read-only array, in the file's order; made by :func:`parameters_of`.

    A lookup makes a view and reads nothing, where the encoding allows it; see :meth:`placement`.

    Parameters
    ----------
    constants : mapping
        Name to constant.
    source : Source
        The model's own bytes.
    """

    def __init__(self, constants: Mapping[str, Constant], source: Source) -> None:
        self._constants = dict(constants)
        self.source = source

    def __getitem__(self, name: str) -> Array:
        constant = self._constants[name]
        try:
            return constant.array()
        except MemoryError as error:
            raise ModelError("needs more memory than there is", where=f"tensor '{name}'") from error

    def __iter__(self) -> Iterator[str]:
        return iter(self._constants)

    def __len__(self) -> int:
        return len(self._constants)

    def __repr__(self) -> str:
        return f"<{len(self)} parameters, {self.nbytes} bytes>"

    @property
    def nbytes(self) -> int:
        """Bytes of all parameters as stored."""
        return sum(constant.nbytes for constant in self._constants.values())

    def constant(self, name: str) -> Constant:
        """The parameter without reading it: its type, shape and size."""
        return self._constants[name]

    def windows(self, name: str) -> Iterator[Array]:
        """The elements of a parameter in order and flat, in pieces that need little memory."""
        constant = self._constants[name]
        if isinstance(constant, StoredTensor):
            yield from constant.windows()
        else:
            yield self[name].reshape(-1)

    def placement(self, name: str) -> Placement:
        """Where and how a parameter is stored."""
        constant = self._constants[name]
        if isinstance(constant, (StoredTensor, SparseTensor)):
            return constant.placement
        return Placement(self.source.path, 0, constant.nbytes, "inline", in_place=False)


def parameters_of(graph: GraphProto, table: TensorTable, source: Source) -> Parameters:
    """The initializers of a graph, each checked.

    Raises
    ------
    ModelError
        If a tensor contradicts itself.
    """
    constants: dict[str, Constant] = {}
    for tensor in graph.initializer:
        constants[tensor.name] = table.constant_of(tensor)
    for sparse in graph.sparse_initializer:
        constants[sparse.values.name] = dense_of_sparse(sparse, table.constant_of)
    return Parameters(constants, source)
