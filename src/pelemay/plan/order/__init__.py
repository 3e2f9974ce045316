"""The order of the nodes: of all that respect what reads what, one with a low peak.

In: a :class:`~pelemay.plan.order.problem.Problem`. Out: an order, and a bound that no
order is below. Segments between nodes whose place is fixed are put in order one by one: by an exact
search where that ends soon, else by a beam search.

>>> order_nodes(Problem.of_chain([4, 4, 2])).order
(0, 1, 2)
"""

from __future__ import annotations

from pelemay.plan.order.beam import beam, on_demand
from pelemay.plan.order.bound import needs, segments
from pelemay.plan.order.problem import Problem
from pelemay.plan.order.search import Effort, Found, Segment, search

SEARCH_LIMIT = 2_000_000
BEAM_LIMIT = 600_000


def order_nodes(
    problem: Problem, search_limit: int = SEARCH_LIMIT, beam_limit: int = BEAM_LIMIT
) -> Found:
    """An order with a low peak.

    Parameters
    ----------
    problem : Problem
        Nodes and pieces of memory; the numbers of the nodes are an order that they can run in.
    search_limit, beam_limit : int
        Nodes to look at in all segments together.

    Returns
    -------
    Found
        The order, its peak, and a bound below which no order is: equal to the peak where the order
        is known to be the best.
    """
    least = needs(problem)
    goal = max(least, default=0)
    efforts = Effort(search_limit), Effort(beam_limit)
    order: list[int] = []
    done = held = peak = bound = 0
    for nodes in segments(problem):
        segment = Segment(tuple(nodes), done, held, goal)
        found = _order_segment(problem, segment, efforts)
        order.extend(found.order)
        peak, bound = max(peak, found.peak), max(bound, found.bound)
        for node in nodes:
            done |= 1 << node
        held = problem.held(done)
    return Found(tuple(order), peak, bound)


def _order_segment(problem: Problem, segment: Segment, efforts: tuple[Effort, Effort]) -> Found:
    """The order as it stands where that is good enough; else one that is searched for."""
    found = _evaluated(problem, segment, segment.nodes)
    if found.peak > segment.least:
        found = min(found, _evaluated(problem, segment, on_demand(problem, segment)), key=_peak)
    if found.peak > segment.least:
        found = search(problem, segment, found, efforts[0])
    if found.peak > found.bound:
        found = beam(problem, segment, found, efforts[1])
    return found


def _evaluated(problem: Problem, segment: Segment, order: tuple[int, ...]) -> Found:
    peak = max(problem.peak(order, segment.done, segment.held), segment.least)
    return Found(order, peak, segment.least)


def _peak(found: Found) -> int:
    return found.peak


__all__ = ["Found", "Problem", "order_nodes"]
