"""What no order can avoid, and where an order falls apart into parts of its own.

In: a :class:`~pelemay.plan.order.problem.Problem`. Out: for each node the least bytes that are held
while it runs, whatever the order; and the segments that can be put in order each on its own.

>>> needs(Problem.of_chain([4, 4, 2]))
[4, 8, 6]
"""

from __future__ import annotations

from pelemay.plan.order.problem import Problem, members


def needs(problem: Problem) -> list[int]:
    """For each node, bytes that are held while it runs in every order.

    A piece is certainly held when one that writes it runs no later, and one that uses it no
    earlier, in every order.
    """
    least = [0] * len(problem.before)
    earlier, later = problem.earlier, problem.later
    for piece in problem.pieces:
        written = piece.writers
        used = 0
        for node in members(piece.writers):
            written |= later[node]
        for node in members(piece.users):
            used |= earlier[node] | 1 << node
        for node in members(written & used):
            least[node] += piece.nbytes
    for node, numbers in enumerate(problem.reuses):
        reusable = [
            problem.pieces[n].nbytes for n in numbers if not problem.pieces[n].users & later[node]
        ]
        least[node] -= max(reusable, default=0)
    return least


def segments(problem: Problem) -> list[list[int]]:
    """Groups of nodes that follow one another in every order.

    A node that is before or after each other one stands at the same place in all orders; what
    lies between two such nodes can be put in order on its own.

    >>> segments(Problem.of_chain([1, 1]))
    [[0], [1]]
    """
    earlier, later = problem.earlier, problem.later
    count = len(problem.before)
    fixed = [
        node
        for node in range(count)
        if earlier[node].bit_count() + later[node].bit_count() == count - 1
    ]
    fixed.sort(key=lambda node: earlier[node].bit_count())
    parts, done = [], 0
    for node in fixed:
        between = earlier[node] & ~done
        if between:
            parts.append(list(members(between)))
        parts.append([node])
        done = earlier[node] | 1 << node
    rest = (1 << count) - 1 & ~done
    return [*parts, list(members(rest))] if rest else parts
