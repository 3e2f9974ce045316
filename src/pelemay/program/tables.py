"""The tables of a program while it is made: numbers for tensors, places for blocks of weights.

In: calls over operands. Out: instructions; tensors and blocks, each once, in order of first use.

>>> weights = Weights()
>>> weights.offer("w", 100, lambda: iter(()))
>>> weights.offer("unused", 100, lambda: iter(()))
>>> weights.offset("w"), [block.name for block in weights.blocks()]
(0, ['w'])
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pelemay.errors import GraphError
from pelemay.program.operand import Call, Operand
from pelemay.program.program import ALIGNMENT, LARGE_BLOCK, PAGE, Block, Instruction, Tensor

if TYPE_CHECKING:
    from pelemay.program.program import Pieces


@dataclass
class _Offer:
    nbytes: int
    pieces: Pieces
    offset: int | None = None
    number: int = 0


class Weights:
    """The blocks of weights; one that is only offered, and never used, takes no room."""

    def __init__(self) -> None:
        self._offers: dict[str, _Offer] = {}
        self._used: list[str] = []
        self._end = 0

    def offer(self, key: str, nbytes: int, pieces: Pieces) -> None:
        """Say how a block is made; the first offer of a key counts.

        Raises
        ------
        GraphError
            If the same key is offered with another size: two layouts have one name.
        """
        known = self._offers.setdefault(key, _Offer(nbytes, pieces))
        if known.nbytes != nbytes:
            what = f"block '{key}' has {known.nbytes} bytes, and {nbytes} at its second use"
            raise GraphError(what, hint="give each layout its own key")

    def offset(self, key: str) -> int:
        """Where the block begins; it gets its place at first use."""
        offer = self._offers[key]
        if offer.offset is None:
            step = PAGE if offer.nbytes >= LARGE_BLOCK else ALIGNMENT
            offer.offset = -(-self._end // step) * step
            self._end = offer.offset + offer.nbytes
            offer.number = len(self._used)
            self._used.append(key)
        return offer.offset

    def number(self, key: str) -> int:
        """Which block it is; it gets its place at first use."""
        self.offset(key)
        return self._offers[key].number

    def blocks(self) -> tuple[Block, ...]:
        """Those in use, in the order of their places."""
        made = []
        for key in self._used:
            offer = self._offers[key]
            made.append(Block(key, offer.offset or 0, offer.nbytes, pieces=offer.pieces))
        return tuple(made)


class Tables:
    """The tensors and instructions; equal tensors share a row.

    Parameters
    ----------
    weights : Weights
        Gives the places of blocks.
    """

    def __init__(self, weights: Weights) -> None:
        self._weights = weights
        self._numbers: dict[Tensor, int] = {}
        self._instructions: list[Instruction] = []

    def add(self, call: Call, node: int, name: str, step: int = 0) -> None:
        """Append an instruction."""
        self._instructions.append(
            Instruction(
                call.opcode,
                tuple(map(self._number, call.inputs)),
                tuple(map(self._number, call.outputs)),
                call.params,
                call.cost,
                call.serial,
                node,
                name,
                step,
            )
        )

    def number(self, operand: Operand) -> int:
        """The row of an operand's tensor."""
        tensor = operand.tensor
        if operand.block:
            offset = self._weights.offset(operand.block) + tensor.offset
            tensor = replace(tensor, offset=offset, index=self._weights.number(operand.block))
        return self._numbers.setdefault(tensor, len(self._numbers))

    def _number(self, operand: Operand | None) -> int | None:
        return None if operand is None else self.number(operand)

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """All rows, in the order of their numbers."""
        return tuple(self._numbers)

    @property
    def instructions(self) -> tuple[Instruction, ...]:
        """All instructions, in order."""
        return tuple(self._instructions)
