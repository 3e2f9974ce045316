"""What ``pelemay top`` shows: bars, a history, the operation that runs.

In: :class:`~pelemay.bench.live.View` and how much was held before. Out: something that Rich prints,
a line, or plain data.

>>> history([0, 5, 10], 10, width=3)
' ▄█'
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pelemay.bench.live import View
from pelemay.bench.units import as_bytes, as_seconds, as_time

if TYPE_CHECKING:
    from rich.console import RenderableType

_LEVELS = " ▁▂▃▄▅▆▇█"
_LABEL = 13
_PARTS = (("anonymous", "█", "red"), ("file_backed", "▓", "blue"), ("shared", "▒", "magenta"))
SLOWEST = 3


def history(values: Sequence[float], most: float, width: int) -> str:
    """The latest values as blocks of eight heights.

    Parameters
    ----------
    values : sequence of float
        The oldest first.
    most : float
        What a full block stands for.
    width : int
        Characters at most.
    """
    steps = len(_LEVELS) - 1
    heights = [min(steps, round(value / most * steps)) if most else 0 for value in values[-width:]]
    return "".join(_LEVELS[height] for height in heights)


def panel(view: View, held: Sequence[int], elapsed_s: float, width: int) -> RenderableType:
    """The whole view, for a terminal.

    Parameters
    ----------
    view : View
        Now.
    held : sequence of int
        Resident bytes so far, the latest last.
    elapsed_s : float
        Seconds since it was first looked at.
    width : int
        Characters in a line.
    """
    from rich.console import Group
    from rich.text import Text

    lines = [_headline(view, elapsed_s, width), *_memory(view, max(held, default=0), width)]
    room = width - _LABEL - 12
    drawn = history(held, max(held, default=0), room)
    lines.append(_labelled("history", Text(drawn), f" most {as_bytes(max(held, default=0))}"))
    lines += _operation(view, width)
    if len(view.processes) > 1:
        lines += _processes(view)
    for line in lines:
        line.no_wrap, line.overflow = True, "ellipsis"
    return Group(*lines)


def _headline(view: View, elapsed_s: float, width: int) -> Any:
    from rich.text import Text

    if not view.processes:
        return Text("the process has ended", style="bold")
    first = view.processes[0]
    said = f"  process {first.pid}, for {as_seconds(round(elapsed_s))}"
    room = max(10, width - len(said))
    command = first.command if len(first.command) <= room else f"{first.command[: room - 1]}…"
    return Text.assemble((command, "bold"), (said, "dim"))


def _labelled(label: str, *parts: Any) -> Any:
    from rich.text import Text

    return Text.assemble((f"{label:<{_LABEL}}", "dim"), *parts)


def _memory(view: View, most: int, width: int) -> list[Any]:
    """One bar for what is resident, and its parts in words."""
    from rich.text import Text

    whole = view.limit_bytes or max(most, 1)
    room = max(10, width - _LABEL - 34)
    bar, used = Text(), 0
    for name, block, style in _PARTS:
        cells = round(getattr(view, name) / whole * room)
        cells = min(cells, room - used)
        bar.append(block * cells, style=style)
        used += cells
    bar.append("·" * (room - used), style="dim")
    of = f" of {as_bytes(view.limit_bytes)} (limit)" if view.limit_bytes else ""
    parts = [(f"{block} {name.replace('_', '-')} ", style) for name, block, style in _PARTS]
    words: list[Any] = []
    for (name, _, _), part in zip(_PARTS, parts, strict=True):
        words += [part, f"{as_bytes(getattr(view, name))}   "]
    return [_labelled("resident", bar, f" {as_bytes(view.rss)}{of}"), _labelled("", *words)]


def _operation(view: View, width: int) -> list[Any]:
    from rich.text import Text

    engine = view.running
    if engine is None:
        return []
    total = len(engine.names)
    room = max(10, width - _LABEL - 34)
    cells = engine.done * room // total if total else 0
    bar = Text.assemble(("━" * cells, "green"), ("─" * (room - cells), "dim"))
    lines = [_labelled("run", bar, f" {engine.done} of {total} instructions")]
    if engine.operation is None:
        took = as_time(engine.since_ns - engine.began_ns)
        lines.append(_labelled("operation", f"none; the last run took {took}"))
    else:
        since = as_time(max(0, view.at_ns - engine.since_ns))
        lines.append(_labelled("operation", (engine.operation, "bold"), f"  for {since}"))
    slowest = engine.slowest(SLOWEST)
    lines += [
        _labelled("slowest" if not number else "", f"{as_time(took):>8}  {name}")
        for number, (name, took) in enumerate(slowest)
    ]
    return lines


def _processes(view: View) -> list[Any]:
    return [
        _labelled(
            "processes" if not number else "",
            f"{process.pid:>8}  {as_bytes(process.rss):>8}  {process.command}",
        )
        for number, process in enumerate(view.processes)
    ]


def line(view: View) -> str:
    """The view in one line, for a pipe or a log."""
    parts = [
        f"{as_bytes(view.rss)} resident",
        f"{as_bytes(view.anonymous)} anonymous",
        f"{as_bytes(view.file_backed)} file-backed",
    ]
    if view.limit_bytes:
        parts.append(f"limit {as_bytes(view.limit_bytes)}")
    if (engine := view.running) is not None:
        parts.append(f"{engine.done} of {len(engine.names)} instructions")
        parts += [engine.operation] if engine.operation else []
    return ", ".join(parts)


def plain(view: View) -> dict[str, Any]:
    """The view as plain data, for JSON."""
    engine = view.running
    return {
        "rss": view.rss,
        "anonymous": view.anonymous,
        "file_backed": view.file_backed,
        "shared": view.shared,
        "limit": view.limit_bytes,
        "machine": view.machine_bytes,
        "run": None if engine is None else {
            "pid": engine.pid,
            "done": engine.done,
            "instructions": len(engine.names),
            "operation": engine.operation,
            "slowest_ns": dict(engine.slowest(SLOWEST)),
        },
        "processes": [
            {
                "pid": process.pid,
                "command": process.command,
                "rss": process.rss,
                "anonymous": process.anonymous,
                "file_backed": process.file_backed,
                "shared": process.shared,
                "swapped": process.swapped,
                "peak_rss": process.peak_rss,
            }
            for process in view.processes
        ],
    }  # fmt: skip
