"""Plots: an area with two axes, shapes in SVG that stretch with it, marks and ticks that do not.

In: axes and values. Out: HTML. Text keeps its size on every width, and nothing is drawn by a
script.

>>> memory = linear(90e6, lambda value: f"{value / 1e6:.0f} MB", "memory")
>>> memory.ticks, memory.at(50e6)
((0, 20000000, 40000000, 60000000, 80000000, 100000000), 50.0)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from pelemay.pages.html import Html, element, number

_SPAN = 1000
"""Units of the drawing in each direction; it is stretched to the size of the area."""

Point = tuple[float, float]


@dataclass(frozen=True)
class Axis:
    """An axis: values from ``low`` to ``high``, where ticks stand, and how values are shown."""

    low: float
    high: float
    ticks: tuple[float, ...]
    show: Callable[[float], str]
    title: str
    is_log: bool = False

    def at(self, value: float) -> float:
        """Where a value lies, in percent of the axis; beyond an end it lies at that end."""
        if self.is_log:
            value = max(value, self.low)
            share = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return 100 * min(max(share, 0.0), 1.0)


def linear(most: float, show: Callable[[float], str], title: str, *, count: int = 5) -> Axis:
    """An axis from 0 to a round number that is not below ``most``; ticks are 1, 2, 5, 10 ... apart.

    Parameters
    ----------
    most : float
        The largest value.
    show : callable
        Value to the text of its tick.
    title : str
        What the values are.
    count : int
        Ticks, roughly.
    """
    step = _round_step((most or 1.0) / count)
    ticks = tuple(step * i for i in range(math.ceil((most or 1.0) / step - 1e-9) + 1))
    return Axis(0.0, ticks[-1], ticks, show, title)


def _round_step(least: float) -> float:
    power = _power(math.floor(math.log10(least)))
    return next(m * power for m in (1, 2, 5, 10, 20) if m * power >= least * (1 - 1e-9))


def logarithmic(least: float, most: float, show: Callable[[float], str], title: str) -> Axis:
    """An axis around all values from ``least`` (above 0) to ``most``.

    Its ends are 1, 2 or 5 times a power of ten; so are its ticks, or powers of ten where that would
    be too many.

    Examples
    --------
    >>> logarithmic(3, 45, str, "").ticks
    (2, 5, 10, 20, 50)
    >>> logarithmic(3, 4500, str, "").ticks
    (10, 100, 1000)
    """
    first, last = math.floor(math.log10(least)), math.ceil(math.log10(most))
    round_ones = [m * _power(e) for e in range(first - 1, last + 2) for m in (1, 2, 5)]
    low = max(value for value in round_ones if value <= least * (1 + 1e-9))
    high = min(value for value in round_ones if value >= most * (1 - 1e-9) and value > low)
    ticks = [value for value in round_ones if low <= value <= high]
    if high / low > 500:
        ticks = [value for value in ticks if math.log10(value).is_integer()]
    return Axis(low, high, tuple(ticks), show, title, is_log=True)


def _power(exponent: int) -> float:
    return 10**exponent if exponent >= 0 else float(f"1e{exponent}")


def line(x: Axis, y: Axis, points: Iterable[Point], class_: str) -> Html:
    """A line through points."""
    return element("polyline", points=_points(x, y, points), class_=f"line {class_}")


def area(x: Axis, y: Axis, points: Sequence[Point], floor: Sequence[Point], class_: str) -> Html:
    """The area between points and a floor, which is given from left to right too."""
    outline = [*points, *reversed(floor)]
    return element("polygon", points=_points(x, y, outline), class_=f"area {class_}")


def _points(x: Axis, y: Axis, points: Iterable[Point]) -> str:
    scale = _SPAN / 100
    return " ".join(
        f"{number(x.at(a) * scale)},{number(_SPAN - y.at(b) * scale)}" for a, b in points
    )


def mark(x: Axis, y: Axis, at: Point, *, tip: str, class_: str = "", label: str = "") -> Html:
    """A mark that can be pointed at and focused; ``label`` is written beside it."""
    side = " on-left" if x.at(at[0]) > 75 else ""
    text = element("span", label, class_="mark-label") if label else Html("")
    return element(
        "button",
        element("i"),
        text,
        type="button",
        class_=f"mark {class_}{side}".replace("  ", " "),
        style=f"left:{number(x.at(at[0]))}%;bottom:{number(y.at(at[1]))}%",
        data_tip=tip,
        aria_label=tip.replace("\n", ", "),
    )


def plot(
    x: Axis,
    y: Axis,
    shapes: Iterable[Html],
    *,
    label: str,
    overlays: Iterable[Html] = (),
    own: Axis | None = None,
    class_: str = "",
    data_series: str | None = None,
) -> Html:
    """Put shapes into an area with axes.

    Parameters
    ----------
    x, y : Axis
        To the right, and upwards.
    shapes : iterable of Html
        What :func:`line` and :func:`area` made.
    label : str
        What is to be seen, for those who do not see it.
    overlays : iterable of Html
        What :func:`mark` made, and other HTML with a place of its own.
    own : Axis, optional
        Another axis upwards, of the same values but shorter, that scripts can change to.
    class_ : str
        Further classes of the figure.
    data_series : str, optional
        Name of the page's data that the pointer reads values of; see ``assets/page.js``.
    """
    drawing = element(
        "svg",
        *_grid(x, y, own),
        *shapes,
        viewBox=f"0 0 {_SPAN} {_SPAN}",
        preserveAspectRatio="none",
        aria_hidden="true",
        data_own=f"0 {_down(y, own.high):.2f} {_SPAN} {_right(y, own.high):.2f}" if own else None,
    )
    inside = element(
        "div",
        drawing,
        *_ticks(x, "x", "left"),
        *_ticks(y, "y", "bottom", "shared" if own else ""),
        *(_ticks(own, "y", "bottom", "own") if own else ()),
        element("div", *overlays, class_="marks"),
        class_="plot-area",
        data_series=data_series,
        tabindex="0" if data_series else None,
    )
    above = element("div", y.title, class_="axis-title of-y") if y.title else Html("")
    below = element("div", x.title, class_="axis-title of-x") if x.title else Html("")
    classes = f"plot {class_}".strip()
    return element("div", above, inside, below, class_=classes, role="group", aria_label=label)


def _grid(x: Axis, y: Axis, own: Axis | None) -> list[Html]:
    """Lines through the ticks; values of another axis lie where ``y`` has them."""
    levels = [("grid shared" if own else "grid", tick) for tick in y.ticks]
    levels += [("grid own", tick) for tick in (own.ticks if own else ())]
    lines = [_rule(class_, y1=_down(y, tick), y2=_down(y, tick)) for class_, tick in levels]
    if x.is_log:
        lines += [_rule("grid", x1=_right(x, t), x2=_right(x, t), y2=_SPAN) for t in x.ticks]
    return lines


def _ticks(axis: Axis, name: str, side: str, class_: str = "") -> list[Html]:
    return [
        element(
            "span",
            axis.show(tick),
            class_=f"tick of-{name} {'odd' if index % 2 else 'even'} {class_}".strip(),
            style=f"{side}:{number(axis.at(tick))}%",
            aria_hidden="true",
        )
        for index, tick in enumerate(axis.ticks)
    ]


def _rule(class_: str, *, x1: float = 0, x2: float = _SPAN, y1: float = 0, y2: float = 0) -> Html:
    return element("line", x1=x1, x2=x2, y1=y1, y2=y2, class_=class_)


def _right(x: Axis, value: float) -> float:
    return x.at(value) * _SPAN / 100


def _down(y: Axis, value: float) -> float:
    return _SPAN - y.at(value) * _SPAN / 100
