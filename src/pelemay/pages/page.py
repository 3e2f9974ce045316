"""The page around the sections: head, heading, colours, scripts, data.

In: a :class:`Page`. Out: text of one HTML file. A policy in its head forbids everything from
elsewhere, so that a page that needed the network would not work in tests either.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

from pelemay.pages.html import Html, element

_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data: blob:"
)
_TOGGLE = element(
    "button",
    "◐",
    type="button",
    id="theme",
    data_tip="light or dark",
    aria_label="switch between light and dark colours",
)


@dataclass(frozen=True)
class Section:
    """A part of a page: its heading, what is in it, and a line under the heading."""

    title: str
    body: Html
    intro: str | Html = ""

    @property
    def anchor(self) -> str:
        """What a link to it ends in.

        >>> Section("Memory over time", Html("")).anchor
        'memory-over-time'
        """
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")


@dataclass(frozen=True)
class Page:
    """A page.

    Parameters
    ----------
    kind : str
        What made it, such as "pelemay bench"; stands above the finding.
    title : str
        Of the window.
    finding : str
        What was found, in one sentence: the largest text of the page.
    sections : tuple of Section
        From top to bottom.
    facts : tuple of str
        What the page is about, in a line under the finding.
    styles, scripts : tuple of str
        Texts of CSS and JavaScript beside those that every page has; see :func:`asset`.
    data : mapping of str to JSON value
        Read by scripts with ``pelemay.data(name)``.
    """

    kind: str
    title: str
    finding: str
    sections: tuple[Section, ...]
    facts: tuple[str, ...] = ()
    styles: tuple[str, ...] = ()
    scripts: tuple[str, ...] = ()
    data: Mapping[str, Any] = field(default_factory=dict)

    def html(self) -> str:
        """The page as text of one HTML file."""
        styles = (asset(__package__, "page.css"), *self.styles)
        scripts = (asset(__package__, "page.js"), *self.scripts)
        head = [
            element("meta", charset="utf-8"),
            element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
            element("meta", name="viewport", content="width=device-width, initial-scale=1"),
            element("meta", name="color-scheme", content="light dark"),
            element("title", self.title),
            *(element("style", _raw(style, "</style")) for style in styles),
        ]
        body = [
            element("main", self._header(), *map(_section, self.sections)),
            *(_data(name, value) for name, value in self.data.items()),
            *(element("script", _raw(script, "</script")) for script in scripts),
        ]
        html = element("html", element("head", *head), element("body", *body), lang="en")
        return f"<!DOCTYPE html>\n{html}\n"

    def _header(self) -> Html:
        bar = element("div", element("span", self.kind, class_="kind"), _TOGGLE, class_="bar")
        facts = element("ul", *(element("li", fact) for fact in self.facts), class_="facts")
        links = [element("a", s.title, href=f"#{s.anchor}") for s in self.sections]
        return element(
            "header",
            bar,
            element("h1", self.finding),
            facts if self.facts else "",
            element("nav", *links, aria_label="on this page") if len(links) > 2 else "",
        )


def _section(section: Section) -> Html:
    intro = element("p", section.intro, class_="intro") if section.intro else Html("")
    heading = element("h2", section.title, id=f"{section.anchor}-title")
    return element(
        "section",
        heading,
        intro,
        section.body,
        id=section.anchor,
        aria_labelledby=f"{section.anchor}-title",
    )


def _data(name: str, value: Any) -> Html:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    safe = Html(text.replace("<", "\\u003c"))
    return element("script", safe, type="application/json", id=f"data-{name}")


def _raw(text: str, end: str) -> Html:
    """Style or script as it is; its end must not stand in it."""
    if end in text.lower():
        raise ValueError(f"a style or script must not contain {end!r}")
    return Html(f"\n{text}")


def asset(package: str, name: str) -> str:
    """The text of a file in the folder ``assets`` of a package."""
    return (files(package) / "assets" / name).read_text(encoding="utf-8")


def script(package: str, folder: str, *names: str) -> str:
    """Files in a folder of ``assets`` as one script, in this order; their names are its own."""
    parts = "\n".join(asset(package, f"{folder}/{name}.js") for name in names)
    return f'(() => {{\n"use strict";\n\n{parts}}})();\n'


def framed(page: str, height: int = 640) -> Html:
    """A page inside of another one, as notebooks show it; it grows to its height when shown.

    Parameters
    ----------
    page : str
        What :meth:`Page.html` gives.
    height : int
        Pixels, until the page is there.

    Examples
    --------
    >>> framed("<p>it</p>")[:30]
    '<iframe srcdoc="&lt;p&gt;it&lt'
    """
    style = f"width:100%;height:{height}px;border:0"
    return element("iframe", srcdoc=page, style=style, loading="lazy", title="pelemay")
