"""The question of the order, without names: nodes, what must run before what, and pieces of memory.

In: the facts of a graph, and which values share memory. Out: a :class:`Problem`. A set of nodes is
an integer with a bit for each; a piece is held once a node that writes it has run, until all nodes
that use it have. So the bytes held depend only on which nodes have run, not on their order.

>>> relu = Problem.of_chain([4, 4, 2])
>>> relu.peak((0, 1, 2))
8
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from pelemay.plan.assign import Assignment
from pelemay.plan.facts import Facts
from pelemay.plan.storage import FOREVER
from pelemay.plan.types import aligned


@dataclass(frozen=True, slots=True)
class Piece:
    """Memory that is held from its first writer to its last user.

    Attributes
    ----------
    nbytes : int
        Its size.
    writers, users : int
        Sets of nodes; who writes it also uses it.
    """

    nbytes: int
    writers: int
    users: int


class Cost(NamedTuple):
    """What a node does to the bytes held: while it runs, and afterwards."""

    during: int
    after: int


@dataclass(frozen=True)
class Problem:
    """Nodes to be put in order.

    Attributes
    ----------
    before : tuple of int
        For each node, the set of those whose results it reads.
    pieces : tuple of Piece
        All memory that the order decides about.
    uses : tuple of tuple of int
        For each node, the pieces that it writes or reads.
    reuses : tuple of tuple of int
        For each node, pieces whose place its result may take when they are not used after it.
    """

    before: tuple[int, ...]
    pieces: tuple[Piece, ...]
    uses: tuple[tuple[int, ...], ...]
    reuses: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, facts: Facts, assignment: Assignment) -> Problem:
        """The question for a graph, its values sharing memory as in the assignment."""
        makers = {n: number for number, node in enumerate(facts.nodes) for n in node.makes}
        before = tuple(
            bits(makers[name] for name in node.reads if name in makers) for node in facts.nodes
        )
        pieces, index = _pieces(facts, assignment)
        uses: list[list[int]] = [[] for _ in facts.nodes]
        for number, piece in enumerate(pieces):
            for node in members(piece.users):
                uses[node].append(number)
        reuses = [_reuses(facts, assignment, number, index) for number in range(len(facts.nodes))]
        return cls(before, tuple(pieces), tuple(map(tuple, uses)), tuple(map(tuple, reuses)))

    @classmethod
    def of_chain(cls, sizes: Sequence[int]) -> Problem:
        """A chain of nodes, each reading what the one before makes."""
        last = len(sizes) - 1
        pieces = tuple(
            Piece(size, 1 << i, 1 << i | (1 << (i + 1) if i < last else 0))
            for i, size in enumerate(sizes)
        )
        uses = tuple((i,) if i == 0 else (i - 1, i) for i in range(len(sizes)))
        before = tuple(1 << (i - 1) if i else 0 for i in range(len(sizes)))
        return cls(before, pieces, uses, ((),) * len(sizes))

    @cached_property
    def after(self) -> tuple[int, ...]:
        """For each node, the set of those that read its results."""
        found = [0] * len(self.before)
        for node, sources in enumerate(self.before):
            for source in members(sources):
                found[source] |= 1 << node
        return tuple(found)

    @cached_property
    def earlier(self) -> tuple[int, ...]:
        """For each node, the set of all that must run before it."""
        return _closure(self.before, self._sequence)

    @cached_property
    def later(self) -> tuple[int, ...]:
        """For each node, the set of all that must run after it."""
        return _closure(self.after, self._sequence[::-1])

    @cached_property
    def _sequence(self) -> list[int]:
        """Some order in which every node comes after those it reads."""
        left = [sources.bit_count() for sources in self.before]
        ready = [node for node, count in enumerate(left) if not count]
        for node in ready:
            for reader in members(self.after[node]):
                left[reader] -= 1
                if not left[reader]:
                    ready.append(reader)
        return ready

    @cached_property
    def near(self) -> tuple[int, ...]:
        """For each node, the set of those whose cost changes when it has run."""
        found = list(self.after)
        for node, numbers in enumerate(self.uses):
            for number in numbers:
                found[node] |= self.pieces[number].users
        return tuple(found)

    def cost(self, done: int, held: int, node: int) -> Cost:
        """Bytes held while ``node`` runs after the set ``done``, of which ``held`` are kept."""
        now = done | 1 << node
        fresh = gone = 0
        for number in self.uses[node]:
            piece = self.pieces[number]
            fresh += 0 if piece.writers & done else piece.nbytes
            gone += 0 if piece.users & ~now else piece.nbytes
        saved = 0
        if fresh:
            for number in self.reuses[node]:
                piece = self.pieces[number]
                if not piece.users & ~now and piece.writers & done:
                    saved = max(saved, min(piece.nbytes, fresh))
        return Cost(held + fresh - saved, held + fresh - gone)

    def peak(self, order: Iterable[int], done: int = 0, held: int = 0) -> int:
        """The most bytes held while the nodes run in an order."""
        most = held
        for node in order:
            during, held = self.cost(done, held, node)
            most = max(most, during)
            done |= 1 << node
        return most

    def held(self, done: int) -> int:
        """Bytes held when a set of nodes has run."""
        return sum(p.nbytes for p in self.pieces if p.writers & done and p.users & ~done)


def bits(numbers: Iterable[int]) -> int:
    """The set of some numbers.

    >>> bits([0, 2])
    5
    """
    found = 0
    for number in numbers:
        found |= 1 << number
    return found


def members(found: int) -> Iterator[int]:
    """The numbers in a set, from the smallest.

    >>> list(members(5))
    [0, 2]
    """
    while found:
        low = found & -found
        yield low.bit_length() - 1
        found ^= low


def _closure(near: Sequence[int], order: Iterable[int]) -> tuple[int, ...]:
    found = [0] * len(near)
    for node in order:
        total = near[node]
        for other in members(near[node]):
            total |= found[other]
        found[node] = total
    return tuple(found)


def _pieces(facts: Facts, assignment: Assignment) -> tuple[list[Piece], dict[str, int]]:
    """Every storage of the arena as a piece, and the piece that each value fills as a whole."""
    forest, order = assignment.forest, assignment.order
    pieces: list[Piece] = []
    fills: dict[str, int] = {}
    for storage in forest.storages():
        nbytes = facts.nbytes(storage.root)
        if storage.owner or not nbytes:
            continue
        writers = bits(order[atom.step] for atom in storage.atoms)
        steps = {t.step for name in storage.members for t in forest.touches[name]} - {FOREVER}
        users = writers | bits(order[step] for step in steps)
        whole = (name for name in storage.members if facts.nbytes(name) == nbytes)
        fills.update(dict.fromkeys(whole, len(pieces)))
        pieces.append(Piece(aligned(nbytes), writers, users))
    return pieces, fills


def _reuses(facts: Facts, assignment: Assignment, number: int, fills: dict[str, int]) -> list[int]:
    node, forest = facts.nodes[number], assignment.forest
    if not node.in_place or node.makes[0] not in fills:
        return []
    output = node.makes[0]
    size, itemsize = facts.nbytes(output), facts.itemsizes[output]
    return [
        fills[name]
        for name in node.in_place
        if name in fills
        and (facts.nbytes(name), facts.itemsizes[name]) == (size, itemsize)
        and forest.storage_of[name] is not forest.storage_of[output]
    ]
