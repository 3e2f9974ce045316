"""The same plan of bands for other sizes: the chains of the largest, and as many bands of each.

In: a graph, and the chains that it is cut into. Out: a :class:`BandedRecipe`, which gives plans of
the same graph with smaller sizes: the same chains, with as many rows at a time, in the same memory.

A smaller size has fewer rows, so that the last band of a chain is lower, until there is one band
less: then it is other steps, and another plan. Whole values, and the buffer of each chain's rows,
lie where they lie for the largest size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pelemay.graph import Graph
from pelemay.plan.again import Recipe, are_alike
from pelemay.plan.bands.chain import Chain
from pelemay.plan.bands.choose import Band, Cut
from pelemay.plan.bands.contract import contracted, expanded
from pelemay.plan.bands.rows import local
from pelemay.plan.facts import Facts
from pelemay.plan.types import Plan


@dataclass(frozen=True)
class BandedRecipe:
    """What was decided for a graph, some of whose nodes run band by band.

    Attributes
    ----------
    facts : Facts
        Of the graph.
    order : tuple of int
        Numbers of all nodes, in which each chain's stand together.
    cut : Cut
        The chains.
    around : Recipe
        Where whole values lie, each chain being one node.
    """

    facts: Facts
    order: tuple[int, ...]
    cut: Cut
    around: Recipe

    @classmethod
    def of(cls, facts: Facts, order: Sequence[int], cut: Cut) -> BandedRecipe:
        """Place whole values around the chains."""
        return cls(facts, tuple(order), cut, Recipe.of(contracted(facts, order, cut.bands)))

    @property
    def plan(self) -> Plan:
        """The plan of the graph itself."""
        return expanded(self.facts, self.around.plan, self.cut.bands)

    def at(self, graph: Graph) -> Plan | None:
        """The plan of the same graph with other sizes, no larger; None where it does not hold.

        Parameters
        ----------
        graph : Graph
            With the same nodes in the same order.
        """
        if not are_alike(self.facts.graph, graph):
            return None
        facts = Facts.of(graph)
        locals_ = [local(graph, node) for node in graph.nodes]
        bands: list[Band] = []
        for band in self.cut.bands:
            chain = Chain(facts, locals_, band.chain.numbers, band.chain.dying)
            if not chain.is_possible or not _are_alike(chain, band.chain):
                return None
            banding = chain.banding(band.grain)
            if banding is None or banding.replaced != band.banding.replaced:
                return None
            bands.append(Band(chain, banding, band.grain))
        plan = self.around.at(contracted(facts, self.order, bands))
        return None if plan is None else expanded(facts, plan, bands)


def _are_alike(a: Chain, b: Chain) -> bool:
    """Whether two chains read and make the same values."""
    return (a.inputs, a.outputs, a.views) == (b.inputs, b.outputs, b.views)
