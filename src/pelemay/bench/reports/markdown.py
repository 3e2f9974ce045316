"""A suite as Markdown: the same sections as in the terminal.

In: a suite. Out: text in GitHub's Markdown.
"""

from __future__ import annotations

from collections.abc import Iterator

from pelemay.bench.finding import findings
from pelemay.bench.reports import bars
from pelemay.bench.reports.sections import Section, Table, agreement, header, sections
from pelemay.bench.suite import Suite

_WIDTH = 80


def format_markdown(suite: Suite) -> str:
    """The whole report, findings first."""
    blocks = ["# pelemay bench", *(f"- {_escape(line)}" for line in findings(suite)), ""]
    blocks += [_table(Table(("", ""), tuple(header(suite)))), agreement(suite)]
    for section in sections(suite):
        blocks += _section(section)
    return "\n".join(block for block in blocks if block is not None).strip() + "\n"


def _section(section: Section) -> Iterator[str]:
    yield f"\n## {_escape(section.title)}\n"
    if section.times:
        yield _table(section.times)
    if section.comparison:
        yield _code("\n".join(section.comparison))
    if section.memory:
        yield _table(section.memory)
    if section.bars:
        yield "Peak resident memory over the baseline:\n"
        yield _code("\n".join(bars.lines(section.bars, section.file_bytes, _WIDTH)))
    yield from (f"- {_escape(remark)}" for remark in section.remarks)


def _code(text: str) -> str:
    return f"```text\n{text}\n```\n"


def _table(table: Table) -> str:
    rule = ["---", *("---:" for _ in table.header[1:])]
    lines = [table.header, rule, *table.rows]
    return "\n".join(f"| {' | '.join(_escape(cell) for cell in line)} |" for line in lines) + "\n"


def _escape(text: str) -> str:
    for character in "\\|*_<>`[]":
        text = text.replace(character, f"\\{character}")
    return text
