"""A ``.plm`` file, read in Python: for ``inspect`` and ``check``, not for running it.

In: a path. Out: its header, or the whole :class:`Program` without its weights' bytes. Everything
that is read has been checked; a damaged file is refused with what is wrong and where.

>>> read_header("no-such-file.plm")
Traceback (most recent call last):
pelemay.errors.ModelError: no-such-file.plm: No such file or directory
"""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from pelemay.errors import ModelError
from pelemay.graph import DType
from pelemay.program.encode import Numbers
from pelemay.program.layout import FORM, HEADER, MAGIC, MAJOR, NONE, ROWS, SECTIONS, SERIAL
from pelemay.program.program import Block, Field, Form, Instruction, Program, Space, Tensor

WINDOW_BYTES = 1 << 18
AGAIN = "compile the model again"

Rows = npt.NDArray[Any]


@dataclass(frozen=True)
class Header:
    """What stands at the start of a file.

    Attributes
    ----------
    major, minor : int
        Version of the format.
    file_bytes, arena_bytes, weights_offset, weights_bytes : int
        Sizes and places, in bytes.
    sha256 : str
        Of the whole file, these 32 bytes zero; in hexadecimal.
    head : bytes
        Everything before the weights.
    at : int
        Where in it this header stands: 0, or the place of a plan's.
    """

    major: int
    minor: int
    file_bytes: int
    arena_bytes: int
    weights_offset: int
    weights_bytes: int
    sha256: str
    head: bytes
    at: int = 0

    @property
    def row(self) -> Any:
        """The header itself."""
        return np.frombuffer(self.head, HEADER, 1, self.at)[0]

    @property
    def plans(self) -> list[Header]:
        """A header for each plan of the file; this one, where it has no other."""
        rows = self.rows("more", HEADER)
        if self.at or not len(rows):
            return [self]
        first = int(self.row["more"]["offset"])
        return [
            replace(self, at=first + number * HEADER.itemsize, arena_bytes=int(row["arena_bytes"]))
            for number, row in enumerate(rows)
        ]

    def rows(self, section: str, kind: np.dtype[Any] | None = None) -> Rows:
        """The rows of a section.

        Raises
        ------
        ModelError
            If it lies outside of what comes before the weights.
        """
        offset, count = (int(n) for n in self.row[section])
        kind = kind or ROWS[section]
        if (
            offset % 8
            or offset > len(self.head)
            or count > (len(self.head) - offset) // kind.itemsize
        ):
            raise ModelError(f"the table of {section} lies outside of the file", hint=AGAIN)
        return np.frombuffer(self.head, kind, count, offset)


def read_header(path: str | os.PathLike[str]) -> Header:
    """Read and check what lies before the weights.

    Raises
    ------
    ModelError
        If the file cannot be read, is no ``.plm`` file, is of a newer format, or is damaged there.
    """
    with _opened(path) as file:
        return _header(file)


def read_program(path: str | os.PathLike[str], numbers: Numbers | None = None) -> Program:
    """Read all tables; of a file of several plans, those of the first.

    Parameters
    ----------
    path : str or path
        A ``.plm`` file.
    numbers : Numbers, optional
        Those of the engine that is installed, if not given.

    Raises
    ------
    ModelError
        As :func:`read_header`, or if a row refers to something that is not there.
    """
    return read_plans(path, numbers)[0]


def read_plans(path: str | os.PathLike[str], numbers: Numbers | None = None) -> tuple[Program, ...]:
    """The same for all plans of a file, in their order."""
    with _opened(path) as file:
        header = _header(file)
        try:
            chosen = numbers or Numbers.of_engine()
            return tuple(_Tables(plan, chosen).program() for plan in header.plans)
        except (IndexError, ValueError) as error:
            raise ModelError(f"a table is damaged: {error}", hint=AGAIN) from error


