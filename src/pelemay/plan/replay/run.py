"""The steps of a plan, one after the other, over memory that holds tokens.

In: a :class:`~pelemay.plan.Plan`. Out: nothing, or a :class:`~pelemay.errors.PlanError`. Views and
concatenations move tokens as their meaning says, every other node writes new ones. A node that
finds other tokens than were last made for the elements that it reads has been given destroyed
memory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from pelemay.errors import PlanError
from pelemay.graph import Node, reads
from pelemay.plan.aliasing import ability
from pelemay.plan.replay.memory import Memory, Numbers, Region, Tokens
from pelemay.plan.replay.moves import (
    keeps_rows,
    moved,
    moved_parts,
    moved_rows,
    moves,
    origins,
    row_axis,
    shape_of,
)
from pelemay.plan.replay.needs import needs_of
from pelemay.plan.replay.rules import check_forms
from pelemay.plan.types import Plan, Step

Take = Callable[[Mapping[str, Tokens]], list[Tokens]]


class Replay:
    """Memory, and the nodes that are done in it.

    Parameters
    ----------
    plan : Plan
        What is replayed.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan, self.graph = plan, plan.graph
        self.memory = Memory(plan)
        self.views = self._undone_views()
        self.unfinished: set[str] = set()
        self._origins: dict[int, list[Numbers]] = {}

    def _undone_views(self) -> dict[str, list[int]]:
        """Values to the nodes that show parts of them and have no step."""
        done = {step.node for step in self.plan.steps}
        found: dict[str, list[int]] = {}
        for number, node in enumerate(self.graph.nodes):
            if number not in done and moves(self.graph, node) and len(moved(node)) == 1:
                found.setdefault(node.inputs[0], []).append(number)
        return found

    def run(self) -> None:
        """Every step in turn; then the outputs must hold what was made for them."""
        last = self._last_uses()
        for name in (*self.graph.inputs, *self._moved_constants()):
            self._put(self.memory.whole(name), None, name)
        for at, step in enumerate(self.plan.steps):
            node = self.graph.nodes[step.node]
            self._check_places(node)
            if moves(self.graph, node):
                self._move(step, node)
            elif step.is_band:
                self._band(step, node)
            else:
                self._whole(node)
            for name in last.get(at, ()):
                self.memory.drop(name)
        for name in self.graph.outputs:
            if name in self.memory.expected:
                self._check(self.memory.whole(name), f"output '{name}'")

    def _last_uses(self) -> dict[int, list[str]]:
        """For each step, the values that nothing reads afterwards, also through views."""
        uses: dict[str, int] = {}
        for at, step in enumerate(self.plan.steps):
            node = self.graph.nodes[step.node]
            uses.update(dict.fromkeys([*reads(node), *filter(None, node.outputs)], at))
        shown = {number: name for name, numbers in self.views.items() for number in numbers}
        for number in sorted(shown, reverse=True):
            outputs = self.graph.nodes[number].outputs
            latest = max(uses.get(name, -1) for name in (shown[number], *outputs))
            uses[shown[number]] = latest
        found: dict[int, list[str]] = {}
        for name, at in uses.items():
            if name not in self.graph.outputs:
                found.setdefault(at, []).append(name)
        return found

    def _moved_constants(self) -> list[str]:
        moving = [node for node in self.graph.nodes if moves(self.graph, node)]
        names = dict.fromkeys(name for node in moving for name in moved(node))
        return [name for name in names if name in self.graph.constants]

    def _check_places(self, node: Node) -> None:
        for name in filter(None, node.outputs):
            place = self.plan.placements[name]
            if place.space in ("input", "constant") and not moves(self.graph, node):
                what = f"'{name}' would be written into the caller's memory"
                raise PlanError(what, where=node.label)

    def _check(self, region: Region, where: str) -> None:
        if region.name in self.unfinished:
            raise PlanError(f"'{region.name}' is read before every band was added", where=where)
        self.memory.check(region, where)

    def _put(self, region: Region, tokens: Tokens | None, where: str) -> None:
        """Write a region, and what views show of it."""
        made = self.memory.fresh(region) if tokens is None else tokens
        self.memory.write(region, made, where)
        self._show(region)

    def _show(self, region: Region) -> None:
        """What views without steps show of a region."""
        for node in (self.graph.nodes[i] for i in self.views.get(region.name, ())):
            if keeps_rows(self.graph, node) and (region.index is ... or len(region.index) == 2):
                tokens = self.memory.expected[region.name][region.index]
                parts = moved_rows(self.graph, node, {region.name: tokens})
                regions = [region._replace(name=name) for name in node.outputs]
            elif region.rows is None:
                whole = self.memory.expected[region.name]
                parts = moved_parts(self.graph, node, {region.name: whole})
                regions = [Region(name) for name in node.outputs]
            else:
                continue
            for seen, part in zip(regions, parts, strict=True):
                if seen.name:
                    self._check_ring(region.name, seen.name, node)
                    self.memory.expect(seen, part)
                    self._show(seen)

    def _check_ring(self, source: str, name: str, node: Node) -> None:
        places = self.plan.placements
        if places[source].ring != places[name].ring:
            raise PlanError(f"'{name}' shows other rows than are held", where=node.label)

    def _operand(self, name: str) -> Region | None:
        """All of an operand; None for one that is left out, or lies in the program."""
        constant = name in self.graph.constants and name not in self.memory.expected
        return self.memory.whole(name) if name and not constant else None

    def _whole(self, node: Node) -> None:
        """A node that computes, as a whole."""
        read = [self._operand(name) for name in node.inputs]
        for name in sorted(set(reads(node)) - set(node.inputs)):
            if (region := self._operand(name)) is not None:
                self._check(region, node.label)
        self._compute(node, read, [self.memory.whole(name) for name in node.outputs if name])

    def _band(self, step: Step, node: Node) -> None:
        """Some rows of a node that computes."""
        needs = needs_of(self.graph, node)
        read: list[Region | None] = []
        for position, name in enumerate(node.inputs):
            need = needs.operands[position] if position < len(needs.operands) else None
            region = self._operand(name)
            if region is not None and need is not None:
                rows = need.of(step.begin, step.end)
                region = self.memory.rows(name, need.axis, rows) if len(rows) else None
            read.append(region)
        output = node.outputs[0]
        if not needs.gathers:
            rows = np.arange(step.begin, step.end)
            self._compute(node, read, [self.memory.rows(output, needs.axis, rows)])
            return
        own = self.memory.whole(output)
        made = [own]
        if step.begin:
            self.memory.check(own, node.label)
            made.append(self.memory.whole(f"{output}::band"))
        self.unfinished.add(output)
        self._compute(node, read, made)
        if step.end == needs.rows:
            self.unfinished.discard(output)

    def _compute(self, node: Node, read: Sequence[Region | None], made: Sequence[Region]) -> None:
        """Read, and write new tokens, on no operand but where the kernel allows it."""
        can = ability(self.graph, node)
        for region in filter(None, read):
            self._check(region, node.label)
        names = {region.name for region in (*filter(None, read), *made)}
        check_forms(self.plan, node, can.form, names)
        for region in made:
            self._put(region, None, node.label)
            for position, operand in enumerate(read):
                allowed = position in can.in_place and region.name == node.outputs[0]
                if operand is None or (allowed and self._is_same_place(operand, region)):
                    continue
                if not self._holds(operand):
                    what = f"output '{region.name}' would overwrite operand '{operand.name}'"
                    raise PlanError(what, where=node.label)
        for region in made:
            self.memory.check(region, node.label)

    def _is_same_place(self, a: Region, b: Region) -> bool:
        """Whether two regions are the same elements of the same place."""
        places = self.plan.placements
        same = places[a.name] == places[b.name]
        same = same and shape_of(self.graph, a.name) == shape_of(self.graph, b.name)
        return same and _is_same_index(a.index, b.index)

    def _holds(self, region: Region) -> bool:
        found = self.memory.view(region.name)[region.index]
        return bool((found == self.memory.expected[region.name][region.index][..., None]).all())

    def _move(self, step: Step, node: Node) -> None:
        """A moving node; what it writes must not lie on what it still reads."""
        read, made, take = self._moving(step, node)
        memory, names = self.memory, {region.name for region in read}
        for region in read:
            memory.check_made(region, node.label)
        tokens = take({name: memory.expected[name] for name in names})
        for grain in range(memory.view(read[0].name).shape[-1]):
            found = take({name: memory.view(name)[..., grain] for name in names})
            if not all(map(np.array_equal, found, tokens)):
                what = f"what '{node.outputs[0]}' is made of was overwritten before it is read"
                raise PlanError(what, where=node.label)
        before = [memory.copy(region) for region in read]
        for region, part in zip(made, tokens, strict=True):
            self._put(region, part, node.label)
            for operand, held in zip(read, before, strict=True):
                if not np.array_equal(memory.view(operand.name)[operand.index], held):
                    what = f"a copy into '{region.name}' would overwrite operand '{operand.name}'"
                    raise PlanError(what, where=node.label)
        for region in made:
            memory.check(region, node.label)

    def _moving(self, step: Step, node: Node) -> tuple[list[Region], list[Region], Take]:
        """What a moving node reads, what it makes, and how."""
        memory, graph = self.memory, self.graph
        names = list(dict.fromkeys(moved(node)))
        outputs = [name for name in node.outputs if name]
        if not step.is_band:
            read = [memory.whole(name) for name in names]
            made = [memory.whole(name) for name in outputs]
            return read, made, lambda values: moved_parts(graph, node, values)
        rows, axis = np.arange(step.begin, step.end), row_axis(graph, node)
        made = [memory.rows(name, axis, rows) for name in outputs]
        if keeps_rows(graph, node):
            by_name = {name: memory.rows(name, axis, rows) for name in names}

            def take(values: Mapping[str, Tokens]) -> list[Tokens]:
                parts = {name: values[name][region.index] for name, region in by_name.items()}
                return moved_rows(graph, node, parts)

            return list(by_name.values()), made, take
        return self._moving_elements(step, node, names, made)

    def _moving_elements(
        self, step: Step, node: Node, names: list[str], made: list[Region]
    ) -> tuple[list[Region], list[Region], Take]:
        """The same, element by element."""
        if step.node not in self._origins:
            self._origins[step.node] = origins(self.graph, node)
        before = (slice(None),) * row_axis(self.graph, node)
        wanted = [part[(*before, slice(step.begin, step.end))] for part in self._origins[step.node]]
        start, read, fills = 0, [], []
        for name in names:
            count = int(np.prod(shape_of(self.graph, name), dtype=np.int64))
            inside = [(part >= start) & (part < start + count) for part in wanted]
            for number, (part, mask) in enumerate(zip(wanted, inside, strict=True)):
                if mask.any():
                    region = self.memory.elements(name, part[mask] - start)
                    read.append(region)
                    fills.append((number, mask, region))
            start += count

        def take(values: Mapping[str, Tokens]) -> list[Tokens]:
            parts = [np.zeros(part.shape, np.int32) for part in wanted]
            for number, mask, region in fills:
                parts[number][mask] = values[region.name][region.index]
            return parts

        return read, made, take


def _is_same_index(a: Any, b: Any) -> bool:
    if a is ... or b is ...:
        return a is b
    return len(a) == len(b) and all(
        type(p) is type(q) and np.array_equal(p, q) if isinstance(p, np.ndarray) else p == q
        for p, q in zip(a, b, strict=True)
    )
