"""Arena planners: no two blocks overlap, whatever they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pelemay.errors import PlanError
from pelemay.plan.arena import (
    PLANNERS,
    Block,
    check_offsets,
    height,
    load,
    plan_offsets,
    search,
)
from pelemay.plan.arena.search import extension


@st.composite
def blocks(draw: Any) -> list[Block]:
    """Random lifetimes and sizes, some of them of no bytes."""
    made = []
    for _ in range(draw(st.integers(0, 25))):
        lower = draw(st.integers(0, 15))
        size = draw(st.integers(0, 30))
        made.append(Block(lower, lower + draw(st.integers(1, 8)), size))
    return made


def packed(seed: int, rows: int, steps: int) -> tuple[list[Block], int]:
    """Blocks that fill a rectangle without a gap, cut from it at random; and its height."""
    random = np.random.default_rng(seed)
    whole = [(0, steps, 0, rows)]
    done = []
    while whole:
        lower, upper, low, high = whole.pop()
        if (upper - lower) * (high - low) < 60 or random.random() < 0.05:
            done.append(Block(lower, upper, high - low))
        elif random.random() < 0.5 and upper - lower > 1:
            cut = int(random.integers(lower + 1, upper))
            whole += [(lower, cut, low, high), (cut, upper, low, high)]
        elif high - low > 1:
            cut = int(random.integers(low + 1, high))
            whole += [(lower, upper, low, cut), (lower, upper, cut, high)]
        else:
            done.append(Block(lower, upper, high - low))
    random.shuffle(done)  # type: ignore[arg-type]
    return [Block(*map(int, block)) for block in done], rows


@pytest.mark.parametrize("planner", PLANNERS, ids=lambda planner: planner.__name__)
@settings(max_examples=100)
@given(given_blocks=blocks())
def test_planners_let_nothing_overlap(planner: Callable[..., Any], given_blocks: Any) -> None:
    offsets = planner(given_blocks)
    check_offsets(given_blocks, offsets)
    assert height(given_blocks, offsets) >= load(given_blocks)


@settings(max_examples=100)
@given(given_blocks=blocks())
def test_the_best_of_them_is_no_worse_than_any(given_blocks: list[Block]) -> None:
    offsets = plan_offsets(given_blocks, rounds=2)
    check_offsets(given_blocks, offsets)
    reached = height(given_blocks, offsets)
    assert reached <= min(height(given_blocks, planner(given_blocks)) for planner in PLANNERS)


@settings(max_examples=100)
@given(given_blocks=blocks(), spare=st.integers(0, 20))
def test_what_the_search_finds_lies_within_the_capacity(
    given_blocks: list[Block], spare: int
) -> None:
    capacity = load(given_blocks) + spare
    found = search(given_blocks, capacity, rounds=3)
    if found is not None:
        check_offsets(given_blocks, found, capacity)


@pytest.mark.parametrize("seed", range(6))
def test_the_search_fills_a_rectangle_without_a_gap(seed: int) -> None:
    given_blocks, capacity = packed(seed, rows=64, steps=40)
    assert load(given_blocks) == capacity
    found = search(given_blocks, capacity, rounds=200)
    assert found is not None
    check_offsets(given_blocks, found, capacity)


def test_the_search_gives_the_same_each_time() -> None:
    given_blocks, capacity = packed(1, rows=64, steps=40)
    assert search(given_blocks, capacity) == search(given_blocks, capacity)


def test_offsets_keep_the_alignment_of_the_sizes() -> None:
    given_blocks, capacity = packed(2, rows=64, steps=40)
    wide = [block._replace(size=block.size * 64) for block in given_blocks]
    offsets = plan_offsets(wide, alignment=64)
    check_offsets(wide, offsets, alignment=64)
    assert height(wide, offsets) <= capacity * 64 * 1.05


def test_what_cannot_fit_is_not_found() -> None:
    overfull = [Block(0, 2, 5), Block(1, 3, 5)]
    assert search(overfull, 9) is None
    impossible = [Block(0, 2, 2), Block(1, 3, 2), Block(2, 4, 2), Block(0, 1, 1), Block(3, 4, 1)]
    assert load(impossible) == 4
    found = search(impossible, 4, rounds=3)
    assert found is None or check_offsets(impossible, found, 4) is None


def test_the_search_refuses_what_it_cannot_count() -> None:
    with pytest.raises(PlanError, match="the search takes no 3000 blocks"):
        search([Block(0, 1, 1)] * 3000, 3000)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"lower": [0, -1]}, "outside of the sections"),
        ({"upper": [1, 9]}, "outside of the sections"),
        ({"upper": [0, 2]}, "outside of the sections"),
        ({"size": [0, 1]}, "within the capacity"),
        ({"size": [9, 1]}, "within the capacity"),
        ({"size": [8, 8]}, "overfull"),
        ({"rank": [0, 0]}, "no permutation"),
        ({"rank": [0, 2]}, "no permutation"),
        ({"rank": [0]}, "of one length"),
        ({"sections": 10_000}, "too many sections"),
        ({"capacity": 2**31 - 1}, "capacity is too large"),
    ],
)
def test_the_extension_checks_what_it_is_given(changes: dict[str, Any], what: str) -> None:
    planner = extension()
    assert planner is not None
    given_rows = {"lower": [0, 0], "upper": [1, 2], "size": [4, 4], "rank": [0, 1]}
    sizes = {"sections": 2, "capacity": 8, "nodes": 100}
    rows = [np.array(changes.get(k, v), np.int32) for k, v in given_rows.items()]
    with pytest.raises(ValueError, match=what):
        planner.pack(*rows, *(changes.get(k, v) for k, v in sizes.items()))


@pytest.mark.parametrize(
    ("offsets", "what"),
    [
        ([0, 2], "blocks 0 and 1 overlap"),
        ([0, -4], "lies at -4"),
        ([0, 5], "beyond 8"),
        ([0], "2 blocks have 1 offsets"),
    ],
)
def test_the_checker_finds_what_is_wrong(offsets: list[int], what: str) -> None:
    with pytest.raises(PlanError, match=what):
        check_offsets([Block(0, 2, 4), Block(1, 3, 4)], offsets, 8)
    check_offsets([Block(0, 2, 4), Block(1, 3, 4)], [0, 4], 8)
    check_offsets([Block(0, 2, 4), Block(2, 3, 4)], [0, 0], 8)