def read_metadata(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read what the program says of itself.

    Raises
    ------
    ModelError
        As :func:`read_header`.
    """
    with _opened(path) as file:
        return _metadata(_header(file))


def verify(
    path: str | os.PathLike[str], progress: Callable[[int, int], None] | None = None
) -> Header:
    """Read the whole file, and compare its checksums and its hash.

    Parameters
    ----------
    path : str or path
        A ``.plm`` file.
    progress : callable, optional
        Called with the bytes done, and the bytes in all.

    Raises
    ------
    ModelError
        If one does not match; it names the blocks of weights that are damaged.
    """
    with _opened(path) as file:
        header = _header(file)
        found = hashlib.sha256(_without_hash(header.head))
        damaged = list(_damaged(file, header, found, progress))
        if damaged:
            listed = ", ".join(f"'{name}'" for name in damaged[:5])
            more = f" and {len(damaged) - 5} more" if len(damaged) > 5 else ""
            raise ModelError(f"weights are damaged: {listed}{more}", hint=AGAIN)
        if found.hexdigest() != header.sha256:
            raise ModelError("its SHA-256 does not match: the file is damaged", hint=AGAIN)
    return header


@contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    try:
        with Path(path).open("rb") as file:
            yield file
    except OSError as error:
        raise ModelError(error.strerror or str(error), where=os.fspath(path)) from error
    except ModelError as error:
        raise error.at(os.fspath(path)) from error


def _header(file: BinaryIO) -> Header:
    raw = file.read(HEADER.itemsize)
    if raw[:8] != MAGIC:
        raise ModelError("this is not a .plm file")
    if len(raw) < HEADER.itemsize:
        raise ModelError("the file is cut off inside its header", hint=AGAIN)
    row = np.frombuffer(raw, HEADER)[0]
    major, minor = int(row["major"]), int(row["minor"])
    if major != MAJOR:
        what = f"its format is {major}.{minor}; this version of pelemay reads {MAJOR}.x"
        raise ModelError(what, hint="update pelemay" if major > MAJOR else AGAIN)
    size = os.fstat(file.fileno()).st_size
    start, weights = int(row["weights_offset"]), int(row["weights_bytes"])
    if size != int(row["file_bytes"]) or start + weights > size or start < HEADER.itemsize:
        what = f"it has {size} bytes, and says that it has {int(row['file_bytes'])}"
        raise ModelError(what, hint=AGAIN)
    head = raw + file.read(start - HEADER.itemsize)
    if zlib.crc32(_without_hash(head, crc=True)) != int(row["head_crc"]):
        raise ModelError("the checksum of its tables does not match: it is damaged", hint=AGAIN)
    return Header(
        major,
        minor,
        size,
        int(row["arena_bytes"]),
        start,
        weights,
        row["sha256"].tobytes().hex(),
        head,
    )


def _without_hash(head: bytes, *, crc: bool = False) -> bytes:
    """What was hashed: its own place is zero, and that of the head's checksum where it is taken."""
    row = np.frombuffer(head[: HEADER.itemsize], HEADER)[0].copy()
    row["sha256"] = np.void(bytes(32))
    if crc:
        row["head_crc"] = 0
    blank: bytes = row.tobytes()
    return blank + head[HEADER.itemsize :]


def _metadata(header: Header) -> dict[str, Any]:
    try:
        found = json.loads(header.rows("metadata").tobytes())
    except (ValueError, RecursionError) as error:
        raise ModelError(f"its metadata is no JSON: {error}", hint=AGAIN) from error
    if not isinstance(found, dict):
        raise ModelError("its metadata is no JSON object", hint=AGAIN)
    return found


def _damaged(
    file: BinaryIO, header: Header, whole: Any, progress: Callable[[int, int], None] | None
) -> Iterator[str]:
    """Names of blocks whose checksum does not match; feeds all that is read to ``whole``."""
    at = 0
    for row, strings in _blocks(header):
        offset, nbytes = int(row["offset"]), int(row["nbytes"])
        if offset < at or nbytes > header.weights_bytes - offset:
            raise ModelError("a block of weights lies outside of them", hint=AGAIN)
        _walk(file, offset - at, whole)
        if _walk(file, nbytes, whole) != int(row["crc"]):
            yield _string(strings, int(row["name"])) or f"at byte {header.weights_offset + offset}"
        at = offset + nbytes
        if progress is not None:
            progress(at, header.weights_bytes)
    _walk(file, header.file_bytes - header.weights_offset - at, whole)


def _blocks(header: Header) -> list[tuple[Any, bytes]]:
    """The blocks of all plans, each once, in the order of the file; with the names of its plan."""
    found: dict[tuple[int, int, int], tuple[Any, bytes]] = {}
    for plan in header.plans:
        strings = plan.rows("strings").tobytes()
        for row in plan.rows("blocks"):
            key = (int(row["offset"]), int(row["nbytes"]), int(row["crc"]))
            found.setdefault(key, (row, strings))
    return [found[key] for key in sorted(found)]


def _walk(file: BinaryIO, nbytes: int, whole: Any) -> int:
    crc = 0
    while nbytes:
        window = file.read(min(nbytes, WINDOW_BYTES))
        if not window:
            raise ModelError("the file became shorter while it was read")
        crc = zlib.crc32(window, crc)
        whole.update(window)
        nbytes -= len(window)
    return crc


def _string(strings: bytes, place: int) -> str:
    if place == NONE:
        return ""
    end = strings.find(b"\0", place)
    if place > len(strings) or end < 0:
        raise ModelError("a name lies outside of the names", hint=AGAIN)
    return strings[place:end].decode("utf-8", "replace")


class _Tables:
    """Rows to the dataclasses of a program; an index that is out of range raises IndexError."""

    def __init__(self, header: Header, numbers: Numbers) -> None:
        self.header = header
        self.numbers = numbers
        self.strings = header.rows("strings").tobytes()
        self.operands = [int(n) for n in header.rows("operands")]
        self.params = [int(n) for n in header.rows("params")]

    def program(self) -> Program:
        rows, across = self.header.rows, max(1, int(self.header.row["across"]))
        return Program(
            self.header.arena_bytes,
            tuple(map(self.tensor, rows("tensors"))),
            tuple(map(self.instruction, rows("instrs"))),
            tuple(map(int, rows("inputs"))),
            tuple(map(int, rows("outputs"))),
            tuple(map(self.block, rows("blocks"))),
            _metadata(self.header),
            max(1, int(self.header.row["sizes"])) * across,
            tuple(self.forms()),
            across,
        )

    def forms(self) -> Iterator[Form]:
        """Of a plan; a parameter's is named by the instruction."""
        for row in self.header.rows("more", FORM) if self.header.at else ():
            place, field = int(row["row"]), int(row["field"])
            kind = max(kind for kind in Field if kind <= field)
            at = field - kind
            if kind is Field.PARAM:
                place, at = self._instruction_of(place)
            constant, linear, square = map(int, row["terms"])
            yield Form(kind, place, at, (constant, linear, square), int(row["factor"]))

    def _instruction_of(self, place: int) -> tuple[int, int]:
        for number, row in enumerate(self.header.rows("instrs")):
            at = place - int(row["params"])
            if 0 <= at < int(row["n_params"]):
                return number, at
        raise IndexError("a form is of no instruction's parameter")

    def tensor(self, row: Any) -> Tensor:
        rank = int(row["rank"])
        if rank > len(row["dims"]):
            raise ValueError(f"a tensor has {rank} dimensions")
        return Tensor(
            DType.of(self.numbers.dtypes[int(row["dtype"])]),
            tuple(map(int, row["dims"][:rank])),
            tuple(map(int, row["strides"][:rank])),
            Space(int(row["space"])),
            int(row["index"]),
            int(row["offset"]),
            int(row["ring"]),
            _string(self.strings, int(row["name"])),
        )

    def instruction(self, row: Any) -> Instruction:
        n_in, first = int(row["n_in"]), int(row["operands"])
        used = self._taken(self.operands, first, n_in + int(row["n_out"]))
        operands = tuple(None if number == NONE else number for number in used)
        return Instruction(
            self.numbers.opcodes[int(row["opcode"])],
            operands[:n_in],
            operands[n_in:],
            tuple(self._taken(self.params, int(row["params"]), int(row["n_params"]))),
            int(row["cost"]),
            bool(int(row["flags"]) & SERIAL),
            int(row["node"]),
            _string(self.strings, int(row["name"])),
        )

    def _taken(self, values: list[int], first: int, count: int) -> list[int]:
        if first + count > len(values):
            raise IndexError("an instruction's list lies outside of its table")
        return values[first : first + count]

    def block(self, row: Any) -> Block:
        name = _string(self.strings, int(row["name"]))
        return Block(name, int(row["offset"]), int(row["nbytes"]), int(row["crc"]))


__all__ = [
    "SECTIONS", "Header", "read_header", "read_metadata", "read_plans", "read_program", "verify"
]  # fmt: skip
