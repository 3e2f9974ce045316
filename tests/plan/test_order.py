"""Orders: the search against all orders there are."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pelemay.plan.assign import assign
from pelemay.plan.facts import Facts
from pelemay.plan.order import Problem, order_nodes
from pelemay.plan.order.bound import needs, segments
from pelemay.plan.order.problem import Piece, bits
from support.plans import Builder


@st.composite
def problems(draw: Any, most: int = 8) -> Problem:
    """Nodes that read a few of those before them, pieces of any size, some written by two."""
    count = draw(st.integers(1, most))
    before = tuple(
        bits(draw(st.lists(st.integers(max(0, n - 5), n - 1), max_size=2))) if n else 0
        for n in range(count)
    )
    merged = draw(st.sets(st.integers(0, count - 1), max_size=2))
    groups = [{n} for n in range(count) if n not in merged] + ([merged] if merged else [])
    pieces = tuple(
        Piece(
            draw(st.integers(1, 20)),
            bits(group),
            bits([*group, *(n for n in range(count) if before[n] & bits(group))]),
        )
        for group in groups
    )
    uses = tuple(
        tuple(i for i, piece in enumerate(pieces) if piece.users >> n & 1) for n in range(count)
    )
    reuses = tuple(
        tuple(i for i in uses[n] if not pieces[i].writers >> n & 1 and draw(st.booleans()))
        for n in range(count)
    )
    return Problem(before, pieces, uses, reuses)


def lowest_peak(problem: Problem) -> int:
    """Of all orders: by trying each node after each set of nodes."""
    everything = (1 << len(problem.before)) - 1
    known: dict[int, int] = {everything: 0}

    def after(done: int, held: int) -> int:
        if done not in known:
            ready = (n for n, b in enumerate(problem.before) if not done >> n & 1 and not b & ~done)
            costs = [(n, *problem.cost(done, held, n)) for n in ready]
            known[done] = min(max(during, after(done | 1 << n, left)) for n, during, left in costs)
        return known[done]

    return after(0, 0)


def is_order(problem: Problem, order: tuple[int, ...]) -> bool:
    done = 0
    for node in order:
        if problem.before[node] & ~done or done >> node & 1:
            return False
        done |= 1 << node
    return done == (1 << len(problem.before)) - 1


@settings(max_examples=400)
@given(problem=problems())
def test_the_search_finds_the_lowest_peak_of_all_orders(problem: Problem) -> None:
    found = order_nodes(problem)
    assert is_order(problem, found.order)
    assert problem.peak(found.order) <= found.peak
    assert found.peak == found.bound == lowest_peak(problem)


@settings(max_examples=200)
@given(problem=problems())
def test_without_the_search_the_bound_still_holds(problem: Problem) -> None:
    found = order_nodes(problem, search_limit=0, beam_limit=200)
    assert is_order(problem, found.order)
    assert problem.peak(found.order) <= found.peak
    assert found.bound <= lowest_peak(problem) <= found.peak


@settings(max_examples=200)
@given(problem=problems())
def test_no_order_needs_less_than_any_node_does(problem: Problem) -> None:
    assert max(needs(problem)) <= lowest_peak(problem)


@settings(max_examples=200)
@given(problem=problems(most=12))
def test_segments_follow_one_another(problem: Problem) -> None:
    parts = segments(problem)
    assert is_order(problem, tuple(node for part in parts for node in part))


@settings(max_examples=100)
@given(problem=problems(most=12))
def test_bytes_held_are_counted_alike(problem: Problem) -> None:
    done = held = 0
    for node in range(len(problem.before)):
        held = problem.cost(done, held, node).after
        done |= 1 << node
        assert held == problem.held(done)


def branches(count: int, length: int, wide: int) -> Problem:
    """Branches of a network that widen and narrow again, given breadth first."""
    b = Builder()
    x = b.conv(b.input(1, 8, 8, 4), 4)
    values = [x] * count
    for step in range(length):
        values = [b.conv(v, wide if step < length - 1 else 4) for v in values]
    total = values[0]
    for value in values[1:]:
        total = b.add("Add", (total, value), b.shape(total))
    facts = Facts.of(b.graph(b.conv(total, 1)))
    return Problem.of(facts, assign(facts, range(len(facts.nodes)), in_place=False))


def test_branches_are_run_one_after_the_other() -> None:
    problem = branches(count=6, length=3, wide=64)
    found = order_nodes(problem)
    # Two values between wide convolutions, the input of all branches, and their sum.
    assert found.peak == found.bound == 8 * 8 * 4 * (64 + 64 + 4 + 4)
    assert problem.peak(range(len(problem.before))) > 2 * found.peak


@pytest.mark.slow
def test_thousands_of_nodes_take_seconds() -> None:
    problem = branches(count=100, length=20, wide=16)
    begin = time.perf_counter()
    found = order_nodes(problem)
    assert time.perf_counter() - begin < 30
    assert len(problem.before) > 2000
    assert is_order(problem, found.order)
    assert found.peak <= 1.2 * found.bound
