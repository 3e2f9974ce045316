"""One program for all sizes of a range: which of its numbers depend on the size, and how.

In: the programs of one graph for some sizes, each as the compiler makes it, with the same places in
memory. Out: one :class:`Program` with forms, which is those programs to the last number; or where
they part.

A number of a program follows from sizes by sums and products, and by quotients and comparisons that
stay as they are for a while. So it is a polynomial of low degree for as long as the instructions
are the same: of degree two in each of at most two sizes. It is that of the three largest sizes, and
it is compared with the program of every other one that is offered.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pelemay.program.program import Field, Form, Instruction, Program, Space, Tensor
from pelemay.program.versions import Place, Steps, Versions

MOST_TERM = 1 << 46
"""Of a form, as the engine takes it."""

POINTS = 3
"""Sizes that a polynomial is found from; one more than its degree."""

Numbers = npt.NDArray[np.int64]
Terms = tuple[tuple[int, int, int], ...]
"""Of one number: for each factor of the second size, the terms in the first."""


@dataclass
class Family:
    """Programs that are one, from the largest size on downwards.

    Parameters
    ----------
    largest : Program
        Of the largest size, before its blocks are written.

    Attributes
    ----------
    reason : str
        Why the last program that was refused is another.
    compiled : int
        Programs that were taken.
    """

    largest: Program
    reason: str = ""
    compiled: int = 1
    _known: dict[Place, Numbers] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Note the numbers of the first."""
        self._outline = _outline(self.largest)
        self._known[0, 0] = _numbers(self.largest)
        self._versions = Versions(self.largest.blocks)

    @property
    def varies(self) -> bool:
        """Whether weights are others for each size, so that every size has to be offered."""
        return self._versions.varies

    @property
    def is_left_to_others(self) -> bool:
        """Whether the reference backend runs a part, whose text says sizes."""
        return bool(self.largest.metadata.get("host") or self.largest.metadata.get("tail"))

    def add(self, program: Program, changed: Collection[str], at: Place) -> bool:
        """Take the program of a smaller size; False, with a reason, if it is another one.

        Parameters
        ----------
        program : Program
            Offered.
        changed : collection of str
            Constants that do not have the values that they have for the largest size.
        at : tuple of int
            How many sizes below the largest it is, of the first size and of the second. The
            first :data:`POINTS` of each make the polynomials: each of them after those between it
            and the largest.
        """
        numbers = _numbers(program)
        reason = self._against(program, numbers, at)
        if not reason:
            reason = self._versions.add(program.blocks, changed, at)
        if reason:
            self.reason = reason
            return False
        if max(at) < POINTS:
            self._known[at] = numbers
        self.compiled += 1
        return True

    def _against(self, program: Program, numbers: Numbers, at: Place) -> str:
        """What speaks against it."""
        if (outline := _outline(program)) != self._outline:
            return _difference(self._outline, outline)
        if max(at) < POINTS:
            wrong = _too_large(_terms({**self._known, at: numbers}))
        else:
            wrong = _value(_terms(self._known), at) != numbers
        if not wrong.any():
            return ""
        place = int(np.flatnonzero(wrong)[0])
        return f"a number of {_label(self.largest, place)} does not grow evenly"

    def program(self, counts: Place, metadata: Mapping[str, Any]) -> Program:
        """So many sizes of each as one, ``metadata`` instead of the largest one's own."""
        if counts == (1, 1):
            return replace(self.largest, metadata=metadata)
        known = {at: numbers for at, numbers in self._known.items() if _is_within(at, counts)}
        terms = _ascending(_terms(known), counts)
        blocks, steps = self._versions.blocks(counts)
        made = _Rows(self.largest, counts, terms, [b.offset for b in blocks], steps)
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
            sizes=counts[0] * counts[1],
            forms=tuple(made.forms),
            across=counts[1],
        )


