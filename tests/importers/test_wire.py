"""The wire format: fields, runs of unpacked numbers, varints."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pelemay.errors import ModelError
from pelemay.importers.wire import DECODE_BYTES, Reader, fields, varint_windows


def reader(data: bytes) -> Reader:
    return Reader(len(data), lambda start, stop: data[start:stop])


def walk(data: bytes) -> list[tuple[int, int, int]]:
    return [(f.number, f.stop - f.start, f.repeats) for f in fields(reader(data), 0, len(data))]


def decode(data: bytes) -> list[int]:
    array = np.frombuffer(data, np.uint8)
    windows = varint_windows(lambda start, stop: array[start:stop], 0, len(data))
    return [value for window in windows for value in window.tolist()]


@given(st.lists(st.integers(0, 2**64 - 1), max_size=300))
def test_varints_come_back(pb, values):
    assert decode(b"".join(map(pb.varint, values))) == values


def test_varints_cross_windows(pb):
    values = [2**63 + index for index in range(DECODE_BYTES // 5)]
    assert decode(b"".join(map(pb.varint, values))) == values


@pytest.mark.parametrize("data", [b"\x80", b"\x01\x80", b"\xff" * 10 + b"\x01"])
def test_broken_varints_are_refused(data):
    with pytest.raises(ModelError, match="10 bytes"):
        decode(data)


def test_varints_need_not_be_minimal(pb):
    assert walk(b"\x88\x80\x00" + b"\x85\x00") == [(1, 5, 1)]


@pytest.mark.parametrize(("wire", "width"), [(5, 4), (1, 8)])
@pytest.mark.parametrize("count", [1, 16, 17, 40, 70_000])
def test_unpacked_numbers_of_fixed_width_become_one_run(pb, wire, width, count):
    one = pb.key(4, wire) + b"x" * width
    found = walk(one * count + pb.number(1, 5))
    assert sum(repeats for _, _, repeats in found[:-1]) == count
    assert sum(nbytes for _, nbytes, _ in found[:-1]) == count * (width + 1)
    assert found[-1] == (1, 2, 1)
    assert len(found) <= 18


@given(st.lists(st.integers(0, 2**64 - 1), min_size=20, max_size=3000))
def test_unpacked_varints_become_one_run(pb, values):
    data = b"".join(pb.number(5, value) for value in values)
    found = walk(data + pb.message(8, "name"))
    assert sum(repeats for _, _, repeats in found[:-1]) == len(values)
    assert sum(nbytes for _, nbytes, _ in found[:-1]) == len(data)
    assert found[-1] == (8, 6, 1)


def test_runs_cross_windows(pb):
    data = b"".join(pb.number(5, value) for value in range(100_000))
    found = walk(data)
    assert sum(repeats for _, _, repeats in found) == 100_000
    assert len(found) <= 17


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x0a", "ends inside a number"),
        (b"\x0a\x05abc", "2 bytes more"),
        (b"\x0a" + b"\xff" * 9 + b"\x01", "more than its message has"),
        (b"\x0d\x00\x00", "bytes more"),
        (b"\x0b\x0c", "wire type 3"),
        (b"\x0e", "wire type 6"),
        (b"\x00\x00", "field 0"),
        (b"\x80" * 11, "longer than 10"),
    ],
)
def test_broken_fields_are_refused(data, message):
    with pytest.raises(ModelError, match=message):
        walk(data)


def test_too_many_fields_are_refused():
    read = reader(b"\x0a\x00" * 20)
    read.fields_left = 19
    with pytest.raises(ModelError, match="scattered"):
        list(fields(read, 0, 40))


def test_a_file_that_shrinks_is_refused():
    with pytest.raises(ModelError, match="shorter"):
        list(fields(Reader(100, lambda start, stop: b"\x08\x01"), 0, 100))
