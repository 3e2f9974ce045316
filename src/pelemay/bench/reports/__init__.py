"""Reports: a :class:`pelemay.bench.suite.Suite` as text.

In: a suite. Out: text, which the caller writes where it wants. ``FORMATTERS`` maps the name of a
format to its function.

>>> sorted(FORMATTERS)
['console', 'html', 'json', 'markdown']
"""

from __future__ import annotations

from collections.abc import Callable

from pelemay.bench.reports.console import format_console, format_header
from pelemay.bench.reports.markdown import format_markdown
from pelemay.bench.reports.page import format_html
from pelemay.bench.suite import Suite

__all__ = [
    "FORMATTERS",
    "format_console",
    "format_header",
    "format_html",
    "format_json",
    "format_markdown",
]


def format_json(suite: Suite) -> str:
    """The suite as JSON, samples included; :meth:`Suite.load` reads it back."""
    return suite.to_json() + "\n"


FORMATTERS: dict[str, Callable[[Suite], str]] = {
    "console": format_console,
    "html": format_html,
    "json": format_json,
    "markdown": format_markdown,
}
