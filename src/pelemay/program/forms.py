"""One program for all sizes of a range: which of its numbers depend on the size, and how.

In: the programs of one graph for sizes that follow each other, each as the compiler makes it, with
the same places in memory. Out: one :class:`Program` with forms, which is those programs to the last
number; or where they part.

A number of a program follows from sizes by sums and products, and by quotients and comparisons that
stay as they are for a while. So it is a polynomial of low degree for as long as the instructions
are the same. The polynomial is that of the first three sizes, and it is compared with the program
of every other one: nothing here has to be believed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pelemay.program.program import Field, Form, Instruction, Program, Space, Tensor
from pelemay.program.versions import Versions

MOST_TERM = 1 << 46
"""Of a form, as the engine takes it."""

Numbers = npt.NDArray[np.int64]


@dataclass
class Family:
    """Programs that are one, from the largest size on downwards.

    Parameters
    ----------
    largest : Program
        Of the largest size, before its blocks are written.

    Attributes
    ----------
    count : int
        Sizes so far.
    reason : str
        Why the last program that was offered is another.
    """

    largest: Program
    count: int = 1
    reason: str = ""
    _first: list[Numbers] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Note the numbers of the first."""
        self._outline = _outline(self.largest)
        self._first.append(_numbers(self.largest))
        self._versions = Versions(self.largest.blocks)

    def add(self, program: Program, changed: Collection[str]) -> bool:
        """Take the program of the next smaller size; False, with a reason, if it is another one.

        Parameters
        ----------
        program : Program
            Offered.
        changed : collection of str
            Constants that do not have the values that they have for the largest size.
        """
        self.reason = self._against(program)
        if not self.reason:
            self.reason = self._versions.add(program.blocks, changed)
        if not self.reason and len(self._first) < 3:
            self._first.append(_numbers(program))
        self.count += not self.reason
        return not self.reason

    def _against(self, program: Program) -> str:
        """What speaks against it."""
        if _is_left_to_others(self.largest):
            return "some of its nodes have no instruction"
        if (outline := _outline(program)) != self._outline:
            return _difference(self._outline, outline)
        numbers = _numbers(program)
        if len(self._first) < 3:
            terms = _terms([*self._first, numbers])
            wrong = np.any(np.abs(terms[1:]) > MOST_TERM, axis=0)
            wrong |= np.any(terms[1:] != 0, axis=0) & (np.abs(terms[0]) > MOST_TERM)
        else:
            wrong = _values(_terms(self._first), self.count) != numbers
        if not wrong.any():
            return ""
        place = int(np.flatnonzero(wrong)[0])
        return f"a number of {_label(self.largest, place)} does not grow evenly"

    def program(self, metadata: Mapping[str, Any]) -> Program:
        """All of them as one; ``metadata`` instead of the largest one's own."""
        if self.count == 1:
            return replace(self.largest, metadata=metadata)
        terms = _ascending(_terms(self._first), self.count)
        blocks, steps = self._versions.blocks(self.count)
        made = _Rows(self.largest, self.count, terms, [b.offset for b in blocks], steps)
        instructions = tuple(made.instruction(i) for i in self.largest.instructions)
        ends = self.largest.inputs, self.largest.outputs
        inputs, outputs = (tuple(made.row(number) for number in end) for end in ends)
        return replace(
            self.largest,
            tensors=tuple(made.tensors),
            instructions=instructions,
            inputs=inputs,
            outputs=outputs,
            blocks=blocks,
            metadata=metadata,
            sizes=self.count,
            forms=tuple(made.forms),
        )


