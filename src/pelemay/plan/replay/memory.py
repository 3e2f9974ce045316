"""Memory that holds tokens: a number that stands for "this element of that value".

In: a plan. Out: :class:`Memory`, which knows what should lie where. Of a value of which few rows
are held it knows which row lies at which slot.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pelemay.errors import PlanError
from pelemay.graph import Graph, TensorType
from pelemay.plan.replay.moves import shape_of
from pelemay.plan.types import Placement, Plan

Tokens = npt.NDArray[np.int32]
Numbers = npt.NDArray[np.intp]

ROWS = 1
MOST = 2**31 - 2


class Region(NamedTuple):
    """Some elements of a value.

    Attributes
    ----------
    name : str
        The value.
    index : Any
        Of an array that has the slots of the value as its axis 1.
    slots, rows : ndarray of int, or None
        Of a value of which few rows are held: where which row should lie.
    """

    name: str
    index: Any = ...
    slots: Numbers | None = None
    rows: Numbers | None = None


class Memory:
    """Memory that holds tokens, and what each value's tokens should be.

    Parameters
    ----------
    plan : Plan
        Whose values lie there.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan, self.graph = plan, plan.graph
        self.grain = _grain(plan)
        self.spaces: dict[str, Tokens] = {"arena": self._blank(plan.arena_bytes)}
        self.expected: dict[str, Tokens] = {}
        self.held: dict[str, Numbers] = {}
        self.next_token = 0

    def whole(self, name: str) -> Region:
        """All elements."""
        ring = self.plan.placements[name].ring
        if not ring:
            return Region(name)
        return self.rows(name, ROWS, np.arange(shape_of(self.graph, name)[ROWS]))

    def rows(self, name: str, axis: int, rows: Numbers) -> Region:
        """Some rows of a value."""
        ring = self.plan.placements[name].ring
        before = (slice(None),) * axis
        if not ring:
            return Region(name, (*before, _tidy(rows)))
        if axis != ROWS:
            raise PlanError(f"'{name}' is held by rows of axis {ROWS}, not {axis}")
        slots = rows % ring
        return Region(name, (*before, _tidy(slots)), slots, rows)

    def elements(self, name: str, numbers: Numbers) -> Region:
        """Elements by their numbers in C order."""
        ring = self.plan.placements[name].ring
        places = np.unravel_index(numbers, shape_of(self.graph, name))
        if not ring:
            return Region(name, places)
        slots = places[ROWS] % ring
        at = (*places[:ROWS], slots, *places[ROWS + 1 :])
        return Region(name, at, slots.reshape(-1), places[ROWS].reshape(-1))

    def fresh(self, region: Region) -> Tokens:
        """Tokens that no element had before."""
        shape = self.view(region.name)[region.index].shape[:-1]
        count = int(np.prod(shape, dtype=np.int64))
        tokens = np.arange(self.next_token, self.next_token + count, dtype=np.int64)
        self.next_token += count
        return (tokens % MOST + 1).astype(np.int32).reshape(shape)

    def expect(self, region: Region, tokens: Tokens) -> None:
        """Say what should lie in a region from now on."""
        name = region.name
        if name not in self.expected:
            shape = self.view(name).shape[:-1]
            self.expected[name] = np.zeros(shape, np.int32)
            if self.plan.placements[name].ring:
                self.held[name] = np.full(shape[ROWS], -1)
        if region.slots is not None and region.rows is not None:
            held = self.held[name]
            # What is left of the row before is no part of the new one.
            gone = region.slots[held[region.slots] != region.rows]
            self.expected[name][:, gone] = 0
            held[region.slots] = region.rows
        self.expected[name][region.index] = tokens

    def write(self, region: Region, tokens: Tokens, where: str) -> None:
        """Put tokens into a region."""
        view = self.view(region.name)
        if tokens.shape != view[region.index].shape[:-1]:
            what = f"'{region.name}' has shape {tokens.shape}, not as typed"
            raise PlanError(what, where=where)
        view[region.index] = tokens[..., None]
        self.expect(region, tokens)

    def check_made(self, region: Region, where: str) -> None:
        """The rows must be those that the slots have, and every element must be made."""
        if region.slots is not None and region.rows is not None:
            held = self.held.get(region.name)
            found = held[region.slots] if held is not None else -1
            wrong = region.rows[found != region.rows]
            if len(wrong):
                what = f"row {wrong[0]} of '{region.name}' is not held when it is read"
                raise PlanError(what, where=where)
        tokens = self.expected.get(region.name)
        if tokens is None or not tokens[region.index].all():
            raise PlanError(f"'{region.name}' is read before it is made", where=where)

    def check(self, region: Region, where: str) -> None:
        """Everything of the region must lie there."""
        self.check_made(region, where)
        found = self.view(region.name)[region.index]
        if not (found == self.expected[region.name][region.index][..., None]).all():
            raise PlanError(f"'{region.name}' was overwritten before it is read", where=where)

    def copy(self, region: Region) -> Tokens:
        """What lies there now."""
        return np.array(self.view(region.name)[region.index])

    def drop(self, name: str) -> None:
        """Forget what a value should be."""
        self.expected.pop(name, None)
        self.held.pop(name, None)

    def space(self, name: str) -> Tokens:
        """The memory that a value lies in."""
        place = self.plan.placements[name]
        if place.space == "arena":
            return self.spaces["arena"]
        key = f"{place.space} {place.buffer}"
        if key not in self.spaces:
            self.spaces[key] = self._blank(nbytes_of(self.graph, place.buffer))
        return self.spaces[key]

    def _blank(self, nbytes: int) -> Tokens:
        return np.zeros(-(-nbytes // self.grain), dtype=np.int32)

    def view(self, name: str) -> Tokens:
        """The slots of a value in memory; the last dimension is the grains of one element."""
        place, shape = self.plan.placements[name], held_shape(self.graph, self.plan, name)
        base = self.space(name)
        per = _itemsize(self.graph, name) // self.grain
        if 0 in shape:
            return np.zeros((*shape, per), dtype=base.dtype)
        start, end = place.offset // self.grain, place.offset + reach_of(self.plan, name, place)
        if place.offset % self.grain or end > len(base) * self.grain:
            raise PlanError(f"'{name}' lies outside the memory of {place.space} '{place.buffer}'")
        strides = tuple(s * per * base.itemsize for s in place.strides)
        return np.lib.stride_tricks.as_strided(
            base[start:], (*shape, per), (*strides, base.itemsize)
        )


def _tidy(numbers: Numbers) -> Any:
    """A slice, where they follow each other."""
    if len(numbers) and (np.diff(numbers) == 1).all():
        return slice(int(numbers[0]), int(numbers[-1]) + 1)
    return numbers


def held_shape(graph: Graph, plan: Plan, name: str) -> tuple[int, ...]:
    """The shape of what is held of a value."""
    shape, ring = shape_of(graph, name), plan.placements[name].ring
    return (*shape[:ROWS], ring, *shape[ROWS + 1 :]) if ring else shape


def nbytes_of(graph: Graph, name: str) -> int:
    """Bytes of a value."""
    return int(np.prod(shape_of(graph, name), dtype=np.int64)) * _itemsize(graph, name)


def reach_of(plan: Plan, name: str, place: Placement) -> int:
    """Bytes from the first element to the end of the last that is held."""
    shape = held_shape(plan.graph, plan, name)
    if 0 in shape:
        return 0
    steps = sum((n - 1) * s for n, s in zip(shape, place.strides, strict=True))
    return (steps + 1) * _itemsize(plan.graph, name)


def _grain(plan: Plan) -> int:
    """Bytes that all element sizes are multiples of."""
    names = [name for name in plan.placements if _is_sized(plan.graph, name)]
    return int(np.gcd.reduce([_itemsize(plan.graph, name) for name in names] or [1]))


def _is_sized(graph: Graph, name: str) -> bool:
    kind = graph.type_of(name)
    return isinstance(kind, TensorType) and kind.dtype.bits > 0


def _itemsize(graph: Graph, name: str) -> int:
    kind = graph.type_of(name)
    if not isinstance(kind, TensorType):
        raise PlanError(f"'{name}' has no size")
    return kind.dtype.numpy.itemsize
