"""A program's layers measured on this machine, instead of estimated.

In: a program. Out: the same program, each convolution and matrix product in the form that ran
fastest here. The sums' order may change, so results may differ in the last bits, but for those of
8-bit integers, which are exact. The weights stay as they are: all forms read the same packed block.

>>> [split.depth for split in splits(Product(rows=49, columns=64, steps=2048))][:3]
[512, 512, 512]
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pelemay.engine import Engine, open_program
from pelemay.program.image import image
from pelemay.program.program import ALIGNMENT, Block, Instruction, Program, Space, Tensor
from pelemay.program.schedule import SIZE, Filtering, Product, Split, split_by

SHARED = {"conv": 20, "winograd": 20, "matmul": 8, "qconv": 20, "qmatmul": 8}
"""How many of an instruction's parameters say what is computed; the others say how."""

INTEGERS = ("qconv", "qmatmul")

DEPTHS, COLUMNS = (512, 1024, 256), (256, 128, 64)
LEAST_COLUMNS = 32

GAIN = 0.97
"""A form has to take at most so much of the time of the one before, or it is noise."""

Form = tuple[str, tuple[int, ...]]
"""An instruction's name and its last parameters."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Change:
    """A layer for which another form was faster: its name and the times of one run in ms."""

    name: str
    before: Form
    after: Form
    before_ms: float
    after_ms: float


def tune(
    program: Program,
    *,
    threads: int | None = None,
    isa: str | None = None,
    rounds: int = 7,
    progress: Progress | None = None,
) -> tuple[Program, list[Change]]:
    """Measure the forms of every layer, each by itself, and take the fastest.

    Parameters
    ----------
    program : Program
        As compiled, or read.
    threads, isa
        How to run; as for :class:`~pelemay.engine.Engine`.
    rounds : int
        Runs of each form, in turns; the fastest counts.
    progress : callable, optional
        Called with the layers done, and the layers in all.

    Returns
    -------
    program : Program
    changes : list of Change
        One for each kind of layer that changed.
    """
    layers: dict[Any, list[int]] = {}
    for number, step in enumerate(program.instructions):
        if step.opcode in SHARED and not step.serial:
            layers.setdefault(_key(program, step), []).append(number)
    instructions, changes = list(program.instructions), []
    for done, numbers in enumerate(layers.values()):
        step = instructions[numbers[0]]
        times = _measure(program, step, forms(program, step), rounds, threads, isa)
        best, now = min(times, key=lambda form: times[form]), form_of(step)
        if times[best] < GAIN * times[now]:
            changes.append(Change(step.name, now, best, times[now] * 1e3, times[best] * 1e3))
            for number in numbers:
                instructions[number] = with_form(instructions[number], best)
        if progress:
            progress(done + 1, len(layers))
    return replace(program, instructions=tuple(instructions)), changes


def form_of(step: Instruction) -> Form:
    """The form that an instruction has."""
    return (step.opcode, step.params[SHARED[step.opcode] :])


def with_form(step: Instruction, form: Form) -> Instruction:
    """The same layer in another form."""
    opcode, params = form
    return replace(step, opcode=opcode, params=(*step.params[: SHARED[step.opcode]], *params))


def forms(program: Program, step: Instruction) -> list[Form]:
    """The forms to try; the first is the one that the instruction has."""
    if step.opcode in INTEGERS:
        return integer_forms(step)
    x, w, y = (program.tensors[n or 0] for n in (*step.inputs[:2], step.outputs[0]))
    widened = w.dtype is not x.dtype
    found = [form_of(step)]
    if step.opcode == "matmul":
        rows, columns = y.shape[-2:]
        steps = x.shape[-2 if step.params[0] else -1]
        product = Product(rows, columns, steps, bool(step.params[7]), widened)
        found += [("matmul", split.params) for split in splits(product)]
    else:
        rows = int(np.prod(y.shape[:-1]))
        group, whole = step.params[12], bool(step.params[16])
        steps = int(np.prod(step.params[:3])) * (x.shape[-1] // group)
        product = Product(rows, y.shape[-1] // group, steps, whole, widened)
        found += [("conv", split.params) for split in splits(product)]
        if can_filter(step, x, w):
            found += [("winograd", f.params) for f in filterings(x.shape[-1])]
    return list(dict.fromkeys(found))


def integer_forms(step: Instruction) -> list[Form]:
    """The columns of a part to try, for products of 8-bit integers; their sums are always whole."""
    opcode, (*depth, _, rows) = form_of(step)
    tried = ((*depth, columns, rows) for columns in (*COLUMNS, LEAST_COLUMNS))
    return list(dict.fromkeys((form_of(step), *((opcode, params) for params in tried))))


def splits(product: Product) -> Iterator[Split]:
    """Sizes to try for a product."""
    for depth in DEPTHS:
        for columns in COLUMNS:
            yield split_by(product, depth, columns)


def filterings(channels: int) -> Iterator[Filtering]:
    """Winograd's filtering, in the ways to try."""
    for block in (7, 14, 28):
        yield Filtering(SIZE, channels, block, keep=True)
        yield Filtering(SIZE, min(channels, 64), block, keep=False)


