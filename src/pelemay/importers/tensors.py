"""Tensors that stay where they are stored, in every element type and encoding of ONNX 1.23.

In: a ``TensorProto`` and the place of its payload. Out: a :class:`StoredTensor`, a constant whose
elements are read, in place where the encoding allows it, only when ``array()`` is called.

Source: the comments of ``TensorProto`` in onnx.proto.

>>> import onnx
>>> proto = onnx.helper.make_tensor("w", onnx.TensorProto.INT4, [3], [1, -2, 3])
>>> constant_of_proto(proto).array()
array([1, -2, 3], dtype=int4)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pelemay.errors import ModelError
from pelemay.graph import Constant, DType
from pelemay.importers import scan
from pelemay.importers.dtypes import dtype_of
from pelemay.importers.scan import Payload, Segment, scan_tensor
from pelemay.importers.source import Source
from pelemay.importers.stored import Array, Placement, StoredTensor, entries_of
from pelemay.importers.wire import Reader

if TYPE_CHECKING:
    from onnx import SparseTensorProto, TensorProto

MAX_RANK = 64
MAX_BYTES = 2**63 - 1
MAX_DENSE_BYTES = 1 << 30
SMALL_DENSE_BYTES = 16 << 20
DENSE_FACTOR = 1000

FIELD_NAMES = {
    scan.FLOAT_DATA: "float_data",
    scan.INT32_DATA: "int32_data",
    scan.STRING_DATA: "string_data",
    scan.INT64_DATA: "int64_data",
    scan.RAW_DATA: "raw_data",
    scan.DOUBLE_DATA: "double_data",
    scan.UINT64_DATA: "uint64_data",
}

_FIELDS = {
    DType.FLOAT32: scan.FLOAT_DATA,
    DType.COMPLEX64: scan.FLOAT_DATA,
    DType.FLOAT64: scan.DOUBLE_DATA,
    DType.COMPLEX128: scan.DOUBLE_DATA,
    DType.INT64: scan.INT64_DATA,
    DType.UINT32: scan.UINT64_DATA,
    DType.UINT64: scan.UINT64_DATA,
    DType.STRING: scan.STRING_DATA,
}
"""The field of each element type beside raw_data; int32_data for all that are not here."""


def stored_tensor(
    proto: TensorProto, source: Source, payload: Payload, encoding: str = ""
) -> StoredTensor:
    """Check a tensor's type, shape and payload against each other.

    Parameters
    ----------
    proto : TensorProto
        Says name, type and shape; its payload may be missing.
    source : Source
        What the payload lies in.
    payload : Payload
        Where it lies.
    encoding : str, optional
        How placements call it, if not by the name of the field.

    Raises
    ------
    ModelError
        If they contradict each other. Nothing has been allocated then.
    """
    try:
        dtype, shape = checked_type(proto)
        field = _check_payload(payload.segments, dtype, math.prod(shape))
    except ModelError as error:
        raise error.at(f"tensor '{proto.name}'") from error
    return StoredTensor(
        proto.name, dtype, shape, source, payload.segments, encoding or FIELD_NAMES[field]
    )


def constant_of_proto(proto: TensorProto) -> Constant:
    """The constant of a ``TensorProto`` that holds its own elements.

    Raises
    ------
    ModelError
        If the tensor contradicts itself, or its elements lie in another file.
    """
    if proto.data_location == proto.EXTERNAL:
        raise ModelError("its elements lie in another file", where=f"tensor '{proto.name}'")
    data = proto.SerializeToString()
    payload = scan_tensor(Reader(len(data), lambda start, stop: data[start:stop]))
    return stored_tensor(proto, Source.of_bytes(data), payload)


def checked_type(proto: TensorProto) -> tuple[DType, tuple[int, ...]]:
    """Element type and shape of a tensor; ``ModelError`` if it has none that are allowed."""
    if proto.HasField("segment"):
        raise ModelError("tensors split into segments are not supported")
    dtype = dtype_of(proto.data_type)
    return dtype, checked_shape(proto.dims, dtype)


def checked_shape(dims: Sequence[int], dtype: DType) -> tuple[int, ...]:
    """``dims`` as a shape that NumPy can hold; ``ModelError`` if there is none."""
    if len(dims) > MAX_RANK:
        raise ModelError(f"it has {len(dims)} dimensions; at most {MAX_RANK} are allowed")
    if any(dim < 0 for dim in dims):
        raise ModelError(f"dims {list(dims)} has a negative size")
    if math.prod(dim or 1 for dim in dims) * dtype.numpy.itemsize > MAX_BYTES:
        raise ModelError(f"dims {list(dims)} is more than any memory can hold")
    return tuple(dims)


def _check_payload(segments: Sequence[Segment], dtype: DType, count: int) -> int:
    found = {segment.field for segment in segments}
    own = _FIELDS.get(dtype, scan.INT32_DATA)
    allowed = {own} if dtype is DType.STRING else {own, scan.RAW_DATA}
    names = [FIELD_NAMES[field] for field in sorted(found)]
    if found - allowed:
        raise ModelError(f"elements of type {dtype.value} cannot lie in {', '.join(names)}")
    if len(found) > 1:
        raise ModelError(f"it has elements in more than one field: {', '.join(names)}")
    if not found:
        if count:
            raise ModelError(f"it has no elements, and {count} are needed")
        return own
    if found == {scan.RAW_DATA}:
        _check_raw(segments[0].nbytes, dtype.bytes_of(count))
    else:
        _check_entries(segments, own, entries_of(dtype, count))
    return found.pop()


def _check_raw(found: int, needed: int) -> None:
    if found != needed:
        raise ModelError(f"raw_data has {found} bytes, and its type and dims need {needed}")


def _check_entries(segments: Sequence[Segment], field: int, needed: int) -> None:
    """Packed numbers of variable length are not read here: their bytes only set bounds."""
    least = most = 0
    for segment in segments:
        unknown = segment.elements < 0
        least += -(-segment.nbytes // 10) if unknown else segment.elements
        most += segment.nbytes if unknown else segment.elements
    if not least <= needed <= most:
        have = f"{least} to {most}" if least != most else f"{least}"
        raise ModelError(
            f"{FIELD_NAMES[field]} has {have} numbers, and its type and dims need {needed}"
        )


def dense_of_sparse(
    proto: SparseTensorProto, constant_of: Callable[[TensorProto], Constant]
) -> Constant:
    """A sparse tensor as a dense constant, made at each access.

    It is refused if it would take more than 1 GiB, or more than 16 MiB and a thousand times
    what is stored: a small file must not make a large allocation.

    Raises
    ------
    ModelError
        If the parts contradict each other, or the dense form would be too large.
    """
    values, indices = constant_of(proto.values), constant_of(proto.indices)
    name = proto.values.name
    try:
        shape = checked_shape(proto.dims, values.dtype)
        _check_dense_size(shape, values, indices)
        _check_sparse(shape, values, indices)
    except ModelError as error:
        raise error.at(f"sparse tensor '{name}'") from error
    return SparseTensor(name, values.dtype, shape, values, indices)


@dataclass(frozen=True, slots=True, eq=False)
class SparseTensor:
    """A constant that is stored in coordinate form; made by :func:`dense_of_sparse`."""

    name: str
    dtype: DType
    shape: tuple[int, ...]
    values: Constant
    indices: Constant

    @property
    def nbytes(self) -> int:
        """Bytes of the values and of their places, as stored."""
        return self.values.nbytes + self.indices.nbytes

    @property
    def placement(self) -> Placement:
        """Where its values lie."""
        values = self.values.placement if isinstance(self.values, StoredTensor) else None
        path, offset = (values.path, values.offset) if values else (None, 0)
        return Placement(path, offset, self.nbytes, "sparse", in_place=False)

    def array(self) -> Array:
        """The dense elements, read-only.

        Raises
        ------
        ModelError
            If an index lies outside the shape, or indices do not ascend.
        """
        places = self._places()
        empty = "" if self.dtype is DType.STRING else 0
        dense = np.full(math.prod(self.shape), empty, self.dtype.numpy)
        dense[places] = self.values.array()
        shaped = dense.reshape(self.shape)
        shaped.flags.writeable = False
        return shaped

    def _places(self) -> Array:
        places = self.indices.array()
        where = f"sparse tensor '{self.name}'"
        bounds = self.shape if places.ndim == 2 else (math.prod(self.shape),)
        columns = places if places.ndim == 2 else places[:, np.newaxis]
        if ((columns < 0) | (columns >= np.array(bounds, np.int64))).any():
            raise ModelError(f"an index lies outside {list(bounds)}", where=where)
        if places.ndim == 2:
            strides = [math.prod(self.shape[axis + 1 :]) for axis in range(len(self.shape))]
            places = places @ np.array(strides, np.int64)
        if (np.diff(places) <= 0).any():
            raise ModelError("indices must ascend, none twice", where=where)
        return places


def _check_sparse(shape: tuple[int, ...], values: Constant, indices: Constant) -> None:
    count = math.prod(values.shape)
    if len(values.shape) != 1 or indices.dtype is not DType.INT64:
        raise ModelError("values must have one dimension, and indices must be int64")
    if indices.shape not in ((count,), (count, len(shape))):
        allowed = f"[{count}] or [{count}, {len(shape)}]"
        raise ModelError(f"indices have shape {list(indices.shape)}, allowed is {allowed}")


def _check_dense_size(shape: tuple[int, ...], values: Constant, indices: Constant) -> None:
    nbytes = math.prod(shape) * values.dtype.numpy.itemsize
    stored = values.nbytes + indices.nbytes
    most = min(MAX_DENSE_BYTES, max(SMALL_DENSE_BYTES, DENSE_FACTOR * stored))
    if nbytes > most:
        raise ModelError(f"its dense form would take {nbytes} bytes; at most {most} are allowed")
