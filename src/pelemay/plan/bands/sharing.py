"""Which values of a chain take the slots of which, and who reads what.

In: a chain, and values that may not take another's slots. Out: a :class:`Sharing`: values that
share memory, whatever the number of rows that are made at a time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from pelemay.plan.bands.rows import ROWS, Reach, Way

if TYPE_CHECKING:
    from pelemay.plan.bands.chain import Chain

FOREVER = 1 << 60


class Memory:
    """Values that share slots, in the order in which they are made, and those who read them.

    Attributes
    ----------
    members : list of str
        The values.
    readers : list of (int, str, Reach)
        A link's number, the member that it reads, and which rows of it.
    hosts : list of str
        Those of the members that are whole; the others lie in the last one's memory then.
    row_bytes : int
        Of a slot; 0 where there are hosts, for slots take no memory of their own then.
    """

    def __init__(self, members: list[str]) -> None:
        self.members = members
        self.readers: list[tuple[int, str, Reach]] = []
        self.hosts: list[str] = []
        self.row_bytes = 0

    def low(self, done: Sequence[int]) -> int:
        """The first row that someone still needs."""
        return min((reach.first(done[r]) for r, _, reach in self.readers), default=FOREVER)

    @cached_property
    def span(self) -> int:
        """Rows that are held at some time, whatever the schedule."""
        return max((reach.span for _, _, reach in self.readers), default=0)


class Sharing:
    """Who shares slots with whom.

    Attributes
    ----------
    makers : mapping
        Value to the number of the link that makes it.
    of : mapping
        Value to its memory.
    memories : tuple of Memory
        Each once.
    """

    def __init__(self, chain: Chain, refused: frozenset[str]) -> None:
        facts = chain.facts
        self.makers = {link.name: i for i, link in enumerate(chain.links)}
        self.of: dict[str, Memory] = {}
        inner = self.makers.keys() - set(chain.outputs)
        taken: set[str] = set()
        for link in chain.links:
            place = ""
            if link.name not in refused and link.local.way is not Way.GATHER:
                places = facts.nodes[link.number].in_place
                free = (n for n in places if n in inner or n in chain.dying)
                # A part of it may be read as another operand.
                once = (n for n in free if sum(r.name == n for r in link.reads) == 1)
                place = next((n for n in once if n not in taken), "")
            if place:
                taken.add(place)
                memory = self.of.setdefault(place, Memory([place]))
                memory.members.append(link.name)
            else:
                memory = self.of.get(link.name) or Memory([link.name])
            self.of[link.name] = memory
        for i, link in enumerate(chain.links):
            for read in link.reads:
                if read.name in self.of:
                    self.of[read.name].readers.append((i, read.name, read.reach))
        self.memories = tuple(dict.fromkeys(self.of.values()))
        whole = frozenset((*chain.outputs, *chain.dying))
        for memory in self.memories:
            memory.hosts = [name for name in memory.members if name in whole]
            if not memory.hosts:
                first = memory.members[0]
                row = math.prod(facts.shapes[first][ROWS + 1 :])
                memory.row_bytes = row * facts.itemsizes[first]

    @cached_property
    def at_least(self) -> int:
        """Bytes of rows that any schedule holds."""
        return sum(memory.row_bytes * memory.span for memory in self.memories)

    @cached_property
    def replaced(self) -> dict[str, str]:
        """Whole values that take the place of one that was there before, and that one."""
        hosts = [m.hosts for m in self.memories if len(m.hosts) > 1]
        return {h[-1]: h[0] for h in hosts if h[-1] in self.makers}
