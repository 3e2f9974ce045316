"""Which outputs of a program may lie where an input does.

In: tensors and instructions. Out: input to output, by number, for each pair in which all of an
input is copied to an output, nobody else reads the input, and nobody has written the output before.
Where both are one array, the copy has nothing to move.

>>> pairs_in_place((), ())
{}
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from pelemay.program.program import Instruction, Space, Tensor, contiguous_strides


def pairs_in_place(
    tensors: Sequence[Tensor], instructions: Sequence[Instruction]
) -> dict[int, int]:
    """Input number to output number."""
    readers: Counter[int] = Counter()
    found: dict[int, int] = {}
    touched: set[int] = set()
    for step in instructions:
        pair = _copied(tensors, step)
        ends = list(_ends(tensors, step))
        readers.update({number for space, number in ends if space is Space.INPUT})
        if pair is not None and pair[1] not in touched:
            found[pair[0]] = pair[1]
        touched.update(number for space, number in ends if space is Space.OUTPUT)
    return {x: y for x, y in found.items() if readers[x] == 1}


def _ends(tensors: Sequence[Tensor], step: Instruction) -> Iterator[tuple[Space, int]]:
    for operand in (*step.inputs, *step.outputs):
        if operand is not None:
            yield tensors[operand].space, tensors[operand].index


def _copied(tensors: Sequence[Tensor], step: Instruction) -> tuple[int, int] | None:
    """The input and the output that a copy moves all of, as it lies."""
    if step.opcode != "copy" or step.params or None in (*step.inputs, *step.outputs):
        return None
    x, y = (tensors[operand] for operand in (*step.inputs, *step.outputs) if operand is not None)
    whole = all(
        not t.offset and not t.ring and t.strides == contiguous_strides(t.shape) for t in (x, y)
    )
    ends = x.space is Space.INPUT and y.space is Space.OUTPUT
    return (x.index, y.index) if whole and ends and x.shape == y.shape else None
