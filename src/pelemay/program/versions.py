"""Blocks of weights whose bytes depend on the size: masks, positions, tables of a Resize.

In: the blocks of the programs for some sizes, the largest first. Out: blocks that hold what all of
them need. A block that is the beginning of the largest one's is in there already; of any other all
versions lie one behind the other, as long as that is not much.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from pelemay.graph import Constant, Graph
from pelemay.passes.derived import Derived
from pelemay.program.program import ALIGNMENT, LARGE_BLOCK, PAGE, Block

MOST_BYTES = 8 << 20
"""Of all versions of a block."""

Place = tuple[int, int]
"""How many sizes below the largest, of the first size and of the second."""

Steps = tuple[int, int]
"""Bytes from the version of a block to that for the next first size, and for the next second."""


class Versions:
    """The blocks of a program, and what they are for other sizes.

    Parameters
    ----------
    blocks : sequence of Block
        Of the program for the largest size.

    Attributes
    ----------
    varies : bool
        Whether there is a block of which all versions have to be kept.
    """

    def __init__(self, blocks: Sequence[Block]) -> None:
        self._blocks = tuple(blocks)
        self._largest: dict[int, bytes] = {}
        self._found: dict[int, dict[Place, bytes]] = {}
        self._count = 1
        self.varies = False

    def add(self, blocks: Sequence[Block], changed: Collection[str], at: Place) -> str:
        """Take those for a smaller size; gives what speaks against it, or an empty text.

        Parameters
        ----------
        blocks : sequence of Block
            As many, in the same order.
        changed : collection of str
            Constants that have other values than for the largest size.
        at : tuple of int
            Which size it is.
        """
        made: dict[int, bytes] = {}
        for number, (block, first) in enumerate(zip(blocks, self._blocks, strict=True)):
            if _is_same(block, first) and not _is_of(block, changed):
                continue
            if number not in self._largest:
                self._largest[number] = _bytes_of(first)
            data = _bytes_of(block)
            if not self._largest[number].startswith(data):
                if max(block.nbytes, first.nbytes) * (self._count + 1) > MOST_BYTES:
                    return f"the values of '{first.name}' are others for each size, and many"
                made[number] = data
        for number, data in made.items():
            self._found.setdefault(number, {})[at] = data
        self._count += 1
        self.varies = bool(self._found)
        return ""

    def blocks(self, counts: Place) -> tuple[tuple[Block, ...], list[Steps]]:
        """The blocks for so many sizes, and how far the versions of each lie apart; 0 for one."""
        placed, steps, end = [], [], 0
        for number, block in enumerate(self._blocks):
            found = self._found.get(number, {})
            within = {p: data for p, data in found.items() if p[0] < counts[0] and p[1] < counts[1]}
            block, step = self._joined(number, within, counts) if within else (block, (0, 0))
            align = PAGE if block.nbytes >= LARGE_BLOCK else ALIGNMENT
            placed.append(replace(block, offset=-(-end // align) * align))
            end = placed[-1].offset + block.nbytes
            steps.append(step)
        return tuple(placed), steps

    def _joined(
        self, number: int, found: Mapping[Place, bytes], counts: Place
    ) -> tuple[Block, Steps]:
        """A block of all versions; of both sizes, or of the one that they depend on."""
        largest = self._largest[number]

        def at(i: int, j: int) -> bytes:
            return found.get((i, j), largest)

        first, second = range(counts[0])[::-1], range(counts[1])[::-1]
        if all(at(i, j) == at(i, 0) for i in first for j in second):
            second = range(1)
        elif all(at(i, j) == at(0, j) for i in first for j in second):
            first = range(1)
        step = -(-max(len(largest), *map(len, found.values())) // ALIGNMENT) * ALIGNMENT
        ascending = b"".join(at(i, j).ljust(step, b"\0") for j in second for i in first)
        data = np.frombuffer(ascending, np.uint8)
        name = f"{self._blocks[number].name}:sizes"
        steps = step * (len(first) > 1), step * len(first) * (len(second) > 1)
        return Block(name, 0, len(ascending), pieces=partial(_once, data)), steps


def changed_constants(graph: Graph, largest: Graph) -> frozenset[str]:
    """Constants of a graph that do not have the values that they have for the largest size."""
    others = largest.constants
    return frozenset(n for n, c in graph.constants.items() if not _is_equal(c, others[n]))


def _is_equal(a: Constant, b: Constant) -> bool:
    """Whether two constants hold the same; large ones are not read for it where it can be seen."""
    if a is b:
        return True
    if (a.dtype, a.shape) != (b.dtype, b.shape):
        return False
    if isinstance(a, Derived) and isinstance(b, Derived) and _is_same_recipe(a, b):
        return all(map(_is_equal, a.sources, b.sources))
    return a.array().tobytes() == b.array().tobytes()


def _is_same_recipe(a: Derived, b: Derived) -> bool:
    """Whether both follow one recipe; False where that cannot be seen."""
    if (a.operation, len(a.sources)) != (b.operation, len(b.sources)):
        return False
    first, second = (getattr(c.compute, "__code__", None) for c in (a, b))
    cells = [
        [c.cell_contents for c in getattr(x.compute, "__closure__", None) or ()] for x in (a, b)
    ]
    return first is not None and first is second and all(map(_is_same_setting, *cells))


def _is_same_setting(a: Any, b: Any) -> bool:
    plain = (int, float, str, bool, tuple, type(None))
    return a is b or (isinstance(a, plain) and type(a) is type(b) and a == b)


def _once(data: npt.NDArray[Any]) -> Iterator[npt.NDArray[Any]]:
    yield data


def _is_same(block: Block, first: Block) -> bool:
    return (block.name, block.nbytes) == (first.name, first.nbytes)


def _is_of(block: Block, constants: Collection[str]) -> bool:
    """Whether it is made of one of these; blocks are named like constant and layout."""
    return any(block.name.startswith(f"{name}:") for name in constants)


def _bytes_of(block: Block) -> bytes:
    pieces = block.pieces() if block.pieces else ()
    return b"".join(np.ascontiguousarray(piece).tobytes() for piece in pieces)
