"""Memory over time: anonymous and file-backed memory of each scenario, its steps marked.

In: groups of results. Out: a section, and the data that the pointer reads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from pelemay.bench.reports.page.words import Group, tick_bytes, tick_time
from pelemay.bench.results import Result, Timeline
from pelemay.bench.units import as_bytes, as_time
from pelemay.pages import Axis, Html, Section, area, element, linear, plot

_INTRO = (
    "What a process holds while it does the job once, and then again and again, from the moment "
    "that Python runs: read from outside every 5 ms, while nothing else is measured in it. "
    "Point at a picture, or move along it with the arrow keys, to read it."
)
_TITLE = "Memory over time"
_LEFT_OUT = "Left out to keep the time budget: a longer one has room for it (--budget)."
_STEPS = {
    "packages": "import of the backend's packages",
    "import": "import of the model",
    "serialize": "serialization",
    "load": "load",
    "first run": "first run",
    "steady": "the same again and again",
}
_ALIKE = (("packages",), ("import", "load"), ("serialize", "first run"), ("steady",))
"""Steps that have the same colour."""

Series = dict[str, Any]


def memory_over_time(
    found: Sequence[Group], *, is_wanted: bool
) -> tuple[Section | None, dict[str, Series]]:
    """Pictures of the groups that have timelines, and their data by name.

    Parameters
    ----------
    found : sequence of Group
        Groups of results.
    is_wanted : bool
        Whether memory was to be followed, so that its absence has to be explained.
    """
    data: dict[str, Series] = {}
    parts: list[Html] = []
    for number, group in enumerate(found):
        drawn = [(r, r.timeline) for r in group.results if r.timeline is not None]
        if not drawn:
            continue
        most = max(_most(timeline) for _, timeline in drawn)
        shared = linear(most, tick_bytes, "", count=4)
        pictures = []
        for index, (result, timeline) in enumerate(drawn):
            name = f"series-{number}-{index}"
            data[name] = _series(timeline)
            pictures.append(_picture(result, timeline, shared, name))
        parts += [element("h3", group.title), element("div", *pictures, class_="grid-3 timelines")]
    if not parts:
        return (Section(_TITLE, element("p", _LEFT_OUT), _INTRO) if is_wanted else None), {}
    own = element(
        "label",
        element("input", type="checkbox", id="own-scale"),
        " each picture on its own scale",
        class_="check",
    )
    body = element("div", element("div", own, class_="controls"), _legend(found), *parts)
    return Section(_TITLE, body, _INTRO), data


def _most(timeline: Timeline) -> int:
    return max(map(sum, zip(timeline.anonymous, timeline.file_backed, strict=True)))


def _series(timeline: Timeline) -> Series:
    return {
        "at": timeline.at_us,
        "anonymous": timeline.anonymous,
        "file": timeline.file_backed,
        "steps": [[step.begin_us, step.name] for step in timeline.steps],
    }


def _legend(found: Sequence[Group]) -> Html:
    timelines = [r.timeline for group in found for r in group.results if r.timeline]
    items = [
        element("li", element("i", class_="anonymous"), "anonymous"),
        element("li", element("i", class_="file-backed"), "file-backed"),
    ]
    timelines = [r.timeline for group in found for r in group.results if r.timeline]
    used = {step.name for timeline in timelines for step in timeline.steps}
    for names in _ALIKE:
        if shown := [name for name in names if name in used]:
            mark = element("i", class_=_step_class(shown[0]))
            items.append(element("li", mark, " or ".join(_STEPS[name] for name in shown)))
    return element("ul", *items, class_="legend")


def _step_class(name: str) -> str:
    return f"step-{name.replace(' ', '-')}"


def _picture(result: Result, timeline: Timeline, shared: Axis, name: str) -> Html:
    begin, end = timeline.at_us[0], timeline.at_us[-1]
    x = linear((end - begin) * 1000, tick_time, "", count=3)
    x = Axis(0, (end - begin) * 1000, tuple(t for t in x.ticks if t <= (end - begin) * 1000),
             x.show, "")  # fmt: skip
    own = linear(_most(timeline), tick_bytes, "", count=4)
    at = [(us - begin) * 1000 for us in timeline.at_us]
    floor = [(t, 0.0) for t in at]
    file_backed = list(zip(at, map(float, timeline.file_backed), strict=True))
    both = [(t, float(a + f)) for t, a, f in zip(at, timeline.anonymous, timeline.file_backed,
                                                strict=True)]  # fmt: skip
    shapes = [
        area(x, shared, file_backed, floor, "file-backed"),
        area(x, shared, both, file_backed, "anonymous"),
    ]
    label = result.scenario.label
    most = f"{as_bytes(_most(timeline))} at most"
    drawn = plot(
        x, shared, shapes, label=f"{label}: memory over time, {most}",
        overlays=list(_steps(timeline, x, begin)), own=own, class_="timeline", data_series=name,
    )  # fmt: skip
    title = element("div", element("b", label), " ", most, class_="picture-title")
    return element("div", title, drawn)


def _steps(timeline: Timeline, x: Axis, begin: int) -> Iterator[Html]:
    """A strip over the picture: a piece for each step, and a line where it begins."""
    ends = [*((step.begin_us - begin) * 1000 for step in timeline.steps), x.high]
    for step, (start, stop) in zip(timeline.steps, pairwise(ends), strict=True):
        left, right = x.at(start), x.at(stop)
        said = f"{_STEPS.get(step.name, step.name)}: {as_time(stop - start)}"
        yield element(
            "div",
            element("span", step.name),
            class_=f"step {_step_class(step.name)}",
            style=f"left:{left:.2f}%;width:{max(right - left, 0):.2f}%",
            data_tip=said,
        )
