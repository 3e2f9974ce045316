"""The page of plans: the slider, what is pointed at, the table, the keyboard."""

from __future__ import annotations

from typing import Any

import onnx.parser
import pytest

from pelemay.importers.model import from_proto
from pelemay.views import plans
from support.pictured import network
from support.screens import PHONE, WIDE, Screen, Viewer, misplaced


@pytest.fixture(scope="module")
def html() -> str:
    return plans(from_proto(network()), limits=5).html()


def pixels(page: Any) -> str:
    found: str = page.evaluate("document.getElementById('chart').toDataURL()")
    return found


def choose(page: Any, index: int) -> None:
    page.locator("#limit").fill(str(index))


def point(page: Any, value: str) -> None:
    """Move the pointer to a value of the picture."""
    place = page.evaluate("(name) => pelemay.plan.placeOf(name)", value)
    page.locator("#over").hover(position=place)


def test_it_fits_every_screen(html: str, show: Viewer, screen: Screen) -> None:
    page = show(html, screen)
    assert misplaced(page) == []
    red = page.evaluate("pelemay.colour('--vermilion')")
    assert red in page.evaluate(
        """() => { const c = document.getElementById('chart');
        const p = c.getContext('2d').getImageData(0, 0, c.width, c.height).data, found = new Set();
        for (let i = 0; i < p.length; i += 4) found.add(`rgb(${p[i]}, ${p[i + 1]}, ${p[i + 2]})`);
        return [...found]; }"""
    )


def test_the_slider_changes_the_plan(html: str, show: Viewer) -> None:
    page = show(html)
    limits, pictures = [], []
    for index in range(int(page.locator("#limit").get_attribute("max")) + 1):
        choose(page, index)
        limits.append(page.locator("#limit-text").text_content())
        pictures.append(pixels(page))
        assert limits[-1] in page.locator("#limit").get_attribute("aria-valuetext")
        assert page.locator(".mark.chosen").count() == 1
    assert len(set(limits)) == len(set(pictures)) == len(limits)
    page.locator(".mark").first.click()
    assert page.locator("#limit-text").text_content() == limits[0]
    assert page.locator("#limit").input_value() == "0"


def test_what_is_pointed_at_says_its_name_shape_bytes_and_life(html: str, show: Viewer) -> None:
    page = show(html)
    choose(page, 4)
    point(page, "inner::last")
    said = page.locator("#tip").text_content().split("\n")
    assert said[0] == "inner::last"
    assert said[1] == "float32[1×32×32×8]"
    assert said[2].startswith("32,768 bytes at byte ")
    assert [line.partition(":")[0] for line in said[3:]] == ["born", "dies"]
    assert "/body/block/inner" in said[3]
    assert "/body/block/outer" in said[4]
    assert page.locator("tr.lit th").text_content() == "/body/block/inner"
    page.mouse.move(5, 5)
    assert page.locator("tr.lit").count() == 0


def test_rows_of_a_ring_say_which_they_are(html: str, show: Viewer) -> None:
    page = show(html)
    point(page, "stem::last")
    assert "of its 32 rows are held at a time" in page.locator("#tip").text_content()


def test_rows_of_the_table_sort_and_show_their_box(html: str, show: Viewer) -> None:
    page = show(html)
    choose(page, 4)
    page.get_by_role("button", name="MMAC").click()
    page.get_by_role("button", name="MMAC").click()
    first = page.locator("#layers tbody tr").first
    assert first.locator("td").nth(3).text_content() == "0.590"
    before = page.evaluate("document.getElementById('over').toDataURL()")
    first.hover()
    page.wait_for_function("pelemay.plan.seen.node >= 0")
    assert page.evaluate("document.getElementById('over').toDataURL()") != before


def test_the_picture_moves_by_keyboard_and_wheel(html: str, show: Viewer) -> None:
    page = show(html)
    over, span = page.locator("#over"), "pelemay.plan.seen.to - pelemay.plan.seen.from"
    over.hover()
    page.mouse.wheel(0, -400)
    assert page.evaluate(span) == 1
    over.focus()
    page.keyboard.press("ArrowRight")
    assert page.locator("tr.lit").count() == 1
    assert page.locator("#tip").is_visible()
    page.keyboard.press("+")
    assert page.evaluate(span) < 0.8
    page.keyboard.press("0")
    assert page.evaluate(span) == 1
    page.mouse.wheel(0, -400)
    page.wait_for_function(f"{span} < 0.9")
    before = page.evaluate("pelemay.plan.seen.from")
    box = over.bounding_box()
    page.mouse.move(box["x"] + 300, box["y"] + 200)
    page.mouse.down()
    page.mouse.move(box["x"] + 200, box["y"] + 200)
    page.mouse.up()
    assert page.evaluate("pelemay.plan.seen.from") > before


def test_a_tap_on_a_phone_says_what_is_there(html: str, show: Viewer) -> None:
    page = show(html, PHONE)
    place = page.evaluate("pelemay.plan.placeOf('half::last')")
    page.locator("#over").tap(position=place)
    assert "half" in page.locator("#tip").text_content()
    box = page.locator("#tip").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= PHONE.width


def test_steps_and_scales_are_chosen(html: str, show: Viewer) -> None:
    page = show(html, WIDE)
    by_time = pixels(page)
    page.get_by_label("steps instead of time").check()
    by_step = pixels(page)
    page.get_by_label("same scale for all limits").check()
    assert len({by_time, by_step, pixels(page)}) == 3
    page.locator("#theme").click()
    page.wait_for_function(
        "(before) => document.getElementById('chart').toDataURL() !== before", arg=by_step
    )


def test_a_page_without_anything_planned_is_quiet(show: Viewer) -> None:
    """Strings have no place in an arena."""
    proto = onnx.parser.parse_model(
        """<ir_version: 9, opset_import: ["" : 20]> g (string[2] x) => (bool[2] y)
        { y = RegexFullMatch<pattern = "a">(x) }"""
    )
    page = show(plans(from_proto(proto)).html())
    page.locator("#over").hover(position={"x": 200, "y": 150})
    page.locator("#over").focus()
    page.keyboard.press("ArrowRight")
    assert page.locator("#tip").is_hidden()
