"""From a program to the bytes before its weights.

In: one :class:`Program` or several, whose blocks have their checksums, and the engine's numbers of
instructions and element types. Out: header and tables, in which the hash of the whole file is
still zero.

>>> head = encode(Program(0, (), (), (), ()), Numbers(("host",), ("float32",)))
>>> head[:3], len(head)
(b'PLM', 320)
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pelemay.errors import UnsupportedError
from pelemay.program.layout import (
    BLOCK,
    FORM,
    HEADER,
    INSTRUCTION,
    MAGIC,
    MAJOR,
    MINOR,
    NONE,
    ROWS,
    SECTIONS,
    SERIAL,
    TENSOR,
)
from pelemay.program.plans import Plans
from pelemay.program.program import (
    ALIGNMENT,
    PAGE,
    Field,
    Form,
    Instruction,
    Program,
    Tensor,
)

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Numbers:
    """The engine's lists: an instruction's or element type's number is its place there.

    Parameters
    ----------
    opcodes, dtypes : tuple of str
        Names, in the order of ``opcodes.def`` and ``dtypes.def``.
    """

    opcodes: tuple[str, ...]
    dtypes: tuple[str, ...]

    @classmethod
    def of_engine(cls) -> Numbers:
        """Those of the engine that is installed."""
        from pelemay.engine import native

        engine = native()
        return cls(tuple(engine.OPCODES), tuple(engine.DTYPES))


class _Strings:
    """Names as UTF-8 that ends in a zero byte, each once."""

    def __init__(self) -> None:
        self.data = bytearray()
        self._places: dict[str, int] = {}

    def place(self, text: str) -> int:
        if not text:
            return NONE
        if text not in self._places:
            self._places[text] = len(self.data)
            self.data += text.replace("\0", " ").encode("utf-8", "replace") + b"\0"
        return self._places[text]


class _Operands:
    """Lists of numbers one after the other; a list that is there already is not added again."""

    def __init__(self) -> None:
        self.values: list[int] = []
        self._places: dict[tuple[int, ...], int] = {}

    def place(self, values: tuple[int, ...]) -> int:
        if values not in self._places:
            self._places[values] = len(self.values)
            self.values.extend(values)
        return self._places[values]


class _Params(_Operands):
    """The lists of parameters of instructions; one with forms is not shared with another.

    Parameters
    ----------
    forms : iterable of Form
        Of the program.
    """

    def __init__(self, forms: Iterable[Form]) -> None:
        super().__init__()
        self.first: list[int] = []
        self._alone = {form.row for form in forms if form.field is Field.PARAM}

    def add(self, values: tuple[int, ...]) -> int:
        """The list of the next instruction."""
        place = len(self.values)
        if len(self.first) in self._alone:
            self.values.extend(values)
        else:
            place = self.place(values)
        self.first.append(place)
        return place


def encode(program: Program | Plans, numbers: Numbers | None = None) -> bytes:
    """Header and tables; the weights follow them in the file.

    Parameters
    ----------
    program : Program or Plans
        Blocks that have no checksum yet are written with zero, for the size.
    numbers : Numbers, optional
        Those of the engine that is installed, if not given.

    Raises
    ------
    UnsupportedError
        If the engine has no such instruction, or something is larger than the format can say.
    """
    plans = program if isinstance(program, Plans) else Plans.of([program])
    chosen = numbers or Numbers.of_engine()
    head = bytearray(HEADER.itemsize)
    headers = np.array([_append(head, p, chosen) for p in plans.programs], HEADER)
    place = _added(head, headers.tobytes()) if plans.are_listed else 0
    _pad(head, PAGE if plans.weights_bytes else ALIGNMENT)
    headers["magic"], headers["major"], headers["minor"] = np.void(MAGIC), MAJOR, MINOR
    headers["header_bytes"] = HEADER.itemsize
    headers["weights_offset"], headers["weights_bytes"] = len(head), plans.weights_bytes
    headers["file_bytes"] = len(head) + plans.weights_bytes
    first = headers[0].copy()
    first["sizes"] = first["across"] = 0
    if place:
        head[place : place + headers.nbytes] = headers.tobytes()
        first["more"] = (place, len(headers))
    head[: HEADER.itemsize] = first.tobytes()
    first["head_crc"] = zlib.crc32(head)
    head[: HEADER.itemsize] = first.tobytes()
    return bytes(head)


def encode_metadata(metadata: Any) -> bytes:
    """JSON text, ASCII only: a lone surrogate of a name that was not UTF-8 is kept as an escape."""
    return json.dumps(metadata, separators=(",", ":"), sort_keys=True).encode("ascii")


def _append(head: bytearray, program: Program, numbers: Numbers) -> Array:
    """Add the tables of a program; gives its header, as far as these set it."""
    header = np.zeros((), HEADER)
    header["arena_bytes"], header["sizes"] = program.arena_bytes, program.sizes // program.across
    header["across"] = program.across if program.across > 1 else 0
    for name, table in _tables(program, numbers).items():
        data = bytes(table)
        kind = FORM if name == "more" else ROWS[name]
        header[name] = (_added(head, data), len(data) // kind.itemsize)
    return header


def _tables(program: Program, numbers: Numbers) -> dict[str, Array | bytes]:
    strings, operands, params = _Strings(), _Operands(), _Params(program.forms)
    tables: dict[str, Array | bytes] = {
        "tensors": _tensors(program.tensors, numbers, strings),
        "instrs": _instructions(program.instructions, numbers, strings, operands, params),
        "blocks": _blocks(program, strings),
        "inputs": np.array(program.inputs, "<u4"),
        "outputs": np.array(program.outputs, "<u4"),
    }
    tables["operands"] = np.array(operands.values, "<u4")
    tables["params"] = np.array(params.values, "<i8")
    tables["strings"] = bytes(strings.data)
    tables["metadata"] = encode_metadata(program.metadata)
    ordered = {name: tables[name] for name in SECTIONS}
    if program.forms:
        ordered["more"] = _forms(program, params)
    return ordered


def _added(head: bytearray, data: bytes) -> int:
    """Where the data begins."""
    _pad(head, ALIGNMENT)
    place = len(head)
    head += data
    return place


def _forms(program: Program, params: _Params) -> Array:
    rows: list[tuple[int, int, int, tuple[int, int, int]]] = []
    for form in program.forms:
        if form.field is Field.PARAM:
            place = params.first[form.row] + form.at
            rows.append((place, form.field, form.factor, form.terms))
        else:
            rows.append((form.row, form.field + form.at, form.factor, form.terms))
    return np.array(rows, FORM)


def _pad(head: bytearray, step: int) -> None:
    head += b"\0" * (-len(head) % step)


def _tensors(tensors: Iterable[Tensor], numbers: Numbers, strings: _Strings) -> Array:
    dtypes = {name: number for number, name in enumerate(numbers.dtypes)}
    rows = []
    for tensor in tensors:
        rank = len(tensor.shape)
        row = np.zeros((), TENSOR)
        if any(size >= NONE for size in tensor.shape):
            raise UnsupportedError(f"'{tensor.name}' has a dimension above {NONE - 1}")
        row["dtype"], row["rank"], row["space"] = dtypes[tensor.dtype.value], rank, tensor.space
        row["index"], row["offset"], row["ring"] = tensor.index, tensor.offset, tensor.ring
        row["name"] = strings.place(tensor.name)
        row["dims"][:rank] = tensor.shape
        row["strides"][:rank] = tensor.strides
        rows.append(row)
    return np.array(rows, TENSOR)


def _instructions(
    instructions: Iterable[Instruction],
    numbers: Numbers,
    strings: _Strings,
    operands: _Operands,
    params: _Params,
) -> Array:
    opcodes = {name: number for number, name in enumerate(numbers.opcodes)}
    rows = []
    for instruction in instructions:
        if instruction.opcode not in opcodes:
            raise UnsupportedError(
                f"the engine has no instruction '{instruction.opcode}'",
                where=instruction.name,
                hint="build the engine again",
            )
        if len(instruction.params) > 0xFFFF:
            raise UnsupportedError("it has more than 65535 parameters", where=instruction.name)
        used = (*instruction.inputs, *instruction.outputs)
        rows.append(
            (
                opcodes[instruction.opcode],
                SERIAL if instruction.serial else 0,
                len(instruction.inputs),
                len(instruction.outputs),
                len(instruction.params),
                operands.place(tuple(NONE if number is None else number for number in used)),
                params.add(instruction.params),
                strings.place(instruction.name),
                instruction.node,
                instruction.cost,
            )
        )
    return np.array(rows, INSTRUCTION)


def _blocks(program: Program, strings: _Strings) -> Array:
    rows = [(b.offset, b.nbytes, b.crc or 0, strings.place(b.name)) for b in program.blocks]
    return np.array(rows, BLOCK)