def can_filter(step: Instruction, x: Tensor, w: Tensor) -> bool:
    """Whether the kernel ``winograd`` takes this convolution."""
    kernel, strides, dilations = step.params[:3], step.params[3:6], step.params[6:9]
    is_3x3 = kernel == (1, 3, 3) and strides == dilations == (1, 1, 1)
    packed = len(w.shape) == 3 and step.params[19] == 0
    return is_3x3 and packed and len(x.shape) == 4 and step.params[9] == 0 and step.params[12] == 1


def _key(program: Program, step: Instruction) -> Any:
    operands = (*step.inputs, *step.outputs)
    tensors = [None if n is None else program.tensors[n] for n in operands]
    forms = tuple(None if t is None else (t.dtype, t.shape, t.strides, t.ring) for t in tensors)
    return (step.opcode, forms, step.params)


def _measure(
    program: Program,
    step: Instruction,
    candidates: Sequence[Form],
    rounds: int,
    threads: int | None,
    isa: str | None,
) -> dict[Form, float]:
    """Seconds of the fastest run of each form."""
    engines = {}
    for form in candidates:
        alone = open_program(image(_alone(program, with_form(step, form))))
        engines[form] = Engine(alone, threads=threads, isa=isa)
        engines[form].run([])
    times = dict.fromkeys(candidates, float("inf"))
    for _ in range(rounds):
        for form, engine in engines.items():
            begin = time.perf_counter()
            engine.run([])
            times[form] = min(times[form], time.perf_counter() - begin)
    return times


def _alone(program: Program, step: Instruction) -> Program:
    """A program of one instruction, over zeros; operands that share memory still do."""
    ends = {Space.ARENA: 0, Space.WEIGHTS: 0}
    places: dict[Any, int] = {}
    tensors: list[Tensor] = []

    def moved(number: int | None) -> int | None:
        if number is None:
            return None
        tensor = program.tensors[number]
        space = Space.WEIGHTS if tensor.space is Space.WEIGHTS else Space.ARENA
        key = (tensor.space, tensor.index, tensor.offset)
        if key not in places:
            places[key] = ends[space]
            ends[space] += -(-tensor.span_bytes // ALIGNMENT) * ALIGNMENT
        tensors.append(replace(tensor, space=space, index=0, offset=places[key], name=""))
        return len(tensors) - 1

    inputs, outputs = tuple(map(moved, step.inputs)), tuple(map(moved, step.outputs))
    alone = replace(step, inputs=inputs, outputs=outputs)
    zeros = np.zeros(ends[Space.WEIGHTS], np.uint8)
    blocks = (Block("weights", 0, zeros.size, pieces=lambda: iter((zeros,))),)
    return Program(
        ends[Space.ARENA], tuple(tensors), (alone,), (), (), blocks if zeros.size else ()
    )
