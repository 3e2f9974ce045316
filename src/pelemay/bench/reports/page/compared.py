"""What has changed since other suites: each ratio with its interval, on one scale, and a table.

In: a suite, and one before it. Out: a section.
"""

from __future__ import annotations

from collections.abc import Sequence

from pelemay.bench.comparison import (
    METHOD,
    NEGLIGIBLE,
    Change,
    compare_suites,
    conclusion,
    differences,
    times_of,
)
from pelemay.bench.reports.compared import cells, name_of
from pelemay.bench.suite import Suite
from pelemay.pages import Axis, Cell, Column, Html, Section, element, logarithmic, table

_COLUMNS = (
    ("job", "What was done."),
    ("backend", ""),
    ("figure", ""),
    ("before", ""),
    ("after", ""),
    ("ratio", "After over before, of medians."),
    ("95%", "Where the ratio lies, by a bootstrap of the samples."),
    ("p", "By the Mann-Whitney test, corrected for the number of tests."),
    ("verdict", "What the samples tell."),
)
_NUMBERS = ("before", "after", "ratio", "95%", "p")


def changes_since(before: Suite, suite: Suite) -> Section:
    """The section about one earlier suite."""
    changes = compare_suites(before, suite)
    said = conclusion(changes, name_of(before))
    parts = [
        element("p", f"The machine has changed: {difference}.", class_="note")
        for difference in differences(before.machine, suite.machine)
    ]
    if changes:
        parts += [_ratios(changes), _table(changes, several=len(suite.models) > 1)]
    parts.append(element("p", METHOD, class_="note"))
    intro = f"{said[:1].upper()}{said[1:]}"
    return Section(f"Since {name_of(before)}", element("div", *parts), intro)


def _ratios(changes: Sequence[Change]) -> Html:
    drawn = sorted(filter(_is_large, changes), key=times_of, reverse=True)
    if not drawn:
        return element("p", f"No figure has changed by more than {NEGLIGIBLE:.0%}.")
    ends = [e for c in drawn for e in (c.ratio or 1.0, *(c.interval or ()))]
    far = max(1.25, *(max(e, 1 / e) for e in ends if e > 0)) if ends else 1.25
    axis = logarithmic(1 / far, far, lambda value: f"{value:.3g}x", "")
    axis = Axis(1 / far, far, _ticks(far), axis.show, "", is_log=True)
    ticks = [
        element("span", axis.show(tick), class_="tick of-x", style=f"left:{axis.at(tick):.2f}%")
        for tick in axis.ticks
    ]
    lines = [
        element("i", class_="one" if tick == 1 else None, style=f"left:{axis.at(tick):.2f}%")
        for tick in axis.ticks
    ]
    head = element("div", *ticks, class_="ratio-ticks", aria_hidden="true")
    under = element("div", *lines, class_="ratio-lines", aria_hidden="true")
    legend = element(
        "ul",
        *(element("li", element("i", class_=kind), text) for kind, text in (
            ("less", "less than before"),
            ("more", "more than before"),
            ("same", "not tested, or by chance"),
        )),
        class_="legend",
    )  # fmt: skip
    rows = [_row(change, axis) for change in drawn]
    left = f"{len(changes) - len(drawn)} figures have changed by {NEGLIGIBLE:.0%} or less."
    note = element("p", left, class_="note") if len(drawn) < len(changes) else ""
    return element("div", legend, element("div", under, *rows, head, class_="ratios"), note)


def _is_large(change: Change) -> bool:
    """Whether it is worth a row: those that changed less stand in the table only."""
    return bool(change.ratio) and times_of(change) > 1 + NEGLIGIBLE


def _ticks(far: float) -> tuple[float, ...]:
    """Ratios and their inverses around 1."""
    over = [1.1, 1.25] if far < 1.6 else [1.5, 2] if far < 3 else [2, 5, 10, 100, 1000, 10_000]
    return tuple(sorted({1.0, *(t for r in over if r <= far for t in (r, round(1 / r, 3)))}))


def _row(change: Change, axis: Axis) -> Html:
    kind = change.verdict if change.verdict in ("less", "more") else "same"
    low, high = change.interval or (change.ratio or 1.0,) * 2
    left, right = axis.at(low), axis.at(high)
    job = f"{change.scenario.job}, {change.scenario.model}"
    who, what, old, new, ratio, interval, p, verdict = cells(change)
    tip = [f"{what} of {job}, {who}", f"{old}, now {new}: {ratio}", verdict]
    tip += [f"95% interval {interval}", f"p {p}"] if interval else []
    text = "\n".join(tip)
    return element(
        "div",
        element("span", element("b", what), f" {who}, {change.scenario.job}", class_="name"),
        element(
            "span",
            element("i", class_="interval", style=f"left:{left:.2f}%;width:{right - left:.2f}%"),
            element("i", class_="dot", style=f"left:{axis.at(change.ratio or 1.0):.2f}%"),
            class_="ratio-track",
        ),
        element("span", ratio, class_="value"),
        class_=f"ratio-row {kind}",
        tabindex="0",
        role="img",
        data_tip=text,
        aria_label=text.replace("\n", ", "),
    )


def _table(changes: Sequence[Change], *, several: bool) -> Html:
    columns = [Column(title, tip, title in _NUMBERS) for title, tip in _COLUMNS]
    rows = []
    for change in changes:
        job = change.scenario.job + (f", {change.scenario.model}" if several else "")
        who, what, *texts = cells(change)
        values = (change.before, change.after, change.ratio, None, change.p, None)
        numbers = [Cell(text, value) for text, value in zip(texts, values, strict=True)]
        rows.append([Cell(job), Cell(who), Cell(what), *numbers])
    return table("What has changed", columns, rows)
