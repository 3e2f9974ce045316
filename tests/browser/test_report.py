"""The page of a suite, as someone uses it who reads it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pelemay.bench import format_html
from support.screens import PHONE, Screen, Viewer, misplaced
from support.suites import followed_suite

TEXTS = ".tick, .mark-label, .bar-mark span, .step span"


@pytest.fixture(scope="module")
def html() -> str:
    return format_html(followed_suite())


def bar(page: Any, name: str) -> Any:
    return page.locator(".bar-row", has=page.locator(f".name:text-is('{name}')")).first


def width(found: Any) -> float:
    return float(found.evaluate("e => e.getBoundingClientRect().width"))


def left(found: Any) -> float:
    return float(found.evaluate("e => parseFloat(getComputedStyle(e).left)"))


@pytest.fixture
def quiet() -> str:
    """No motion, so that lengths can be measured at once."""
    return "*, *::before { transition: none !important; }"


def test_it_fits_every_screen(html: str, show: Viewer, screen: Screen, quiet: str) -> None:
    page = show(html, screen)
    assert misplaced(page, TEXTS) == []
    page.add_style_tag(content=quiet)
    for size in ("512 MB", "64 MB"):
        page.get_by_text(size, exact=True).first.click()
        assert misplaced(page, TEXTS) == []


def test_all_bars_have_one_scale(html: str, show: Viewer, quiet: str) -> None:
    page = show(html)
    page.add_style_tag(content=quiet)
    anonymous = {n: width(bar(page, n).locator(".anonymous")) for n in ("naive", "torch", "xla")}
    assert anonymous["naive"] / anonymous["torch"] == pytest.approx(2.9 / 0.8, rel=0.02)
    track = width(bar(page, "naive").locator(".track"))
    file_mark, pi = page.locator(".bar-mark.model").first, page.locator(".bar-mark").first
    before = left(pi)
    assert left(file_mark) / before == pytest.approx(178_914_043 / (512 << 20), rel=0.01)
    page.get_by_label("512 MB").check()
    assert left(pi) == pytest.approx(2_500_000_000 / (512 << 20) * before, rel=0.01)
    assert "over" in bar(page, "naive").get_attribute("class")
    assert "over" not in bar(page, "native").get_attribute("class")
    assert width(bar(page, "naive").locator(".track")) == track


def test_what_was_held_before_can_be_left_out(html: str, show: Viewer) -> None:
    page = show(html)
    row = bar(page, "native")
    assert row.locator(".value").inner_text() == "48.7 MB"
    page.get_by_label("with what was held before the job").uncheck()
    assert row.locator(".value").inner_text() == "8.69 MB"
    assert row.locator(".base").is_hidden()


def test_a_bar_says_what_it_is_by_keyboard_and_touch(html: str, show: Viewer) -> None:
    page = show(html)
    page.locator("#with-base").focus()
    page.keyboard.press("Tab")
    assert page.locator("#tip").inner_text().startswith("reference\n40.7 MB at most")
    touched = show(html, PHONE)
    bar(touched, "xla").tap()
    assert "added by it" in touched.locator("#tip").inner_text()


def test_the_front_is_named(html: str, show: Viewer) -> None:
    page = show(html)
    plot = page.locator("#time-against-memory .plot").first
    assert plot.get_attribute("aria-label").endswith("nothing beats reference")
    plot.locator(".mark.on-front").hover()
    assert "(median)" in page.locator("#tip").inner_text()


def test_a_timeline_is_read_by_pointer_and_keys(html: str, show: Viewer) -> None:
    page = show(html)
    area = page.locator(".plot-area[data-series]").first
    area.scroll_into_view_if_needed()
    box = area.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 8, box["y"] + box["height"] / 2)
    tip = page.locator("#tip")
    assert ", packages\n" in tip.inner_text()
    area.press("End")
    last = tip.inner_text().splitlines()
    assert last[0] == "398 ms, steady"
    assert [line.split(" ", 2)[2] for line in last[1:]] == ["resident", "anonymous", "file-backed"]
    area.press("ArrowLeft")
    assert tip.inner_text().startswith("396 ms")
    area.evaluate("e => e.blur()")
    assert page.locator(".crosshair").count() == 0


def test_a_timeline_is_read_by_touch(html: str, show: Viewer) -> None:
    page = show(html, PHONE)
    area = page.locator(".plot-area[data-series]").first
    area.tap()
    assert "resident" in page.locator("#tip").inner_text()
    assert area.locator(".crosshair").count() == 1
    page.locator("h1").tap()
    assert page.locator("#tip").is_hidden()


def test_pictures_can_have_their_own_scale(html: str, show: Viewer) -> None:
    page = show(html)
    plot = page.locator(".timeline", has=page.locator("[data-series=series-0-0]"))
    ticks = plot.locator(".tick.of-y:visible")
    assert ticks.last.inner_text() == "4 GB"
    page.locator("#own-scale").check()
    assert ticks.last.inner_text() == "60 MB"
    assert float(plot.locator("svg").get_attribute("viewBox").split()[3]) == pytest.approx(15)


def test_tables_sort_by_number(html: str, show: Viewer) -> None:
    page = show(html)
    table = page.locator("#all-figures table").first
    heading = table.get_by_role("button", name="median")
    heading.click()
    assert table.locator("tbody th").all_text_contents()[0] == "reference"
    heading.click()
    assert table.locator("tbody th").all_text_contents()[0] == "naive"
    table.get_by_role("button", name="mode").hover()
    assert page.locator("#tip").inner_text().startswith("The time that occurred most often")


def test_it_can_be_printed(html: str, show: Viewer) -> None:
    page = show(html)
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(23, 25, 29)"
    assert page.locator(".controls").first.is_hidden()
    assert len(page.pdf()) > 10_000


@pytest.fixture(scope="module")
def changes() -> str:
    after = followed_suite()
    results = [
        replace(r, samples_ns=tuple(t * (2 + i % 3) // 3 for t in r.samples_ns))
        for i, r in enumerate(after.results)
    ]
    return format_html(after, [replace(after, tag="before", results=tuple(results))])


def test_changes_fit_every_screen(changes: str, show: Viewer, screen: Screen) -> None:
    page = show(changes, screen)
    assert misplaced(page, f"{TEXTS}, .ratio-row .name, .ratio-row .value") == []
    row = page.locator(".ratio-row.more").first
    row.focus()
    dot, one = row.locator(".dot").bounding_box(), page.locator(".ratio-lines .one").bounding_box()
    assert dot["x"] > one["x"]
