"""What instructions read and write, before tensors have numbers and blocks have places.

In: a tensor and its block. Out: :class:`Operand`, which lowering functions hand around, and
:class:`Call`, an instruction over them.

>>> from pelemay.graph import DType
>>> from pelemay.program.program import Space, Tensor
>>> Operand(Tensor(DType.FLOAT32, (2, 3), (3, 1), Space.ARENA)).size
6
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from pelemay.graph import DType
from pelemay.program.program import Tensor


@dataclass(frozen=True, slots=True)
class Operand:
    """A view of memory that an instruction reads or writes.

    Parameters
    ----------
    tensor : Tensor
        Where it lies, its type and form.
    block : str
        Key of its block, where it lies among the weights: ``offset`` counts from the block then.
    """

    tensor: Tensor
    block: str = ""

    @property
    def dtype(self) -> DType:
        """Element type."""
        return self.tensor.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes."""
        return self.tensor.shape

    @property
    def strides(self) -> tuple[int, ...]:
        """Strides in elements."""
        return self.tensor.strides

    @property
    def rank(self) -> int:
        """Number of dimensions."""
        return len(self.tensor.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.tensor.shape)

    @property
    def is_contiguous(self) -> bool:
        """Whether the elements lie one after the other, in C order."""
        return self.tensor.is_contiguous

    def is_same_view(self, other: Operand) -> bool:
        """Whether both are the same elements at the same places: nothing to copy between them."""
        mine, others = self._view, other._view
        return mine == others

    @property
    def _view(self) -> tuple[Any, ...]:
        moving = tuple((n, s) for n, s in zip(self.shape, self.strides, strict=True) if n != 1)
        tensor = self.tensor
        return (tensor.space, tensor.index, tensor.offset, tensor.dtype, self.block, moving)


@dataclass(frozen=True, slots=True)
class Panels:
    """Packed weights as an instruction takes them.

    Parameters
    ----------
    weights : Operand
        The panels.
    scales : tuple of Operand
        One for each output channel, where the panels are whole numbers; else none.
    """

    weights: Operand
    scales: tuple[Operand, ...] = ()


@dataclass(frozen=True, slots=True)
class Call:
    """An instruction over operands; as :class:`~pelemay.program.program.Instruction` otherwise."""

    opcode: str
    inputs: tuple[Operand | None, ...]
    outputs: tuple[Operand | None, ...]
    params: tuple[int, ...]
    cost: int
    serial: bool