class _Rows:
    """The tables of the program of all sizes, in the order in which :func:`_numbers` walks."""

    def __init__(
        self, program: Program, counts: Place, terms: Numbers, places: list[int], steps: list[Steps]
    ) -> None:
        self.tensors: list[Tensor] = []
        self.forms: list[Form] = []
        self._program, self._counts = program, counts
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
            self.forms += _forms(Field.PARAM, self._instruction, at, self._next())
        self._instruction += 1
        return replace(instruction, inputs=inputs, outputs=outputs)

    def row(self, number: int) -> int:
        """The row of a tensor that is read or written next; those that stay equal share one."""
        tensor = self._program.tensors[number]
        offset = self._next()
        if tensor.space is Space.WEIGHTS:
            tensor, offset = self._in_block(tensor, offset)
        terms = [(Field.OFFSET, 0, offset)]
        terms += [(Field.DIM, at, self._next()) for at in range(len(tensor.shape))]
        terms += [(Field.STRIDE, at, self._next()) for at in range(len(tensor.shape))]
        found = tuple((kind, at, form) for kind, at, form in terms if form)
        if (tensor, found) not in self._known:
            row = self._known[tensor, found] = len(self.tensors)
            self.tensors.append(tensor)
            for kind, at, form in found:
                self.forms += _forms(kind, row, at, form)
        return self._known[tensor, found]

    def _in_block(self, tensor: Tensor, form: Terms | None) -> tuple[Tensor, Terms | None]:
        """A tensor among the weights, where its block lies now, at the version of its size."""
        place, steps = self._places[tensor.index], self._steps[tensor.index]
        within = tensor.offset - self._program.blocks[tensor.index].offset
        last = sum(step * (count - 1) for step, count in zip(steps, self._counts, strict=True))
        moved = replace(tensor, offset=place + within + last)
        if form is None and not any(steps):
            return moved, None
        plain, across, square = form or ((within, 0, 0), (0, 0, 0), (0, 0, 0))
        plain = (plain[0] + place, plain[1] + steps[0], plain[2])
        return moved, (plain, (across[0] + steps[1], *across[1:]), square)

    def _next(self) -> Terms | None:
        """The terms of the next number; None if it is the same for all sizes."""
        terms = self._terms[:, :, self._at]
        self._at += 1
        if np.count_nonzero(terms) == np.count_nonzero(terms[0, 0]):
            return None
        return tuple((int(a), int(b), int(c)) for a, b, c in terms.T)


def _forms(kind: Field, row: int, at: int, terms: Terms | None) -> Iterator[Form]:
    """The forms of one number; the first is there always, so that it can be moved."""
    for factor, of_factor in enumerate(terms or ()):
        if not factor or any(of_factor):
            yield Form(kind, row, at, of_factor, factor)


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


def _is_within(at: Place, counts: Place) -> bool:
    return at[0] < counts[0] and at[1] < counts[1]


def _terms(known: Mapping[Place, Numbers]) -> Numbers:
    """Of the polynomials through some numbers, (first, second, number): differences of them.

    Where not all pairs of sizes are known, those are left out that have both.
    """
    first, second = (1 + max(at[axis] for at in known) for axis in (0, 1))
    found = np.zeros((POINTS, POINTS, known[0, 0].size), np.int64)
    if all((i, j) in known for i in range(first) for j in range(second)):
        values = [[known[i, j] for j in range(second)] for i in range(first)]
        found[:first, :second] = _differences(_differences(np.array(values), 0), 1)
        return found
    rows = [known[i, 0] for i in range(first) if (i, 0) in known]
    columns = [known[0, j] for j in range(second) if (0, j) in known]
    found[: len(rows), 0] = _differences(np.array(rows), 0)
    found[0, : len(columns)] = _differences(np.array(columns), 0)
    return found


def _differences(values: Numbers, axis: int) -> Numbers:
    """Newton's: of values at 0, 1, 2, what is multiplied with 1, m and m (m - 1) / 2."""
    lines = np.moveaxis(values, axis, 0)
    found = [np.diff(lines, degree, axis=0)[0] for degree in range(len(lines))]
    return np.moveaxis(np.array(found), 0, axis)


def _value(terms: Numbers, at: Place) -> Numbers:
    """The numbers so many sizes away; below zero is the other way."""
    i, j = (np.array([1, m, m * (m - 1) // 2], np.int64) for m in at)
    found: Numbers = np.einsum("a,abn,b->n", i, terms, j)
    return found


def _too_large(terms: Numbers) -> npt.NDArray[np.bool_]:
    """Which numbers depend on sizes, and have terms that no form can have."""
    flat = np.abs(terms.reshape(POINTS * POINTS, -1))
    wrong = np.any(flat[1:] > MOST_TERM, axis=0)
    found: npt.NDArray[np.bool_] = wrong | (np.any(flat[1:] != 0, axis=0) & (flat[0] > MOST_TERM))
    return found


def _ascending(terms: Numbers, counts: Place) -> Numbers:
    """The same polynomials, where the smallest sizes are number 0."""
    points = range(POINTS)
    lines = [
        [_value(terms, (counts[0] - 1 - m, counts[1] - 1 - n)) for n in points] for m in points
    ]
    return _differences(_differences(np.array(lines), 0), 1)
