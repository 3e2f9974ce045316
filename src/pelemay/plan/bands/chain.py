"""Chains: nodes done together, band by band; of each value between a few rows are held.

In: some consecutive nodes of an order, and how many rows each makes at a time. Out: a
:class:`~pelemay.plan.bands.banding.Banding`: the steps, and how many rows of each value are held.
Nothing is made twice.

Rows are pulled: the last node asks for its next rows, and every node before makes what is missing
for them. So a value is made as late as it can be, and few of its rows are held. A residual may take
the slots of the rows that it is added to.

Alwani et al., Fused-layer CNN accelerators (MICRO 2016); Zheng et al., StreamNet (NeurIPS 2023).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cached_property

from pelemay.plan.bands.banding import Banding, Link, Read
from pelemay.plan.bands.rows import ROWS, Local, Way
from pelemay.plan.bands.run import Run
from pelemay.plan.bands.sharing import Sharing
from pelemay.plan.facts import Facts

MOST_NODES = 240
"""Nodes of a chain; each asks the one before it for rows."""


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
        self._sharings: dict[frozenset[str], Sharing] = {}
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
        return self.sharing(frozenset()).replaced

    def sharing(self, refused: frozenset[str]) -> Sharing:
        """Who shares slots with whom, if these values may not take another's."""
        if refused not in self._sharings:
            self._sharings[refused] = Sharing(self, refused)
        return self._sharings[refused]

    def banding(self, grain: int, room: int | None = None) -> Banding | None:
        """The steps and rows held, if each node makes up to ``grain`` rows at a time.

        Parameters
        ----------
        grain : int
            Rows.
        room : int, optional
            Bytes that all rows held may take; None is given if they take more.
        """
        refused: frozenset[str] = frozenset()
        while True:
            sharing = self.sharing(refused)
            if room is not None and sharing.at_least > room:
                return None
            run = Run(self, sharing, grain, 1 << 60 if room is None else room)
            clash = run.all()
            if run.is_over:
                return None
            if clash is None:
                found = run.result()
                return found if room is None or found.ring_bytes <= room else None
            refused |= {clash}
