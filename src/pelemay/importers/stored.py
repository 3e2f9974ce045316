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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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

PIECE_BYTES = 1 << 18


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
        ExecutionError
            If the file became shorter.
        """
        with self._named():
            shaped = self._flat().reshape(self.shape)
            self.source.check()
        shaped.flags.writeable = False
        return shaped

    def windows(self) -> Iterator[Array]:
        """The elements in order and flat, in pieces that are copied and need little memory.

        Elements below one byte, strings, and complex ones that are not packed come at once.

        Raises
        ------
        ModelError
            As :meth:`array`.
        """
        with self._named(), self.source.reading() as reader:
            if self._is_variable and self.dtype.bits >= 8:
                words = self._words(lambda a, b: np.frombuffer(reader.take(a, b), np.uint8))
                yield from (piece.view(self.dtype.numpy) for piece in words)
            elif self._is_in_place and not self.segments[0].tag_bytes:
                yield from self._packed_windows(reader)
            elif self._is_in_place:
                yield from self._spread_windows(reader)
            else:
                yield self.array().reshape(-1)

    def part(self, start: int, stop: int) -> Array:
        """Elements ``start`` to ``stop`` of the flat tensor.

        Of a tensor that lies in place and packed they are copied, and no page of it is mapped;
        of any other they are cut out of :meth:`array`.

        Raises
        ------
        ModelError
            As :meth:`array`.
        """
        if not self._is_in_place or self.segments[0].tag_bytes:
            return self.array().reshape(-1)[start:stop]
        dtype = _little_endian(self.dtype)
        offset = self.segments[0].offset
        with self.source.reading() as reader:
            taken = reader.take(offset + start * dtype.itemsize, offset + stop * dtype.itemsize)
        return np.frombuffer(taken, dtype)

    def _packed_windows(self, reader: Reader) -> Iterator[Array]:
        offset, nbytes = self.segments[0].offset, self.segments[0].nbytes
        for start in range(offset, offset + nbytes, PIECE_BYTES):
            piece = reader.take(start, min(start + PIECE_BYTES, offset + nbytes))
            yield np.frombuffer(piece, _little_endian(self.dtype))

    def _spread_windows(self, reader: Reader) -> Iterator[Array]:
        segment = self.segments[0]
        stride = segment.nbytes // segment.elements
        step, stop = PIECE_BYTES // stride * stride, segment.offset + segment.nbytes
        for start in range(segment.offset, stop, step):
            piece = reader.take(start, min(start + step, stop))
            shape = (len(piece) // stride,)
            dtype = _little_endian(self.dtype)
            yield np.ndarray(shape, dtype, piece, segment.tag_bytes, (stride,))

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except ModelError as error:
            raise error.at(f"tensor '{self.name}'") from error

    @property
    def _is_variable(self) -> bool:
        variable = (scan.INT32_DATA, scan.INT64_DATA, scan.UINT64_DATA)
        return bool(self.segments) and self.segments[0].field in variable

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
        return self._decoded()

    def _raw(self, segment: Segment) -> Array:
        if self.dtype.bits < 8:
            return self._unpacked(self._view(segment.offset, segment.offset + segment.nbytes))
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

    def _decoded(self) -> Array:
        wide = self.dtype.bits >= 8
        numbers = np.empty(entries_of(self.dtype, math.prod(self.shape)), self._word)
        filled = 0
        for words in self._words(self._view):
            numbers[filled : filled + words.size] = words
            filled += words.size
        return numbers.view(self.dtype.numpy) if wide else self._unpacked(numbers)

    @property
    def _word(self) -> np.dtype[Any]:
        """What one number of a field of variable length is cut to."""
        return np.dtype(f"u{self.dtype.numpy.itemsize}")

    def _words(self, take: Callable[[int, int], U8]) -> Iterator[Array]:
        """The numbers of fields of variable length, by windows."""
        left = entries_of(self.dtype, math.prod(self.shape))
        for segment in self.segments:
            seen = 0
            stop = segment.offset + segment.nbytes
            for window in varint_windows(take, segment.offset, stop):
                # In an unpacked field, tags and numbers take turns.
                numbers = window[(seen + 1) % 2 :: 2] if segment.tag_bytes else window
                seen += window.size
                left -= numbers.size
                if left < 0:
                    raise ModelError(f"{self.encoding} has more numbers than its dims need")
                words = numbers != 0 if self.dtype is DType.BOOL else numbers
                yield words.astype(self._word)
        if left:
            raise ModelError(f"{self.encoding} has {left} numbers less than its dims need")

    def _view(self, start: int, stop: int) -> U8:
        return np.frombuffer(self.source.buffer, np.uint8, stop - start, start)

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
