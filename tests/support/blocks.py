"""Programs over blocks of weights whose output shows what was read of them.

Each instruction gives the exclusive or of some blocks: of their first bytes in one, of their last
in the next.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np

from pelemay.engine import native
from pelemay.graph import DType
from pelemay.program.program import (
    ALIGNMENT,
    LARGE_BLOCK,
    PAGE,
    Block,
    Instruction,
    Program,
    Space,
    Tensor,
)
from pelemay.program.write import write_program

METADATA = {"program_inputs": [], "program_outputs": ["y"], "constants": []}


@dataclass(frozen=True)
class Blocks:
    """Which blocks there are, and which of them each instruction reads.

    Parameters
    ----------
    sizes : sequence of int
        Bytes of each block.
    uses : sequence of sequence of int
        Blocks of each instruction, one or more.
    most : int
        Bytes that an instruction reads of each of its blocks, at most.
    """

    sizes: Sequence[int]
    uses: Sequence[Sequence[int]]
    most: int = 1 << 30

    def bytes_of(self, number: int) -> Any:
        """What a block holds."""
        return np.random.default_rng(number).integers(0, 256, self.sizes[number], np.uint8)

    def blocks(self) -> tuple[Block, ...]:
        """All blocks, placed as the compiler places them."""
        found, end = [], 0
        for number, size in enumerate(self.sizes):
            step = PAGE if size >= LARGE_BLOCK else ALIGNMENT
            end = -(-end // step) * step

            def pieces(number: int = number) -> Iterator[Any]:
                return iter((self.bytes_of(number),))

            found.append(Block(f"b{number}", end, size, pieces=pieces))
            end += size
        return tuple(found)

    def width(self, step: int) -> int:
        """Bytes that an instruction gives."""
        return min(self.most, *(self.sizes[number] for number in self.uses[step]))

    def start(self, step: int, number: int) -> int:
        """Where an instruction begins to read a block."""
        return 0 if step % 2 == 0 else self.sizes[number] - self.width(step)

    def expected(self) -> Any:
        """What comes out."""
        made = []
        for step, used in enumerate(self.uses):
            begins = [self.start(step, number) for number in used]
            parts = [
                self.bytes_of(number)[at : at + self.width(step)]
                for number, at in zip(used, begins, strict=True)
            ]
            made.append(reduce(np.bitwise_xor, parts))
        return np.concatenate(made)

    def program(self) -> Program:
        """The program; every third instruction is done by one worker alone."""
        blocks = self.blocks()
        tensors: list[Tensor] = []
        instructions = []
        end = 0
        for step, used in enumerate(self.uses):
            shape, first = (self.width(step),), len(tensors)
            for number in used:
                offset = blocks[number].offset + self.start(step, number)
                tensors.append(Tensor(DType.UINT8, shape, (1,), Space.WEIGHTS, number, offset))
            tensors.append(Tensor(DType.UINT8, shape, (1,), Space.OUTPUT, 0, end))
            inputs = tuple(range(first, len(tensors) - 1))
            instructions.append(_combine(inputs, len(tensors) - 1, serial=step % 3 == 1))
            end += shape[0]
        tensors.append(Tensor(DType.UINT8, (end,), (1,), Space.OUTPUT, name="y"))
        ends = (len(tensors) - 1,)
        return Program(0, tuple(tensors), tuple(instructions), (), ends, blocks, METADATA)

    def write(self, path: Path) -> Path:
        """The program in a file."""
        return write_program(self.program(), path).path


def _combine(inputs: tuple[int, ...], output: int, *, serial: bool) -> Instruction:
    if len(inputs) == 1:
        return Instruction("copy", inputs, (output,), serial=serial)
    params = (native().BINARY.index("BitwiseXor"), native().CLASSES.index("uint64"), 0)
    return Instruction("binary", inputs, (output,), params, serial=serial)
