"""Time against memory: one mark for each backend, and the front of those that nothing beats.

In: groups of results. Out: HTML.
"""

from __future__ import annotations

from collections.abc import Sequence

from pelemay.bench.reports.page.words import (
    Group,
    held_at_most,
    median_ns,
    tick_bytes,
    tick_time,
    tip_of,
)
from pelemay.bench.results import Result
from pelemay.pages import Html, Section, element, line, logarithmic, mark, plot

Point = tuple[float, float]


def front(points: Sequence[Point]) -> list[Point]:
    """The points that no other one is at or below in both; in ascending order of the first.

    >>> front([(1, 9), (2, 3), (3, 3), (4, 1), (2, 8)])
    [(1, 9), (2, 3), (4, 1)]
    """
    kept: list[Point] = []
    for point in sorted(set(points)):
        if not kept or point[1] < kept[-1][1]:
            kept.append(point)
    return kept


def time_and_memory(found: Sequence[Group]) -> Section | None:
    """A plot for each group of at least two results; None if there is none."""
    plots = [made for group in found if (made := _plot(group)) is not None]
    if not plots:
        return None
    intro = (
        "Down is less memory, left is less time. On the line is what nothing beats in both. Both "
        "axes are logarithmic: equal distances are equal ratios."
    )
    return Section("Time against memory", element("div", *plots, class_="grid-2"), intro)


def _plot(group: Group) -> Html | None:
    found: list[tuple[Result, Point]] = []
    for result in group.results:
        time_ns, held = median_ns(result), held_at_most(result)
        if time_ns and held:
            found.append((result, (time_ns, held)))
    if len(found) < 2:
        return None
    points = [point for _, point in found]
    x = logarithmic(min(t for t, _ in points) / 1.3, max(t for t, _ in points) * 1.3, tick_time,
                    "median time")  # fmt: skip
    y = logarithmic(min(m for _, m in points) / 1.1, max(m for _, m in points) * 1.1, tick_bytes,
                    "most resident memory of the process")  # fmt: skip
    best = front(points)
    marks = [
        mark(
            x, y, point, tip=tip_of(result), label=result.scenario.label,
            class_="on-front" if point in best else "",
        )
        for result, point in found
    ]  # fmt: skip
    names = ", ".join(r.scenario.label for r, point in found if point in best)
    label = f"Time against memory, {group.title}; nothing beats {names}"
    drawn = plot(x, y, [line(x, y, _stairs(best, x.high, y.high), "front")], label=label,
                 overlays=marks)  # fmt: skip
    return element("div", element("h3", group.title), drawn)


def _stairs(best: Sequence[Point], right: float, top: float) -> list[Point]:
    """The edge of what is beaten: down from the top, then right and down, point by point."""
    corners = [(best[0][0], top)]
    for time_ns, held in best:
        corners += [(time_ns, corners[-1][1]), (time_ns, held)]
    return [*corners, (right, best[-1][1])]
