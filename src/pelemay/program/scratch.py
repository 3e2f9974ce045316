"""What the engine needs beside the arena, before a program's weights are made.

In: a program and a number of workers. Out: bytes.

>>> scratch_bytes(Program(0, (), (), (), ()), 2)
0
"""

from __future__ import annotations

import mmap
from dataclasses import replace

from pelemay.program.encode import encode
from pelemay.program.program import Program


def scratch_bytes(program: Program, workers: int) -> int:
    """Bytes that kernels take for themselves while a program runs.

    The weights are pages that are never touched: the engine looks at the tables only.

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
    from pelemay.engine import open_program

    head = encode(replace(program, blocks=tuple(replace(b, crc=0) for b in program.blocks)))
    memory = mmap.mmap(-1, len(head) + program.weights_bytes)
    memory[: len(head)] = head
    return int(open_program(memoryview(memory)).scratch_bytes(workers))
