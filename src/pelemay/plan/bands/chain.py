"""Chains: nodes done together, band by band; of each value between a few rows are held.

In: some consecutive nodes of an order, and how many rows each makes at a time. Out: a
:class:`Banding`: the steps, and how many rows of each value are held. Nothing is made twice.

Rows are pulled: the last node asks for its next rows, and every node before makes what is missing
for them. So a value is made as late as it can be, and few of its rows are held. A residual may take
the slots of the rows that it is added to.

Alwani et al., Fused-layer CNN accelerators (MICRO 2016); Zheng et al., StreamNet (NeurIPS 2023).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from pelemay.plan.bands.rows import ROWS, Local, Reach, Way, band_of
from pelemay.plan.facts import Facts
from pelemay.plan.layout import Ints
from pelemay.plan.types import aligned

MOST_NODES = 240
"""Nodes of a chain; each asks the one before it for rows."""


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


class Chain:
    """Consecutive nodes of an order that work row by row.

    Attributes
    ----------
    links : tuple of Link
        Those that compute; views are looked through.
    views : mapping
        Part of a value's rows to that value.
    inputs, outputs : tuple of str
        Whole values that it reads and makes.
    """

    def __init__(
        self,
        facts: Facts,
        locals_: Sequence[Local | None],
        numbers: Sequence[int],
        dying: Collection[str],
    ) -> None:
        """Join nodes.

        Parameters
        ----------
        facts : Facts
            Of the graph.
        locals_ : sequence of Local or None
            For each node of the facts.
        numbers : sequence of int
            The nodes, in order.
        dying : collection of str
            Whole values of the arena that nothing reads afterwards: their rows may be replaced.
        """
        self.facts = facts
        self.numbers = tuple(numbers)
        self.dying = frozenset(dying)
        self.views: dict[str, str] = {}
        self.links: tuple[Link, ...] = ()
        self.is_possible = self._join(locals_) and self._find_ends()

    def _join(self, locals_: Sequence[Local | None]) -> bool:
        links: list[Link] = []
        made: dict[str, Local] = {}
        for number in self.numbers:
            node, found = self.facts.nodes[number], locals_[number]
            if found is None:
                return False
            reads = []
            for name, reach in zip(node.operands, found.reaches, strict=False):
                base = self.views.get(name, name)
                inner = made.get(base)
                if reach is None:
                    if inner is not None and name:
                        return False
                    continue
                if inner is not None and (reach.axis != ROWS or inner.axis != ROWS):
                    return False
                if inner is not None and inner.way is Way.GATHER:
                    return False
                reads.append(Read(base, reach))
            if found.way is Way.VIEW:
                self.views.update(dict.fromkeys(node.makes, reads[0].name))
                continue
            made[node.makes[0]] = found
            links.append(Link(number, node.makes[0], found, tuple(reads)))
        self.links = tuple(links)
        return bool(links)

    def _find_ends(self) -> bool:
        """Which values are read elsewhere; a view is not, for nothing makes it."""
        own = set(self.numbers)
        elsewhere = set(self.facts.graph.outputs)
        for number, node in enumerate(self.facts.nodes):
            if number not in own:
                elsewhere.update(node.reads)
        if elsewhere & self.views.keys():
            return False
        made = {link.name for link in self.links}
        self.outputs = tuple(
            link.name
            for link in self.links
            if link.name in elsewhere or link.local.way is Way.GATHER
        )
        names = (n for number in self.numbers for n in self.facts.nodes[number].reads)
        constants = self.facts.graph.constants
        self.inputs = tuple(
            dict.fromkeys(
                n for n in names if n not in made and n not in constants and n not in self.views
            )
        )
        whole = set(self.outputs)
        return all(link.name in whole or link.local.axis == ROWS for link in self.links)

    @cached_property
    def replaced(self) -> Mapping[str, str]:
        """Whole values that would take an operand's place, and that operand."""
        return _Run(self, 1, set(), 1 << 60).replaced()

    def banding(self, grain: int, room: int | None = None) -> Banding | None:
        """The steps and rows held, if each node makes up to ``grain`` rows at a time.

        Parameters
        ----------
        grain : int
            Rows.
        room : int, optional
            Bytes that all rows held may take; None is given if they take more.
        """
        refused: set[str] = set()
        while True:
            run = _Run(self, grain, refused, 1 << 60 if room is None else room)
            clash = run.all()
            if run.is_over:
                return None
            if clash is None:
                found = run.result()
                return found if room is None or found.ring_bytes <= room else None
            refused.add(clash)


class _Memory:
    """Values that share slots, and those who read them."""

    def __init__(self, members: list[str]) -> None:
        self.members = members
        self.readers: list[tuple[int, str, Reach]] = []
        self.most = 0
        self.row_bytes = 0

    def low(self, done: Sequence[int]) -> int:
        """The first row that someone still needs."""
        return min((reach.first(done[r]) for r, _, reach in self.readers), default=1 << 60)


