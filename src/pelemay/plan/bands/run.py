"""The steps of a chain, one after the other, and how many rows are held meanwhile.

In: a chain, who shares slots in it, and how many rows each node makes at a time. Out: a
:class:`~pelemay.plan.bands.banding.Banding`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pelemay.plan.bands.banding import Banding, Held, Link
from pelemay.plan.bands.rows import ROWS, Way, band_of

if TYPE_CHECKING:
    from pelemay.plan.bands.chain import Chain
    from pelemay.plan.bands.sharing import Memory, Sharing


class Run:
    """One run through a chain.

    Parameters
    ----------
    chain : Chain
        What is run.
    sharing : Sharing
        Who shares slots.
    grain : int
        Rows that each node makes at a time.
    room : int
        Bytes that all rows held may take; ``is_over`` says whether they take more.
    """

    def __init__(self, chain: Chain, sharing: Sharing, grain: int, room: int) -> None:
        self.chain, self.sharing, self.grain = chain, sharing, grain
        self.room, self.is_over = room, False
        self.links, self.makers = chain.links, sharing.makers
        self.done = [0] * len(self.links)
        self.most: dict[Memory, int] = {}
        self.steps: list[tuple[int, int, int]] = []
        self.clash: str | None = None

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
        memory = self.sharing.of[link.name]
        if len(memory.members) > 1 and not self._may_write(memory, index, end):
            self.clash = self.clash or link.name
            return
        self.steps.append((link.number, begin, end))
        # What is read must be there until the step is done.
        low = memory.low(self.done)
        self.done[index] = end
        newest = max(self.done[self.makers[m]] for m in memory.members if m in self.makers)
        held, most = newest - min(low, begin), self.most.get(memory, 0)
        if held > most:
            self.room -= (held - most) * memory.row_bytes
            self.most[memory] = held
            self.is_over = self.is_over or self.room < 0

    def _may_write(self, memory: Memory, index: int, end: int) -> bool:
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
        for memory in self.sharing.memories:
            hosts = memory.hosts
            if not hosts:
                rings.append(self._held(memory))
                continue
            guests.update({m: hosts[-1] for m in memory.members if m not in hosts})
        for link in self.links:
            if link.local.way is Way.GATHER:
                shape, size = chain.facts.shapes[link.name], chain.facts.itemsizes[link.name]
                rings.append(Held((band_of(link.name),), shape, size, 1))
        return Banding(tuple(self.steps), tuple(rings), guests, self.sharing.replaced)

    def _held(self, memory: Memory) -> Held:
        first = memory.members[0]
        shape = self.chain.facts.shapes[first]
        makers = [self.links[self.makers[m]].local for m in memory.members]
        multiple = math.lcm(*(local.multiple for local in makers))
        # A value that is read in the padding only has a place nevertheless.
        rows = min(-(-max(self.most.get(memory, 0), 1) // multiple) * multiple, shape[ROWS])
        return Held(tuple(memory.members), shape, self.chain.facts.itemsizes[first], rows)
