"""Arrays from files that lie."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from pelemay.cli.arrays import read_arrays
from pelemay.errors import InputError


def head(shape: str, descr: str = "<f4") -> bytes:
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + (len(text) + 1).to_bytes(2, "little") + text + b"\n"


def test_arrays_in_every_order(tmp_path: Path) -> None:
    x = np.asfortranarray(np.arange(6).reshape(2, 3))
    np.save(tmp_path / "x.npy", x)
    np.savez_compressed(tmp_path / "x.npz", x=x, y=x[0])
    read = read_arrays(tmp_path / "x.npz")
    assert np.array_equal(read_arrays(tmp_path / "x.npy"), x)
    assert isinstance(read, dict)
    assert {name: array.tolist() for name, array in read.items()} == {
        "x": x.tolist(), "y": [0, 1, 2]
    }  # fmt: skip


@pytest.mark.parametrize(
    "data",
    [
        head("(1000000000000,)") + bytes(16),
        head("(4294967296, 4294967296, 4294967296)") + bytes(16),
        head("(-1,)") + bytes(16),
        head("(2, 2)") + bytes(15),
        head("(1,)", "|O") + b"\x80\x04N.",
        head("(" * 3000),
        b"\x93NUMPY\x07\x00" + bytes(100),
        b"PK\x03\x04" + bytes(100),
        b"",
    ],
)
def test_what_a_head_promises_must_be_there(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.npy").write_bytes(data)
    with pytest.raises(InputError, match="file of plain arrays"):
        read_arrays(tmp_path / "x.npy")


def test_what_is_packed_must_not_expand_without_end(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for i in range(5):
            with archive.open(f"x{i}.npy", "w") as member:
                member.write(head(f"({256 << 18},)"))
                for _ in range(256):
                    member.write(bytes(1 << 20))
    with pytest.raises(InputError, match="expands to 1342"):
        read_arrays(tmp_path / "x.npz")


def test_a_member_that_lies_about_its_size(tmp_path: Path) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", head("(1048576,)") + bytes(4 << 20))
    size = (len(head("(1048576,)")) + (4 << 20)).to_bytes(4, "little")
    assert file.getvalue().count(size) == 2
    (tmp_path / "x.npz").write_bytes(file.getvalue().replace(size, (200).to_bytes(4, "little")))
    with pytest.raises(InputError):
        read_arrays(tmp_path / "x.npz")


def test_pipes_and_devices_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path):
        with pytest.raises(InputError, match="cannot be read"):
            read_arrays(path)
