"""The page of plans: a slider for the limit, memory over time, the layers.

In: :class:`~pelemay.views.limits.Plans`. Out: a :class:`~pelemay.pages.Page`, which
``assets/plan`` draws from the plans as data.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from pelemay.bench.units import as_bytes, as_time
from pelemay.pages import (
    Axis,
    Column,
    Html,
    Page,
    Section,
    asset,
    element,
    join,
    line,
    linear,
    mark,
    plot,
    script,
    table,
)
from pelemay.views.limits import micros_of

if TYPE_CHECKING:
    from pelemay.views.frames import Json
    from pelemay.views.limits import Plans

_SCRIPT = (
    *("frames", "places", "draw", "arena", "lanes"),
    *("pointer", "table", "choose", "move"),
)

PARTS = (
    ("arena", "values (the arena)"),
    ("window", "weights that come and go"),
    ("stay", "weights that stay"),
    ("scratch", "scratch of kernels"),
    ("ends", "inputs and outputs"),
    ("tables", "the program's tables"),
)
"""What a run takes: a class of the style sheet, and what it is."""

COLUMNS = (
    Column("layer"),
    Column("operation"),
    Column("held", "bytes of the arena that are held while it runs", is_number=True),
    Column("time", "estimated, of computing", is_number=True),
    Column("MMAC", "millions of multiply-accumulates", is_number=True),
    Column("weights", "bytes, as 32-bit numbers", is_number=True),
    Column("rows", "rows of the result that are made at a time", is_number=True),
    Column("result"),
)

KEYS = (
    "With the picture chosen: arrows left and right go from layer to layer, up and down zoom into "
    "addresses, + and − into time, 0 shows all. The wheel zooms into time, with Shift into "
    "addresses; drag to move; two fingers zoom."
)


def _time(micros: float) -> str:
    return as_time(1000 * micros) if micros else "0"


def page_of(plans: Plans) -> Page:
    """The page."""
    start = next((i for i, frame in enumerate(plans.frames) if frame["asked"]), 0)
    layers = plans.layers
    facts = (
        f"{len(layers)} layers after all passes",
        f"{sum(layer['macs'] for layer in layers) / 1e6:,.0f} million multiply-accumulates",
        f"{as_bytes(plans.model_bytes)} of parameters",
        *_left(plans.fallbacks),
    )
    sections = [Section("Memory over time", _memory(plans, start))]
    if len(plans.frames) > 1:
        sections.append(
            Section("Limit against time", _curve(plans.frames), "Each point is a plan; choose it.")
        )
    return Page(
        "pelemay plan",
        f"{plans.name}: plan",
        plans.finding,
        tuple(sections),
        facts=facts,
        styles=(asset(__package__, "plan.css"),),
        scripts=(script(__package__, "plan", *_SCRIPT),),
        data={"plan": {"layers": plans.layers, "frames": plans.frames}},
    )


def _left(fallbacks: Sequence[str]) -> Iterator[str]:
    if fallbacks:
        count = "1 node" if len(fallbacks) == 1 else f"{len(fallbacks)} nodes"
        yield f"not planned: {count} on the reference backend, {fallbacks[0]}"


def _memory(plans: Plans, start: int) -> Html:
    return join(
        [
            _controls(plans.frames, start),
            _parts(),
            element("div", _chart(plans.name), element("div", _table()), class_="beside"),
        ]
    )


def _controls(frames: Sequence[Json], start: int) -> Html:
    slider = element(
        "input",
        type="range",
        id="limit",
        min="0",
        max=str(len(frames) - 1),
        step="1",
        value=str(start),
        disabled=len(frames) == 1,
    )
    label = element("label", "memory limit of a run, beside its process", slider)
    numbers = [
        ("limit", "limit", "first"),
        ("arena", "arena", ""),
        ("weights", "weights held", ""),
        ("read", "read in each run", ""),
        ("time", "estimated time", ""),
    ]
    shown = [
        element("div", element("dt", what), element("dd", id=f"{name}-text"), class_=class_ or None)
        for name, what, class_ in numbers
    ]
    return element(
        "div", label, element("dl", *shown, class_="numbers", aria_live="polite"), class_="limits"
    )


def _parts() -> Html:
    """The bar of what a run takes, and what its colours mean."""
    bar = [
        element("button", type="button", id=f"part-{name}", class_=f"of-{name}", data_what=what)
        for name, what in PARTS
    ]
    marks = [
        ("of-arena", "whole values"),
        ("of-rows", "rows of a chain, held for a while"),
        *((f"of-{name}", what) for name, what in PARTS[1:]),
    ]
    legend = [element("li", element("i", class_=class_), what) for class_, what in marks]
    legend.append(element("li", element("i", class_="of-peak hollow"), "peak"))
    what = element("div", *bar, class_="parts", role="group", aria_label="what a run takes")
    return join([what, element("ul", *legend, class_="legend")])


def _chart(name: str) -> Html:
    tools = element(
        "div",
        element(
            "span",
            _button("zoom-in", "+", "zoom in"),
            _button("zoom-out", "−", "zoom out"),
            _button("zoom-all", "all", "show all"),
        ),
        element("label", element("input", type="checkbox", id="by-step"), "steps instead of time"),
        element(
            "label",
            element("input", type="checkbox", id="same-scale"),
            "same scale for all limits",
        ),
        class_="tools",
    )
    over = element(
        "canvas",
        id="over",
        tabindex="0",
        role="img",
        aria_label=f"memory over time of {name}; the table beside it says the same in numbers",
        aria_describedby="keys",
    )
    return element(
        "figure",
        element("div", element("canvas", id="chart", aria_hidden="true"), over, class_="chart"),
        tools,
        element("p", KEYS, class_="keys", id="keys"),
        style="margin:0",
    )


def _button(id_: str, text: str, what: str) -> Html:
    return element("button", text, type="button", id=id_, aria_label=what)


def _table() -> Html:
    made = table("layers", COLUMNS, ())
    return Html(made.replace("<table", '<table id="layers"', 1))


def _curve(frames: Sequence[Json]) -> Html:
    times = [micros_of(frame) for frame in frames]
    limits = [frame["limit"] for frame in frames]
    x = _limits_axis(min(limits), max(limits))
    y = linear(max(times), _time, "estimated time")
    points = list(zip(limits, times, strict=True))
    marks = [
        mark(
            x,
            y,
            point,
            tip=f"{as_bytes(point[0])}: {_time(point[1])}\narena {as_bytes(f['arena'])}, "
            f"weights {as_bytes(f['memory'])}\n{as_bytes(f['read'])} read in each run",
        )
        for point, f in zip(points, frames, strict=True)
    ]
    what = "memory limits, and the estimated time of a run in each"
    return plot(x, y, [line(x, y, points, "")], label=what, overlays=marks)


def _limits_axis(least: float, most: float) -> Axis:
    """A logarithmic axis a little beyond both ends; ticks are 1, 2 or 5 times powers of ten."""
    low, high = least / 1.15, most * 1.15
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [n * 10.0**power for power in powers for n in (1, 2, 5)]
    shown = tuple(tick for tick in ticks if low <= tick <= high)
    return Axis(low, high, shown, as_bytes, "memory limit of a run", is_log=True)
