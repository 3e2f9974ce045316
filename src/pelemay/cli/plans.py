"""How plans are shown on a terminal: a table, a drawing, the step that decides.

In: what :func:`pelemay.cli.plan.examine` found, and a picture. Out: text on stdout.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pelemay.cli.output import console, size, table

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from pelemay.plan.drawing import Picture

COLOURS = (
    *("#4e79a7", "#f28e2b", "#59a14f", "#e15759", "#76b7b2"),
    *("#edc948", "#b07aa1", "#ff9da7", "#9c755f", "#86bcb6"),
)
ROWS = 16
MARGIN = 10
MOST_TENSORS = 12


def show(findings: dict[str, Any], picture: Picture, *, timeline: bool) -> None:
    """Print a plan."""
    out = console()
    out.print(table("a run takes", "bytes", "", rows=_rows(out, findings), right=[1]))
    if picture.rectangles:
        draw(out, picture)
        _show_peak(out, findings["peak"])
    if timeline:
        _show_timeline(out, findings)
    _show_notes(out, findings)


def _rows(out: Console, findings: dict[str, Any]) -> list[tuple[str, str, str]]:
    rows = [
        ("arena", findings["arena_bytes"], _verdict(findings)),
        ("scratch", findings["scratch_bytes"], f"of kernels, with {findings['threads']} threads"),
        ("weights", findings["weights_bytes"], "mapped from the file, not copied"),
    ]
    for what in ("input", "output"):
        for name, count in findings[f"{what}_bytes"].items():
            rows.append((f"{what} {_short(name, out)}", count, ""))
    return [(name, f"{count:,}", note) for name, count, note in rows]


def _verdict(findings: dict[str, Any]) -> str:
    """How good the arena is."""
    arena, bound = findings["arena_bytes"], findings["lower_bound_bytes"]
    if not bound:
        return "no value lies between inputs and outputs"
    if arena > bound:
        return f"{arena / bound - 1:.1%} above the most that is held at one step"
    if count := _chains_of(findings):
        chains = "1 chain goes" if count == 1 else f"{count} chains of nodes go"
        return f"{chains} by rows; as little as they take"
    least = findings["order_bound_bytes"] == bound
    return "as little as any order takes" if least else "as little as this order takes"


def _chains_of(findings: dict[str, Any]) -> int:
    return sum(entry["operation"] == "chain" for entry in findings["steps"])


def draw(out: Console, picture: Picture) -> None:
    """Time to the right, bytes upwards; colours on a terminal, shades elsewhere."""
    from pelemay.plan.drawing import cells

    width = out.width - MARGIN - 1
    if out.is_terminal:
        lines = _coloured(picture, width)
    else:
        lines = _as_text(cells.plain(picture, width, ROWS))
    for row, line in enumerate(lines):
        edge = size(picture.height * (ROWS - row) // ROWS) if row % 4 == 0 else ""
        out.print(f"{edge:>{MARGIN - 1}} ", line, sep="", no_wrap=True, crop=True)
    out.print(f"{size(0):>{MARGIN - 1}} {'─' * width}", no_wrap=True)
    if picture.spans:
        out.print(" " * MARGIN + _chains(picture, width), no_wrap=True)
    out.print(" " * MARGIN + _axis(picture, width), no_wrap=True)


def _as_text(lines: list[str]) -> list[Text]:
    from rich.text import Text

    return [Text(line) for line in lines]


def _coloured(picture: Picture, width: int) -> list[Text]:
    """Two points in a character: the upper half in its colour, on the colour of the lower."""
    from rich.text import Text

    from pelemay.plan.drawing import cells

    numbers = picture.colours(len(COLOURS))
    points = cells.points(picture, width, 2 * ROWS)
    lines = []
    for upper, lower in zip(points[::2], points[1::2], strict=True):
        line = Text()
        for above, below in zip(upper, lower, strict=True):
            line.append(
                *_half_blocks(*(n if n is None else COLOURS[numbers[n]] for n in (above, below)))
            )
        lines.append(line)
    return lines


def _half_blocks(above: str | None, below: str | None) -> tuple[str, str]:
    """A character of which one half or both are coloured, and its style."""
    if above is None:
        return (" ", "") if below is None else ("▄", below)
    return ("▀", above if below is None else f"{above} on {below}")


def _axis(picture: Picture, width: int) -> str:
    """The numbers of the first and last step, and a mark under the peak."""
    from pelemay.plan.drawing import cells

    last = str(picture.steps - 1)
    line = list("0" + " " * (width - 1))
    if picture.steps > 1:
        line[width - len(last) :] = last
    if picture.peak is not None:
        mark = f"▲ peak: step {picture.peak}"
        column = cells.column_of(picture, picture.peak, width)
        start = min(column, width - len(mark) - len(last) - 1)
        if start < column:
            mark = f"peak: step {picture.peak} ▲"
            start = max(min(column + 1, width) - len(mark), 0)
        line[start : start + len(mark)] = mark
    return "".join(line)[:width]


def _chains(picture: Picture, width: int) -> str:
    """A line under the steps that are a chain."""
    from pelemay.plan.drawing import cells

    line = [" "] * width
    for span in picture.spans:
        first = cells.column_of(picture, span.first, width)
        last = cells.column_of(picture, span.end - 1, width)
        line[first : last + 1] = "╶" + "─" * (last - first - 1) + "╴" if last > first else "╶"
    return "".join(line)


def _show_peak(out: Console, peak: dict[str, Any]) -> None:
    out.print()
    out.print(f"{_what(peak)} {peak['bytes']:,} bytes.", markup=False)
    shown = peak["tensors"][:MOST_TENSORS]
    rows = [
        (
            _short(tensor["value"], out),
            tensor["type"].replace(", ", ","),
            f"{tensor['rows']:,}" if tensor["rows"] else "all",
            f"{tensor['bytes']:,}",
            f"{tensor['offset']:,}",
            _operation(tensor["made_by"]),
            f"{tensor['from_step']}–{tensor['to_step']}",
        )
        for tensor in shown
    ]
    headings = ("alive then", "type", "rows", "bytes", "at byte", "made by", "steps")
    out.print(table(*headings, rows=rows, right=[2, 3, 4]))
    if more := len(peak["tensors"]) - len(shown):
        out.print(f"and {more} smaller ones; --json has all")


def _what(entry: dict[str, Any]) -> str:
    """A step, or a chain of some."""
    if entry["operation"] != "chain":
        operation = _operation(entry["operation"])
        return f"Step {entry['step']} sets it: {operation} '{entry['node']}' holds"
    names = entry["nodes"]
    return (
        f"The chain of steps {entry['step']} to {entry['to_step']} sets it: '{names[0]}' to "
        f"'{names[-1]}', {_pace(entry)}, hold"
    )


def _pace(entry: dict[str, Any]) -> str:
    rows = "1 row" if entry["rows"] == 1 else f"{entry['rows']} rows"
    return f"{entry['bands']:,} bands of {rows}"


def _show_timeline(out: Console, findings: dict[str, Any]) -> None:
    rows = []
    for entry in findings["steps"]:
        places = entry["places"].values()
        name = _short(entry["node"], out)
        step, operation = str(entry["step"]), _operation(entry["operation"])
        if operation == "chain":
            step += f"–{entry['to_step']}"
            operation = f"chain of {len(entry['nodes'])} nodes: {_pace(entry)}, rings "
            operation += size(entry["ring_bytes"])
            name += f" to {_short(entry['nodes'][-1], out)}"
        rows.append(
            (
                step,
                operation,
                name,
                ", ".join(kind.replace(", ", ",") for kind in entry["outputs"].values()),
                ", ".join(_place(place) for place in places),
                f"{entry['held_bytes']:,}",
            )
        )
    headings = ("step", "operation", "node", "result", "lies", "held")
    out.print(table(*headings, rows=rows, right=[0, 5]))


def _operation(qualified: str) -> str:
    """The name without a domain."""
    return qualified.rpartition("::")[2]


def _short(name: str, out: Console) -> str:
    """The end of a long name, which tells it from the others."""
    most = out.width // 4 - 3
    return name if len(name) <= most else "…" + name[1 - most :]


def _place(place: dict[str, Any]) -> str:
    if place["space"] == "arena":
        return f"{place['offset']:,}"
    return f"{place['space']} {place['buffer']}"


def _show_notes(out: Console, findings: dict[str, Any]) -> None:
    notes = []
    if findings["copies"]:
        moved = sum(copy["bytes"] for copy in findings["copies"])
        notes.append(
            f"{_count(findings['copies'], 'operand')} copied, where a view was not possible or "
            f"would hold more memory: {size(moved)} moved in a run."
        )
    if findings["fallbacks"]:
        notes.append(
            f"{_count(findings['fallbacks'], 'node')} run by the reference backend; what that "
            "takes for itself is not counted."
        )
    for name, shape in findings["shapes"].items():
        notes.append(f"input {name} is taken as {'x'.join(map(str, shape))}; --shape sets another.")
    if findings.get("checked"):
        notes.append(
            "Replayed over memory: no value is overwritten before it is read, and no row is made "
            "twice."
        )
    if _chains_of(findings):
        notes.append(
            f"Multiply-accumulates of all bands over those of the network: "
            f"{findings['mac_factor']:.3f}."
        )
    for note in notes:
        out.print(note, markup=False)


def _count(items: list[Any], what: str) -> str:
    return f"1 {what} is" if len(items) == 1 else f"{len(items)} {what}s are"
