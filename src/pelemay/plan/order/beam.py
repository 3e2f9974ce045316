"""Good orders of a segment that is too large to search.

In: a problem and a segment. Out: the best order found. A beam keeps the best few of many, level by
level; wide ones find better orders, so the widths are tried from narrow to wide until one reaches
the bound.
"""

from __future__ import annotations

from pelemay.plan.order.problem import Problem, bits, members
from pelemay.plan.order.search import Effort, Found, Moves, Segment, State

WIDTHS = (1, 8, 64)


def on_demand(problem: Problem, segment: Segment) -> tuple[int, ...]:
    """Every node just before the first that reads it, behind what takes more nodes to make.

    >>> on_demand(Problem.of_chain([4, 4]), Segment((0, 1), 0, 0, 0))
    (0, 1)
    """
    inside = bits(segment.nodes)
    order: list[int] = []
    seen = 0

    def made_of(node: int) -> int:
        return problem.earlier[node].bit_count()

    sinks = [node for node in segment.nodes if not problem.after[node] & inside]
    for sink in sorted(sinks, key=made_of, reverse=True):
        stack = [sink]
        while stack:
            node = stack[-1]
            missing = list(members(problem.before[node] & inside & ~seen))
            if missing:
                stack.append(max(missing, key=made_of))
                continue
            seen |= 1 << node
            order.append(stack.pop())
    return tuple(order)


def beam(problem: Problem, segment: Segment, known: Found, effort: Effort) -> Found:
    """Improve on a known order.

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
    for width in WIDTHS:
        if known.peak <= known.bound or effort.left <= 0:
            break
        best = _descend(moves, width, known.peak, effort)
        if best is not None:
            known = Found(best.path(), best.peak, known.bound)
    return known


def _descend(moves: Moves, width: int, budget: int, effort: Effort) -> State | None:
    """The best complete state with a peak below the budget among ``width`` at each level."""
    best: State | None = None
    level = [moves.start]
    while level and effort.left > 0:
        following: dict[int, State] = {}
        for state in level:
            if state.done == moves.goal:
                if best is None or state.peak < best.peak:
                    best = state
                continue
            for node in members(state.ready):
                new = moves.step(state, node)
                twin = following.get(new.done)
                if new.peak < budget and (twin is None or new.peak < twin.peak):
                    following[new.done] = new
        level = sorted(following.values(), key=_promise)[:width]
    return best


def _promise(state: State) -> tuple[int, int, int]:
    return state.peak, state.held, -state.done.bit_count()
