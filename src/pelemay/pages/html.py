"""HTML and SVG elements as text, escaped.

In: names, children and attributes. Out: :class:`Html`, which is not escaped again.

>>> element("p", "a < b", element("br"), class_="note", data_tip=None, hidden=True)
'<p class="note" hidden>a &lt; b<br></p>'
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

_EMPTY = frozenset({"br", "hr", "img", "input", "meta", "link"})


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def element(name: str, /, *children: str, **attributes: str | float | bool | None) -> Html:
    """Make an element.

    Parameters
    ----------
    name : str
        Its tag.
    *children : str
        What is in it, in order; what is not :class:`Html` is escaped.
    **attributes : str, number, bool or None
        An underscore at the end of a name is dropped, others become hyphens; True gives an
        attribute without a value, None and False give none. Numbers have up to 2 decimals.

    Returns
    -------
    Html
    """
    given = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in _EMPTY:
        return Html(f"<{name}{given}>")
    return Html(f"<{name}{given}>{join(children)}</{name}>")


def join(pieces: Iterable[str], between: str = "") -> Html:
    """Pieces one after the other; what is not :class:`Html` is escaped.

    >>> join(["a & b", element("b", "c")], ", ")
    'a &amp; b, <b>c</b>'
    """
    return Html(between.join(p if isinstance(p, Html) else escape(p) for p in pieces))


def _attribute(name: str, value: str | float | bool | None) -> str:
    if value is None or value is False:
        return ""
    key = name.rstrip("_").replace("_", "-")
    if value is True:
        return f" {key}"
    text = value if isinstance(value, str) else number(value)
    return f' {key}="{escape(text)}"'


def number(value: float) -> str:
    """A number with up to 2 decimals.

    >>> number(2.0), number(1 / 3)
    ('2', '0.33')
    """
    return f"{value:.2f}".rstrip("0").rstrip(".")