class _Rows:
    """The tables of the program of all sizes, in the order in which :func:`_numbers` walks."""

    def __init__(
        self, program: Program, sizes: int, terms: Numbers, places: list[int], steps: list[int]
    ) -> None:
        self.tensors: list[Tensor] = []
        self.forms: list[Form] = []
        self._program, self._sizes = program, sizes
        self._terms = terms
        self._at = 0
        self._places, self._steps = places, steps
        self._known: dict[Any, int] = {}
        self._instruction = 0

    def instruction(self, instruction: Instruction) -> Instruction:
        """The next one, over the new rows."""
        inputs = tuple(n if n is None else self.row(n) for n in instruction.inputs)
        outputs = tuple(n if n is None else self.row(n) for n in instruction.outputs)
        for at in range(len(instruction.params)):
            if form := self._next():
                self.forms.append(Form(Field.PARAM, self._instruction, at, form))
        self._instruction += 1
        return replace(instruction, inputs=inputs, outputs=outputs)

    def row(self, number: int) -> int:
        """The row of a tensor that is read or written next; those that stay equal share one."""
        tensor, terms = self._program.tensors[number], []
        offset = self._next()
        if tensor.space is Space.WEIGHTS:
            tensor, offset = self._in_block(tensor, offset)
        terms.append((Field.OFFSET, 0, offset))
        terms += [(Field.DIM, at, self._next()) for at in range(len(tensor.shape))]
        terms += [(Field.STRIDE, at, self._next()) for at in range(len(tensor.shape))]
        forms = tuple((kind, at, form) for kind, at, form in terms if form)
        if (tensor, forms) not in self._known:
            row = self._known[tensor, forms] = len(self.tensors)
            self.tensors.append(tensor)
            self.forms += [Form(kind, row, at, form) for kind, at, form in forms]
        return self._known[tensor, forms]

    def _in_block(
        self, tensor: Tensor, form: tuple[int, int, int] | None
    ) -> tuple[Tensor, tuple[int, int, int] | None]:
        """A tensor among the weights, where its block lies now, at the version of its size."""
        place, step = self._places[tensor.index], self._steps[tensor.index]
        within = tensor.offset - self._program.blocks[tensor.index].offset
        last = step * (self._sizes - 1)
        moved = replace(tensor, offset=place + within + last)
        if form is None and not step:
            return moved, None
        constant, linear, square = form or (within, 0, 0)
        return moved, (constant + place, linear + step, square)

    def _next(self) -> tuple[int, int, int] | None:
        """The terms of the next number; None if it is the same for all sizes."""
        constant, linear, square = (int(n) for n in self._terms[:, self._at])
        self._at += 1
        return (constant, linear, square) if linear or square else None


def _is_left_to_others(program: Program) -> bool:
    """Whether the reference backend runs a part: its text says sizes."""
    return bool(program.metadata.get("host") or program.metadata.get("tail"))


def _outline(program: Program) -> tuple[Any, ...]:
    """What has to be the same for all sizes."""
    tensors = [_kind(tensor) for tensor in program.tensors]
    steps = [
        (
            i.opcode,
            tuple(n if n is None else tensors[n] for n in (*i.inputs, None, *i.outputs)),
            len(i.params),
            i.name,
        )
        for i in program.instructions
    ]
    ends = [tuple(tensors[n] for n in end) for end in (program.inputs, program.outputs)]
    return (len(program.blocks), *ends, *steps)


def _kind(tensor: Tensor) -> tuple[Any, ...]:
    return (tensor.dtype, len(tensor.shape), tensor.space, tensor.index, tensor.ring, tensor.name)


def _difference(a: tuple[Any, ...], b: tuple[Any, ...]) -> str:
    """The first instruction that is another."""
    for first, second in zip(a[3:], b[3:], strict=False):
        if first != second:
            return f"'{first[-1]}' has other instructions: {first[0]}, and {second[0]}"
    return "it has other instructions, or other weights"


def _parts(program: Program) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The numbers of each operand and of each list of parameters, and whose they are."""
    rows = [_numbers_of(program, tensor) for tensor in program.tensors]
    for i in program.instructions:
        for number in (*i.inputs, *i.outputs):
            if number is not None:
                yield i.name, rows[number]
        yield i.name, i.params
    for number in (*program.inputs, *program.outputs):
        yield program.tensors[number].name, rows[number]


def _numbers_of(program: Program, tensor: Tensor) -> tuple[int, ...]:
    """Offset, sizes, strides; among the weights the offset counts from the block."""
    within = program.blocks[tensor.index].offset if tensor.space is Space.WEIGHTS else 0
    return (tensor.offset - within, *tensor.shape, *tensor.strides)


def _numbers(program: Program) -> Numbers:
    return np.array([n for _, numbers in _parts(program) for n in numbers], np.int64)


def _label(program: Program, place: int) -> str:
    """Whose number it is."""
    for name, numbers in _parts(program):
        if place < len(numbers):
            return f"'{name}'"
        place -= len(numbers)
    return "the program"


def _terms(first: list[Numbers]) -> Numbers:
    """Of the polynomials through the numbers of the first sizes, at most three."""
    zero = np.zeros_like(first[0])
    linear = first[1] - first[0] if len(first) > 1 else zero
    square = first[2] - 2 * first[1] + first[0] if len(first) > 2 else zero
    return np.array([first[0], linear, square])


def _values(terms: Numbers, number: int) -> Numbers:
    values: Numbers = terms[0] + terms[1] * number + terms[2] * (number * (number - 1) // 2)
    return values


def _ascending(terms: Numbers, count: int) -> Numbers:
    """The same polynomials, where the smallest size is number 0."""
    return _terms([_values(terms, count - 1 - m) for m in range(3)])
