r"""Parameters to safetensors, streamed.

In: a mapping from name to NumPy array, such as ``Model.parameters``. Out: a safetensors file,
written without holding more than a window of it; or its buffers, which lie where the arrays lie.

Source: https://github.com/huggingface/safetensors#format

>>> import io, numpy as np
>>> file = io.BytesIO()
>>> serialize({"w": np.array([1, 2], np.int16)}, file)
>>> file.getvalue()[8:28], file.getvalue()[-4:]
(b'{"__metadata__":{"pe', b'\x01\x00\x02\x00')
"""

from __future__ import annotations

import json
import math
import os
import secrets
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Protocol, overload

import numpy as np
import numpy.typing as npt

from pelemay import __version__
from pelemay.errors import InputError

Array = npt.NDArray[Any]

CHUNK_BYTES = 1 << 18
ALIGNMENT = 64
MAX_HEADER_BYTES = 100_000_000
HASH_KEY = "source_sha256"
NO_HASH = "0" * 64

DTYPES = {
    "float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16",
    "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2", "float8_e8m0fnu": "F8_E8M0",
    "float8_e4m3fnuz": "F8_E4M3FNUZ", "float8_e5m2fnuz": "F8_E5M2FNUZ",
    "int64": "I64", "int32": "I32", "int16": "I16", "int8": "I8",
    "uint64": "U64", "uint32": "U32", "uint16": "U16", "uint8": "U8",
    "bool": "BOOL", "complex64": "C64",
}  # fmt: skip
"""NumPy's names of the element types that safetensors has, of one byte and more."""


class _Source(Protocol):
    """What parameters may say of the file that they come from."""

    @property
    def path(self) -> Path | None: ...
    @property
    def sha256(self) -> str: ...


@overload
def serialize(
    parameters: Mapping[str, Array],
    target: None = None,
    *,
    metadata: Mapping[str, str] | None = None,
) -> list[bytes | memoryview]: ...
@overload
def serialize(
    parameters: Mapping[str, Array],
    target: str | os.PathLike[str] | BinaryIO,
    *,
    metadata: Mapping[str, str] | None = None,
) -> None: ...
def serialize(
    parameters: Mapping[str, Array],
    target: str | os.PathLike[str] | BinaryIO | None = None,
    *,
    metadata: Mapping[str, str] | None = None,
) -> list[bytes | memoryview] | None:
    """Write parameters as safetensors, under their own names.

    The metadata says ``format``, ``pelemay_version``, and for a model's parameters ``source_file``
    and, if there is a target, ``source_sha256``: taking it reads the whole file. Tensors
    of larger elements come first, so that each is aligned.

    Parameters
    ----------
    parameters : mapping
        Name to array of any shape.
    target : path, binary file or None
        A path is written under another name first, and is whole or not there at all; a file
        object is written from where it stands. Extra memory stays below 2 MiB.
    metadata : mapping, optional
        More entries for the file's metadata.

    Returns
    -------
    list of bytes or memoryview, or None
        Without a target: the header, then a view of each tensor where it lies, or a copy of
        one that is not contiguous.

    Raises
    ------
    InputError
        If safetensors has no such element type, or a name or the target does not fit.
    OSError
        If the target cannot be written.
    """
    names = _ordered(parameters)
    source: _Source | None = getattr(parameters, "source", None)
    header = _header(parameters, names, _metadata(metadata, source, target is not None))
    if target is None:
        return [header, *(_flat_bytes(parameters[name]) for name in names)]
    if not isinstance(target, (str, os.PathLike)):
        if source is not None:
            header = _with_hash(header, source.sha256)
        target.write(header)
        _write_tensors(parameters, names, target)
    else:
        _write_path(Path(target), parameters, names, header, source)
    return None


def _ordered(parameters: Mapping[str, Array]) -> list[str]:
    sizes = {name: _dtype(name, parameters).itemsize for name in parameters}
    return sorted(sizes, key=lambda name: -sizes[name])


def _dtype(name: str, parameters: Mapping[str, Array]) -> np.dtype[Any]:
    if not isinstance(name, str) or name == "__metadata__":
        raise InputError(f"{name!r} cannot be the name of a tensor in safetensors")
    dtype = _described(parameters, name)[0]
    if dtype.name in DTYPES:
        return dtype
    strings = dtype.kind in "OUST"
    raise InputError(
        f"safetensors has no element type for {'strings' if strings else dtype.name};"
        f" it has {', '.join(DTYPES)}",
        where=f"tensor '{name}'",
        hint="leave it out" if strings else "convert it to one of these with .astype()",
    )


