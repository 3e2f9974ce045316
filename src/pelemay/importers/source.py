"""Files and bytes that tensors lie in.

In: a path, or bytes. Out: a :class:`Source`, whose buffer is a read-only mapping of the file.
Whoever makes something of mapped bytes does so in a block of :func:`intact`.

>>> Source.of_bytes(b"abc").sha256[:8]
'ba7816bf'
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

from pelemay.errors import ModelError
from pelemay.importers.mapped import MappedFile
from pelemay.importers.wire import Reader

HASH_BYTES = 1 << 18


@dataclass(frozen=True, eq=False)
class Source:
    """Bytes that tensors lie in.

    Parameters
    ----------
    path : Path or None
        The file; None for a model that was given as bytes.
    buffer : memoryview or bytes
        What lies in it, read-only.
    status : os.stat_result, optional
        Which file was mapped.
    mapped : MappedFile, optional
        What keeps the buffer of a file.
    """

    path: Path | None
    buffer: memoryview | bytes
    status: os.stat_result | None = None
    mapped: MappedFile | None = None

    @classmethod
    def of_bytes(cls, data: bytes) -> Source:
        """A source in memory."""
        return cls(None, data)

    @classmethod
    def of_file(cls, path: Path) -> Source:
        """Map a file.

        Raises
        ------
        ModelError
            If it cannot be opened, is empty, or is not a regular file.
        """
        # Without O_NONBLOCK, opening a pipe would wait for its other end.
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        try:
            descriptor = os.open(path, flags)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise ModelError(f"cannot be read: {reason}") from error
        try:
            status = _checked(descriptor)
            mapped = MappedFile(descriptor, str(path))
            return cls(path, mapped.view, status, mapped)
        finally:
            os.close(descriptor)

    @property
    def size(self) -> int:
        """Bytes that there are."""
        return len(self.buffer)

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of all bytes, in hexadecimal; reads them by small pieces."""
        found = hashlib.sha256()
        with self.reading() as reader:
            for start in range(0, self.size, HASH_BYTES):
                found.update(reader.take(start, min(start + HASH_BYTES, self.size)))
        return found.hexdigest()

    @property
    def description(self) -> dict[str, str | int]:
        """Its name, size and hash, for those who note what something was made of."""
        name = self.path.name if self.path is not None else ""
        return {"name": name, "nbytes": self.size, "sha256": self.sha256}

    def release(self) -> None:
        """Give back the memory of the pages that were read; they come back when read again."""
        if self.mapped is not None:
            self.mapped.release()

    def check(self) -> None:
        """Ask whether all of the file is still there.

        Raises
        ------
        ExecutionError
            If it became shorter: what was read before may have been zeros.
        """
        if self.mapped is not None:
            self.mapped.check()

    @contextmanager
    def reading(self) -> Iterator[Reader]:
        """A reader that copies small pieces out of the source and maps no page of it.

        The kernel maps more than the page that is touched, up to 2 MiB around it, and would so
        map most of a model that is only scanned; hence it reads through a descriptor.

        Raises
        ------
        ExecutionError
            If the file became shorter, in the place of an error that this led to.
        """
        file = self._reopened()
        if file is None:
            yield Reader(self.size, lambda start, stop: bytes(self.buffer[start:stop]))
            self.check()
            return
        with file:
            number = file.fileno()
            try:
                yield Reader(self.size, lambda start, stop: os.pread(number, stop - start, start))
            except ModelError:
                self.check()
                raise

    def _reopened(self) -> BinaryIO | None:
        """The file that is mapped; None if there is none, or another one is in its place."""
        if self.path is None or self.status is None or not hasattr(os, "pread"):
            return None
        try:
            file = self.path.open("rb", buffering=0)
        except OSError:
            return None
        if os.path.samestat(os.fstat(file.fileno()), self.status):
            return file
        file.close()
        return None


def _checked(descriptor: int) -> os.stat_result:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise ModelError("is not a regular file")
    if not status.st_size:
        raise ModelError("the file is empty", hint="download or export it again")
    return status


@contextmanager
def intact(sources: Iterable[Source]) -> Iterator[None]:
    """Make something of mapped bytes, and say at the end if a file became shorter.

    Raises
    ------
    ExecutionError
        If one did, in the place of what the block raised.
    """
    with ExitStack() as stack:
        for source in sources:
            if source.mapped is not None:
                stack.enter_context(source.mapped.asked())
        yield
