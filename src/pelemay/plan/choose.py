"""Choosing an order and what shares memory, together.

In: the facts of a graph. Out: the :class:`Choice` with the lowest peak that was found. What shares
memory decides which order is best, and the order decides what can share; so they are found in turn.
Sharing can cost memory too: the parts of a concatenation in place hold all of it from the first
part on. Where the peak holds such bytes, copies are tried instead.

>>> from pelemay.graph import DType, Graph, Node, TensorType
>>> t = TensorType(DType.FLOAT32, (16,))
>>> graph = Graph("g", {"x": t}, {"y": t}, (Node("Relu", ("x",), ("y",)),))
>>> choose(Facts.of(graph)).peak_bytes
0
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from pelemay.plan.assign import Assignment, Wish, assign
from pelemay.plan.facts import Facts
from pelemay.plan.lifetimes import buffers_of, live_bytes
from pelemay.plan.order import Problem, order_nodes
from pelemay.plan.storage import Storage
from pelemay.plan.types import Buffer

TRIES = 60
"""Assignments that are made in search of a lower peak."""

PAIRS = 500_000
"""Pairs of parts of one concatenation that are looked at in all of these assignments."""

FEWEST = 4
"""Assignments that are made however many parts there are."""

WORTH = 0.01
"""The part of the peak that copies must save, or they are not made."""


@dataclass(frozen=True)
class Choice:
    """An order, what shares memory in it, and what that takes.

    Attributes
    ----------
    facts : Facts
        Of the graph.
    assignment : Assignment
        The order, and who shares memory with whom.
    refused : frozenset of Wish
        What was not allowed to share.
    order_bound_bytes : int
        No order of the nodes takes less, as far as the search for it knows.
    """

    facts: Facts
    assignment: Assignment
    refused: frozenset[Wish]
    order_bound_bytes: int = 0

    @cached_property
    def buffers(self) -> tuple[Buffer, ...]:
        """The buffers, without offsets."""
        return buffers_of(self.assignment)

    @cached_property
    def profile(self) -> list[int]:
        """Bytes held at each step."""
        return live_bytes(self.buffers, len(self.assignment.order))

    @cached_property
    def peak_bytes(self) -> int:
        """The most bytes held at one step."""
        return max(self.profile, default=0)

    @cached_property
    def copied_bytes(self) -> int:
        """Bytes moved by nodes that could be views."""
        sizes = (
            self.facts.nbytes(wish.value if wish.kind == "view" else wish.operand)
            for wish in self.assignment.copied
        )
        return sum(sizes)

    @property
    def score(self) -> tuple[int, int, int]:
        """What is compared: the peak, how often it is reached, what is copied."""
        return self.peak_bytes, self.profile.count(self.peak_bytes), self.copied_bytes


def choose(facts: Facts, tries: int = TRIES) -> Choice:
    """Find an order and what shares memory.

    Parameters
    ----------
    facts : Facts
        Of the graph.
    tries : int
        Assignments that may be made in search of a lower peak.
    """
    given = range(len(facts.nodes))
    plain = _ordered(facts, given, frozenset())
    parts = frozenset(wish for wish in plain.assignment.granted if wish.kind == "part")
    tries = min(tries, max(FEWEST, PAIRS // max(1, _pairs(parts))))
    best = _improved(plain, tries)
    if parts:
        apart = _improved(_ordered(facts, given, parts), tries // 2)
        best = min(best, apart, key=lambda choice: choice.score)
    if best.peak_bytes > plain.peak_bytes * (1 - WORTH):
        return plain
    return best


def _pairs(parts: Collection[Wish]) -> int:
    """How many pairs an assignment compares: each part with all of its concatenation."""
    return sum(count**2 for count in Counter(wish.value for wish in parts).values())


def _ordered(facts: Facts, order: Sequence[int], refused: frozenset[Wish]) -> Choice:
    """The better of an order and the one that the search finds for what shares memory in it."""
    shared = assign(facts, order, refused, in_place=False)
    found = order_nodes(Problem.of(facts, shared))
    choices = [
        Choice(facts, assign(facts, way, refused), refused, found.bound)
        for way in dict.fromkeys((tuple(order), found.order))
    ]
    return min(choices, key=lambda choice: choice.score)


def _improved(choice: Choice, tries: int) -> Choice:
    """Refuse what makes the peak high, one wish or group of wishes after the other."""
    best, left, again = choice, tries, True
    while again and left > 0:
        again = False
        for group in _suspects(best):
            if left <= 0:
                break
            left -= 1
            refused = best.refused | group
            order = best.assignment.order
            made = Choice(best.facts, assign(best.facts, order, refused), refused)
            if made.score < best.score:
                best, again = _ordered(best.facts, order, refused), True
                break
    return best


def _suspects(choice: Choice) -> Iterator[frozenset[Wish]]:
    """Groups of wishes by which bytes are held at the peak that hold nothing."""
    forest = choice.assignment.forest
    step = choice.profile.index(choice.peak_bytes) if choice.profile else 0
    held = {b.name for b in choice.buffers if b.first <= step <= b.last}
    idle = [
        (spare, storage)
        for storage in forest.storages()
        if storage.root in held and (spare := _spare_bytes(choice, storage, step)) > 0
    ]
    idle.sort(key=lambda pair: -pair[0])
    for _, storage in idle:
        inside = set(storage.members)
        granted = [
            wish
            for wish in choice.assignment.granted
            if wish.kind != "place" and wish.value in inside and wish.operand in inside
        ]
        yield from _groups(granted)


def _groups(granted: Collection[Wish]) -> Iterator[frozenset[Wish]]:
    """All wishes of a concatenation together, and each alone."""
    for value in dict.fromkeys(wish.value for wish in granted):
        group = [wish for wish in granted if wish.value == value]
        if len(group) > 1:
            yield frozenset(group)
        for wish in group:
            yield frozenset([wish])


def _spare_bytes(choice: Choice, storage: Storage, step: int) -> int:
    """Bytes of a storage that hold nothing of use at a step."""
    forest, facts = choice.assignment.forest, choice.facts
    needed = {
        atom
        for name in storage.members
        if any(touch.step >= step for touch in forest.touches[name])
        for atom in forest.atoms_of(name)
        if atom.step <= step
    }
    sizes = (forest.atom_elements(atom) * facts.itemsizes[storage.root] for atom in needed)
    return facts.nbytes(storage.root) - sum(sizes)
