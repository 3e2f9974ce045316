"""Several programs in one file, over the same weights.

In: programs of one model, for different shapes. Out: :class:`Plans`, in which every block of
weights lies once, whoever reads it: blocks of different programs are one if their bytes are.

>>> Plans.of([Program(64, (), (), (), ())]).programs[0].arena_bytes
64
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pelemay.program.program import (
    ALIGNMENT,
    LARGE_BLOCK,
    PAGE,
    Block,
    Field,
    Form,
    Program,
    Space,
    Tensor,
)


@dataclass(frozen=True)
class Plans:
    """What one file holds.

    Attributes
    ----------
    programs : tuple of Program
        Offsets of their blocks count from the start of the weights of all.
    blocks : tuple of Block
        Those of all programs, each once, by their places.
    """

    programs: tuple[Program, ...]
    blocks: tuple[Block, ...]

    @classmethod
    def of(cls, programs: Sequence[Program], release: Callable[[], None] | None = None) -> Plans:
        """Put the weights of several programs together.

        Parameters
        ----------
        programs : sequence of Program
            At least one.
        release : callable, optional
            Called after each block that was read: gives back memory that the source of the weights
            is mapped to.
        """
        if len(programs) == 1:
            return cls(tuple(programs), programs[0].blocks)
        store = _Store(programs, release or (lambda: None))
        return cls(tuple(map(store.moved, programs)), tuple(store.blocks))

    @property
    def weights_bytes(self) -> int:
        """Bytes of all blocks, with the gaps between them."""
        return max((block.offset + block.nbytes for block in self.blocks), default=0)

    @property
    def are_listed(self) -> bool:
        """Whether there is more to say than the header of one program for one size can."""
        return len(self.programs) > 1 or self.programs[0].sizes > 1

    def written(self, blocks: Iterable[Block]) -> Plans:
        """The same with the checksums of the blocks that were written."""
        found = {(block.offset, block.nbytes): block for block in blocks}
        programs = (
            replace(p, blocks=tuple(_with_crc(b, found[b.offset, b.nbytes]) for b in p.blocks))
            for p in self.programs
        )
        return Plans(tuple(programs), tuple(found[b.offset, b.nbytes] for b in self.blocks))


def _with_crc(block: Block, written: Block) -> Block:
    return replace(block, crc=written.crc)


class _Store:
    """The blocks of all programs, placed one behind the other."""

    def __init__(self, programs: Sequence[Program], release: Callable[[], None]) -> None:
        self.blocks: list[Block] = []
        self._end = 0
        self._release = release
        self._kept: dict[tuple[int, bytes, int], Block] = {}
        sizes = Counter(nbytes for p in programs for nbytes in {b.nbytes for b in p.blocks})
        self._shared = {nbytes for nbytes, count in sizes.items() if count > 1}

    def moved(self, program: Program) -> Program:
        """The program with its blocks where the store has them."""
        seen: Counter[tuple[int, bytes]] = Counter()
        blocks = tuple(self._place(block, seen) for block in program.blocks)
        moves = [new.offset - old.offset for new, old in zip(blocks, program.blocks, strict=True)]
        rows = {
            row: moves[t.index]
            for row, t in enumerate(program.tensors)
            if t.space is Space.WEIGHTS and moves[t.index]
        }
        tensors = (_moved(t, rows.get(row, 0)) for row, t in enumerate(program.tensors))
        forms = tuple(_form_moved(form, rows) for form in program.forms)
        return replace(program, tensors=tuple(tensors), blocks=blocks, forms=forms)

    def _place(self, block: Block, seen: Counter[tuple[int, bytes]]) -> Block:
        if block.nbytes not in self._shared:
            return self._add(block)
        content = (block.nbytes, self._digest(block))
        # Equal blocks of one program stay apart: the engine takes each for one of its own.
        key = (*content, seen[content])
        seen[content] += 1
        if key not in self._kept:
            self._kept[key] = self._add(block)
        kept = self._kept[key]
        return replace(block, offset=kept.offset)

    def _add(self, block: Block) -> Block:
        step = PAGE if block.nbytes >= LARGE_BLOCK else ALIGNMENT
        placed = replace(block, offset=-(-self._end // step) * step)
        self._end = placed.offset + placed.nbytes
        self.blocks.append(placed)
        return placed

    def _digest(self, block: Block) -> bytes:
        found = hashlib.sha256()
        for piece in block.pieces() if block.pieces else ():
            found.update(np.ascontiguousarray(piece).reshape(-1).view(np.uint8).data)
        self._release()
        return found.digest()


def _moved(tensor: Tensor, move: int) -> Tensor:
    return replace(tensor, offset=tensor.offset + move) if move else tensor


def _form_moved(form: Form, rows: Mapping[int, int]) -> Form:
    moves = form.field is Field.OFFSET and not form.factor
    move = rows.get(form.row, 0) if moves else 0
    constant, linear, square = form.terms
    return replace(form, terms=(constant + move, linear, square))
