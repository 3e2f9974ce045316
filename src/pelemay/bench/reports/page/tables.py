"""All figures, in tables that sort; and how each is taken.

In: a suite. Out: sections.
"""

from __future__ import annotations

from collections.abc import Sequence

from pelemay.bench.figures import Figure, figures_of
from pelemay.bench.reports.page.words import Group
from pelemay.bench.reports.sections import agreement, header, sections
from pelemay.bench.results import Result
from pelemay.bench.suite import Suite
from pelemay.pages import Cell, Column, Html, Section, element, table

_GROUPS = (
    ("time", "Time"),
    ("heap", "Heap"),
    ("memory", "Resident memory"),
    ("fit", "Within a limit"),
)
_OVER_TIME = (
    "Anonymous and file-backed memory of the whole process, read from outside every 5 ms while it "
    "does the job step by step, in a process of its own; it waits at the beginning of a step until "
    "that is noted. At most 300 readings are kept, among them the highest and the lowest of each "
    "stretch; a shorter peak than 5 ms is missed."
)


def all_figures(suite: Suite, found: Sequence[Group]) -> Section:
    """A table of times and one of memory for each group, and what is missing and why."""
    parts: list[Html] = []
    remarks = {section.title: section.remarks for section in sections(suite)}
    for group in found:
        parts.append(element("h3", group.title))
        parts += [_table(suite, group, names) for names in (("time",), ("heap", "memory", "fit"))]
    for title, said in remarks.items():
        parts += [element("p", f"{title}: {remark}", class_="note") for remark in said]
    intro = "A click on a heading sorts; pointing at it says what the figure is."
    return Section("All figures", element("div", *parts), intro)


def _table(suite: Suite, group: Group, names: Sequence[str]) -> Html:
    exclude = suite.options.exclude_outliers
    figures = [
        figure
        for figure in figures_of(*names)
        if any(figure.text(result, exclude) for result in group.results)
    ]
    if not figures:
        return Html("")
    columns = [Column("backend")]
    columns += [Column(f.title, _sentence(f.explanation), is_number=True) for f in figures]
    rows = [
        [Cell(r.scenario.label), *(_cell(figure, r, exclude) for figure in figures)]
        for r in group.results
    ]
    return table(f"{group.title}: {', '.join(names)}", columns, rows)


def _cell(figure: Figure, result: Result, exclude: bool) -> Cell:
    value = figure.read(result, exclude)
    text = figure.text(result, exclude)
    return Cell(text, float(value) if isinstance(value, int | float) else None)


def how_taken(suite: Suite) -> Section:
    """What each figure means, and what was compared before."""
    parts: list[Html] = []
    if sentence := agreement(suite):
        parts.append(element("p", sentence))
    for group, title in _GROUPS:
        said = [_defined(f.title, _sentence(f.explanation)) for f in figures_of(group)]
        if group == "memory":
            said.append(_defined("memory over time", _OVER_TIME))
        parts += [element("h3", title), element("dl", *said, class_="defined")]
    intro = (
        "Every scenario runs in fresh processes, one at a time. Times, resident memory, "
        "allocations and memory over time come from different processes, because measuring one "
        "disturbs the others."
    )
    return Section("How each number was taken", element("div", *parts), intro)


def machine(suite: Suite) -> Section:
    """What the figures depend on."""
    rows = [_defined(name, value) for name, value in header(suite)]
    return Section("The machine", element("dl", *rows, class_="defined facts-of"))


def _defined(term: str, meaning: str) -> Html:
    return element("div", element("dt", term), element("dd", meaning))


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
