"""A suite as a page: the finding, bars, scatters, memory over time, tables, how and where.

In: a suite. Out: the text of one HTML file. See :mod:`pelemay.pages`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pelemay.bench.finding import describe_model, finding_of, findings
from pelemay.bench.reports.page.bars import memory_bars
from pelemay.bench.reports.page.compared import changes_since
from pelemay.bench.reports.page.over_time import memory_over_time
from pelemay.bench.reports.page.scatter import time_and_memory
from pelemay.bench.reports.page.tables import all_figures, how_taken, machine
from pelemay.bench.reports.page.words import groups
from pelemay.bench.scenario import ModelInfo
from pelemay.bench.suite import Suite
from pelemay.pages import Page, Section, asset, element

_BARS = (
    "The most that a process held while it did the job, all of it: a machine must have as much. "
    "The marks are the sizes of the model file and of common devices."
)


def format_html(suite: Suite, before: Sequence[Suite] = ()) -> str:
    """The whole report as one page.

    Parameters
    ----------
    suite : Suite
        What was measured.
    before : sequence of Suite
        Others, whose figures stand beside those of the suite, and from which changes are told.
    """
    changes = [changes_since(earlier, suite) for earlier in before]
    suite = suite.compared_with(before)
    found = list(groups(suite))
    over_time, data = memory_over_time(found, is_wanted=suite.options.timeline_s > 0)
    made = [
        *changes,
        _others(suite),
        Section("Memory at most", memory_bars(found), _BARS),
        time_and_memory(found),
        over_time,
        all_figures(suite, found),
        how_taken(suite),
        machine(suite),
    ]
    first = _first(suite)
    said = finding_of(suite, first) if first else "nothing was measured."
    if changes:  # The first sentence is the title, and need not be said again.
        said = str(changes[0].intro)
        made[0] = replace(changes[0], intro="")
    page = Page(
        kind="pelemay bench",
        title=f"pelemay bench: {', '.join(model.name for model in suite.models)}",
        finding=f"{said[:1].upper()}{said[1:]}",
        facts=_facts(suite, first),
        sections=tuple(section for section in made if section is not None),
        styles=(asset(__package__, "report.css"),),
        scripts=(asset(__package__, "report.js"),),
        data=data,
    )
    return page.html()


def _first(suite: Suite) -> ModelInfo | None:
    """The largest model: its finding is the title."""
    return max(suite.models, key=lambda model: model.file_bytes, default=None)


def _facts(suite: Suite, model: ModelInfo | None) -> tuple[str, ...]:
    about = suite.machine
    facts = (
        describe_model(model) if model else "",
        f"{about.cores} cores, {about.cpu}" if about.cores else about.cpu,
        about.date.replace("T", " ").replace("+00:00", " UTC"),
    )
    return tuple(fact for fact in facts if fact)


def _others(suite: Suite) -> Section | None:
    """What was found about the other models."""
    if len(suite.models) < 2:
        return None
    items = [element("li", sentence) for sentence in findings(suite)]
    return Section("What was found", element("ul", *items))


__all__ = ["format_html"]
