"""Files that are mapped, and what happens when one becomes shorter.

In: a file that is open. Out: :class:`MappedFile`, whose bytes arrays can be views of. A page that
is gone would end the process with SIGBUS. Here it becomes zeros (``native/host/guard.h``), and an
error follows: from whoever reads in a block of ``asked()``, or asks with ``check()``; for all
others the main thread raises it, as soon as it runs Python again.

>>> import tempfile
>>> with tempfile.TemporaryFile() as file:
...     written = file.write(b"weights"), file.flush()
...     mapped = MappedFile(file.fileno(), "model.onnx")
...     with mapped.asked():
...         file.truncate(0), bytes(mapped.view)
Traceback (most recent call last):
pelemay.errors.ExecutionError: model.onnx: the file was changed while it was in use. \
load it again, and write a new file instead of changing one that is read
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from pelemay.engine import native
from pelemay.errors import ExecutionError


class MappedFile:
    """A file as read-only memory.

    Parameters
    ----------
    descriptor : int
        The file, open and not empty.
    name : str
        What errors call it.

    Attributes
    ----------
    view : memoryview
        Its bytes. Views of them stay usable when nothing else of this is.
    """

    def __init__(self, descriptor: int, name: str) -> None:
        self._memory = mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
        self._readers = _Readers(name)
        self._guarded = native().Mapped(self._memory, self._readers.tell)
        self.view = memoryview(self._guarded)

    def check(self) -> None:
        """Ask whether all of the file is still there.

        Raises
        ------
        ExecutionError
            If not: what was read before may have been zeros.
        """
        # Behind the new end, the rest of its page is zeros without a fault.
        if self._guarded.lost or self._memory.size() < len(self._memory):
            self._readers.are_told = True
            raise self._readers.error

    @contextmanager
    def asked(self) -> Iterator[None]:
        """Check at the end of a block, which is also told in the place of what it raised.

        Raises
        ------
        ExecutionError
            As :meth:`check`.
        """
        process = os.getpid()
        self._readers.processes.append(process)
        try:
            yield
            self.check()
        except Exception:
            self.check()
            raise
        finally:
            self._readers.processes.remove(process)

    def release(self) -> None:
        """Give back the memory of the pages that were read; they come back when read again."""
        if hasattr(mmap, "MADV_DONTNEED"):
            self._memory.madvise(mmap.MADV_DONTNEED)


@dataclass
class _Readers:
    """Who will ask, and whether anybody was told; this holds nothing of the file.

    Attributes
    ----------
    processes : list of int
        The process of each block that is open: a child of fork() inherits those of other threads,
        which end in its parent only.
    """

    name: str
    processes: list[int] = field(default_factory=list)
    are_told: bool = False

    @property
    def error(self) -> ExecutionError:
        return ExecutionError(
            "the file was changed while it was in use",
            where=self.name,
            hint="load it again, and write a new file instead of changing one that is read",
        )

    def tell(self) -> None:
        """Called in the main thread after the first read of what is gone."""
        if not self.are_told and os.getpid() not in self.processes:
            self.are_told = True
            raise self.error
