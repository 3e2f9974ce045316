"""A program into its file, streamed.

In: a :class:`Program` whose blocks know how their bytes are made, and a path. Out: the file, whole
or not there at all. One window of the weights is in memory at a time; checksums are taken on the
way, and the hash of the whole at the end, in a second walk over what was written.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
import numpy.typing as npt

from pelemay.errors import GraphError, InputError
from pelemay.program.encode import Numbers, encode
from pelemay.program.layout import HEADER
from pelemay.program.plans import Plans
from pelemay.program.program import Block, Program

WINDOW_BYTES = 1 << 18
RELEASE_BYTES = 4 << 20
"""Bytes written after which pages of the source may be given back."""

SHA_OFFSET = HEADER.fields["sha256"][1] if HEADER.fields else 0

Progress = Callable[[int, int], None]


class Source(Protocol):
    """What weights are read from: a model whose files are mapped."""

    def release(self) -> None:
        """Called now and then: give back memory that it is mapped to."""

    def intact(self) -> AbstractContextManager[None]:
        """A block in which weights are read; it fails if they were not what they should be."""


@dataclass(frozen=True)
class Written:
    """A file that was written.

    Attributes
    ----------
    path : Path
        Where it lies.
    nbytes : int
        Its size.
    sha256 : str
        As its header says, in hexadecimal.
    """

    path: Path
    nbytes: int
    sha256: str


def write_program(
    program: Program | Plans,
    path: str | os.PathLike[str],
    *,
    numbers: Numbers | None = None,
    progress: Progress | None = None,
    source: Source | None = None,
) -> Written:
    """Write a ``.plm`` file.

    Parameters
    ----------
    program : Program or Plans
        Its blocks have ``pieces``.
    path : str or path
        Written under another name first; what was there before stays until the end.
    numbers : Numbers, optional
        Those of the engine that is installed, if not given.
    progress : callable, optional
        Called with the bytes done, and the bytes in all.
    source : Source, optional
        What the weights are read from.

    Raises
    ------
    InputError
        If the file cannot be written. Nothing is left of it then.
    GraphError
        If a block's pieces are not as many bytes as were promised.
    PelemayError
        As reading from the source does.
    """
    target = Path(path)
    plans = program if isinstance(program, Plans) else Plans.of([program])
    try:
        with _replacing(target) as file:
            return _write(plans, file, target, numbers, _Steps(plans, progress, source))
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"cannot be written: {reason}", where=str(target)) from error


class _Steps:
    """Tells how far it is, and lets memory go on the way."""

    def __init__(self, plans: Plans, progress: Progress | None, source: Source | None) -> None:
        self.total = plans.weights_bytes
        self.done = self.kept = 0
        self.progress = progress
        self.source = source

    def add(self, nbytes: int) -> None:
        self.done += nbytes
        self.kept += nbytes
        if self.kept >= RELEASE_BYTES:
            self.let_go()
        if self.progress is not None:
            self.progress(self.done, self.total)

    def let_go(self) -> None:
        self.kept = 0
        if self.source is not None:
            self.source.release()

    def reading(self) -> AbstractContextManager[None]:
        return nullcontext() if self.source is None else self.source.intact()


def _write(
    plans: Plans, file: BinaryIO, path: Path, numbers: Numbers | None, steps: _Steps
) -> Written:
    # The head's size does not depend on the checksums.
    start = len(encode(plans, numbers))
    steps.let_go()
    with steps.reading():
        blocks = [_write_block(block, file, start, steps) for block in plans.blocks]
    steps.let_go()
    head = encode(plans.written(blocks), numbers)
    file.seek(0)
    file.write(head)
    nbytes = start + plans.weights_bytes
    file.truncate(nbytes)
    file.flush()
    digest = _hash(file)
    file.seek(SHA_OFFSET)
    file.write(digest)
    return Written(path, nbytes, digest.hex())


def _write_block(block: Block, file: BinaryIO, start: int, steps: _Steps) -> Block:
    if block.pieces is None:
        raise GraphError(f"block '{block.name}' has no bytes: the program was read from a file")
    file.seek(start + block.offset)
    crc = count = 0
    for window in _windows(block.pieces()):
        crc = zlib.crc32(window, crc)
        count += window.nbytes
        file.write(window)
        steps.add(window.nbytes)
    if count != block.nbytes:
        raise GraphError(f"block '{block.name}' has {count} bytes; {block.nbytes} were promised")
    return replace(block, crc=crc)


def _windows(pieces: Iterator[npt.NDArray[Any]]) -> Iterator[memoryview]:
    """The bytes of the elements in C order, little-endian, in pieces that need little memory."""
    for piece in pieces:
        flat = np.ascontiguousarray(piece).reshape(-1)
        if flat.dtype.byteorder == ">":
            flat = flat.astype(flat.dtype.newbyteorder("<"))
        data = flat.view(np.uint8)
        for first in range(0, data.size, WINDOW_BYTES):
            yield data[first : first + WINDOW_BYTES].data


def _hash(file: BinaryIO) -> bytes:
    """SHA-256 of what was written; its own bytes in the header are still zero."""
    found = hashlib.sha256()
    file.seek(0)
    while window := file.read(WINDOW_BYTES):
        found.update(window)
    return found.digest()


@contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    """A file that takes the place of ``path`` when the block ends well, and is gone if not."""
    path = path.resolve()
    if path.exists() and not path.is_file():
        raise InputError("is not a regular file", where=str(path), hint="give a file's path")
    partial = path.with_name(f".pelemay-{secrets.token_hex(4)}.part")
    try:
        with partial.open("x+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
