"""A tensor that stays where it is stored, and how its elements are read there.

In: a source, and the segments of it that hold a tensor's elements. Out: a NumPy array: a view
where the encoding allows it, decoded by windows where it does not.

Source: the comments of ``TensorProto`` in onnx.proto, ONNX 1.23.

>>> from pelemay.importers.scan import RAW_DATA
>>> segments = (Segment(RAW_DATA, 1, 4, 0, -1),)
>>> source = Source.of_bytes(bytes([9, 1, 0, 2, 0]))
>>> StoredTensor("w", DType.INT16, (2,), source, segments, "raw_data").array()
array([1, 2], dtype=int16)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pelemay.errors import ModelError
from pelemay.graph import DType, Kind
from pelemay.importers import scan
from pelemay.importers.scan import Segment
from pelemay.importers.source import Source
from pelemay.importers.wire import U8, Reader, fields, varint_windows

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Placement:
    """Where and how a parameter is stored.

    Attributes
    ----------
    path : Path or None
        The file; None if the model was given as bytes.
    offset, nbytes : int
        Where its first byte lies, and how many bytes it takes there, in bytes.
    encoding : str
        ``raw_data``, ``float_data``, ...; ``external`` or ``sparse``.
    in_place : bool
        Whether the array is a view of the file; otherwise it is decoded at each access.
    """

    path: Path | None
    offset: int
    nbytes: int
    encoding: str
    in_place: bool


@dataclass(frozen=True, slots=True, eq=False)
class StoredTensor:
    """A constant whose elements lie in a source; made by :func:`stored_tensor`, which checks it."""

    name: str
    dtype: DType
    shape: tuple[int, ...]
    source: Source
    segments: tuple[Segment, ...]
    encoding: str

    @property
    def nbytes(self) -> int:
        """Bytes of the elements as stored: packed if below one byte, tags not counted."""
        if self.dtype is DType.STRING:
            return sum(segment.nbytes for segment in self.segments)
        return self.dtype.bytes_of(math.prod(self.shape))

    @property
    def placement(self) -> Placement:
        """Where it lies."""
        first = self.segments[0] if self.segments else Segment(0, 0, 0, 0, 0)
        stored = sum(segment.nbytes for segment in self.segments)
        return Placement(self.source.path, first.offset, stored, self.encoding, self._is_in_place)

    @property
    def _is_in_place(self) -> bool:
        if len(self.segments) != 1 or self.dtype.bits < 8:
            return False
        segment = self.segments[0]
        if segment.field == scan.RAW_DATA:
            return True
        fixed = segment.field in (scan.FLOAT_DATA, scan.DOUBLE_DATA)
        return fixed and not (segment.tag_bytes and self.dtype.kind is Kind.COMPLEX)

    def array(self) -> Array:
        """The elements, read-only; a view of the source where that is possible.

        Raises
        ------
        ModelError
            If numbers of variable length are cut off, or not as many as the shape says.
        """
        try:
            flat = self._flat()
        except ModelError as error:
            raise error.at(f"tensor '{self.name}'") from error
        shaped = flat.reshape(self.shape)
        shaped.flags.writeable = False
        return shaped

    def _flat(self) -> Array:
        if not self.segments:
            return np.empty(0, self.dtype.numpy)
        field = self.segments[0].field
        if field == scan.RAW_DATA:
            return self._raw(self.segments[0])
        if field == scan.STRING_DATA:
            return self._strings()
        if field in (scan.FLOAT_DATA, scan.DOUBLE_DATA):
            return self._fixed()
        return self._varints()

    def _raw(self, segment: Segment) -> Array:
        if self.dtype.bits < 8:
            return self._unpacked(self._bytes(segment))
        count = math.prod(self.shape)
        return np.ndarray((count,), _little_endian(self.dtype), self.source.buffer, segment.offset)

    def _fixed(self) -> Array:
        parts = [self._fixed_view(segment) for segment in self.segments]
        flat = parts[0] if len(parts) == 1 else np.concatenate(parts)
        if self.dtype.kind is Kind.COMPLEX:
            return np.ascontiguousarray(flat).view(_little_endian(self.dtype))
        return flat

    def _fixed_view(self, segment: Segment) -> Array:
        dtype = np.dtype("<f4" if segment.field == scan.FLOAT_DATA else "<f8")
        offset, stride = segment.offset + segment.tag_bytes, segment.tag_bytes + dtype.itemsize
        return np.ndarray((segment.elements,), dtype, self.source.buffer, offset, (stride,))

    def _varints(self) -> Array:
        entries = entries_of(self.dtype, math.prod(self.shape))
        wide = self.dtype.bits >= 8
        bits = np.dtype(f"u{self.dtype.numpy.itemsize}") if wide else np.dtype(np.uint8)
        out = np.empty(entries, bits)
        filled = 0
        for segment in self.segments:
            filled = self._decode(segment, out, filled)
        if filled != entries:
            raise ModelError(f"{self.encoding} has {filled} numbers, and {entries} are needed")
        if not wide:
            return self._unpacked(out)
        return out != 0 if self.dtype is DType.BOOL else out.view(self.dtype.numpy)

    def _decode(self, segment: Segment, out: Array, filled: int) -> int:
        """Write a segment's numbers into ``out`` from ``filled`` on; where the next one goes."""
        seen = 0
        for window in varint_windows(self._bytes(segment)):
            # In an unpacked field, tags and numbers take turns.
            numbers = window[(seen + 1) % 2 :: 2] if segment.tag_bytes else window
            seen += window.size
            if filled + numbers.size > out.size:
                raise ModelError(f"{self.encoding} has more than the {out.size} numbers needed")
            out[filled : filled + numbers.size] = numbers.astype(out.dtype)
            filled += numbers.size
        return filled

    def _bytes(self, segment: Segment) -> U8:
        return np.frombuffer(self.source.buffer, np.uint8, segment.nbytes, segment.offset)

    def _unpacked(self, packed: U8) -> Array:
        count = math.prod(self.shape)
        bits = self.dtype.bits
        if bits == 6 and self.segments[0].field == scan.RAW_DATA:
            codes = _unpack_sixes(packed, count)
        elif bits == 6:
            codes = packed & np.uint8(0x3F)
        else:
            shifts = np.arange(0, 8, bits, dtype=np.uint8)
            mask = np.uint8((1 << bits) - 1)
            codes = (packed[:, np.newaxis] >> shifts & mask).reshape(-1)[:count]
        return codes.view(self.dtype.numpy)

    def _strings(self) -> Array:
        out = np.empty(math.prod(self.shape), object)
        whole = memoryview(self.source.buffer)
        reader = Reader(len(whole), lambda start, stop: bytes(whole[start:stop]))
        index = 0
        for segment in self.segments:
            stop = segment.offset + segment.nbytes
            for item in fields(reader, segment.offset, stop):
                out[index] = reader.take(item.body, item.stop).decode("utf-8", "surrogateescape")
                index += 1
        return out


def entries_of(dtype: DType, count: int) -> int:
    """Numbers that ``count`` elements take in a typed field."""
    if dtype.kind is Kind.COMPLEX:
        return 2 * count
    return -(-count * dtype.bits // 8) if dtype.bits in (2, 4) else count


def _little_endian(dtype: DType) -> np.dtype[Any]:
    return dtype.numpy.newbyteorder("<")


def _unpack_sixes(packed: U8, count: int) -> U8:
    """Four elements lie in three bytes, the first in the lowest bits."""
    groups = np.zeros((-(-count // 4), 3), np.uint8)
    groups.reshape(-1)[: packed.size] = packed
    wide = groups.astype(np.uint32) << np.array([0, 8, 16], np.uint32)
    shifts = np.array([0, 6, 12, 18], np.uint32)
    codes = wide.sum(axis=1, dtype=np.uint32)[:, np.newaxis] >> shifts & np.uint32(0x3F)
    narrow: U8 = codes.astype(np.uint8)
    return narrow.reshape(-1)[:count]
