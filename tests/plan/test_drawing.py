"""Drawings show what a plan says."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from pelemay.plan import plan_graph
from pelemay.plan.arena import Block, plan_offsets
from pelemay.plan.drawing import Picture, Rectangle
from pelemay.plan.drawing.cells import column_of, plain, points
from pelemay.plan.drawing.svg import to_svg
from support.plans import Builder

BLOCKS = st.lists(
    st.builds(
        lambda lower, length, size: Block(lower, lower + length, size),
        st.integers(0, 9),
        st.integers(1, 5),
        st.integers(1, 9),
    ),
    min_size=1,
    max_size=12,
)


def picture_of(blocks: list[Block]) -> Picture:
    names = [f"b{i}" for i in range(len(blocks))]
    return Picture.of_blocks(blocks, plan_offsets(blocks, rounds=0), names)


@settings(max_examples=100)
@given(blocks=BLOCKS)
def test_with_a_point_for_each_byte_the_drawing_is_exact(blocks: list[Block]) -> None:
    picture = picture_of(blocks)
    grid = points(picture, picture.steps, picture.height)
    for index, box in enumerate(picture.rectangles):
        count = sum(line.count(index) for line in grid)
        assert count == (box.end - box.first) * (box.high - box.low)
        assert all(
            grid[picture.height - 1 - y][box.first] == index for y in range(box.low, box.high)
        )


@settings(max_examples=50)
@given(blocks=BLOCKS, width=st.integers(1, 40), rows=st.integers(1, 12))
def test_text_is_as_large_as_asked(blocks: list[Block], width: int, rows: int) -> None:
    lines = plain(picture_of(blocks), width, rows)
    assert [len(line) for line in lines] == [width] * rows


@settings(max_examples=50)
@given(blocks=BLOCKS)
def test_every_rectangle_is_in_the_svg(blocks: list[Block]) -> None:
    picture = picture_of(blocks)
    root = ElementTree.fromstring(to_svg(picture, "<title> & more"))
    titles = list(root.iter("{http://www.w3.org/2000/svg}title"))
    assert len(titles) == len(blocks)


def test_rectangles_that_touch_differ() -> None:
    boxes = tuple(Rectangle(str(i), i, i + 1, 0, 4) for i in range(4))
    colours = Picture("", 4, 4, boxes).colours(3)
    assert all(a != b for a, b in pairwise(colours))


def test_a_plan_shows_its_peak() -> None:
    b = Builder()
    x = b.conv(b.input(1, 4, 4, 8), 8)
    plan = plan_graph(b.graph(b.conv(b.conv(x, 32), 2)))
    picture = Picture.of_plan(plan)
    assert (picture.steps, picture.height, picture.peak) == (3, plan.arena_bytes, 1)
    assert column_of(picture, 1, 30) == 15
    assert "peak: step 1, pelemay::Conv v1" in to_svg(picture)
