"""The best order of a segment: a search over sets of nodes that have run.

In: a problem, the nodes to put in order, what has run before. Out: the order with the lowest peak,
or, where the search was ended early, the best one found and a bound that no order is below.

States are taken by the peak that they have cost so far, deepest first, so that the first complete
one is the best. A node that is ready, raises neither the peak nor the bytes held, is run at once:
no better order starts without it. (Compare SERENITY, Ahn et al., MLSys 2020, whose dynamic
programming over the same sets is pruned by a budget.)
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import NamedTuple

from pelemay.plan.order.problem import Problem, bits, members


class Found(NamedTuple):
    """An order, its peak, and what no order of these nodes is below."""

    order: tuple[int, ...]
    peak: int
    bound: int


@dataclass(frozen=True, slots=True)
class Segment:
    """Nodes to put in order after others have run.

    Attributes
    ----------
    nodes : tuple of int
        In some order in which they can run.
    done : int
        The set of nodes that have run before.
    held : int
        Bytes held then.
    least : int
        A peak that no order is below.
    """

    nodes: tuple[int, ...]
    done: int
    held: int
    least: int


@dataclass(slots=True)
class State:
    """A set of nodes that have run, what it holds, and how it was reached.

    Attributes
    ----------
    done, held, peak : int
        The set of nodes, the bytes that it holds, and the most bytes held on the way.
    ready : int
        The set of nodes that can run next.
    waiting : int
        Those of them that free at least what they take, but take too much while they run.
    parent : State or None
        The state before.
    run : tuple of int
        The nodes that have run since then.
    """

    done: int
    held: int
    peak: int
    ready: int
    waiting: int
    parent: State | None
    run: tuple[int, ...]

    def path(self) -> tuple[int, ...]:
        """The nodes in the order in which they have run."""
        runs: list[tuple[int, ...]] = []
        state: State | None = self
        while state is not None:
            runs.append(state.run)
            state = state.parent
        return tuple(node for run in reversed(runs) for node in run)


@dataclass
class Effort:
    """How many nodes may still be looked at, in all states together."""

    left: int


class Moves:
    """What the nodes of a segment do to a state.

    Parameters
    ----------
    problem : Problem
        All nodes and pieces.
    segment : Segment
        What to put in order.
    effort : Effort
        What may be spent; each node that is looked at takes one.
    """

    def __init__(self, problem: Problem, segment: Segment, effort: Effort) -> None:
        self._effort = effort
        self.inside = bits(segment.nodes)
        self.goal = segment.done | self.inside
        self._problem = problem
        ready = bits(n for n in segment.nodes if not problem.before[n] & self.inside)
        peak = max(segment.held, segment.least)
        self.start = State(segment.done, segment.held, peak, ready, 0, None, ())
        self._settle(self.start, ready)

    def step(self, state: State, node: int) -> State:
        """The state after one more node, and after all that then cost nothing."""
        self._effort.left -= 1
        during, after = self._problem.cost(state.done, state.held, node)
        peak = max(state.peak, during)
        new = State(state.done, state.held, peak, state.ready, state.waiting, state, (node,))
        self._run(new, node, after)
        self._settle(new, self._problem.near[node] | new.waiting)
        return new

    def _settle(self, state: State, changed: int) -> None:
        """Run every node that is ready and costs nothing; only ``changed`` ones can be new."""
        run = list(state.run)
        look = changed & state.ready
        while look:
            node = (look & -look).bit_length() - 1
            look &= look - 1
            self._effort.left -= 1
            during, after = self._problem.cost(state.done, state.held, node)
            if after > state.held:
                continue
            if during > state.peak:
                state.waiting |= 1 << node
                continue
            self._run(state, node, after)
            run.append(node)
            look = (look | self._problem.near[node] | state.waiting) & state.ready
        state.run = tuple(run)

    def _run(self, state: State, node: int, after: int) -> None:
        state.done |= 1 << node
        state.held = after
        state.ready &= ~(1 << node)
        state.waiting &= state.ready
        before = self._problem.before
        for reader in members(self._problem.after[node] & self.inside):
            if not before[reader] & self.inside & ~state.done:
                state.ready |= 1 << reader


def search(problem: Problem, segment: Segment, known: Found, effort: Effort) -> Found:
    """Find the order with the lowest peak.

    Parameters
    ----------
    problem : Problem
        All nodes and pieces.
    segment : Segment
        What to put in order.
    known : Found
        An order that is known already.
    effort : Effort
        What may be spent; with nothing left the search ends with what it has.
    """
    moves = Moves(problem, segment, effort)
    start = moves.start
    heap = [(start.peak, -start.done.bit_count(), 0, start)]
    seen = {start.done: start.peak}
    while heap:
        peak, _, _, state = heapq.heappop(heap)
        if peak >= known.peak:
            break
        if state.done == moves.goal:
            return Found(state.path(), peak, peak)
        if effort.left <= 0:
            return Found(known.order, known.peak, max(peak, known.bound))
        for node in members(state.ready):
            new = moves.step(state, node)
            if new.peak < min(known.peak, seen.get(new.done, known.peak)):
                seen[new.done] = new.peak
                heapq.heappush(heap, (new.peak, -new.done.bit_count(), -effort.left, new))
    return Found(known.order, known.peak, known.peak)
