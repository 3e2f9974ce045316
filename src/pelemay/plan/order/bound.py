"""What no order can avoid, and where an order falls apart into parts of its own.

In: a :class:`~pelemay.plan.order.problem.Problem`. Out: for each node the least bytes that are held
while it runs, whatever the order; and the segments that can be put in order each on its own.

>>> needs(Problem.of_chain([4, 4, 2]))
[4, 8, 6]
"""

from __future__ import annotations

from pelemay.plan.order.problem import Problem, bits, members


def needs(problem: Problem) -> list[int]:
    """For each node, bytes that are held while it runs in every order.

    A piece is certainly held when one that writes it runs no later, and one that uses it no
    earlier, in every order.
    """
    least = [0] * len(problem.before)
    earlier, later = ancestors(problem), descendants(problem)
    for piece in problem.pieces:
        written = bits(members(piece.writers))
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


def ancestors(problem: Problem) -> list[int]:
    """For each node, the set of all that must run before it."""
    return _closure(problem.before, sequence(problem))


def descendants(problem: Problem) -> list[int]:
    """For each node, the set of all that must run after it."""
    return _closure(problem.after, reversed(sequence(problem)))


def sequence(problem: Problem) -> list[int]:
    """Some order in which every node comes after those it reads."""
    left = [sources.bit_count() for sources in problem.before]
    ready = [node for node, count in enumerate(left) if not count]
    for node in ready:
        for reader in members(problem.after[node]):
            left[reader] -= 1
            if not left[reader]:
                ready.append(reader)
    return ready


def _closure(near: tuple[int, ...], order: object) -> list[int]:
    found = [0] * len(near)
    for node in order:  # type: ignore[attr-defined]
        total = near[node]
        for other in members(near[node]):
            total |= found[other]
        found[node] = total
    return found


def segments(problem: Problem) -> list[list[int]]:
    """Groups of nodes that follow one another in every order.

    A node that is before or after each other one stands at the same place in all orders; what
    lies between two such nodes can be put in order on its own.

    >>> segments(Problem.of_chain([1, 1]))
    [[0], [1]]
    """
    earlier, later = ancestors(problem), descendants(problem)
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
