"""Memory of each backend as bars on one scale, with the sizes of devices as marks.

In: groups of results. Out: HTML. A bar is a whole process: what it held before the job, and the
anonymous and file-backed memory that the job added. Lengths are computed by the style sheet from
megabytes and ``--scale``, so that a script changes the scale of all bars by one number.
"""

from __future__ import annotations

from collections.abc import Sequence

from pelemay.bench.reports.page.devices import DEVICES
from pelemay.bench.reports.page.words import Group, held_at_most, tick_bytes, tip_of
from pelemay.bench.reports.sections import Bar
from pelemay.bench.results import Result
from pelemay.bench.units import as_bytes
from pelemay.pages import Axis, Html, element, linear

_KINDS = (
    ("base", "before the job: Python, the backend's packages, the inputs"),
    ("anonymous", "anonymous: it cannot be dropped, only swapped"),
    ("file-backed", "file-backed: pages of mapped files, which the kernel may drop"),
)


def memory_bars(found: Sequence[Group]) -> Html:
    """A chart for each group, and what chooses their common scale."""
    drawn = [group for group in found if any(r.memory for r in group.results)]
    if not drawn:
        return element("p", "No memory was read.", class_="note")
    sizes = [group.model.file_bytes for group in drawn]
    sizes += [held_at_most(r) or 0 for group in drawn for r in group.results]
    axis = linear(max(sizes), tick_bytes, "")
    charts = [_chart(group, axis) for group in drawn]
    return element(
        "div",
        _controls(axis),
        _legend(),
        *charts,
        class_="bars",
        style=f"--scale:{axis.high / 1e6:g}",
    )


def _controls(axis: Axis) -> Html:
    sizes = [(axis.high / 1e6, f"all: {axis.show(axis.high)}")]
    sizes += [(d.memory_bytes / 1e6, d.size) for d in DEVICES if d.memory_bytes < axis.high]
    choices = [
        element(
            "label",
            element("input", type="radio", name="scale", value=f"{size:g}", checked=not number),
            element("span", text),
        )
        for number, (size, text) in enumerate(sizes)
    ]
    scale = element("fieldset", element("legend", "full width is"), *choices, class_="segments")
    before = element(
        "label",
        element("input", type="checkbox", id="with-base", checked=True),
        " with what was held before the job",
        class_="check",
    )
    return element("div", scale, before, class_="controls")


def _legend() -> Html:
    items = [element("li", element("i", class_=kind), text) for kind, text in _KINDS]
    return element("ul", *items, class_="legend")


def _chart(group: Group, axis: Axis) -> Html:
    rows = [_row(result) for result in group.results if result.memory is not None]
    return element(
        "div",
        element("h3", group.title),
        element("div", _marks(group, axis), *rows, class_="chart"),
        class_="bar-chart",
        role="group",
        aria_label=f"Memory at most, {group.title}",
    )


def _row(result: Result) -> Html:
    memory = result.memory
    assert memory is not None
    bar = Bar(result.scenario.label, memory.peak_rss, memory.anonymous, memory.file_backed)
    parts = zip(_KINDS, (memory.baseline, *bar.parts), strict=True)
    pieces = [
        element("i", class_=kind, style=f"--mb:{nbytes / 1e6:.4f}") for (kind, _), nbytes in parts
    ]
    whole, alone = memory.baseline + memory.peak_rss, memory.peak_rss
    tip = tip_of(result)
    return element(
        "div",
        element("span", result.scenario.label, class_="name"),
        element("span", *pieces, class_="track"),
        element(
            "span",
            element("b", as_bytes(whole), class_="whole"),
            element("b", as_bytes(alone), class_="alone"),
            class_="value",
        ),
        class_="bar-row",
        tabindex="0",
        data_tip=tip,
        data_whole=f"{whole / 1e6:.4f}",
        data_alone=f"{alone / 1e6:.4f}",
        role="img",
        aria_label=tip.replace("\n", ", "),
    )


def _marks(group: Group, axis: Axis) -> Html:
    """Lines where sizes of devices and of the model file lie, the largest first."""
    sizes = [(d.memory_bytes, d.name, d.size, "device") for d in DEVICES]
    file_bytes = group.model.file_bytes
    sizes.append((file_bytes, "the model file", as_bytes(file_bytes), "model"))
    sizes.sort(reverse=True)
    return element("div", *(_mark(*size) for size in sizes), class_="bar-marks")


def _mark(nbytes: int, name: str, size: str, kind: str) -> Html:
    text = element("span", element("b", name), " ", size)
    return element(
        "div",
        text,
        class_=f"bar-mark {kind}",
        style=f"--mb:{nbytes / 1e6:.4f}",
        data_mb=f"{nbytes / 1e6:.4f}",
    )
