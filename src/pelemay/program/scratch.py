"""What a run needs beside the arena, before a program's weights are made.

In: a program and a number of workers. Out: bytes.

>>> scratch_bytes(Program(0, (), (), (), ()), 2)
0
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Sequence
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


@dataclass(frozen=True)
class Load:
    """A range of a program's file that is read into memory.

    Attributes
    ----------
    slot, nbytes : int
        Where it lies, from the start of the weights' memory, and how much it is.
    first, last : int
        Instructions that use it.
    after : int or None
        The instruction that must be done before it may be read: one of the run before where it is
        negative, counted from that run's end; None for any time.
    stays : bool
        Whether it is read in the first run only.
    """

    slot: int
    nbytes: int
    first: int
    last: int
    after: int | None
    stays: bool


@dataclass(frozen=True)
class Reading:
    """How weights come into memory.

    Attributes
    ----------
    memory, window, resident, read : int
        Bytes that weights take; of them, those that loads share one after the other, and those
        that stay; and bytes that each run reads after the first.
    loads : tuple of Load
        In the order in which they are read. Small blocks that stay are not among them.
    """

    memory: int
    window: int
    resident: int
    read: int
    loads: tuple[Load, ...]


def reading_of(program: Program, budget: int) -> Reading:
    """How the weights of a program are read, if they may take so many bytes of memory.

    Raises
    ------
    ModelError
        If the engine refuses the program, or the budget is too small.
    """
    from pelemay.engine import native, translated

    opened = _opened(program)
    try:
        loads = opened.stream_plan(budget)[2]
    except native().NativeError as error:
        raise translated(error) from error
    need = opened.stream_need(budget)
    return Reading(
        need["memory"],
        need["window"],
        need["resident"],
        need["read"],
        tuple(
            Load(slot, nbytes, first, last, after, stays)
            for _, nbytes, slot, first, last, _, after, stays in loads
        ),
    )


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


CHECKED = 4096
"""Sizes of a plan that are checked; of more, as many that lie evenly."""


def needed_by(programs: Sequence[Program]) -> int:
    """Bytes of a run of any of the plans of a file, at any of its sizes, with least weights.

    The engine checks each size as it does at a call.

    Parameters
    ----------
    programs : sequence of Program
        Of one file; their blocks may have no bytes yet.

    Raises
    ------
    ModelError
        If the engine refuses a plan, or one of its sizes.
    """
    from pelemay.engine import at_size, plans_of, workers_of

    most, heads = 0, 0
    for program in programs:
        file = _opened(program)
        heads += len(encode(_unwritten(program)))
        for plan in plans_of(file) or [file]:
            for number in range(0, plan.sizes, -(-plan.sizes // CHECKED)):
                most = max(most, _needed_by(at_size(plan, number), workers_of()))
    return most + heads


def _needed_by(program: Any, workers: int) -> int:
    """Bytes of a run of an opened program."""
    from pelemay.engine import dtype_of

    need = program.stream_need()
    ends = sum(
        math.prod(shape) * dtype_of(dtype).itemsize
        for _, dtype, shape in (*program.inputs, *program.outputs)
    )
    scratch = program.scratch_bytes(workers)
    return int(program.arena_bytes + scratch + ends + need["overhead"] + need["least"])


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
