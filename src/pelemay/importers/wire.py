"""The protobuf wire format, read by small pieces.

In: a function that reads bytes at an offset. Out: the fields of a message, one after the
other, with the places of their values; and varints, decoded by windows.

Source: https://protobuf.dev/programming-guides/encoding

>>> message = bytes([0x08, 0x96, 0x01, 0x12, 0x02]) + b"hi"
>>> reader = Reader(message.__len__(), lambda start, stop: message[start:stop])
>>> [(f.number, f.body, f.stop) for f in fields(reader, 0, reader.size)]
[(1, 1, 3), (2, 5, 7)]
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pelemay.errors import ModelError

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
WIRES = (VARINT, FIXED64, BYTES, FIXED32)
WIDTHS = {FIXED64: 8, FIXED32: 4}

LONGEST_VARINT = 10
LONGEST_FIELD = 5 + LONGEST_VARINT
WINDOW_BYTES = 8192
RUN_BYTES = 1 << 18
DECODE_BYTES = 1 << 13
RUN_AFTER = 16
MAX_FIELDS = 1 << 22

U8 = npt.NDArray[np.uint8]
U64 = npt.NDArray[np.uint64]


class Field(NamedTuple):
    """Where a field lies; or where a run of fields with the same tag lies."""

    number: int
    wire: int
    start: int
    """Offset of the (first) tag."""
    body: int
    """Offset of the (first) value, behind its tag and length."""
    stop: int
    """Offset of the first byte behind the (last) value."""
    repeats: int
    """How many fields of this tag stand here side by side."""


class Reader:
    """Reads a file by small windows, so that what lies between them is not touched.

    Parameters
    ----------
    size : int
        Bytes that there are.
    read : callable
        ``read(start, stop)`` gives these bytes.
    """

    def __init__(self, size: int, read: Callable[[int, int], bytes]) -> None:
        self.size = size
        self.fields_left = MAX_FIELDS
        self._read = read
        self._base = 0
        self._held = b""

    def take(self, start: int, stop: int) -> bytes:
        """The bytes from ``start`` to ``stop``."""
        first = start - self._base
        if first >= 0 and stop - self._base <= len(self._held):
            return self._held[first : stop - self._base]
        if stop - start > WINDOW_BYTES:
            return self._exactly(start, stop)
        self._hold(start)
        return self._held[: stop - start]

    def varint(self, at: int, end: int) -> tuple[int, int]:
        """The varint at ``at`` and the offset behind it, which is at most ``end``."""
        index = at - self._base
        if index < 0 or index + LONGEST_VARINT > len(self._held):
            self._hold(at)
            index = 0
        value = shift = 0
        for byte in self._held[index : index + min(LONGEST_VARINT, end - at)]:
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value, at + shift // 7
        if end - at >= LONGEST_VARINT:
            raise ModelError("a varint is longer than 10 bytes", where=f"byte {at}")
        raise ModelError("the message ends inside a number", where=f"byte {at}")

    def head(self, at: int, end: int) -> tuple[int, int, int]:
        """Tag, body and stop of the field at ``at``; ``stop`` may lie behind ``end``."""
        index = at - self._base
        if 0 <= index < len(self._held) and at < end and (tag := self._held[index]) < 0x80:
            body = at + 1
        else:
            tag, body = self.varint(at, end)
        wire = tag & 7
        if wire == BYTES:
            length, body = self.varint(body, end)
            return tag, body, body + length
        if wire == VARINT:
            return tag, body, self.varint(body, end)[1]
        return tag, body, body + WIDTHS.get(wire, 0)

    def _hold(self, start: int) -> None:
        self._base = start
        self._held = self._exactly(start, min(start + WINDOW_BYTES, self.size))

    def _exactly(self, start: int, stop: int) -> bytes:
        data = self._read(start, stop)
        if len(data) != stop - start:
            raise ModelError("the file became shorter while it was read", where=f"byte {start}")
        return data


def fields(reader: Reader, start: int, end: int) -> Iterator[Field]:
    """The fields of the message from ``start`` to ``end``.

    From the seventeenth equal tag on, numbers that stand side by side come as one run, found
    by vectorised comparison: an unpacked repeated field is not walked element by element.

    Raises
    ------
    ModelError
        If a field leaves the message, has a group's wire type (which ONNX never uses) or one
        that does not exist, or if there are more than four million fields.
    """
    at, last, before = start, -1, 0
    while at < end:
        tag, body, stop = reader.head(at, end)
        reader.fields_left -= 1
        if stop > end or tag & 7 not in WIRES or not 8 <= tag < 1 << 32 or reader.fields_left < 0:
            raise _wrong(tag, at, stop, end)
        before = before + 1 if tag == last else 0
        last, repeats = tag, 1
        if before >= RUN_AFTER and tag & 7 != BYTES:
            stop, repeats = _run(reader, at, body, stop, end)
        yield Field(tag >> 3, tag & 7, at, body, stop, repeats)
        at = stop


def _wrong(tag: int, at: int, stop: int, end: int) -> ModelError:
    where = f"byte {at}"
    if tag & 7 not in WIRES or not 8 <= tag < 1 << 32:
        what = f"field {tag >> 3} with wire type {tag & 7} is not one that ONNX has"
        return ModelError(what, where=where, hint="the file is damaged, or not an ONNX model")
    if stop > end:
        what = f"field {tag >> 3} needs {stop - end} bytes more than its message has"
        return ModelError(what, where=where, hint="the file is truncated or damaged")
    return ModelError(f"the model has more than {MAX_FIELDS} scattered fields", where=where)


def _run(reader: Reader, at: int, body: int, stop: int, end: int) -> tuple[int, int]:
    """Stop and count of the fields from ``at`` on that have the same tag bytes."""
    tag = np.frombuffer(reader.take(at, body), np.uint8)
    width = 0 if reader.take(at, at + 1)[0] & 7 == VARINT else stop - body
    if not width and tag.size > 1:
        return stop, 1
    found, step = 0, WINDOW_BYTES
    while at < end:
        window = np.frombuffer(reader.take(at, min(at + step, end)), np.uint8)
        fit, used = _fixed_run(window, tag, width) if width else _varint_run(window, tag)
        found += fit
        at += used
        if not fit or window.size - used > LONGEST_FIELD:
            break
        step = min(2 * step, RUN_BYTES)
    return at, found


def _fixed_run(window: U8, tag: U8, width: int) -> tuple[int, int]:
    stride = tag.size + width
    rows = window[: window.size // stride * stride].reshape(-1, stride)
    differs = np.flatnonzero((rows[:, : tag.size] != tag).any(axis=1))
    fit = int(differs[0]) if differs.size else len(rows)
    return fit, fit * stride


def _varint_run(window: U8, tag: U8) -> tuple[int, int]:
    ends = np.flatnonzero(window < 0x80)
    ends = ends[: ends.size // 2 * 2]
    starts = np.concatenate([[0], ends[1:-1:2] + 1]) if ends.size else ends
    lengths = ends[1::2] - ends[0::2]
    fits = (ends[0::2] == starts) & (window[starts] == tag[0]) & (lengths <= LONGEST_VARINT)
    differs = np.flatnonzero(~fits)
    fit = int(differs[0]) if differs.size else fits.size
    return fit, int(ends[2 * fit - 1]) + 1 if fit else 0


def varint_windows(take: Callable[[int, int], U8], start: int, end: int) -> Iterator[U64]:
    """Decode the bytes from ``start`` to ``end``, which hold varints, a window at a time.

    >>> data = np.array([0x96, 0x01, 0x05], np.uint8)
    >>> [window.tolist() for window in varint_windows(lambda start, stop: data[start:stop], 0, 3)]
    [[150, 5]]

    Raises
    ------
    ModelError
        If a varint is longer than 10 bytes, or the last one is cut off.
    """
    while start < end:
        piece = take(start, min(start + DECODE_BYTES, end))
        ends = np.flatnonzero(piece < 0x80)
        if not ends.size:
            raise ModelError("a number is cut off, or longer than 10 bytes")
        yield _varints(piece, ends)
        start += int(ends[-1]) + 1


def _varints(piece: U8, ends: npt.NDArray[np.intp]) -> U64:
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts + 1
    longest = int(lengths.max())
    if longest > LONGEST_VARINT:
        raise ModelError("a number is longer than 10 bytes")
    values: U64 = piece[starts].astype(np.uint64) & np.uint64(0x7F)
    for index in range(1, longest):
        has = np.flatnonzero(lengths > index)
        bits = piece[starts[has] + index].astype(np.uint64) & np.uint64(0x7F)
        values[has] |= bits << np.uint64(7 * index)
    return values
