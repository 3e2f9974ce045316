"""Where the payloads of an ONNX model lie, and the model without them.

In: a reader over the bytes of a ``ModelProto``. Out: a :class:`Scan`: the same message in which
the payload of every large tensor is cut out, and a table that says where it lay. What is cut out
is never read.

Each tensor in the table carries the entry ``external_data {key: <secret> value: <row>}``. The
secret is drawn for each scan, so that no file can pretend to be in the table.

>>> import onnx, numpy as np
>>> tensor = onnx.numpy_helper.from_array(np.zeros(1000, np.float32), "w")
>>> graph = onnx.helper.make_graph([], "g", [], [], [tensor])
>>> data = onnx.helper.make_model(graph).SerializeToString()
>>> found = scan_model(Reader(len(data), lambda start, stop: data[start:stop]))
>>> len(data) > 4000 > 300 > len(found.stripped), found.payloads[0].segments[0].nbytes
(True, 4000)
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from pelemay.errors import ModelError
from pelemay.importers.wire import BYTES, FIXED32, FIXED64, VARINT, Field, Reader, fields

INLINE_BYTES = 512
MAX_STRIPPED_BYTES = 256 << 20
MAX_SEGMENTS = 4096
MAX_DEPTH = 100

FLOAT_DATA, INT32_DATA, STRING_DATA, INT64_DATA = 4, 5, 6, 7
RAW_DATA, DOUBLE_DATA, UINT64_DATA = 9, 10, 11
DATA_LOCATION = 14

ELEMENT_WIRE = {
    FLOAT_DATA: FIXED32,
    INT32_DATA: VARINT,
    STRING_DATA: BYTES,
    INT64_DATA: VARINT,
    RAW_DATA: BYTES,
    DOUBLE_DATA: FIXED64,
    UINT64_DATA: VARINT,
}
"""Fields of TensorProto that hold elements, and the wire type of one element alone."""

Range = tuple[int, int]


class Segment(NamedTuple):
    """Elements of one field that lie side by side."""

    field: int
    offset: int
    nbytes: int
    """From ``offset`` on, tags between the elements included."""
    tag_bytes: int
    """Bytes of the tag before each element; 0 if the field is packed, or raw."""
    elements: int
    """Elements, as far as that can be told without reading them; -1 if not."""


@dataclass(frozen=True, slots=True)
class Payload:
    """Where the elements of one tensor lie."""

    segments: tuple[Segment, ...]
    external: bool
    """Whether the message also says that they lie in another file."""


@dataclass(frozen=True, slots=True)
class Scan:
    """A model without its large payloads, and where these lie."""

    stripped: bytes
    secret: str
    payloads: tuple[Payload, ...]


@dataclass(frozen=True)
class _Kind:
    """A kind of message, and the fields in which it holds others that may hold tensors."""

    name: str
    one: Mapping[int, str] = field(default_factory=dict)
    many: Mapping[int, str] = field(default_factory=dict)


_KINDS = {
    kind.name: kind
    for kind in (
        _Kind("ModelProto", {7: "GraphProto"}, {20: "TrainingInfoProto", 25: "FunctionProto"}),
        _Kind("TrainingInfoProto", {1: "GraphProto", 2: "GraphProto"}),
        _Kind("FunctionProto", many={7: "NodeProto", 11: "AttributeProto"}),
        _Kind("GraphProto", many={1: "NodeProto", 5: "TensorProto", 15: "SparseTensorProto"}),
        _Kind("NodeProto", many={5: "AttributeProto"}),
        _Kind(
            "AttributeProto",
            {5: "TensorProto", 6: "GraphProto", 22: "SparseTensorProto"},
            {10: "TensorProto", 11: "GraphProto", 23: "SparseTensorProto"},
        ),
        _Kind("SparseTensorProto", {1: "TensorProto", 2: "TensorProto"}),
        _Kind("TensorProto"),
    )
}


def scan_model(reader: Reader) -> Scan:
    """Find the payloads of the ``ModelProto`` that ``reader`` reads.

    Raises
    ------
    ModelError
        If the wire format is broken, messages nest deeper than 100, or what remains without
        the payloads is larger than 256 MiB.
    """
    scanner = _Scanner(reader)
    stripped = scanner.strip("ModelProto", [(0, reader.size)], 0)
    return Scan(stripped, scanner.secret, tuple(scanner.payloads))


def scan_tensor(reader: Reader) -> Payload:
    """Find the payload of the single ``TensorProto`` that ``reader`` reads."""
    return _Tensor(reader, [(0, reader.size)]).payload()


class _Scanner:
    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.secret = secrets.token_hex(8)
        self.payloads: list[Payload] = []
        self._left = MAX_STRIPPED_BYTES

    def strip(self, name: str, ranges: list[Range], depth: int) -> bytes:
        """The message that lies in ``ranges``, without its large payloads.

        Several ranges mean a message that was given several times: protobuf merges these, and
        that equals reading them one behind the other.
        """
        if depth > MAX_DEPTH:
            raise ModelError(f"messages nest deeper than {MAX_DEPTH}")
        if name == "TensorProto":
            return self._strip_tensor(ranges)
        if name == "NodeProto" and sum(stop - start for start, stop in ranges) <= INLINE_BYTES:
            return self._kept(ranges)
        return self._strip_fields(_KINDS[name], ranges, depth)

    def _strip_fields(self, kind: _Kind, ranges: list[Range], depth: int) -> bytes:
        out = bytearray()
        merged: dict[int, list[Range]] = {}
        for start, end in ranges:
            kept_from = start
            for item in fields(self.reader, start, end):
                if item.number not in kind.one and item.number not in kind.many:
                    continue
                _expect(item, {BYTES}, kind.name)
                out += self._kept([(kept_from, item.start)])
                kept_from = item.stop
                if item.number in kind.one:
                    merged.setdefault(item.number, []).append((item.body, item.stop))
                else:
                    inner = [(item.body, item.stop)]
                    out += _message(
                        item.number, self.strip(kind.many[item.number], inner, depth + 1)
                    )
            out += self._kept([(kept_from, end)])
        for number, inner in merged.items():
            out += _message(number, self.strip(kind.one[number], inner, depth + 1))
        return bytes(out)

    def _strip_tensor(self, ranges: list[Range]) -> bytes:
        tensor = _Tensor(self.reader, ranges)
        payload = tensor.payload()
        if not payload.segments:
            return self._kept(ranges)
        row = str(len(self.payloads)).encode()
        marker = _message(13, _message(1, self.secret.encode()) + _message(2, row))
        self.payloads.append(payload)
        if sum(segment.nbytes for segment in payload.segments) <= INLINE_BYTES:
            return self._kept(ranges) + marker
        return self._kept(tensor.others) + marker + bytes([DATA_LOCATION << 3 | VARINT, 1])

    def _kept(self, ranges: Iterable[Range]) -> bytes:
        pieces = []
        for start, stop in ranges:
            if start == stop:
                continue
            self._left -= stop - start
            if self._left < 0:
                raise ModelError(
                    f"the model without its tensors is larger than {MAX_STRIPPED_BYTES >> 20} MiB"
                )
            pieces.append(self.reader.take(start, stop))
        return b"".join(pieces)


class _Tensor:
    """The fields of a ``TensorProto``: its segments, and the ranges around them."""

    def __init__(self, reader: Reader, ranges: Iterable[Range]) -> None:
        self.segments: list[Segment] = []
        self.others: list[Range] = []
        self.external = False
        for start, end in ranges:
            other_from = start
            for item in fields(reader, start, end):
                if item.number in ELEMENT_WIRE:
                    self._add(item)
                    self.others.append((other_from, item.start))
                    other_from = item.stop
                elif item.number == DATA_LOCATION and item.wire == VARINT:
                    self.external = reader.varint(item.body, item.stop)[0] != 0
            self.others.append((other_from, end))

    def payload(self) -> Payload:
        return Payload(tuple(self.segments), self.external)

    def _add(self, item: Field) -> None:
        _expect(item, {ELEMENT_WIRE[item.number], BYTES}, "TensorProto")
        new = _segment(item)
        last = self.segments[-1] if self.segments else None
        if item.number == RAW_DATA:
            # Given twice, the last one holds, as for every field that is not repeated.
            self.segments = [s for s in self.segments if s.field != RAW_DATA]
        elif last and _continues(last, new):
            nbytes, elements = last.nbytes + new.nbytes, last.elements + new.elements
            self.segments[-1] = last._replace(nbytes=nbytes, elements=elements)
            return
        if new.nbytes or item.number == RAW_DATA:
            self.segments.append(new)
        if len(self.segments) > MAX_SEGMENTS:
            raise ModelError(f"a tensor's elements lie in more than {MAX_SEGMENTS} places")


def _continues(last: Segment, new: Segment) -> bool:
    same = last.field == new.field and last.tag_bytes == new.tag_bytes > 0
    return same and last.offset + last.nbytes == new.offset


def _segment(item: Field) -> Segment:
    number, wire = item.number, item.wire
    if number == STRING_DATA or wire != BYTES:
        tag_bytes = 1 if number == STRING_DATA else item.body - item.start
        return Segment(number, item.start, item.stop - item.start, tag_bytes, item.repeats)
    nbytes = item.stop - item.body
    width = {FIXED32: 4, FIXED64: 8}.get(ELEMENT_WIRE[number], 0)
    if width and nbytes % width:
        what = f"TensorProto field {number} has {nbytes} bytes, not a multiple of {width}"
        raise ModelError(what, where=f"byte {item.body}")
    count = nbytes // width if width else -1
    return Segment(number, item.body, nbytes, 0, count)


def _expect(item: Field, wires: set[int], name: str) -> None:
    if item.wire not in wires:
        raise ModelError(
            f"{name} field {item.number} has wire type {item.wire}, not {sorted(wires)[-1]}",
            where=f"byte {item.start}",
            hint="the file is damaged, or not an ONNX model",
        )


def _message(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | BYTES) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    if value <= 0x7F:
        return bytes((value,))
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
