"""What a plan is: an order, a place for every value, and the bytes that they take.

In: nothing. Out: frozen types. Bytes count from the start of a space: the arena is the engine's,
inputs and outputs are the caller's arrays, constants are weights in the program's file.

>>> relu = Placement("arena", "x", offset=64, strides=(8, 1))
>>> relu.space, relu.offset
('arena', 64)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pelemay.graph import Graph

ALIGNMENT = 64
"""Bytes that every buffer's offset in the arena is a multiple of."""

CHAIN_ROWS = "::rows"
"""Ends the name of the buffer of a chain's rows, behind the value that the chain ends in."""

Space = Literal["arena", "input", "output", "constant"]


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a value lies.

    Attributes
    ----------
    space : {"arena", "input", "output", "constant"}
        Whose memory it is.
    buffer : str
        The buffer of the arena, or the name of the input, output or constant.
    offset : int
        Bytes of the first element from the start of the arena, or of that input, output or
        constant.
    strides : tuple of int
        Elements from one index to the next, for each dimension.
    ring : int
        Rows, along axis 1, that are held at a time: row y lies at slot y modulo ``ring``. 0 means
        that all are held.
    """

    space: Space
    buffer: str
    offset: int
    strides: tuple[int, ...]
    ring: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """What is done at one time: a node, or some of its rows.

    Attributes
    ----------
    node : int
        Number of the node in the planned order.
    begin, end : int
        The rows of its output that it makes, [begin, end); both 0 for the whole node. A reduction
        over rows takes those of its operand.
    """

    node: int
    begin: int = 0
    end: int = 0

    @property
    def is_band(self) -> bool:
        """Whether it makes some rows only."""
        return self.end > 0


@dataclass(frozen=True, slots=True)
class Buffer:
    """A piece of the arena, and the steps during which it is held.

    Attributes
    ----------
    name : str
        Of a value that fills it.
    nbytes : int
        Its size.
    first, last : int
        Steps of the plan, both included.
    offset : int
        Bytes from the start of the arena; a multiple of the alignment.
    """

    name: str
    nbytes: int
    first: int
    last: int
    offset: int = 0

    @property
    def end(self) -> int:
        """The first byte behind it."""
        return self.offset + self.nbytes


@dataclass(frozen=True, slots=True)
class Copy:
    """Bytes that a node moves though its meaning is only a view.

    Attributes
    ----------
    node : int
        Its step in the order.
    value : str
        The operand that is copied.
    nbytes : int
        How much.
    """

    node: int
    value: str
    nbytes: int


@dataclass(frozen=True)
class Plan:
    """An order of the nodes and a place for every value.

    Attributes
    ----------
    graph : Graph
        The graph planned, its nodes in the planned order.
    placements : mapping
        Value name to place, for inputs, constants, outputs and what lies between.
    buffers : tuple of Buffer
        The pieces of the arena, by their first step.
    arena_bytes : int
        Size of the arena.
    lower_bound_bytes : int
        The largest sum of the sizes of buffers held at one step, each rounded up to the
        alignment: no placement of these buffers takes less.
    order_bound_bytes : int
        No order of the nodes takes less than this with these shared buffers; equal to the lower
        bound where the order is known to be the best.
    copies : tuple of Copy
        What is moved in memory though it could have been a view.
    steps : tuple of Step
        What is done, in order; every node once, as a whole, if not given.
    """

    graph: Graph
    placements: Mapping[str, Placement]
    buffers: tuple[Buffer, ...]
    arena_bytes: int
    lower_bound_bytes: int
    order_bound_bytes: int
    copies: tuple[Copy, ...] = ()
    steps: tuple[Step, ...] = ()

    def __post_init__(self) -> None:
        """Without steps: every node as a whole."""
        if not self.steps:
            whole = tuple(map(Step, range(len(self.graph.nodes))))
            object.__setattr__(self, "steps", whole)


def aligned(nbytes: int) -> int:
    """``nbytes`` rounded up to the alignment.

    >>> aligned(1), aligned(64)
    (64, 64)
    """
    return -(-nbytes // ALIGNMENT) * ALIGNMENT
