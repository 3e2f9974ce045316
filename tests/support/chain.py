"""A program of many instructions that needs no compiler: softmaxes, one after the other."""

from __future__ import annotations

import itertools

import numpy as np

from pelemay.graph import DType
from pelemay.program.image import image
from pelemay.program.program import Instruction, Program, Space, Tensor, contiguous_strides

PLAIN = 0


def chain(shape: tuple[int, ...], steps: int, name: str = "step", *, serial: bool = False) -> bytes:
    """A program of softmaxes along the last axis, one after the other: ``"step 0"`` and so on."""
    strides, size = contiguous_strides(shape), int(np.prod(shape)) * 4
    kinds = (
        (Space.INPUT, 0), (Space.OUTPUT, 0), (Space.ARENA, 0), (Space.ARENA, -(-size // 64) * 64),
    )  # fmt: skip
    tensors = tuple(
        Tensor(DType.FLOAT32, shape, strides, s, offset=o, name=s.name.lower()) for s, o in kinds
    )
    params = (PLAIN, len(shape) - 1)
    places = [0, *(2 + i % 2 for i in range(steps - 1)), 1]
    instructions = tuple(
        Instruction("softmax", (a,), (b,), params, name=f"{name} {i}", serial=serial)
        for i, (a, b) in enumerate(itertools.pairwise(places))
    )
    arena = 2 * (-(-size // 64) * 64)
    return image(Program(arena, tensors, instructions, (0,), (1,)))
