"""A picture as an SVG file, which a browser shows with the name of each buffer under the pointer.

In: a :class:`~pelemay.plan.drawing.Picture`. Out: text.

>>> to_svg(Picture("net", 1, 8, (Rectangle("a<b", 0, 1, 0, 8),))).count("a&lt;b")
2
"""

from __future__ import annotations

from xml.sax.saxutils import escape

from pelemay.plan.drawing.picture import Picture, Rectangle

WIDTH, HEIGHT = 1200, 640
LEFT, RIGHT, TOP, BOTTOM = 92, 20, 48, 56

PALETTE = (
    *("#4e79a7", "#f28e2b", "#59a14f", "#e15759", "#76b7b2"),
    *("#edc948", "#b07aa1", "#ff9da7", "#9c755f", "#86bcb6"),
)

HEAD = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" \
font-family="system-ui, sans-serif" font-size="13">
<rect width="{width}" height="{height}" fill="#ffffff"/>
<text x="{left}" y="28" font-size="17" fill="#222222">{title}</text>"""


def to_svg(picture: Picture, subtitle: str = "") -> str:
    """The picture as an SVG document.

    Parameters
    ----------
    picture : Picture
        What to draw.
    subtitle : str
        Written behind the title.
    """
    title = " · ".join(filter(None, (picture.title, subtitle)))
    lines = [HEAD.format(width=WIDTH, height=HEIGHT, left=LEFT, title=escape(title))]
    lines += _axes(picture)
    colours = picture.colours(len(PALETTE))
    for box, colour in zip(picture.rectangles, colours, strict=True):
        lines.append(_box(picture, box, PALETTE[colour]))
    lines += _spans(picture)
    lines += _peak(picture)
    return "\n".join([*lines, "</svg>", ""])


def _x(picture: Picture, step: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * step / max(picture.steps, 1)


def _y(picture: Picture, nbytes: float) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * nbytes / max(picture.height, 1)


def _box(picture: Picture, box: Rectangle, colour: str) -> str:
    x, y = _x(picture, box.first), _y(picture, box.high)
    width, height = _x(picture, box.end) - x, _y(picture, box.low) - y
    name, nbytes = escape(box.name), box.high - box.low
    steps = f"steps {box.first} to {box.end - 1}"
    title = f"<title>{name}: {nbytes:,} bytes at {box.low:,}, {steps}</title>"
    rectangle = (
        f'<rect x="{x:.2f}" y="{y:.2f}" width="{width:.2f}" height="{height:.2f}" '
        f'fill="{colour}" stroke="#ffffff" stroke-width="0.7">{title}</rect>'
    )
    return rectangle + _label(box.name, x, y, width, height)


def _label(name: str, x: float, y: float, width: float, height: float) -> str:
    """The name inside of the rectangle, cut to its width; nothing where it is too small."""
    room = int((width - 8) / 7.2)
    if room < 3 or height < 15:
        return ""
    text = name if len(name) <= room else name[: room - 1] + "…"
    middle = y + height / 2 + 4.5
    return f'<text x="{x + 4:.2f}" y="{middle:.2f}" fill="#ffffff">{escape(text)}</text>'


def _axes(picture: Picture) -> list[str]:
    lines = []
    for part in range(5):
        nbytes = picture.height * part // 4
        y = _y(picture, nbytes)
        lines.append(
            f'<line x1="{LEFT}" y1="{y:.2f}" x2="{WIDTH - RIGHT}" y2="{y:.2f}" stroke="#dddddd"/>'
            f'<text x="{LEFT - 8}" y="{y + 4:.2f}" text-anchor="end" fill="#555555">'
            f"{size_text(nbytes)}</text>"
        )
    for step in _ticks(picture.steps):
        x = _x(picture, step + 0.5)
        lines.append(
            f'<text x="{x:.2f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle" '
            f'fill="#555555">{step}</text>'
        )
    middle = (LEFT + WIDTH - RIGHT) / 2
    lines.append(
        f'<text x="{middle:.0f}" y="{HEIGHT - 14}" text-anchor="middle" fill="#555555">'
        "step of the order</text>"
    )
    return lines


def _ticks(steps: int) -> range:
    """Round numbers of steps, about ten of them."""
    pace = 1
    while steps > 12 * pace:
        pace = pace * 5 // 2 if str(pace).startswith("2") else pace * 2
    return range(0, steps, pace)


def _spans(picture: Picture) -> list[str]:
    """A bar under the steps of each chain."""
    lines = []
    for span in picture.spans:
        x, end = _x(picture, span.first), _x(picture, span.end)
        lines.append(
            f'<rect x="{x + 1:.2f}" y="{HEIGHT - BOTTOM + 2}" width="{max(end - x - 2, 1):.2f}" '
            f'height="4" fill="#222222"><title>{escape(span.label)}</title></rect>'
        )
    return lines


def _peak(picture: Picture) -> list[str]:
    if picture.peak is None:
        return []
    x, bottom = _x(picture, picture.peak + 0.5), HEIGHT - BOTTOM
    label = picture.labels[picture.peak] if picture.labels else ""
    anchor = "end" if x > WIDTH / 2 else "start"
    shift = -6 if anchor == "end" else 6
    return [
        f'<line x1="{x:.2f}" y1="{TOP - 6}" x2="{x:.2f}" y2="{bottom}" stroke="#222222" '
        'stroke-dasharray="4 3"/>',
        f'<text x="{x + shift:.2f}" y="{TOP - 4}" text-anchor="{anchor}" fill="#222222">'
        f"peak: step {picture.peak}, {escape(label)}</text>",
    ]


def size_text(nbytes: int) -> str:
    """Bytes in the unit that reads best."""
    for unit, scale in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if nbytes >= scale:
            return f"{nbytes / scale:.3g} {unit}"
    return f"{nbytes} B"


__all__ = ["Picture", "Rectangle", "to_svg"]
