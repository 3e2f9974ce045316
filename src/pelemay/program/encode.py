"""From a program to the bytes before its weights.

In: a :class:`Program` whose blocks have their checksums, and the engine's numbers of instructions
and element types. Out: header and tables, in which the hash of the whole file is still zero.

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
from pelemay.program.program import ALIGNMENT, PAGE, Instruction, Program, Tensor

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


def encode(program: Program, numbers: Numbers | None = None) -> bytes:
    """Header and tables; the weights follow them in the file.

    Parameters
    ----------
    program : Program
        Blocks that have no checksum yet are written with zero, for the size.
    numbers : Numbers, optional
        Those of the engine that is installed, if not given.

    Raises
    ------
    UnsupportedError
        If the engine has no such instruction, or something is larger than the format can say.
    """
    strings, operands, params = _Strings(), _Operands(), _Operands()
    chosen = numbers or Numbers.of_engine()
    tables: dict[str, Array | bytes] = {
        "tensors": _tensors(program.tensors, chosen, strings),
        "instrs": _instructions(program.instructions, chosen, strings, operands, params),
        "blocks": _blocks(program, strings),
        "inputs": np.array(program.inputs, "<u4"),
        "outputs": np.array(program.outputs, "<u4"),
    }
    tables["operands"] = np.array(operands.values, "<u4")
    tables["params"] = np.array(params.values, "<i8")
    tables["strings"] = bytes(strings.data)
    tables["metadata"] = encode_metadata(program.metadata)
    return _joined(program, tables)


def encode_metadata(metadata: Any) -> bytes:
    """JSON text, ASCII only: a lone surrogate of a name that was not UTF-8 is kept as an escape."""
    return json.dumps(metadata, separators=(",", ":"), sort_keys=True).encode("ascii")


def _joined(program: Program, tables: dict[str, Array | bytes]) -> bytes:
    header = np.zeros((), HEADER)
    head = bytearray(HEADER.itemsize)
    for name in SECTIONS:
        _pad(head, ALIGNMENT)
        data = bytes(tables[name])
        header[name] = (len(head), len(data) // ROWS[name].itemsize)
        head += data
    _pad(head, PAGE if program.weights_bytes else ALIGNMENT)
    header["magic"], header["major"], header["minor"] = np.void(MAGIC), MAJOR, MINOR
    header["header_bytes"] = HEADER.itemsize
    header["arena_bytes"] = program.arena_bytes
    header["weights_offset"], header["weights_bytes"] = len(head), program.weights_bytes
    header["file_bytes"] = len(head) + program.weights_bytes
    head[: HEADER.itemsize] = header.tobytes()
    header["head_crc"] = zlib.crc32(head)
    head[: HEADER.itemsize] = header.tobytes()
    return bytes(head)


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
    params: _Operands,
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
                params.place(instruction.params),
                strings.place(instruction.name),
                instruction.node,
                instruction.cost,
            )
        )
    return np.array(rows, INSTRUCTION)


def _blocks(program: Program, strings: _Strings) -> Array:
    rows = [(b.offset, b.nbytes, b.crc or 0, strings.place(b.name)) for b in program.blocks]
    return np.array(rows, BLOCK)
