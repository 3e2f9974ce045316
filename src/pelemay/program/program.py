"""A program: flat instructions over tensors that have a place in memory.

In: what the lowering of a plan gives, or what a file holds. Out: a frozen :class:`Program`, which
is written to a file, run by the engine, or turned into C.

>>> from pelemay.graph import DType
>>> x = Tensor(DType.FLOAT32, (2, 3), (3, 1), Space.ARENA, offset=64)
>>> x.is_contiguous, x.span_bytes
(True, 24)
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pelemay.graph import DType

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Pieces = Callable[[], Iterator[npt.NDArray[np.generic]]]

ALIGNMENT = 64
"""Bytes that tables, blocks of weights and buffers of the arena are aligned to."""

PAGE = 4096
"""Bytes that the weights and each large block of them are aligned to."""

LARGE_BLOCK = 1 << 16
"""Bytes from which on a block begins at a page."""

MAX_RANK = 8
MAX_OPERANDS = 16

NATIVE_DTYPES = frozenset(
    {
        DType.FLOAT32, DType.FLOAT64, DType.FLOAT16, DType.BFLOAT16, DType.INT8, DType.INT16,
        DType.INT32, DType.INT64, DType.UINT8, DType.UINT16, DType.UINT32, DType.UINT64, DType.BOOL,
    }
)  # fmt: skip
"""Element types that a tensor of a program can have; ``native/vm/dtypes.def`` numbers them."""


class Space(enum.IntEnum):
    """Which memory a tensor lies in; the numbers are those of the file."""

    ARENA = 0
    WEIGHTS = 1
    INPUT = 2
    OUTPUT = 3


@dataclass(frozen=True, slots=True)
class Tensor:
    """A typed view of memory; one row of the tensor table.

    Parameters
    ----------
    dtype : DType
        One of :data:`NATIVE_DTYPES`.
    shape : tuple of int
        At most eight sizes.
    strides : tuple of int
        In elements, not negative.
    space : Space
        What ``offset`` counts from.
    index : int
        Which input or output, or which block of the weights, where the space is one of those.
    offset : int
        In bytes.
    ring : int
        Rows of the third dimension from the end that are held at a time; 0 means all.
    name : str
        The value that it shows, for messages.
    """

    dtype: DType
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    space: Space
    index: int = 0
    offset: int = 0
    ring: int = 0
    name: str = ""

    @property
    def is_contiguous(self) -> bool:
        """Whether the elements lie one after the other, in C order."""
        pairs = zip(self.shape, self.strides, contiguous_strides(self.shape), strict=True)
        return 0 in self.shape or all(n == 1 or s == wanted for n, s, wanted in pairs)

    @property
    def span_bytes(self) -> int:
        """Bytes from its first to its last byte."""
        if 0 in self.shape:
            return 0
        held = list(self.shape)
        if self.ring:
            held[-3] = min(self.ring, held[-3])
        last = sum((n - 1) * s for n, s in zip(held, self.strides, strict=True))
        return (last + 1) * self.dtype.numpy.itemsize


def contiguous_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Strides in elements of an array in C order.

    >>> contiguous_strides((2, 3, 4))
    (12, 4, 1)
    """
    return tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))


@dataclass(frozen=True, slots=True)
class Instruction:
    """One call of a kernel.

    Parameters
    ----------
    opcode : str
        A name of ``native/vm/opcodes.def``.
    inputs, outputs : tuple of int or None
        Numbers of tensors; None for an operand that is left out.
    params : tuple of int
        64-bit; a floating-point one as the bits of a double.
    cost : int
        Multiply-accumulates, or elements written.
    serial : bool
        Whether it is so small that one worker does it alone.
    node : int
        Number of the graph's node that it is made of.
    name : str
        How messages name that node.
    step : int
        Number of the plan's step that it is made of; 0 for a program that was read.
    """

    opcode: str
    inputs: tuple[int | None, ...]
    outputs: tuple[int | None, ...]
    params: tuple[int, ...] = ()
    cost: int = 0
    serial: bool = False
    node: int = 0
    name: str = ""
    step: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Block:
    """Bytes among the weights: a constant as it is, or packed for a kernel.

    Parameters
    ----------
    name : str
        Its constant, and how it is packed.
    offset, nbytes : int
        From the start of the weights.
    crc : int or None
        CRC-32 of its bytes; None before they are written.
    pieces : callable, optional
        Makes the bytes, a window at a time; None for a program that was read.
    """

    name: str
    offset: int
    nbytes: int
    crc: int | None = None
    pieces: Pieces | None = field(default=None, compare=False)


class Field(enum.IntEnum):
    """Which number of a row it is; those of the file, where a dimension's number is added."""

    PARAM = 0
    OFFSET = 1
    DIM = 2
    STRIDE = 2 + MAX_RANK


@dataclass(frozen=True, slots=True)
class Form:
    """A number of a program that depends on the size.

    Parameters
    ----------
    field : Field
        What it is a number of.
    row : int
        The tensor, or for a parameter the instruction.
    at : int
        The dimension, or the parameter; 0 for an offset.
    terms : tuple of int
        Of size number m, counted from 0, it is ``terms[0] + terms[1] m + terms[2] m (m - 1) / 2``.
    factor : int
        What that is multiplied with, for number n of a second size: 0 for 1, 1 for n, 2 for
        n (n - 1) / 2. Forms of one number are added.
    """

    field: Field
    row: int
    at: int
    terms: tuple[int, int, int]
    factor: int = 0

    def value(self, number: int, second: int = 0) -> int:
        """The number for a size.

        >>> [Form(Field.DIM, 0, 1, (16, 8, 2)).value(m) for m in range(4)]
        [16, 24, 34, 46]
        """
        constant, linear, square = self.terms
        found = constant + linear * number + square * (number * (number - 1) // 2)
        return found * (1, second, second * (second - 1) // 2)[self.factor]


@dataclass(frozen=True)
class Program:
    """Everything that a run needs.

    Parameters
    ----------
    arena_bytes : int
        Memory for the values between.
    tensors : tuple of Tensor
        The table that instructions refer to.
    instructions : tuple of Instruction
        In the order of the run.
    inputs, outputs : tuple of int
        Numbers of the tensors that the caller gives and takes, in order.
    blocks : tuple of Block
        The weights, in the order in which the run reads them first.
    metadata : mapping
        What JSON can hold; FORMAT.md has its keys.
    sizes : int
        How many sizes it is for. Its tables are those of the last, which is the largest.
    forms : tuple of Form
        What is different for the others; those of one number follow each other.
    across : int
        Where two sizes are independent, how many of ``sizes`` the second one alone makes: with m of
        the first and n of the second it is size number ``m + n * (sizes // across)``.
    """

    arena_bytes: int
    tensors: tuple[Tensor, ...]
    instructions: tuple[Instruction, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    blocks: tuple[Block, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    sizes: int = 1
    forms: tuple[Form, ...] = ()
    across: int = 1

    @property
    def weights_bytes(self) -> int:
        """Bytes of all blocks, with the gaps between them."""
        return max((block.offset + block.nbytes for block in self.blocks), default=0)