class _Run:
    """The steps of a chain, one after the other."""

    def __init__(self, chain: Chain, grain: int, refused: set[str], room: int) -> None:
        self.chain, self.grain = chain, grain
        self.room, self.is_over = room, False
        self.whole = frozenset((*chain.outputs, *chain.dying))
        self.links = chain.links
        self.done = [0] * len(self.links)
        self.steps: list[tuple[int, int, int]] = []
        self.makers = {link.name: i for i, link in enumerate(self.links)}
        self.clash: str | None = None
        self._share(refused)

    def _share(self, refused: set[str]) -> None:
        """Which value takes the slots of which; then who reads what."""
        chain, facts = self.chain, self.chain.facts
        self.memories: dict[str, _Memory] = {}
        taken: set[str] = set()
        for link in self.links:
            place = ""
            if link.name not in refused and link.local.way is not Way.GATHER:
                places = facts.nodes[link.number].in_place
                inner = self.makers.keys() - set(chain.outputs)
                free = (n for n in places if n in inner or n in chain.dying)
                # A part of it may be read as another operand.
                once = (n for n in free if sum(r.name == n for r in link.reads) == 1)
                place = next((n for n in once if n not in taken), "")
            if place:
                taken.add(place)
                memory = self.memories.setdefault(place, _Memory([place]))
                memory.members.append(link.name)
            else:
                memory = self.memories.get(link.name) or _Memory([link.name])
            self.memories[link.name] = memory
        for memory in self.memories.values():
            if not self._hosts(memory):
                first = memory.members[0]
                row = math.prod(facts.shapes[first][ROWS + 1 :])
                memory.row_bytes = row * facts.itemsizes[first]
        for i, link in enumerate(self.links):
            for read in link.reads:
                held = self.memories.get(read.name)
                if held is not None:
                    held.readers.append((i, read.name, read.reach))

    def all(self) -> str | None:
        """Every step; the value that may not take another's slots, if there is one."""
        read = {r.name for link in self.links for r in link.reads}
        ends = [i for i, link in enumerate(self.links) if link.name not in read]
        ends += [i for i, link in enumerate(self.links) if link.name in read and self._is_end(link)]
        while self.clash is None and not self.is_over:
            left = [(self.done[i] / self.links[i].local.rows, i) for i in ends]
            share, index = min(left, default=(1.0, 0))
            if share >= 1:
                break
            self._make(index, self.done[index] + 1)
        return self.clash

    def _is_end(self, link: Link) -> bool:
        return link.name in self.chain.outputs

    def _make(self, index: int, upto: int) -> None:
        """Make rows until there are ``upto``; first what they need."""
        link = self.links[index]
        rows = link.local.rows
        while self.done[index] < upto and self.clash is None and not self.is_over:
            begin = self.done[index]
            end = min(begin + link.local.grain(self.grain), rows)
            for read in link.reads:
                maker = self.makers.get(read.name)
                if maker is not None:
                    self._make(maker, read.reach.end(end))
            self._step(index, begin, end)

    def _step(self, index: int, begin: int, end: int) -> None:
        link = self.links[index]
        memory = self.memories[link.name]
        if len(memory.members) > 1 and not self._may_write(memory, index, end):
            self.clash = self.clash or link.name
            return
        self.steps.append((link.number, begin, end))
        # What is read must be there until the step is done.
        low = memory.low(self.done)
        self.done[index] = end
        newest = max(self.done[self.makers[m]] for m in memory.members if m in self.makers)
        held = newest - min(low, begin)
        if held > memory.most:
            self.room -= (held - memory.most) * memory.row_bytes
            memory.most = held
            self.is_over = self.is_over or self.room < 0

    def _may_write(self, memory: _Memory, index: int, end: int) -> bool:
        """Whether nobody needs what lies at the slots of the rows before ``end`` any more."""
        name = self.links[index].name
        at = memory.members.index(name)
        earlier = set(memory.members[:at])
        for reader, value, reach in memory.readers:
            if value not in earlier:
                continue
            if reader == index:
                if not isinstance(reach.firsts, range):
                    return False
            elif reach.first(self.done[reader]) < end:
                return False
        return True

    def result(self) -> Banding:
        """What came out."""
        chain = self.chain
        rings, guests = [], {}
        for memory in dict.fromkeys(self.memories.values()):
            hosts = self._hosts(memory)
            if not hosts:
                rings.append(self._held(memory))
                continue
            guests.update({m: hosts[-1] for m in memory.members if m not in hosts})
        for link in self.links:
            if link.local.way is Way.GATHER:
                shape, size = chain.facts.shapes[link.name], chain.facts.itemsizes[link.name]
                rings.append(Held((band_of(link.name),), shape, size, 1))
        return Banding(tuple(self.steps), tuple(rings), guests, self.replaced())

    def _hosts(self, memory: _Memory) -> list[str]:
        """Those of the values that are whole."""
        return [m for m in memory.members if m in self.whole]

    def replaced(self) -> dict[str, str]:
        """Whole values that take the place of one that was there before, and that one."""
        hosts = map(self._hosts, dict.fromkeys(self.memories.values()))
        return {h[-1]: h[0] for h in hosts if len(h) > 1 and h[-1] in self.makers}

    def _held(self, memory: _Memory) -> Held:
        first = memory.members[0]
        shape = self.chain.facts.shapes[first]
        makers = [self.links[self.makers[m]].local for m in memory.members]
        multiple = math.lcm(*(local.multiple for local in makers))
        # A value that is read in the padding only has a place nevertheless.
        rows = min(-(-max(memory.most, 1) // multiple) * multiple, shape[ROWS])
        return Held(tuple(memory.members), shape, self.chain.facts.itemsizes[first], rows)
