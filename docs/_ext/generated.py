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


class _Markdown(SphinxDirective):
    """Text in Markdown, parsed by MyST."""

    def text(self) -> str:
        raise NotImplementedError

    def run(self) -> list[nodes.Node]:
        return self.parse_text_to_nodes(self.text(), allow_section_headings=True)


def _table(header: Row, rows: Iterable[Row]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


class Operations(_Markdown):
    """``{pelemay-operations}``: the operation table, a section for each group."""

    def text(self) -> str:
        from pelemay.graph.operations import table

        groups: dict[str, list[Row]] = {}
        for row in sorted(table().values(), key=lambda row: (row.group, row.name.lower())):
            cells = (f"`{_qualified(row)}`", _attributes(row), _host(row))
            groups.setdefault(row.group, []).append(cells)
        header = ("operation", "attributes", "read on the host")
        return "\n\n".join(f"## {name}\n\n{_table(header, g)}" for name, g in groups.items())


def _qualified(operation: Any) -> str:
    return f"{operation.domain}::{operation.name}" if operation.domain else operation.name


def _attributes(operation: Any) -> str:
    empty = inspect.Parameter.empty
    given = operation.attributes.items()
    return ", ".join(f"`{k}`" if v is empty else f"`{k}={v!r}`" for k, v in given)


def _host(operation: Any) -> str:
    if operation.on_host:
        return "all"
    names = list(inspect.signature(operation.meaning).parameters)[1:]
    return ", ".join(f"`{names[i]}`" if i < len(names) else str(i) for i in operation.host)


class Networks(_Markdown):
    """``{pelemay-networks}``: the catalogue."""

    def text(self) -> str:
        from pelemay import models

        rows = [
            (
                f"`{e.name}`",
                f"{e.size_bytes:,}",
                f"`{e.encoding}`",
                f"`{e.input_name}` [{', '.join(map(str, e.input_shape))}]",
                str(e.opset),
            )
            for e in models.available()
        ]
        return _table(("name", "bytes", "encoding", "input", "operator set"), rows)


class Origins(_Markdown):
    """``{pelemay-origins}``: where the networks come from, and under which licence."""

    def text(self) -> str:
        from pelemay import models

        names: dict[str, list[str]] = {}
        for entry in models.available():
            names.setdefault(entry.note, []).append(f"`{entry.name}`")
        return "\n".join(f"- {', '.join(found)}: {note}" for note, found in names.items())


class Checksums(SphinxDirective):
    """``{pelemay-checksums}``: SHA-256 of the originals, as ``sha256sum --check`` reads them."""

    def run(self) -> list[nodes.Node]:
        from pelemay import models

        found = [f"{e.sha256}  {e.file_name}" for e in models.available() if e.sha256]
        text = "\n".join(found)
        return [nodes.literal_block(text, text, language="text")]


class Figures(_Markdown):
    """``{pelemay-figures}``: the columns of the benchmark, as ``--explain`` says them."""

    def text(self) -> str:
        from pelemay.bench import FIGURES

        rows = [(f"**{figure.title}**", figure.explanation) for figure in FIGURES]
        return _table(("figure", "what it is"), rows)


DIRECTIVES = {
    "pelemay-help": Help,
    "pelemay-operations": Operations,
    "pelemay-networks": Networks,
    "pelemay-origins": Origins,
    "pelemay-checksums": Checksums,
    "pelemay-figures": Figures,
}


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directives."""
    for name, directive in DIRECTIVES.items():
        app.add_directive(name, directive)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
