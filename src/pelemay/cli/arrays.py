"""Arrays from ``.npy`` and ``.npz`` files, which may be hostile.

In: a path. Out: NumPy arrays; never a pickle. What a head promises is compared with the bytes that
there are before any memory is taken for it.

>>> read_arrays("no-such.npy")
Traceback (most recent call last):
pelemay.errors.InputError: no-such.npy: cannot be read: No such file or directory
"""

from __future__ import annotations

import math
import os
import stat
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from pelemay.errors import InputError

Array = npt.NDArray[Any]

MOST_EXPANDED = 1 << 30
"""Bytes that the arrays of a ``.npz`` file may take beyond those of the file itself."""


def read_arrays(path: str | os.PathLike[str]) -> Array | dict[str, Array]:
    """A ``.npy`` file's array, or a ``.npz`` file's arrays by name; never a pickle.

    Raises
    ------
    InputError
        If the file cannot be read, is none of these, holds less than its heads say, or expands to
        more than 1 GiB beyond its own size.
    """
    try:
        with os.fdopen(_opened(path), "rb") as file:
            nbytes = os.fstat(file.fileno()).st_size
            packed = file.read(2) == b"PK"
            file.seek(0)
            return _packed(file, nbytes) if packed else _plain(file, nbytes)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", where=str(path)) from error
    except Exception as error:
        raise InputError(
            f"is not a .npy or .npz file of plain arrays: {error}", where=str(path)
        ) from error


def _opened(path: str | os.PathLike[str]) -> int:
    """Open a file; a pipe would wait for its other end, and a device has no end."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(0, "it is not a regular file")
    return descriptor


def _packed(file: IO[bytes], nbytes: int) -> dict[str, Array]:
    import zipfile

    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        total = sum(member.file_size for member in members)
        if total > nbytes + MOST_EXPANDED:
            raise ValueError(f"it has {nbytes} bytes and expands to {total}")
        found = {}
        for member in members:
            with archive.open(member) as inner:
                found[member.filename.removesuffix(".npy")] = _plain(inner, member.file_size)
        return found


def _plain(file: IO[bytes], nbytes: int) -> Array:
    read_header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }[np.lib.format.read_magic(file)]
    shape, _, dtype = read_header(file)
    promised, left = math.prod(shape) * dtype.itemsize, nbytes - file.tell()
    if min(shape, default=0) < 0 or promised > left:
        raise ValueError(f"its head promises shape {shape} of {dtype}, and {left} bytes follow")
    file.seek(0)
    array: Array = np.lib.format.read_array(file, allow_pickle=False)
    return array
