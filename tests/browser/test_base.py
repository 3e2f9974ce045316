"""What every page has: colours, tables that sort, tips, marks under the arrow keys, paper."""

from __future__ import annotations

from typing import Any

import pytest

from pelemay.pages import Cell, Column, Html, Page, Section, framed, linear, mark, plot, table
from support.screens import PHONE, Screen, Viewer, misplaced

ROWS = [
    [Cell("naive"), Cell("2.5 GB", 2.5e9), Cell("")],
    [Cell("native"), Cell("12 MB", 12e6), Cell("3 ms", 3e6)],
    [Cell("xla"), Cell("726 MB", 726e6), Cell("20 ms", 20e6)],
]
COLUMNS = [
    Column("backend"),
    Column("allocated", "all bytes asked for", is_number=True),
    Column("time", is_number=True),
]


@pytest.fixture(scope="module")
def html() -> str:
    x = linear(100, lambda value: f"{value:g} ms", "time")
    y = linear(90, lambda value: f"{value:g} MB", "memory")
    marks = [
        mark(x, y, (20, 30), tip="one\n20 ms", label="one"),
        mark(x, y, (100, 90), tip="two\n100 ms", label="two"),
    ]
    sections = (
        Section("Figures", table("Figures", COLUMNS, ROWS)),
        Section("Time and memory", plot(x, y, (), label="two marks", overlays=marks)),
        Section("Numbers", Html("<p id=out></p>")),
    )
    script = """document.getElementById("out").textContent =
      [pelemay.bytes(178914043), pelemay.time(21963000), pelemay.data("more").a].join("; ");"""
    page = Page(
        "pelemay test", "a test", "It fits in half of it.", sections, ("one fact",),
        scripts=(script,), data={"more": {"a": "</script><b>"}},
    )  # fmt: skip
    return page.html()


def column(page: Any, number: int) -> list[str]:
    cells: list[str] = page.locator(f"tbody tr > :nth-child({number})").all_text_contents()
    return cells


def test_it_fits_every_screen(html: str, show: Viewer, screen: Screen) -> None:
    page = show(html, screen)
    assert misplaced(page) == []
    dark = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert (dark == "rgb(255, 255, 255)") == (screen.colours == "light")


def test_tables_sort_by_mouse_and_by_keyboard(html: str, show: Viewer) -> None:
    page = show(html)
    page.get_by_role("button", name="allocated").click()
    assert column(page, 1) == ["native", "xla", "naive"]
    page.get_by_role("button", name="allocated").press("Enter")
    assert column(page, 1) == ["naive", "xla", "native"]
    assert page.locator("th[aria-sort=descending]").text_content() == "allocated"
    page.get_by_role("button", name="time").press("Space")
    assert column(page, 3) == ["3 ms", "20 ms", ""]
    page.get_by_role("button", name="time").press("Space")
    assert column(page, 3) == ["20 ms", "3 ms", ""]


def test_tips_come_by_pointer_focus_and_touch(html: str, show: Viewer) -> None:
    page = show(html)
    tip = page.locator("#tip")
    page.locator(".mark").first.hover()
    assert tip.text_content() == "one\n20 ms"
    page.mouse.move(5, 5)
    assert tip.is_hidden()
    page.locator(".mark").first.focus()
    page.keyboard.press("ArrowRight")
    assert tip.text_content() == "two\n100 ms"
    assert page.evaluate("document.activeElement.getAttribute('aria-describedby')") == "tip"
    page.keyboard.press("Escape")
    assert tip.is_hidden()


def test_tips_stay_on_a_phone(html: str, show: Viewer) -> None:
    page = show(html, PHONE)
    page.locator(".mark").last.tap()
    box = page.locator("#tip").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390


def test_the_button_changes_the_colours(html: str, show: Viewer) -> None:
    page = show(html)
    page.evaluate("document.addEventListener('theme', () => { window.told = true; })")
    page.locator("#theme").click()
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(236, 238, 241)"
    assert page.evaluate("[window.told, pelemay.colour('--page')]") == [True, "rgb(20, 22, 26)"]
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(23, 25, 29)"
    assert page.locator("#theme").is_hidden()


def test_scripts_have_numbers_and_data(html: str, show: Viewer) -> None:
    said = show(html).locator("#out").text_content()
    assert said == "179 MB; 22.0 ms; </script><b>"


def test_a_frame_takes_the_height_of_its_page(html: str, show: Viewer) -> None:
    page = show(framed(html, height=50))
    page.frame_locator("iframe").get_by_role("button", name="allocated").click()
    page.wait_for_function("document.querySelector('iframe').clientHeight > 500")


BAD = """<div id="wide" style="width:2000px; font-size:8px">wide</div>
<img src="https://localhost:9/x.png">"""


def test_what_is_wrong_is_noticed(show: Viewer) -> None:
    section = Section("x", Html(BAD))
    page = show(Page("", "", "", (section,), scripts=("console.log('loud')",)).html())
    found = " ".join(misplaced(page))
    assert 'too wide: <div id="wide"' in found
    assert "too small" in found
    page = show("<i class=tick>a</i><i class=tick style=margin-left:-1ch>b</i><script>x()</script>")
    assert misplaced(page) == ["over each other: a | b"]
    said = " ".join(show.noises)
    assert "loud" in said
    assert "violates" in said
    assert "x is not defined" in said
    show.noises.clear()
