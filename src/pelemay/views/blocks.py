"""Nodes folded into blocks, so that a large graph can be looked at.

In: a graph. Out: items, each a node or a :class:`Block` of items. Where nodes' names have scopes,
as PyTorch's exporter writes them, these are the blocks. Elsewhere a block is what lies between two
places that a single value crosses, such as a residual block; blocks of one shape make a stage.

>>> from pelemay.graph import DType, Graph, Node, TensorType
>>> t = TensorType(DType.FLOAT32, (1, 4, 8, 8))
>>> nodes = (Node("MaxPool", ("x",), ("a",)), Node("Sin", ("a",), ("b",)), Node("Add", ("a", "b"), ("y",)))
>>> [item if isinstance(item, int) else item.title for item in fold(Graph("g", {"x": t}, {"y": t}, nodes))]
[0, 'residual block']
"""  # noqa: E501 - a line of an example

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

from pelemay.graph import Graph, reads
from pelemay.views.layered import is_acyclic

BROAD = 8
"""A value that more nodes read than this, such as a mask, ends no block."""

SCOPED = 0.6
"""Of all nodes must have a scope for scopes to count."""

SMALL = 16
"""Nodes of a block that is not folded again."""

LIGHT = frozenset(
    {
        *("BatchNormalization", "Relu", "Clip", "LeakyRelu", "PRelu", "Sigmoid", "HardSigmoid"),
        *("HardSwish", "Tanh", "Gelu", "Elu", "Add", "Mul", "Dropout", "Identity", "Cast"),
        *("QuantizeLinear", "DequantizeLinear"),
    }
)
"""Operations that are shown with the one before where that is all they read."""


@dataclass(frozen=True)
class Block:
    """Items that are shown as one until it is opened.

    Attributes
    ----------
    title : str
        What it is.
    kind : {"scope", "block", "stage", "layer"}
        How it was found.
    members : tuple of int or Block
        Numbers of nodes, and blocks, in order.
    """

    title: str
    kind: str
    members: tuple[Item, ...]

    @cached_property
    def nodes(self) -> tuple[int, ...]:
        """Numbers of all nodes inside."""
        return tuple(n for member in self.members for n in nodes_of(member))


Item = int | Block


def nodes_of(item: Item) -> tuple[int, ...]:
    """Numbers of the nodes that an item stands for."""
    return (item,) if isinstance(item, int) else item.nodes


def fold(graph: Graph) -> tuple[Item, ...]:
    """Fold all nodes of a graph."""
    scopes = [_scope(node.name) for node in graph.nodes]
    flow = Flow(graph)
    everything = range(len(graph.nodes))
    if scopes and sum(map(bool, scopes)) >= SCOPED * len(scopes):
        return _scoped(flow, scopes, everything, 0)
    return _stages(flow, _between(flow, everything, frozenset()))


def _scope(name: str) -> tuple[str, ...]:
    return tuple(part for part in name.split("/") if part)[:-1]


