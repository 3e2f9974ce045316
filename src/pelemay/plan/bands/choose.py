"""Where chains begin and end, and how many rows they go by: the least time within a limit.

In: the facts of a graph, what shares memory when all values are whole, and a limit in bytes. Out:
a :class:`Cut`: some chains; all other nodes run whole. Between chains values are whole, so that
what a chain takes is what lies beside it, its own whole values and its rows.

The best cuts are found by dynamic programming over the places of the order where few bytes cross.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

from pelemay.plan.bands.banding import Banding
from pelemay.plan.bands.chain import MOST_NODES, Chain
from pelemay.plan.bands.cost import estimate
from pelemay.plan.bands.rows import Way, local
from pelemay.plan.choose import Choice
from pelemay.plan.types import aligned

GRAINS = (64, 32, 16, 12, 8, 6, 4, 3, 2, 1)
"""Rows that each node of a chain makes at a time."""


@dataclass(frozen=True)
class Band:
    """A chain, and how it runs: with so many rows of each node at a time."""

    chain: Chain
    banding: Banding
    grain: int


@dataclass(frozen=True)
class Cut:
    """Which nodes run as chains.

    Attributes
    ----------
    bands : tuple of Band
        In order.
    nbytes : int
        The most bytes of the arena that are held at one time, as far as can be told before
        offsets are found.
    micros : float
        The estimated time.
    """

    bands: tuple[Band, ...]
    nbytes: int
    micros: float


class Cutter:
    """Finds cuts for one graph; what it learns of chains serves for all limits.

    Parameters
    ----------
    choice : Choice
        An order, and what shares memory with all values whole.
    """

    def __init__(self, choice: Choice) -> None:
        self.facts, self.choice = choice.facts, choice
        self.order = choice.assignment.order
        graph = self.facts.graph
        self.locals_ = [local(graph, node) for node in graph.nodes]
        self._chains: dict[tuple[int, int], Chain | None] = {}
        self._bandings: dict[tuple[int, int, int], Banding] = {}
        self._too_small: dict[tuple[int, int, int], int] = {}
        self._micros: dict[int, list[float]] = {}
        self._beside: dict[tuple[int, int], int] = {}

    @cached_property
    def last_reads(self) -> Mapping[str, int]:
        """The last place of the order at which each value is read."""
        found: dict[str, int] = {}
        for at, number in enumerate(self.order):
            found.update(dict.fromkeys(self.facts.nodes[number].reads, at))
        found.update(dict.fromkeys(self.facts.graph.outputs, len(self.order)))
        return found

    @cached_property
    def places(self) -> tuple[int, ...]:
        """Where chains may begin and end: between nodes, where few bytes cross."""
        count, crossing = len(self.order), self._crossing
        found = []
        for at in range(count + 1):
            before = crossing[at - 1] if at else math.inf
            after = crossing[at + 1] if at < count else math.inf
            if self._breaks(at) or (crossing[at] <= before and crossing[at] <= after):
                found.append(at)
        return tuple(found)

    def _breaks(self, at: int) -> bool:
        """Whether a node that needs whole values, or a view for one, is on one side."""
        around = [self.order[i] for i in (at - 1, at) if 0 <= i < len(self.order)]
        found = [self.locals_[number] for number in around]
        return len(found) < 2 or any(f is None or f.way is Way.VIEW for f in found)

    def chain(self, begin: int, end: int) -> Chain | None:
        """The nodes between two places, if they can be done by rows."""
        key = (begin, end)
        if key not in self._chains:
            numbers = self.order[begin:end]
            made = Chain(self.facts, self.locals_, numbers, self._dying(begin, end))
            self._chains[key] = made if made.is_possible else None
        return self._chains[key]

    def _dying(self, begin: int, end: int) -> set[str]:
        """Whole values of the arena that are read here for the last time, and lie alone."""
        names = {n for number in self.order[begin:end] for n in self.facts.nodes[number].reads}
        made = {n for number in self.order[begin:end] for n in self.facts.nodes[number].makes}
        return {
            n
            for n in names - made
            if n not in self.facts.owners and self.last_reads[n] < end and n in self._alone
        }

    @cached_property
    def _alone(self) -> frozenset[str]:
        """Values that are no view, and of which no view is made."""
        shown: set[str] = set()
        for node in self.facts.nodes:
            if node.views is not None or node.parts is not None:
                shown.update(node.reads)
                shown.update(node.makes)
        made = {n for node in self.facts.nodes for n in node.makes}
        return frozenset(made - shown)

    def banding(self, begin: int, end: int, grain: int) -> Banding:
        """How the chain between two places runs."""
        key = (begin, end, grain)
        if key not in self._bandings:
            chain = self.chain(begin, end)
            assert chain is not None
            found = chain.banding(grain)
            assert found is not None
            self._bandings[key] = found
        return self._bandings[key]

    def beside(self, begin: int, end: int) -> int:
        """Bytes that are held during a chain, without its rows."""
        key = (begin, end)
        if key not in self._beside:
            self._beside[key] = self._held_beside(begin, end)
        return self._beside[key]

    def _held_beside(self, begin: int, end: int) -> int:
        chain = self.chain(begin, end)
        assert chain is not None
        # Which operand an output replaces does not depend on how many rows are made at a time.
        replaced = chain.replaced
        new = (n for n in chain.outputs if n not in self.facts.owners and n not in replaced)
        return self._crossing[begin] + sum(aligned(self.facts.nbytes(name)) for name in new)

    @cached_property
    def _crossing(self) -> list[int]:
        """Bytes of the values that are made before each place and read after it."""
        owners, count = self.facts.owners, len(self.order)
        last = dict(self.last_reads)
        bases: dict[str, str] = {}
        made: dict[str, int] = {}
        for at, number in enumerate(self.order):
            node = self.facts.nodes[number]
            for name in node.makes:
                bases[name] = name
                if self._is_view(number, name):
                    bases[name] = bases.get(node.operands[0], node.operands[0])
                else:
                    made[name] = at
        for name, base in bases.items():
            last[base] = max(last.get(base, -1), last.get(name, -1))
        changes = [0] * (count + 2)
        for name, at in made.items():
            if name not in owners and last.get(name, -1) > at:
                changes[at + 1] += aligned(self.facts.nbytes(name))
                changes[last[name] + 1] -= aligned(self.facts.nbytes(name))
        return list(accumulate(changes))

    def _is_view(self, number: int, name: str) -> bool:
        """Whether a whole value takes no memory of its own."""
        return self.facts.nodes[number].views is not None and name not in self._copied

    @cached_property
    def _copied(self) -> frozenset[str]:
        """What could be a view, but is better copied or has to be."""
        return frozenset(w.value for w in self.choice.assignment.copied if w.kind == "view")

    @cached_property
    def profile(self) -> list[int]:
        """Bytes held while each node runs whole: as planned, or with what is joined copied."""
        crossing, facts = self._crossing, self.facts
        found = []
        for at, number in enumerate(self.order):
            node = facts.nodes[number]
            new = [n for n in node.makes if n not in facts.owners and not self._is_view(number, n)]
            replaces = any(self.last_reads[n] == at and n in self._alone for n in node.in_place)
            made = 0 if replaces else sum(aligned(facts.nbytes(n)) for n in new)
            found.append(min(crossing[at] + made, self.choice.profile[at]))
        return found

    def nbytes(self, begin: int, end: int, grain: int) -> int:
        """Bytes held during a chain."""
        return self.beside(begin, end) + self.banding(begin, end, grain).ring_bytes

    def fits(self, begin: int, end: int, grain: int, limit: int) -> bool:
        """Whether a chain keeps to a limit; no more is found out than it takes to say so."""
        key = (begin, end, grain)
        if key in self._bandings:
            return self.nbytes(begin, end, grain) <= limit
        room = limit - self.beside(begin, end)
        if room < self._too_small.get(key, 0):
            return False
        chain = self.chain(begin, end)
        assert chain is not None
        found = chain.banding(grain, room)
        if found is None:
            self._too_small[key] = room + 1
            return False
        self._bandings[key] = found
        return True

    def micros(self, begin: int, end: int, grain: int) -> float:
        """Estimated time of a chain."""
        if grain not in self._micros:
            found = [self._micros_of(number, grain) for number in self.order]
            self._micros[grain] = list(accumulate(found, initial=0.0))
        sums = self._micros[grain]
        return sums[end] - sums[begin]

    def _micros_of(self, number: int, grain: int) -> float:
        found = self.locals_[number]
        if found is None or found.way is Way.VIEW:
            return 0.0
        return estimate(self.facts, number, math.ceil(found.rows / found.grain(grain)))

    def whole(self, at: int) -> float:
        """Estimated time of one node as a whole."""
        number = self.order[at]
        if self.facts.nodes[number].views is not None:
            return 0.0
        return estimate(self.facts, number)

    def least(self) -> int:
        """The smallest limit for which there is a cut."""
        low, high = 0, max(self.profile, default=0)
        best = self.cut(high)
        assert best is not None
        most = best.nbytes
        while most - low > max(4096, most // 256):
            middle = (low + most) // 2
            found = self.cut(middle)
            if found is None:
                low = middle
            else:
                most = found.nbytes
        return most

    def cut(self, limit: int) -> Cut | None:
        """The fastest way to stay within a limit, or None."""
        count, profile = len(self.order), self.profile
        over = [0]
        for held in profile:
            over.append(over[-1] + (held > limit))
        best: list[tuple[float, int, int]] = [(math.inf, -1, 0)] * (count + 1)
        best[0] = (0.0, -1, 0)
        places = set(self.places)
        for end in range(1, count + 1):
            if profile[end - 1] <= limit and best[end - 1][0] < math.inf:
                best[end] = (best[end - 1][0] + self.whole(end - 1), end - 1, 0)
            if end not in places:
                continue
            for begin, grain in self._chains_to(end, limit, over, best):
                time = best[begin][0] + self.micros(begin, end, grain)
                if time < best[end][0]:
                    best[end] = (time, begin, grain)
        return self._traced(best) if best[count][0] < math.inf else None

    def _chains_to(
        self, end: int, limit: int, over: list[int], best: list[tuple[float, int, int]]
    ) -> Iterator[tuple[int, int]]:
        """Chains that end here, go round something too large, and fit."""
        for begin in reversed(self.places):
            if begin >= end or best[begin][0] == math.inf:
                continue
            if end - begin > MOST_NODES:
                return
            if over[begin] == over[end] or self._crossing[begin] > limit:
                continue
            if best[begin][0] + self.micros(begin, end, GRAINS[0]) >= best[end][0]:
                continue
            if self.chain(begin, end) is None:
                if any(self.locals_[self.order[i]] is None for i in range(begin, end)):
                    return
                continue
            if self.beside(begin, end) > limit:
                continue
            grain = self._grain(begin, end, limit)
            if grain:
                yield begin, grain

    def _grain(self, begin: int, end: int, limit: int) -> int:
        """The most rows at a time that fit; 0 if none do."""
        if not self.fits(begin, end, 1, limit):
            return 0
        low, high = 0, len(GRAINS) - 1
        while low < high:
            middle = (low + high) // 2
            if self.fits(begin, end, GRAINS[middle], limit):
                high = middle
            else:
                low = middle + 1
        return GRAINS[low]

    def _traced(self, best: list[tuple[float, int, int]]) -> Cut:
        bands: list[Band] = []
        held, at = 0, len(self.order)
        while at > 0:
            _, begin, grain = best[at]
            if grain:
                chain = self.chain(begin, at)
                assert chain is not None
                bands.append(Band(chain, self.banding(begin, at, grain), grain))
                held = max(held, self.nbytes(begin, at, grain))
            else:
                held = max(held, self.profile[at - 1])
            at = begin
        return Cut(tuple(reversed(bands)), held, best[-1][0])
