"""Whether the engine takes a program, asked before a file is made of it.

In: a :class:`Program`. Out: nothing, or a :class:`~pelemay.errors.GraphError` that names the node:
typing rules know most of what contradicts itself in a model, the engine's checks know all.

>>> check_accepted(Program(0, (), (), (), ()))
"""

from __future__ import annotations

import mmap

from pelemay.engine import native
from pelemay.errors import GraphError
from pelemay.program.encode import encode
from pelemay.program.plans import Plans
from pelemay.program.program import Program


def check_accepted(program: Program) -> None:
    """Let the engine check a program's tables; no weight is made for that.

    Raises
    ------
    GraphError
        If it refuses an instruction.
    """
    plans = Plans.of([program])
    head = encode(plans)
    # Of the memory only the head's pages are ever touched.
    memory = mmap.mmap(-1, len(head) + plans.weights_bytes)
    memory[: len(head)] = head
    try:
        native().Program(memory)
    except native().NativeError as error:
        text, number = error.args[1:3]
        where = "" if number is None else program.instructions[number].name
        raise GraphError(f"the engine refuses what it would become: {text}", where=where) from error
