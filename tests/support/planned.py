"""A plan run over one array of bytes, node by node, with the reference meanings.

In: a plan and feeds. Out: the outputs. Every value lives where its placement says, so that a plan
that lets two values overlap gives wrong numbers: the "planned" stage of a case.

>>> from support.planned import run_planned  # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import array_api_compat.numpy as xp
import numpy as np

from pelemay.graph import Graph, TensorType, reads
from pelemay.graph.evaluate import Table, evaluate
from pelemay.plan import Plan

Array = Any

GARBAGE = 0xA5
"""What the arena is filled with before the run."""


def run_planned(plan: Plan, feeds: Mapping[str, Array]) -> dict[str, Array]:
    """Run a plan over memory.

    Parameters
    ----------
    plan : Plan
        An order, and a place for every value.
    feeds : mapping
        Input name to array.

    Returns
    -------
    dict
        Output name to array, as ``evaluate`` gives them.
    """
    memory = _Memory(plan, feeds)
    before = {name: memory.read(name).tobytes() for name in plan.graph.inputs}
    for node in plan.graph.nodes:
        names = dict.fromkeys(reads(node))
        values = {name: memory.read(name) for name in names}
        outputs = {name: None for name in node.outputs if name}
        graph = Graph("one node", dict.fromkeys(names), outputs, (node,))
        for name, made in evaluate(graph, values, Table(xp)).items():
            memory.write(name, np.asarray(made))
    after = {name: memory.read(name).tobytes() for name in plan.graph.inputs}
    assert before == after, "the run wrote into the caller's inputs"
    return {name: memory.read(name) for name in plan.graph.outputs}


class _Memory:
    """The arena, and an array of bytes for each input, output and constant."""

    def __init__(self, plan: Plan, feeds: Mapping[str, Array]) -> None:
        self.plan = plan
        self.spaces: dict[tuple[str, str], Array] = {}
        arena = np.full(plan.arena_bytes, GARBAGE, np.uint8)
        self.arena = arena
        for name in plan.graph.inputs:
            self.write(name, np.asarray(feeds[name]))

    def view(self, name: str) -> Array:
        """A value as an array over the memory that it lies in."""
        place, kind = self.plan.placements[name], self.plan.graph.type_of(name)
        assert isinstance(kind, TensorType)
        assert kind.shape is not None
        dtype = kind.dtype.numpy
        if 0 in kind.shape:
            return np.zeros(kind.shape, dtype)
        strides = tuple(s * dtype.itemsize for s in place.strides)
        base = self._base(place.space, place.buffer)
        return np.ndarray(kind.shape, dtype, base, place.offset, strides)

    def read(self, name: str) -> Array:
        """A copy of a value."""
        return self.view(name).copy()

    def write(self, name: str, value: Array) -> None:
        """Put a value into its place."""
        kind = self.plan.graph.type_of(name)
        place = self.view(name)
        assert value.shape == place.shape, f"{name}: {value.shape}, but its type is {kind}"
        assert value.dtype == place.dtype, f"{name}: {value.dtype}, but its type is {kind}"
        place[...] = value

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
