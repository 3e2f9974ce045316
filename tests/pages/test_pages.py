"""What pages are made of, without a browser."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pelemay.pages import (
    Cell,
    Column,
    Html,
    Page,
    Section,
    element,
    join,
    linear,
    logarithmic,
    mark,
    plot,
    table,
)


def page(*sections: Section, **more: object) -> str:
    return Page("kind", "title", "finding", sections, **more).html()  # type: ignore[arg-type]


@given(st.text(max_size=20))
def test_text_is_never_taken_for_html(text: str) -> None:
    made = element("p", text, data_tip=text)
    assert made.count("<") == 2
    assert not re.search(r'data-tip="[^"]*"[^>]', made)
    assert join([text]).count("<") == 0


def test_a_page_names_no_other_place() -> None:
    text = page(Section("One", Html("<p>x</p>")))
    assert not re.search(r'(?:src|href)="(?!#)', text)
    assert 'content="default-src &#x27;none&#x27;;' in text
    assert len(text) < 40_000


def test_data_cannot_end_its_script() -> None:
    assert "</script><b>" not in page(data={"x": ["</script><b>"]})
    with pytest.raises(ValueError, match="</script"):
        page(scripts=("'</SCRIPT>'",))
    with pytest.raises(ValueError, match="JSON"):
        page(data={"x": float("nan")})


def test_sections_are_linked_when_there_are_many() -> None:
    sections = [Section(f"Part {i}", Html("")) for i in range(3)]
    assert 'href="#part-2"' in page(*sections)
    assert "<nav" not in page(*sections[:2])


@given(st.floats(1e-3, 1e15))
def test_a_linear_axis_holds_its_most(most: float) -> None:
    axis = linear(most, str, "")
    assert axis.low == 0
    assert most * (1 - 1e-8) <= axis.high <= 2.5 * most
    assert 2 <= len(axis.ticks) <= 8
    assert axis.at(axis.ticks[-1]) == 100


@given(st.floats(1e-6, 1e12), st.floats(1.0, 1e6))
def test_a_logarithmic_axis_holds_all(least: float, factor: float) -> None:
    axis = logarithmic(least, least * factor, str, "")
    assert axis.low <= least * (1 + 1e-9)
    assert axis.high >= least * factor * (1 - 1e-9)
    assert axis.at(axis.low) == 0
    assert axis.at(axis.high) == 100


def test_nothing_leaves_its_axis() -> None:
    axis = linear(10, str, "")
    assert axis.at(-5) == 0
    assert axis.at(50) == 100


def test_a_mark_says_to_all_what_it_shows() -> None:
    axis = linear(10, str, "x")
    made = plot(axis, axis, (), label="a plot", overlays=[mark(axis, axis, (9, 5), tip="a\nb")])
    assert 'aria-label="a, b"' in made
    assert "on-left" in made
    assert 'aria-label="a plot"' in made


def test_a_row_needs_a_cell_for_each_column() -> None:
    with pytest.raises(ValueError):
        table("t", [Column("a"), Column("b")], [[Cell("1")]])
