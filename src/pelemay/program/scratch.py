"""What a run needs beside the arena, before a program's weights are made.

In: a program and a number of workers. Out: bytes.

>>> scratch_bytes(Program(0, (), (), (), ()), 2)
0
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass, replace
from typing import Any

from pelemay.program.encode import encode
from pelemay.program.program import Program


@dataclass(frozen=True)
class Needs:
    """Bytes of a run.

    Attributes
    ----------
    arena, scratch : int
        For values, and for what kernels take for themselves.
    ends : int
        For inputs and outputs.
    head : int
        For the tables of the program, and what goes with reading weights.
    least, most : int
        For weights: to read them through a window, and to keep them all.
    """

    arena: int
    scratch: int
    ends: int
    head: int
    least: int
    most: int

    @property
    def fixed(self) -> int:
        """What does not depend on how weights are held."""
        return self.arena + self.scratch + self.ends + self.head


def scratch_bytes(program: Program, workers: int) -> int:
    """Bytes that kernels take for themselves while a program runs.

    Parameters
    ----------
    program : Program
        Its blocks may have no bytes yet.
    workers : int
        Threads that it will run with.

    Raises
    ------
    ModelError
        If the engine refuses the program.
    """
    return int(_opened(program).scratch_bytes(workers))


def needs_of(program: Program, workers: int) -> Needs:
    """What a run of a program needs; parameters and errors are those of :func:`scratch_bytes`."""
    opened = _opened(program)
    weights = opened.stream_need()
    ends = sum(program.tensors[n].span_bytes for n in (*program.inputs, *program.outputs))
    scratch = int(opened.scratch_bytes(workers))
    head = len(encode(_unwritten(program))) + weights["overhead"]
    return Needs(program.arena_bytes, scratch, ends, head, weights["least"], weights["most"])


def _unwritten(program: Program) -> Program:
    return replace(program, blocks=tuple(replace(b, crc=0) for b in program.blocks))


def _opened(program: Program) -> Any:
    """The program as the engine has it, its weights pages that are never touched.

    The engine looks at the tables only.
    """
    from pelemay.engine import open_program

    head = encode(_unwritten(program))
    memory = mmap.mmap(-1, len(head) + program.weights_bytes)
    memory[: len(head)] = head
    return open_program(memoryview(memory))
