"""A plan run over one array of bytes, step by step, with the reference meanings.

In: a plan and feeds. Out: the outputs. Every value lives where its placement says, so that a plan
that lets two values overlap gives wrong numbers: the "planned" stage of a case.

For a band the whole node is computed, over operands in which every row that is not held is a huge
number; of the result only the band's rows are kept. So nothing here knows which rows a row needs.

>>> from support.planned import run_planned  # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import array_api_compat.numpy as xp
import numpy as np

from pelemay.engine import Engine, open_program
from pelemay.graph import Graph, Node, TensorType, reads
from pelemay.graph.evaluate import Table, evaluate
from pelemay.plan import Plan, Step
from pelemay.program.build import build
from pelemay.program.image import image

Array = Any

GARBAGE = 0xA5
"""What the arena is filled with before the run."""

ABSENT = 1e30
"""What stands for rows that are not held: no NaN, for a weight of 0 is no weight."""

ROWS = 1


def run_planned(plan: Plan, feeds: Mapping[str, Array]) -> dict[str, Array]:
    """Run a plan over memory.

    Parameters
    ----------
    plan : Plan
        Steps, and a place for every value.
    feeds : mapping
        Input name to array.

    Returns
    -------
    dict
        Output name to array, as ``evaluate`` gives them.
    """
    memory = _Memory(plan, feeds)
    before = {name: memory.read(name).tobytes() for name in plan.graph.inputs}
    for step in plan.steps:
        node = plan.graph.nodes[step.node]
        if step.is_band and node.op in ("ReduceMean", "ReduceMax"):
            _gather(memory, node, step)
            continue
        axis = _row_axis(plan.graph, node) if step.is_band else ROWS
        for name, made in _evaluated(memory, node).items():
            memory.write(name, np.asarray(made), step, axis)
    after = {name: memory.read(name).tobytes() for name in plan.graph.inputs}
    assert before == after, "the run wrote into the caller's inputs"
    return {name: memory.read(name) for name in plan.graph.outputs}


class Native:
    """The same plan on the engine."""

    def __init__(self, plan: Plan) -> None:
        program = build(plan)
        refused = [entry["reason"] for entry in program.metadata["host"]]
        assert not refused, refused
        self.graph = plan.graph
        self.opcodes = {step.opcode for step in program.instructions}
        self._program = open_program(image(program))

    def run(self, feeds: Mapping[str, Array], threads: int = 1) -> dict[str, Array]:
        """Output name to array."""
        made = Engine(self._program, threads=threads).run([feeds[n] for n in self.graph.inputs])
        return dict(zip(self.graph.outputs, made, strict=True))


def _evaluated(memory: _Memory, node: Node) -> dict[str, Array]:
    names = dict.fromkeys(reads(node))
    values = {name: memory.read(name) for name in names}
    outputs = {name: None for name in node.outputs if name}
    graph = Graph("one node", dict.fromkeys(names), outputs, (node,))
    with np.errstate(all="ignore"):
        return evaluate(graph, values, Table(xp))


def _gather(memory: _Memory, node: Node, step: Step) -> None:
    """Add a band to what was gathered of those before; at the end, make a mean of the sum."""
    x, name = memory.read(node.inputs[0]), node.outputs[0]
    band = x[:, step.begin : step.end]
    join = np.maximum if node.op == "ReduceMax" else np.add
    found = join.reduce(band, axis=(1, 2), keepdims=True)
    if step.begin:
        memory.write(f"{name}::band", found)
        found = join(memory.read(name), memory.read(f"{name}::band"))
    if node.op == "ReduceMean" and step.end == x.shape[ROWS]:
        found = found / np.float32(x.shape[1] * x.shape[2])
    memory.write(name, found)


def _row_axis(graph: Graph, node: Node) -> int:
    """The axis of the output that bands are cut along."""
    perm: Any = node.attributes.get("perm")
    if node.op != "Transpose" or (node.inputs[0] not in graph.producers and perm[ROWS] == 2):
        return ROWS
    return int(perm.index(ROWS))


class _Memory:
    """The arena, and an array of bytes for each input, output and constant."""

    def __init__(self, plan: Plan, feeds: Mapping[str, Array]) -> None:
        self.plan = plan
        self.spaces: dict[tuple[str, str], Array] = {}
        self.held: dict[str, Array] = {}
        done = {step.node for step in plan.steps}
        undone = (n for i, n in enumerate(plan.graph.nodes) if i not in done)
        self.shown = {name: node for node in undone for name in node.outputs if name}
        arena = np.full(plan.arena_bytes, GARBAGE, np.uint8)
        self.arena = arena
        for name in plan.graph.inputs:
            self.write(name, np.asarray(feeds[name]))

    def slots(self, name: str) -> Array:
        """What is held of a value, as an array over the memory that it lies in."""
        place, kind = self.plan.placements[name], self.plan.graph.type_of(name)
        assert isinstance(kind, TensorType)
        assert kind.shape is not None
        dtype, shape = kind.dtype.numpy, kind.shape
        if place.ring:
            shape = (*shape[:ROWS], place.ring, *shape[ROWS + 1 :])
        if 0 in shape:
            return np.zeros(shape, dtype)
        strides = tuple(s * dtype.itemsize for s in place.strides)
        base = self._base(place.space, place.buffer)
        return np.ndarray(shape, dtype, base, place.offset, strides)

    def read(self, name: str) -> Array:
        """A copy of a value; rows that are not held are huge."""
        slots = self.slots(name)
        if not self.plan.placements[name].ring:
            return slots.copy()
        if name in self.shown:
            return self._part(name)
        rows = self.held.get(name, np.empty(0, np.intp))
        whole = np.full(self._shape(name), ABSENT, slots.dtype)
        known = np.flatnonzero(rows >= 0)
        whole[:, rows[known]] = slots[:, known]
        return whole

    def _part(self, name: str) -> Array:
        """A view that has no step: as it should be, where it lies."""
        ideal = _evaluated(self, self.shown[name])[name]
        count = self._shape(name)[ROWS]
        found = self.slots(name)[:, np.arange(count) % self.plan.placements[name].ring]
        return np.where(ideal == np.float32(ABSENT), ideal, found)

    def write(self, name: str, value: Array, step: Step | None = None, axis: int = ROWS) -> None:
        """Put a value, or the rows of a step, into its place."""
        kind, slots = self.plan.graph.type_of(name), self.slots(name)
        assert value.shape == self._shape(name), f"{name}: {value.shape}, but its type is {kind}"
        assert value.dtype == slots.dtype, f"{name}: {value.dtype}, but its type is {kind}"
        ring = self.plan.placements[name].ring
        if step is None or not step.is_band:
            assert not ring, f"{name} is written as a whole"
            slots[...] = value
            return
        assert not ring or axis == ROWS
        rows = np.arange(step.begin, step.end)
        before = (slice(None),) * axis
        if ring:
            held = self.held.setdefault(name, np.full(ring, -1))
            held[rows % ring] = rows
        slots[(*before, rows % ring if ring else rows)] = value[(*before, rows)]

    def _shape(self, name: str) -> tuple[int, ...]:
        kind = self.plan.graph.type_of(name)
        assert isinstance(kind, TensorType)
        return kind.shape  # type: ignore[return-value]

    def _base(self, space: str, buffer: str) -> Array:
        if space == "arena":
            return self.arena
        key = (space, buffer)
        if key not in self.spaces:
            if space == "constant":
                array = np.array(self.plan.graph.constants[buffer].array(), order="C")
                self.spaces[key] = array.reshape(-1).view(np.uint8)
            else:
                kind = self.plan.graph.type_of(buffer)
                assert isinstance(kind, TensorType)
                count = int(np.prod(kind.shape)) * kind.dtype.numpy.itemsize
                self.spaces[key] = np.full(count, GARBAGE, np.uint8)
        return self.spaces[key]
