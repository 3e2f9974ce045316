"""Deciding what shares memory: views, concatenations in place, results in the place of operands.

In: the facts of a graph, an order of its nodes, and wishes that must not be granted. Out: an
:class:`Assignment`. Wishes are tried in a fixed order, so that equal input gives equal results.

>>> from pelemay.graph import DType, Graph, Node, TensorType
>>> t = TensorType(DType.FLOAT32, (2,))
>>> nodes = (Node("Relu", ("x",), ("a",)), Node("Neg", ("a",), ("b",)), Node("Abs", ("b",), ("y",)))
>>> graph = Graph("g", {"x": t}, {"y": t}, nodes, types={"a": t, "b": t})
>>> found = assign(Facts.of(graph), (0, 1, 2))
>>> [wish.value for wish in found.granted], found.forest.storage_of["a"].owner
(['b', 'y'], 'y')
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pelemay.plan.facts import Facts, NodeFacts
from pelemay.plan.forest import Content, Forest, Same, Value
from pelemay.plan.storage import FOREVER


class Wish(NamedTuple):
    """That a value share memory.

    Attributes
    ----------
    kind : str
        ``"view"`` of the first operand, ``"part"`` of a concatenation, or the ``"place"`` of an
        operand.
    value : str
        The output of the node.
    operand : str
        The operand.
    part : int
        Which output, with a view; which operand, with a part.
    """

    kind: str
    value: str
    operand: str
    part: int = 0


@dataclass(frozen=True)
class Assignment:
    """Who shares memory with whom, for one order of the nodes."""

    order: tuple[int, ...]
    forest: Forest
    granted: tuple[Wish, ...]
    copied: tuple[Wish, ...]


def assign(
    facts: Facts,
    order: Sequence[int],
    refused: Collection[Wish] = (),
    *,
    in_place: bool = True,
) -> Assignment:
    """Grant wishes one after the other: views, concatenations, places.

    Parameters
    ----------
    facts : Facts
        Of the graph.
    order : sequence of int
        Numbers of nodes, in the order in which they run.
    refused : collection of Wish
        Wishes that are not granted.
    in_place : bool
        Whether results may take the place of operands.
    """
    forest = _plant(facts, order)
    granted: list[Wish] = []
    copied: list[Wish] = []
    tasks = (_views, _concatenations, _places) if in_place else (_views, _concatenations)
    for task in tasks:
        for step, number in enumerate(order):
            for wish, done in task(forest, facts.nodes[number], step, refused):
                (granted if done else copied).append(wish)
    moved = tuple(wish for wish in copied if wish.kind != "place")
    return Assignment(tuple(order), forest, tuple(granted), moved)


def _plant(facts: Facts, order: Sequence[int]) -> Forest:
    """Every value alone, and every step that reads it."""
    forest = Forest()
    owners, forms, sizes = facts.owners, facts.forms, facts.itemsizes
    for name, space in owners.items():
        if space != "output":
            value = Value(name, facts.shapes[name], sizes[name], -1, name, forms[name])
            forest.add(value)
            forest.touch(name, FOREVER)
    for step, number in enumerate(order):
        node = facts.nodes[number]
        for name in node.reads:
            forest.touch(name, step, replaceable=name in node.in_place)
        for name in node.makes:
            owner = name if owners.get(name) == "output" else ""
            value = Value(name, facts.shapes[name], sizes[name], step, owner, forms[name])
            forest.add(value, node.operands, node.parts or ())
            if owner:
                forest.touch(name, FOREVER)
    return forest


Outcome = list[tuple[Wish, bool]]


def _views(forest: Forest, node: NodeFacts, step: int, refused: Collection[Wish]) -> Outcome:
    if node.views is None:
        return []
    operand = node.reads[0]
    outcome = []
    for part, (name, view) in enumerate(zip(node.makes, node.views, strict=True)):
        wish = Wish("view", name, operand, part)
        done = wish not in refused and forest.join(name, operand, view, Content.SHARED)
        outcome.append((wish, done))
    if all(done for _, done in outcome):
        forest.untouch(operand, step)
    return outcome


def _concatenations(
    forest: Forest, node: NodeFacts, step: int, refused: Collection[Wish]
) -> Outcome:
    if node.parts is None:
        return []
    outcome: Outcome = []
    output = node.makes[0]
    for part, (name, window) in enumerate(zip(node.operands, node.parts, strict=True)):
        wish = Wish("part", output, name, part)
        done = wish not in refused and forest.join(name, output, window, Content.PART, part)
        outcome.append((wish, done))
    for name in node.reads:
        if all(done for wish, done in outcome if wish.operand == name):
            forest.untouch(name, step)
    return outcome


def _places(forest: Forest, node: NodeFacts, _step: int, refused: Collection[Wish]) -> Outcome:
    outcome: Outcome = []
    for name in node.in_place:
        wish = Wish("place", node.makes[0], name)
        storage = forest.storage_of[name]
        if wish in refused or forest.values[storage.root].made < 0:
            continue
        done = forest.join(node.makes[0], name, Same(), Content.OWN)
        outcome.append((wish, done))
        if done:
            break
    return outcome
