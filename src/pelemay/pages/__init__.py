"""Pages: what was found, as one HTML file that needs nothing else, no network either.

In: sections as HTML made with :func:`element`, :func:`table` and :func:`plot`, and data for
scripts. Out: the text of a page. Styles and scripts are files under ``assets``; a page has light
and dark colours, is readable on a phone and on paper, and works with the keyboard.

>>> page = Page("pelemay bench", "net", "It fits.", (Section("Memory", element("p", "a < b")),))
>>> "<p>a &lt; b</p>" in page.html()
True
"""

from pelemay.pages.html import Html, element, join
from pelemay.pages.page import Page, Section, asset, framed, script
from pelemay.pages.plot import Axis, area, line, linear, logarithmic, mark, plot
from pelemay.pages.table import Cell, Column, table

__all__ = [  # noqa: RUF022 - from the whole to its parts
    "Page",
    "Section",
    "asset",
    "script",
    "framed",
    "Html",
    "element",
    "join",
    "Cell",
    "Column",
    "table",
    "Axis",
    "linear",
    "logarithmic",
    "plot",
    "area",
    "line",
    "mark",
]
