"""What a chain is made of, and how it runs: frozen types.

In: nothing. Out: links, rows that are held, bandings.

>>> Held(("a",), (1, 8, 8, 4), 4, rows=3).nbytes
384
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from pelemay.plan.bands.rows import ROWS, Local, Reach
from pelemay.plan.layout import Ints
from pelemay.plan.types import aligned


@dataclass(frozen=True, slots=True)
class Read:
    """An operand of a link that is read by rows."""

    name: str
    reach: Reach


@dataclass(frozen=True)
class Link:
    """A node of a chain.

    Attributes
    ----------
    number : int
        Of the node, among the facts'.
    name : str
        The value that it makes.
    local : Local
        How it works by rows.
    reads : tuple of Read
        Operands that it reads by rows; views are named by what they show.
    """

    number: int
    name: str
    local: Local
    reads: tuple[Read, ...]


@dataclass(frozen=True)
class Held:
    """Rows of values that share memory.

    Attributes
    ----------
    members : tuple of str
        The values, in the order in which they are made; row y of each lies at slot y modulo
        ``rows``.
    shape : tuple of int
        Of each of them, whole.
    itemsize : int
        Bytes of an element.
    rows : int
        Slots.
    """

    members: tuple[str, ...]
    shape: Ints
    itemsize: int
    rows: int

    @property
    def nbytes(self) -> int:
        """All slots."""
        return self.rows * math.prod(self.shape[ROWS + 1 :]) * self.itemsize


@dataclass(frozen=True)
class Banding:
    """How a chain runs.

    Attributes
    ----------
    steps : tuple of (int, int, int)
        A node's number, and the rows [begin, end) that it makes.
    rings : tuple of Held
        Values of which only some rows are held.
    guests : mapping
        Value to the whole value in whose memory its rows lie.
    replaced : mapping
        Whole value of the chain to the whole operand whose place it may take.
    """

    steps: tuple[tuple[int, int, int], ...]
    rings: tuple[Held, ...]
    guests: Mapping[str, str]
    replaced: Mapping[str, str]

    @property
    def ring_bytes(self) -> int:
        """All rings, each rounded up to the alignment."""
        return sum(aligned(ring.nbytes) for ring in self.rings)
