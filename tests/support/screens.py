"""Screens that pages are looked at with, and what is wrong with a page's layout."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Screen:
    """A window and the colours that its owner likes."""

    width: int
    height: int
    colours: str

    @property
    def name(self) -> str:
        return f"{self.width}-{self.colours}"


SCREENS = tuple(
    Screen(width, height, colours)
    for width, height in ((1440, 900), (390, 844))
    for colours in ("light", "dark")
)
WIDE, _, PHONE, _ = SCREENS


@dataclass
class Viewer:
    """Opens pages from files, and notes what should not happen.

    ``noises`` are what pages say on the console, errors of scripts, and requests for anything
    but the file.
    """

    browser: Any
    folder: Path
    noises: list[str] = field(default_factory=list)
    contexts: list[Any] = field(default_factory=list)

    def __call__(self, html: str, screen: Screen = WIDE) -> Any:
        """A playwright ``Page`` that shows the text of a page."""
        path = self.folder / f"page-{len(self.contexts)}.html"
        path.write_text(html, encoding="utf-8")
        context = self.browser.new_context(
            viewport={"width": screen.width, "height": screen.height},
            color_scheme=screen.colours,
            has_touch=screen.width < 500,
        )
        self.contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("console", lambda message: self.noises.append(message.text))
        page.on("pageerror", lambda error: self.noises.append(str(error)))
        page.on("request", lambda request: self._note(request.url, path))
        page.goto(path.as_uri())
        return page

    def _note(self, url: str, path: Path) -> None:
        if not url.startswith((path.as_uri(), "data:", "blob:", "about:")):
            self.noises.append(url)

    def close(self) -> None:
        for context in self.contexts:
            context.close()


_TOO_WIDE = """() => {
  const isCut = (e) => e && (getComputedStyle(e).overflowX !== "visible" || isCut(e.parentElement));
  return [...document.querySelectorAll("body *:not(svg *, .unseen)")].filter((e) => {
    const box = e.getBoundingClientRect();
    const isSeen = box.width && e.checkVisibility({ visibilityProperty: true });
    return isSeen && box.right > innerWidth + 1 && !isCut(e.parentElement);
  }).map((e) => `too wide: ${e.outerHTML.slice(0, 120)}`);
}"""

_TOO_SMALL = """() => [...document.querySelectorAll("body *")].filter((e) =>
  e.matches(":not(script, style, .unseen)") &&
  [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim()) &&
  e.getClientRects().length && parseFloat(getComputedStyle(e).fontSize) < 11
).map((e) => `too small: ${e.outerHTML.slice(0, 120)}`)"""

_OVER_EACH_OTHER = """(selector) => {
  const isSeen = (e) => e.checkVisibility({ visibilityProperty: true });
  const shown = [...document.querySelectorAll(selector)].filter(isSeen);
  const boxes = shown.map((e) => [e.textContent, e.getBoundingClientRect()]);
  const isOver = (p, q) =>
    p.left < q.right - 1 && q.left < p.right - 1 && p.top < q.bottom - 1 && q.top < p.bottom - 1;
  return boxes.flatMap(([a, p], i) =>
    boxes.slice(i + 1).filter(([, q]) => isOver(p, q)).map(([b]) => `over each other: ${a} | ${b}`)
  );
}"""


def misplaced(page: Any, texts: str = ".tick, .mark-label") -> list[str]:
    """What is wrong with a page's layout.

    What is wider than the window, texts below 11 pixels, and texts (selected by ``texts``) that
    lie over each other.
    """
    found = page.evaluate(_TOO_WIDE) + page.evaluate(_TOO_SMALL)
    return [*found, *page.evaluate(_OVER_EACH_OTHER, texts)]