def _described(parameters: Mapping[str, Array], name: str) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """Type and shape of a parameter, without reading it where the mapping can tell."""
    if hasattr(parameters, "constant"):
        constant = parameters.constant(name)
        return constant.dtype.numpy, constant.shape
    array = np.asarray(parameters[name])
    return array.dtype, array.shape


def _metadata(
    extra: Mapping[str, str] | None, source: _Source | None, with_hash: bool
) -> dict[str, str]:
    entries = {"pelemay_version": __version__, "format": "np"}
    if source is not None and source.path is not None:
        entries["source_file"] = source.path.name
    if source is not None and with_hash:
        entries[HASH_KEY] = NO_HASH
    for key, value in (extra or {}).items():
        if key in entries or not isinstance(key, str) or not isinstance(value, str):
            raise InputError(
                f"metadata {key!r}: {value!r} is not allowed",
                hint=f"keys and values are strings, and {', '.join(entries)} are set already",
            )
        entries[key] = value
    return entries


def _header(parameters: Mapping[str, Array], names: list[str], entries: dict[str, str]) -> bytes:
    table: dict[str, Any] = {"__metadata__": entries}
    offset = 0
    for name in names:
        dtype, shape = _described(parameters, name)
        stop = offset + math.prod(shape) * dtype.itemsize
        offsets = [offset, stop]
        table[name] = {"dtype": DTYPES[dtype.name], "shape": shape, "data_offsets": offsets}
        offset = stop
    text = json.dumps(table, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-(8 + len(text)) % ALIGNMENT)
    if len(text) > MAX_HEADER_BYTES:
        raise InputError(f"the header would take {len(text)} bytes; {MAX_HEADER_BYTES} are allowed")
    return len(text).to_bytes(8, "little") + text


def _with_hash(header: bytes, sha256: str) -> bytes:
    return header.replace(_hash_entry(NO_HASH), _hash_entry(sha256), 1)


def _hash_entry(sha256: str) -> bytes:
    return f'"{HASH_KEY}":"{sha256}"'.encode()


def _write_path(
    path: Path,
    parameters: Mapping[str, Array],
    names: list[str],
    header: bytes,
    source: _Source | None,
) -> None:
    with ThreadPoolExecutor(1) as pool, _replacing(path) as file:
        # The hash is taken while the tensors are copied, and then put into the header.
        sha256 = pool.submit(lambda: source.sha256) if source is not None else None
        file.write(header)
        _write_tensors(parameters, names, file)
        if sha256 is not None:
            file.seek(0)
            file.write(_with_hash(header, sha256.result()))


@contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    """A file that takes the place of ``path`` when the block ends well, and is gone if not."""
    path = path.resolve()
    if path.exists() and not path.is_file():
        raise InputError("is not a regular file", where=str(path), hint="give a file's path")
    partial = path.with_name(f".pelemay-{secrets.token_hex(4)}.part")
    try:
        with partial.open("xb", buffering=0) as file:
            yield file
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_tensors(parameters: Mapping[str, Array], names: list[str], file: BinaryIO) -> None:
    for name in names:
        for piece in _pieces(parameters, name):
            for chunk in _chunks(piece):
                _write_all(file, chunk)


def _pieces(parameters: Mapping[str, Array], name: str) -> Iterator[Array]:
    """The array; or small copies of it, so that no page of a mapped file becomes resident."""
    if hasattr(parameters, "windows"):
        yield from parameters.windows(name)
    else:
        yield np.asarray(parameters[name])


def _write_all(file: BinaryIO, data: memoryview) -> None:
    while data.nbytes:
        # An unbuffered file may take only a part of what it is given.
        written = file.write(data)
        data = data[len(data) if written is None else written :]


def _chunks(array: Array) -> Iterator[memoryview]:
    """The elements' bytes, a window at a time; only one window of a strided array is copied."""
    flat = array.reshape(-1)
    step = max(1, CHUNK_BYTES // flat.itemsize)
    for start in range(0, flat.size, step):
        yield _flat_bytes(flat[start : start + step])


def _flat_bytes(array: Array) -> memoryview:
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    flat = np.ascontiguousarray(little).reshape(-1).view(np.uint8)
    return flat.data.toreadonly()
