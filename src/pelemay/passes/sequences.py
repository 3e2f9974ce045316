"""Sequences and optionals whose elements are known: the elements stand in their place.

In: a graph. Out: the graph in which what takes an element out of a sequence, joins a sequence or
counts it reads the elements themselves, where it can be seen how the sequence was made.

>>> from pelemay.graph import DType, Graph, Node, TensorType
>>> x = TensorType(DType.FLOAT32, (2,))
>>> nodes = (
...     Node("SequenceConstruct", ("a", "b"), ("s",)),
...     Node("ConcatFromSequence", ("s",), ("y",), {"axis": 0}),
... )
>>> g = Graph("g", {"a": x, "b": x}, {"y": None}, nodes)
>>> [node.op for node in unpack_sequences(g).nodes]
['SequenceConstruct', 'Concat']
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from pelemay.graph import Graph, Node, OptionalType, TensorType
from pelemay.graph.operations.common import axis_of
from pelemay.graph.typing import infer
from pelemay.passes.matching import integers, operand, shape_of
from pelemay.passes.rewrite import Rewriter

MOST = 256
"""Elements of a sequence that is unpacked."""


def unpack_sequences(graph: Graph) -> Graph:
    """Read the elements of sequences and optionals where they were made.

    Requires nothing; the types that it needs are inferred. Guarantees nothing: a sequence may come
    from a loop, or be an input. Sequences that nothing reads any more are left to dead code.

    Parameters
    ----------
    graph : Graph
        A checked graph.

    Returns
    -------
    Graph
        The graph itself, with its types inferred, if there is nothing to unpack.
    """
    typed = infer(graph)
    if not any(node.op in _READERS and not node.version for node in typed.nodes):
        return typed
    unpacking = _Unpacking(Rewriter(typed))
    for index, node in enumerate(typed.nodes):
        if node.domain or node.version:
            continue
        if make := _MAKERS.get(node.op):
            unpacking.note(index, node, make)
        elif read := _READERS.get(node.op):
            read(unpacking, index, node)
    return unpacking.finished()


@dataclass(frozen=True)
class _Split:
    """A SplitToSequence, as the operations on tensors that give its elements."""

    index: int
    items: tuple[str, ...]
    lengths: tuple[int, ...]
    axis: int
    keep: bool

    def nodes(self, rewriter: Rewriter) -> list[Node]:
        """A Split, and where the axis goes with it a Squeeze of each part."""
        node = rewriter.graph.nodes[self.index]
        output = node.outputs[0]
        sizes = rewriter.constant(f"{output}::sizes", self.lengths, np.int64)
        parts = self.items
        if not self.keep:
            parts = tuple(rewriter.name(f"{item}::kept") for item in self.items)
        split = Node("Split", (node.inputs[0], sizes), parts, {"axis": self.axis}, name=node.name)
        if self.keep:
            return [split]
        axes = rewriter.constant(f"{output}::axes", [self.axis], np.int64)
        squeezes = (
            Node("Squeeze", (part, axes), (item,), name=node.name)
            for part, item in zip(parts, self.items, strict=True)
        )
        return [split, *squeezes]


@dataclass
class _Unpacking:
    """Sequences whose elements are known, by name."""

    rewriter: Rewriter
    elements: dict[str, tuple[str, ...]] = field(default_factory=dict)
    splits: list[_Split] = field(default_factory=list)
    optionals: dict[str, str] = field(default_factory=dict)
    needed: set[str] = field(default_factory=set)

    def note(self, index: int, node: Node, make: _Maker) -> None:
        found = make(self, index, node)
        if found is not None and len(found) <= MOST:
            self.elements[node.outputs[0]] = found

    def number(self, name: str, default: int) -> int | None:
        if not name:
            return default
        found = integers(self.rewriter.graph, name)
        return found[0] if found else None

    def finished(self) -> Graph:
        for split in self.splits:
            if not self.needed.isdisjoint(split.items):
                node = self.rewriter.graph.nodes[split.index]
                self.rewriter.replace(split.index, node, *split.nodes(self.rewriter))
        return self.rewriter.graph_after()


_Maker = Callable[[_Unpacking, int, Node], tuple[str, ...] | None]

_Reader = Callable[[_Unpacking, int, Node], None]


def _construct(u: _Unpacking, index: int, node: Node) -> tuple[str, ...]:
    return node.inputs


def _empty(u: _Unpacking, index: int, node: Node) -> tuple[str, ...]:
    return ()


def _insert(u: _Unpacking, index: int, node: Node) -> tuple[str, ...] | None:
    items = u.elements.get(node.inputs[0])
    if items is None:
        return None
    at = u.number(operand(node, 2), len(items))
    if at is None or not -len(items) <= at <= len(items):
        return None
    return (*items[:at], node.inputs[1], *items[at:])


def _erase(u: _Unpacking, index: int, node: Node) -> tuple[str, ...] | None:
    items = u.elements.get(node.inputs[0])
    at = u.number(operand(node, 1), -1)
    if items is None or at is None or not -len(items) <= at < len(items):
        return None
    at %= len(items)
    return (*items[:at], *items[at + 1 :])


def _split(u: _Unpacking, index: int, node: Node) -> tuple[str, ...] | None:
    shape = shape_of(u.rewriter.graph, node.inputs[0])
    if not shape:
        return None
    axis = axis_of(int(str(node.attributes.get("axis", 0))), len(shape))
    lengths = _lengths(u, node, shape[axis])
    if not lengths or len(lengths) > MOST:
        return None
    items = tuple(u.rewriter.name(f"{node.outputs[0]}::{i}") for i in range(len(lengths)))
    keep = bool(operand(node, 1) or node.attributes.get("keepdims", 1))
    u.splits.append(_Split(index, items, lengths, axis, keep))
    return items


def _lengths(u: _Unpacking, node: Node, size: int) -> tuple[int, ...] | None:
    """The lengths of the parts along the axis."""
    name = operand(node, 1)
    if not name:
        return (1,) * size if size <= MOST else None
    constant = u.rewriter.graph.constants.get(name)
    given = integers(u.rewriter.graph, name)
    if constant is None or not given:
        return None
    if constant.shape:
        return given if sum(given) == size else None
    each = given[0]
    if each > 0 and size // each > MOST:
        return None
    return tuple(min(each, size - start) for start in range(0, size, each)) if each > 0 else None


def _copy(u: _Unpacking, index: int, node: Node) -> tuple[str, ...] | None:
    return u.elements.get(node.inputs[0])


_MAKERS: dict[str, _Maker] = {
    "Identity": _copy,
    "SequenceConstruct": _construct,
    "SequenceEmpty": _empty,
    "SequenceErase": _erase,
    "SequenceInsert": _insert,
    "SplitToSequence": _split,
}


def _instead(u: _Unpacking, index: int, node: Node, source: str) -> None:
    """An Identity of a value in the place of a node."""
    u.rewriter.replace(index, Node("Identity", (source,), node.outputs, name=node.name))


def _at(u: _Unpacking, index: int, node: Node) -> None:
    items = u.elements.get(node.inputs[0])
    at = u.number(node.inputs[1], 0)
    if items is None or at is None or not -len(items) <= at < len(items):
        return
    u.needed.update(items)
    _instead(u, index, node, items[at])


def _length(u: _Unpacking, index: int, node: Node) -> None:
    items = u.elements.get(node.inputs[0])
    if items is not None:
        count = u.rewriter.constant(f"{node.outputs[0]}::length", np.asarray(len(items), np.int64))
        _instead(u, index, node, count)


def _concat(u: _Unpacking, index: int, node: Node) -> None:
    items = u.elements.get(node.inputs[0])
    if not items:
        return
    u.needed.update(items)
    axis, output = int(str(node.attributes["axis"])), node.outputs[0]
    nodes: list[Node] = []
    if node.attributes.get("new_axis"):
        axes = u.rewriter.constant(f"{output}::axes", np.asarray([axis], np.int64))
        higher = tuple(u.rewriter.value(f"{output}::{i}") for i in range(len(items)))
        nodes += [
            Node("Unsqueeze", (item, axes), (name,), name=node.name)
            for item, name in zip(items, higher, strict=True)
        ]
        items = higher
    joined = replace(node, op="Concat", inputs=items, attributes={"axis": axis})
    u.rewriter.replace(index, *nodes, joined)


def _optional(u: _Unpacking, index: int, node: Node) -> None:
    if operand(node, 0):
        u.optionals[node.outputs[0]] = node.inputs[0]


def _get(u: _Unpacking, index: int, node: Node) -> None:
    """What an optional holds; a value that is no optional is held by itself."""
    name = node.inputs[0]
    held = u.optionals.get(name)
    kind = u.rewriter.graph.type_of(name)
    if held is None and kind is not None and not isinstance(kind, OptionalType):
        held = name
    if held is not None:
        _instead(u, index, node, held)


def _has(u: _Unpacking, index: int, node: Node) -> None:
    name = operand(node, 0)
    known = not name or name in u.optionals
    tensor = bool(name) and isinstance(u.rewriter.graph.type_of(name), TensorType)
    if known or tensor:
        answer = u.rewriter.constant(f"{node.outputs[0]}::has", np.asarray(bool(name)))
        _instead(u, index, node, answer)


_READERS: dict[str, _Reader] = {
    "ConcatFromSequence": _concat,
    "Optional": _optional,
    "OptionalGetElement": _get,
    "OptionalHasElement": _has,
    "SequenceAt": _at,
    "SequenceLength": _length,
}
