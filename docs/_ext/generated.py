"""Pieces of pages that the program itself says, made when the documentation is built.

In: a directive in a page. Out: what the command line prints, or a table of what the program has.

    ```{pelemay-help} models get
    ```
"""

from __future__ import annotations

import inspect
import io
import os
from collections.abc import Iterable, Sequence
from contextlib import redirect_stdout, suppress
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

Row = Sequence[str]


class Help(SphinxDirective):
    """``{pelemay-help} COMMAND``: the help text of a command, as it is printed."""

    optional_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        words = self.arguments[0].split() if self.arguments else []
        text = f"$ {' '.join(['pelemay', *words, '--help'])}\n{help_text(words)}"
        return [nodes.literal_block(text, text, language="text")]


def help_text(words: Sequence[str]) -> str:
    """What ``pelemay WORDS --help`` prints on a terminal of 88 columns, without colours."""
    from pelemay.cli import main

    os.environ.update(COLUMNS="88", NO_COLOR="1")
    with redirect_stdout(io.StringIO()) as printed, suppress(SystemExit):
        main([*words, "--help"])
    return printed.getvalue()


class _Listing(SphinxDirective):
    """A table in Markdown, parsed by MyST."""

    header: Row

    def rows(self) -> Iterable[Row]:
        raise NotImplementedError

    def run(self) -> list[nodes.Node]:
        lines = [self.header, ["---"] * len(self.header), *self.rows()]
        text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        return self.parse_text_to_nodes(text)


class Operations(_Listing):
    """``{pelemay-operations}``: the operation table."""

    header = ("operation", "group", "attributes", "read on the host")

    def rows(self) -> Iterable[Row]:
        from pelemay.graph.operations import table

        ordered = sorted(table().values(), key=lambda row: (row.domain, row.name.lower()))
        return [(f"`{r.name}`", r.group, _attributes(r), _host(r)) for r in ordered]


def _attributes(operation: Any) -> str:
    empty = inspect.Parameter.empty
    given = operation.attributes.items()
    return ", ".join(f"`{k}`" if v is empty else f"`{k}={v!r}`" for k, v in given)


def _host(operation: Any) -> str:
    if operation.on_host:
        return "all"
    names = list(inspect.signature(operation.meaning).parameters)[1:]
    return ", ".join(f"`{names[i]}`" if i < len(names) else str(i) for i in operation.host)


class Networks(_Listing):
    """``{pelemay-networks}``: the catalogue."""

    header = ("name", "bytes", "encoding", "input", "operator set", "original", "origin")

    def rows(self) -> Iterable[Row]:
        from pelemay import models

        return [
            (
                f"`{e.name}`",
                f"{e.size_bytes:,}",
                f"`{e.encoding}`",
                f"`{e.input_name}` [{', '.join(map(str, e.input_shape))}]",
                str(e.opset),
                f"`{e.sha256[:12]}…`" if e.sha256 else "none",
                e.note,
            )
            for e in models.available()
        ]


class Figures(_Listing):
    """``{pelemay-figures}``: the columns of the benchmark, as ``--explain`` says them."""

    header = ("figure", "what it is")

    def rows(self) -> Iterable[Row]:
        from pelemay.bench import FIGURES

        return [(f"**{figure.title}**", figure.explanation) for figure in FIGURES]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directives."""
    app.add_directive("pelemay-help", Help)
    app.add_directive("pelemay-operations", Operations)
    app.add_directive("pelemay-networks", Networks)
    app.add_directive("pelemay-figures", Figures)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
