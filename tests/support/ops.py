"""Single instructions, run through the engine: what the tests of kernels drive them with.

>>> from support.ops import run_op  # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pelemay.engine import dtype_of, native, open_program
from pelemay.graph import DType
from pelemay.program.encode import encode
from pelemay.program.lowering import param_bits
from pelemay.program.program import Instruction, Program, Space, Tensor

Array = Any

SENTINEL = 0x5B
"""What gaps of outputs are filled with, and must still hold afterwards."""


@dataclass(frozen=True)
class Held:
    """An operand of which only some rows are held: ``array`` has them, slot by slot.

    Parameters
    ----------
    array : ndarray
        The slots: ``array.shape[-3]`` rows.
    rows : int
        Rows of the whole value.
    """

    array: Array
    rows: int


@dataclass
class _Builder:
    tensors: list[Tensor] = field(default_factory=list)
    ends: dict[Space, list[int]] = field(
        default_factory=lambda: {Space.INPUT: [], Space.OUTPUT: []}
    )
    arrays: dict[Space, list[Array]] = field(
        default_factory=lambda: {Space.INPUT: [], Space.OUTPUT: []}
    )
    weights: bytearray = field(default_factory=bytearray)

    def add(self, tensor: Tensor) -> int:
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def end(self, space: Space, operand: Array | Held) -> int:
        """An operand that is a view of one of the caller's arrays."""
        array = operand.array if isinstance(operand, Held) else operand
        strides = tuple(s // array.itemsize for s in array.strides)
        span = (
            0
            if 0 in array.shape
            else sum((n - 1) * s for n, s in zip(array.shape, strides, strict=True)) + 1
        )
        memory = np.lib.stride_tricks.as_strided(array, (span,), (array.itemsize,))
        index = len(self.ends[space])
        dtype = DType.of_numpy(array.dtype)
        self.ends[space].append(self.add(Tensor(dtype, (span,), (1,), space, index=index)))
        self.arrays[space].append(memory)
        return self.add(_tensor(operand, dtype, strides, space, index=index))

    def weight(self, array: Array) -> int:
        """An operand that lies among the weights."""
        self.weights += b"\0" * (-len(self.weights) % 64)
        offset = len(self.weights)
        self.weights += np.ascontiguousarray(array).tobytes()
        strides = tuple(s // array.itemsize for s in np.ascontiguousarray(array).strides)
        return self.add(
            _tensor(array, DType.of_numpy(array.dtype), strides, Space.WEIGHTS, offset=offset)
        )


def _tensor(
    operand: Array | Held, dtype: DType, strides: tuple[int, ...], space: Space, **place: int
) -> Tensor:
    if not isinstance(operand, Held):
        return Tensor(dtype, operand.shape, strides, space, **place)
    shape = (*operand.array.shape[:-3], operand.rows, *operand.array.shape[-2:])
    return Tensor(dtype, shape, strides, space, ring=operand.array.shape[-3], **place)


def run_op(
    opcode: str,
    inputs: Sequence[Array | Held | None],
    outputs: Sequence[Array | Held | tuple[tuple[int, ...], Any] | None],
    params: Sequence[int | float] = (),
    *,
    weights: Sequence[int] = (),
    alias: Mapping[int, int] | None = None,
    workers: int = 1,
    isa: str | None = None,
    serial: bool = False,
) -> list[Array]:
    """Run one instruction.

    Parameters
    ----------
    opcode : str
        Its name.
    inputs : sequence
        Arrays with any strides that are not negative (they are given as they lie), ``Held`` rows,
        or None for an operand that is left out.
    outputs : sequence
        ``(shape, dtype)``; or an array, whose strides are kept, and whose memory is written into;
        or None for one that is left out.
    params : sequence
        As ``Lowering.emit`` takes them.
    weights : sequence of int
        Numbers of inputs that lie among the weights.
    alias : mapping, optional
        Output number to the number of the input whose place it takes.
    workers, isa, serial
        How to run.

    Returns
    -------
    list of ndarray
        Those that are not left out, with the strides asked for. Gaps between elements are checked.
    """
    alias = alias or {}
    builder = _Builder()
    made = [_made(o, inputs[alias[i]] if i in alias else None) for i, o in enumerate(outputs)]
    out_numbers = [None if o is None else builder.end(Space.OUTPUT, o) for o in made]
    shared = {number: out_numbers[i] for i, number in alias.items()}
    in_numbers = []
    for number, operand in enumerate(inputs):
        if operand is None or number in shared:
            in_numbers.append(shared.get(number))
        elif number in weights:
            in_numbers.append(builder.weight(operand))
        else:
            in_numbers.append(builder.end(Space.INPUT, operand))
    bits = tuple(map(param_bits, params))
    instruction = Instruction(opcode, tuple(in_numbers), tuple(out_numbers), bits, serial=serial)
    program = open_program(_file(builder, instruction))
    runner = native().Runner(program, workers, isa)
    given = [_plain(array) for array in builder.arrays[Space.INPUT]]
    runner.run(given, [_plain(array) for array in builder.arrays[Space.OUTPUT]])
    _check_gaps(builder.arrays[Space.OUTPUT], made_arrays(made))
    return made_arrays(made)


def made_arrays(made: Sequence[Array | Held | None]) -> list[Array]:
    """The arrays of the operands that are not left out."""
    given = [operand for operand in made if operand is not None]
    return [operand.array if isinstance(operand, Held) else operand for operand in given]


def _made(wanted: Any, aliased: Array | None) -> Array | Held | None:
    if aliased is not None:
        return aliased.copy()
    if isinstance(wanted, tuple):
        shape, dtype = wanted
        made = np.empty(shape, dtype)
        made.reshape(-1).view(np.uint8)[:] = SENTINEL
        return made
    return wanted


def _check_gaps(memories: Sequence[Array], arrays: Sequence[Array]) -> None:
    """What lies between the elements of an output must still be SENTINEL."""
    for memory, array in zip(memories, arrays, strict=True):
        if array.size == memory.size:
            continue
        written = np.zeros(memory.shape, bool)
        strides = tuple(s // array.itemsize for s in array.strides)
        np.lib.stride_tricks.as_strided(written, array.shape, strides)[...] = True
        gaps = memory[~written].view(np.uint8)
        assert (gaps == SENTINEL).all(), "something was written between the elements of an output"


def _file(builder: _Builder, instruction: Instruction) -> bytes:
    from pelemay.program.program import Block

    weights = bytes(builder.weights)
    blocks = (Block("weights", 0, len(weights), crc=0),) if weights else ()
    ends = builder.ends
    program = Program(
        0,
        tuple(builder.tensors),
        (instruction,),
        tuple(ends[Space.INPUT]),
        tuple(ends[Space.OUTPUT]),
        blocks,
    )
    return encode(program) + weights


def _plain(array: Array) -> Array:
    return array if array.dtype.kind in "biuf" else array.view(np.uint16)


def strided(shape: tuple[int, ...], dtype: Any, pixel_stride: int) -> Array:
    """An output whose last axis is part of wider pixels; the gaps are filled with SENTINEL."""
    base = np.empty((*shape[:-1], pixel_stride), dtype)
    base.reshape(-1).view(np.uint8)[:] = SENTINEL
    return base[..., : shape[-1]]


def isas() -> list[str]:
    """Instruction sets that this machine can run, but for those with few kernels of their own."""
    return [isa for isa in native().ISAS if isa not in ("avx512vnni", "neondot")]


def workers_agree(run: Any, counts: Sequence[int] = (1, 2, 3, 5)) -> list[Array]:
    """The outputs of ``run(workers)``, the same to the last bit for any number of workers."""
    first: list[Array] = run(counts[0])
    for count in counts[1:]:
        for ours, other in zip(first, run(count), strict=True):
            np.testing.assert_array_equal(ours, other, f"{count} workers", strict=True)
    return first


__all__ = ["Held", "dtype_of", "isas", "run_op", "strided", "workers_agree"]
