"""The page of a model: blocks open and close, nodes are found, the table leads to the graph."""

from __future__ import annotations

from typing import Any

import pytest

from pelemay.importers.model import from_proto
from pelemay.views import inspect
from support.pictured import network
from support.screens import PHONE, Screen, Viewer, misplaced


@pytest.fixture(scope="module")
def html() -> str:
    return inspect(from_proto(network())).html()


def box(page: Any, title: str) -> Any:
    return page.get_by_role("button", name=title)


def shown(page: Any) -> int:
    count: int = page.locator("#net .box").count()
    return count


_OVER = """() => {
  const cards = [...document.querySelectorAll("#net .box:not(.is-open) > .card")];
  const boxes = cards.map((e) => e.getBoundingClientRect());
  return boxes.some((p, i) => boxes.slice(i + 1).some((q) =>
    p.left < q.right - 1 && q.left < p.right - 1 && p.top < q.bottom - 1 && q.top < p.bottom - 1));
}"""


def test_it_fits_every_screen(html: str, show: Viewer, screen: Screen) -> None:
    page = show(html, screen)
    outside = "() => [...document.querySelectorAll('#net text')].length"
    assert page.evaluate(outside) > 4
    page.evaluate("document.querySelector('#net svg').style.display = 'none'")
    assert misplaced(page) == []


def test_blocks_open_and_close_by_a_click(html: str, show: Viewer) -> None:
    page = show(html)
    assert shown(page) == 4
    box(page, "body, ").click()
    assert shown(page) == 7
    box(page, "block, ").click()
    assert shown(page) == 10
    assert not page.evaluate(_OVER)
    assert page.locator("#details h3").text_content() == "block"
    assert "3 nodes" not in page.locator("#details").text_content()
    page.locator(".box.is-open > .title", has_text="body").click()
    assert shown(page) == 4
    page.get_by_role("button", name="open all blocks").click()
    assert shown(page) == 12
    assert not page.evaluate(_OVER)
    page.get_by_role("button", name="close all blocks").click()
    assert shown(page) == 4


def test_what_is_pointed_at_is_described(html: str, show: Viewer) -> None:
    page = show(html)
    page.get_by_role("button", name="open all blocks").click()
    box(page, "Conv, /body/block/inner").hover()
    said = page.locator("#details").text_content()
    for text in (
        "/body/block/inner",
        "float32[1×8×32×32]",
        "2,304 bytes",
        "589,824",
        "kernel_shape",
    ):
        assert text in said
    assert page.locator("#net .edge.lit").count() == 2
    assert page.locator("#net .box.lit").count() == 1
    assert page.locator("#net .shape", has_text="1×8×32×32").count() >= 3


def test_nodes_are_found(html: str, show: Viewer) -> None:
    page = show(html)
    page.get_by_label("find a node").fill("outer")
    assert page.locator("#found").text_content() == "1 found"
    page.get_by_label("find a node").press("Enter")
    assert page.locator("#net .box.hit").count() == 1
    assert "/body/block/outer" in page.locator("#details").text_content()
    page.get_by_label("find a node").fill("no such node")
    assert page.locator("#found").text_content() == "0 found"


def test_a_row_of_the_table_leads_to_its_node(html: str, show: Viewer) -> None:
    page = show(html)
    heading = page.locator("#nodes th button", has_text="MMAC")
    heading.click()
    heading.click()
    row = page.locator("#nodes tbody tr").first
    assert row.locator("td").nth(1).text_content() == "0.59"
    row.click()
    assert "/body/block/" in page.locator("#details").text_content()
    assert page.locator("#net .box.lit").is_visible()


def test_the_keyboard_walks_along_edges(html: str, show: Viewer) -> None:
    page = show(html)
    page.locator("#net").focus()
    page.keyboard.press("ArrowDown")
    assert page.locator("#details h3").text_content() == "image"
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert page.locator(".box.is-open").count() == 1
    page.keyboard.press("ArrowDown")
    assert page.locator("#details h3").text_content() == "Conv"
    page.keyboard.press("ArrowUp")
    assert page.locator("#details h3").text_content() == "body"
    scale = page.evaluate("pelemay.graph.view.scale")
    page.keyboard.press("+")
    assert page.evaluate("pelemay.graph.view.scale") > scale


def test_it_moves_by_pointer_and_wheel(html: str, show: Viewer) -> None:
    page = show(html)
    page.locator("#net").hover(position={"x": 40, "y": 300})
    before = page.evaluate("({...pelemay.graph.view})")
    page.mouse.wheel(0, 200)
    assert page.evaluate("pelemay.graph.view.scale") == before["scale"]
    page.locator("#net").hover(position={"x": 40, "y": 300})
    page.mouse.down()
    page.mouse.move(300, 400)
    page.mouse.up()
    assert page.evaluate("pelemay.graph.view.x") != before["x"]
    assert shown(page) == 4
    page.locator("#net").focus()
    page.mouse.wheel(0, -200)
    page.wait_for_function(f"pelemay.graph.view.scale > {before['scale']}")


def test_a_block_opens_by_a_tap(html: str, show: Viewer) -> None:
    page = show(html, PHONE)
    box(page, "head, ").tap()
    assert shown(page) == 6
