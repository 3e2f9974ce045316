"""A plan as data of a page: what is done when, what lies where, what is read.

In: a program, what it was made of, and the budget that it keeps to. Out: a :class:`Frame`, which
JSON can hold. Frames of one graph share a :class:`Layers`, since they do the same nodes in other
steps.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pelemay.graph import Graph, Node, TensorType, reads
from pelemay.plan.bands.cost import estimate, macs_of
from pelemay.plan.facts import Facts
from pelemay.plan.groups import Group, group_at, groups_of, name_of
from pelemay.plan.lifetimes import live_bytes
from pelemay.plan.types import CHAIN_ROWS, Buffer, Placement, Plan
from pelemay.program.budget import READ_BYTES_PER_US
from pelemay.program.scratch import reading_of

if TYPE_CHECKING:
    from pelemay.compilation import Planned
    from pelemay.program.budget import Fitted

Json = dict[str, Any]


@dataclass(frozen=True)
class Layers:
    """The nodes that all plans of a graph do.

    Attributes
    ----------
    rows : tuple of mapping
        For each node its name, operation, result, bytes of weights, multiply-accumulates, and how
        many rows its result has.
    numbers : mapping
        A node's first output to its row.
    """

    rows: tuple[Json, ...]
    numbers: Mapping[str, int]

    @classmethod
    def of(cls, graph: Graph) -> Layers:
        """Look at all nodes of a graph, in its order."""
        facts = Facts.of(graph)
        rows = tuple(_layer(facts, number) for number in range(len(graph.nodes)))
        return cls(rows, {_made(node): at for at, node in enumerate(graph.nodes)})


def _layer(facts: Facts, number: int) -> Json:
    graph, node = facts.graph, facts.graph.nodes[number]
    own = facts.nodes[number]
    made = facts.shapes[own.makes[0]]
    return {
        "name": name_of(node),
        "op": node.op,
        "result": str(graph.type_of(own.makes[0])).replace(", ", "×"),
        "weights": sum(facts.nbytes(n) for n in own.reads if n in graph.constants),
        "macs": macs_of(facts, number),
        "rows": made[1] if len(made) > 1 else 1,
    }


def _made(node: Node) -> str:
    return next(filter(None, node.outputs), "")


def frame(fitted: Fitted[Planned], budget: int, layers: Layers, *, is_asked: bool = False) -> Json:
    """What a page shows of one program.

    Parameters
    ----------
    fitted : Fitted
        The program and its plan.
    budget : int
        Bytes that a run of it may take.
    layers : Layers
        Of the same graph.
    is_asked : bool
        Whether it is the one that the user asked for.
    """
    plan, program, needs = fitted.made.plan, fitted.made.program, fitted.needs
    reading = reading_of(program, budget - needs.fixed)
    rows = [layers.numbers[_made(node)] for node in plan.graph.nodes]
    groups = groups_of(plan)
    found = _Found(plan)
    micros = [0.0] * len(layers.rows)
    for number, time in enumerate(found.micros()):
        micros[rows[number]] = round(time, 2)
    counts = [0] * len(plan.steps)
    for instruction in program.instructions:
        counts[instruction.step] += 1
    return {
        "limit": budget,
        "asked": is_asked,
        "arena": plan.arena_bytes,
        "scratch": needs.scratch,
        "ends": needs.ends,
        "tables": needs.head,
        "memory": reading.memory,
        "window": reading.window,
        "read": reading.read,
        "reading": round(reading.read / READ_BYTES_PER_US, 1),
        "micros": micros,
        "steps": [n for step in plan.steps for n in (rows[step.node], step.begin, step.end)],
        "instructions": counts,
        "buffers": [found.buffer(buffer) for buffer in plan.buffers],
        "rows": [[rows[n], *row] for n, *row in found.rows()],
        "chains": [[g.begin, g.end, g.rows, g.label] for g in groups if g.is_chain],
        "peak": _peak(plan, groups),
        "loads": [
            [load.slot, load.nbytes, load.first, load.last, load.after, int(load.stays)]
            for load in reading.loads
        ],
    }


def _peak(plan: Plan, groups: Sequence[Group]) -> Json | None:
    """The step that holds the most, and the node or chain that it belongs to."""
    if not plan.buffers:
        return None
    profile = live_bytes(plan.buffers, len(plan.steps))
    most = max(profile)
    step = profile.index(most)
    end = next((s for s in range(step, len(profile)) if profile[s] < most), len(profile))
    return {
        "step": step,
        "end": end,
        "bytes": most,
        "label": group_at(groups, plan.steps[step].node).label,
    }


class _Found:
    """What is looked up in one plan."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.facts = Facts.of(plan.graph)
        self.inside: dict[str, list[str]] = {}
        for name, place in plan.placements.items():
            if place.space == "arena":
                self.inside.setdefault(place.buffer, []).append(name)
        self.born, self.dies = _lives(plan)

    def micros(self) -> Iterator[float]:
        """Estimated microseconds of each node, over all of its steps."""
        counts = [0] * len(self.plan.graph.nodes)
        for step in self.plan.steps:
            counts[step.node] += 1
        for number, count in enumerate(counts):
            is_view = self.facts.nodes[number].views is not None
            yield 0.0 if is_view or not count else estimate(self.facts, number, count)

    def buffer(self, buffer: Buffer) -> list[Any]:
        """Its place, its steps, whether it is a chain's rows, and the values that lie in it."""
        values = [
            self.value(name) for name in self.inside.get(buffer.name, ()) if name in self.born
        ]
        values.sort(key=lambda value: value[4])
        is_rows = int(buffer.name.endswith(CHAIN_ROWS))
        return [buffer.offset, buffer.nbytes, buffer.first, buffer.last, is_rows, values]

    def value(self, name: str) -> list[Any]:
        """Name, type, offset, bytes in memory, the first and last step, rows held (0 for all)."""
        place, kind = self.plan.placements[name], self.plan.graph.type_of(name)
        nbytes = self.span(name, place)
        steps = (self.born[name], max(self.dies.get(name, 0), self.born[name]))
        return [name, str(kind).replace(", ", "×"), place.offset, nbytes, *steps, place.ring]

    def span(self, name: str, place: Placement) -> int:
        """Bytes from the first to the last that a value takes."""
        shape = list(self.facts.shapes[name]) if name in self.facts.shapes else []
        kind = self.plan.graph.type_of(name)
        if not isinstance(kind, TensorType) or 0 in shape:
            return 0
        if place.ring:
            shape[1] = place.ring
        last = sum((n - 1) * s for n, s in zip(shape, place.strides, strict=False))
        return (last + 1) * kind.dtype.numpy.itemsize

    def rows(self) -> Iterator[list[int]]:
        """Nodes whose result is made by rows in the arena: offset, bytes of a row, slots."""
        banded = dict.fromkeys(step.node for step in self.plan.steps if step.is_band)
        for number in banded:
            name = _made(self.plan.graph.nodes[number])
            place, shape = self.plan.placements[name], self.facts.shapes[name]
            if place.space != "arena" or len(shape) < 2 or math.prod(shape[:1]) != 1:
                continue
            nbytes = place.strides[1] * self.facts.itemsizes[name]
            yield [number, place.offset, nbytes, place.ring or shape[1]]


def _lives(plan: Plan) -> tuple[dict[str, int], dict[str, int]]:
    """The first step that makes each value, and the last one that reads it."""
    born: dict[str, int] = {}
    dies: dict[str, int] = {}
    names = [(tuple(filter(None, n.outputs)), tuple(reads(n))) for n in plan.graph.nodes]
    for at, step in enumerate(plan.steps):
        makes, takes = names[step.node]
        for name in makes:
            born.setdefault(name, at)
        dies.update(dict.fromkeys(takes, at))
    return born, dies