class Flow:
    """Who reads what.

    Parameters
    ----------
    graph : Graph
        Whose nodes are folded.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.reads = [
            [n for n in dict.fromkeys(reads(node)) if n not in graph.constants]
            for node in graph.nodes
        ]
        self.readers: dict[str, list[int]] = {}
        for number, names in enumerate(self.reads):
            for name in names:
                self.readers.setdefault(name, []).append(number)
        self.made = {n: i for i, node in enumerate(graph.nodes) for n in node.outputs if n}

    def is_broad(self, name: str) -> bool:
        """Whether so many read it that it ends no block: a mask, not features that are joined."""
        read = [n for n in self.readers[name] if self.graph.nodes[n].op != "Concat"]
        return len(read) > BROAD

    def edges(self, items: Sequence[Item]) -> Iterator[tuple[int, int]]:
        """Between items, by their places."""
        place = {number: at for at, item in enumerate(items) for number in nodes_of(item)}
        for number, at in place.items():
            for name in self.reads[number]:
                source = place.get(self.made.get(name, -1))
                if source is not None and source != at:
                    yield source, at

    def result(self, item: Item) -> str:
        """The type of what the last node of an item makes."""
        node = self.graph.nodes[nodes_of(item)[-1]]
        return str(self.graph.type_of(node.outputs[0]))


def _scoped(
    flow: Flow, scopes: Sequence[tuple[str, ...]], numbers: Sequence[int], depth: int
) -> tuple[Item, ...]:
    """By the part of the scope at that depth."""

    def key(number: int) -> str:
        return scopes[number][depth] if len(scopes[number]) > depth else f"#{number}"

    together: dict[str, list[int]] = {}
    for number in numbers:
        together.setdefault(key(number), []).append(number)
    groups = list(together.values())
    if not is_acyclic(len(groups), _links(flow, groups)):
        # What was folded would read what reads it: only neighbours of the order stay together.
        groups = [list(run) for _, run in groupby(numbers, key)]
    items: list[Item] = []
    for group in groups:
        if key(group[0]).startswith("#"):
            items += group
            continue
        inside = _scoped(flow, scopes, group, depth + 1)
        items.append(inside[0] if len(inside) == 1 else Block(key(group[0]), "scope", inside))
    return tuple(items)


def _links(flow: Flow, groups: Sequence[Sequence[int]]) -> list[tuple[int, int]]:
    return list(flow.edges([Block("", "scope", tuple(group)) for group in groups]))


def _between(flow: Flow, numbers: Sequence[int], ignored: frozenset[str]) -> tuple[Item, ...]:
    """What lies between the places that at most one value crosses is a block."""
    inside = set(numbers)
    last: dict[str, int] = {}
    for at, number in enumerate(numbers):
        for name in flow.reads[number]:
            last[name] = at
    known = {n for n in last if flow.made.get(n) not in inside}
    crossing = {n for n in known - ignored if not flow.is_broad(n)}
    items: list[Item] = []
    segment: list[int] = []
    entered = set(crossing)
    for at, number in enumerate(numbers):
        segment.append(number)
        outputs = [n for n in flow.graph.nodes[number].outputs if n in last]
        crossing |= {n for n in outputs if not flow.is_broad(n)}
        crossing = {n for n in crossing if last[n] > at}
        if len(crossing) <= 1:
            items.append(_segment(flow, tuple(segment), frozenset(entered | ignored)))
            segment, entered = [], set(crossing)
    if segment:
        items.append(_segment(flow, tuple(segment), frozenset(entered | ignored)))
    return _layers(flow, tuple(items))


def _segment(flow: Flow, numbers: tuple[int, ...], entered: frozenset[str]) -> Item:
    if len(numbers) == 1:
        return numbers[0]
    large = len(numbers) > SMALL
    inside = _between(flow, numbers, entered) if large else _layers(flow, numbers)
    if len(inside) == 1 and isinstance(inside[0], Block) and inside[0].kind == "block":
        inside = _layers(flow, numbers)
    is_sum = flow.graph.nodes[numbers[-1]].op in ("Add", "Sum")
    return Block("residual block" if is_sum else "branches", "block", inside)


def _layers(flow: Flow, items: tuple[Item, ...]) -> tuple[Item, ...]:
    """Light operations are shown with what they alone read."""
    runs: list[list[Item]] = []
    ends: dict[int, list[Item]] = {}
    for item in items:
        maker = _only_maker(flow, item)
        run = ends.pop(maker, None) if maker is not None else None
        if run is None:
            run = []
            runs.append(run)
        run.append(item)
        ends[nodes_of(item)[-1]] = run
    return tuple(_layer(flow, run) for run in runs)


def _only_maker(flow: Flow, item: Item) -> int | None:
    """The node that makes what a light operation reads, if nothing else reads it."""
    if isinstance(item, Block) or flow.graph.nodes[item].op not in LIGHT:
        return None
    sources = flow.reads[item]
    if len(sources) != 1 or len(flow.readers[sources[0]]) != 1:
        return None
    return flow.made.get(sources[0])


def _layer(flow: Flow, run: list[Item]) -> Item:
    first = run[0]
    if len(run) == 1:
        return first
    if isinstance(first, Block):
        return Block(first.title, first.kind, (*first.members, *run[1:]))
    return Block(flow.graph.nodes[first].op, "layer", tuple(run))


def _stages(flow: Flow, items: tuple[Item, ...]) -> tuple[Item, ...]:
    """Neighbouring blocks whose results have one shape are a stage."""

    def key(item: Item) -> str:
        is_block = isinstance(item, Block) and item.kind == "block"
        return flow.result(item) if is_block else f"#{nodes_of(item)[0]}"

    stages: list[Item] = []
    count = 0
    for _, run in groupby(items, key):
        group = _periods(flow, tuple(run))
        if len(group) < 2:
            stages += group
            continue
        count += 1
        stages.append(Block(f"stage {count}: {len(group)} blocks", "stage", group))
    return tuple(stages)


def _periods(flow: Flow, blocks: tuple[Item, ...]) -> tuple[Item, ...]:
    """Blocks that return in the same order, such as attention and product, are one each time."""
    kinds = [frozenset(_operations(flow, block).items()) for block in blocks]
    for period in range(2, len(blocks) // 2 + 1):
        repeats = kinds == [kinds[i % period] for i in range(len(kinds))]
        if repeats and len(set(kinds)) > 1 and len(blocks) % period == 0:
            starts = range(0, len(blocks), period)
            groups = (blocks[i : i + period] for i in starts)
            return tuple(Block(f"layer {i}", "block", g) for i, g in enumerate(groups))
    return blocks


def _operations(flow: Flow, item: Item) -> Counter[str]:
    return Counter(flow.graph.nodes[number].op for number in nodes_of(item))
