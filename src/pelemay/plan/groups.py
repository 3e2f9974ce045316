"""A plan for people to read: the steps of a chain are one line, not a thousand.

In: a :class:`~pelemay.plan.Plan`. Out: :class:`Group`, one for each node that runs whole and one
for each chain; and the plan's buffers, held from node to node instead of from step to step.

>>> from pelemay.graph import DType, Graph, Node, TensorType
>>> from pelemay.plan import plan_graph
>>> t = TensorType(DType.FLOAT32, (16,))
>>> nodes = (Node("MatMul", ("x", "x"), ("a",)), Node("MatMul", ("a", "a"), ("y",)))
>>> plan = plan_graph(Graph("g", {"x": t}, {"y": t}, nodes, types={"a": t}))
>>> [group.label for group in groups_of(plan)]
['MatMul a', 'MatMul y']
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pelemay.graph import Node
from pelemay.plan.lifetimes import live_bytes
from pelemay.plan.types import CHAIN_ROWS, Buffer, Plan


@dataclass(frozen=True)
class Group:
    """Nodes that are done together.

    Attributes
    ----------
    nodes : tuple of Node
        In order; one where it runs whole.
    first : int
        Number of the first one in the planned order.
    begin, end : int
        The steps, [begin, end).
    rows : int
        Rows that are made at a time by most steps of a chain; 0 for a node that runs whole.
    ring_bytes : int
        What a chain's rows take.
    """

    nodes: tuple[Node, ...]
    first: int
    begin: int
    end: int
    rows: int = 0
    ring_bytes: int = 0

    @property
    def last(self) -> int:
        """Number of the last node."""
        return self.first + len(self.nodes) - 1

    @property
    def is_chain(self) -> bool:
        """Whether its nodes run a few rows at a time."""
        return self.rows > 0

    @property
    def label(self) -> str:
        """What it is, in few words."""
        names = [name_of(node) for node in self.nodes]
        if not self.is_chain:
            return f"{self.nodes[0].qualified} {names[0]}"
        return f"chain of {len(names)} nodes, {names[0]} to {names[-1]}"

    @property
    def pace(self) -> str:
        """How a chain is done."""
        rows = "1 row" if self.rows == 1 else f"{self.rows} rows"
        return f"{self.end - self.begin:,} bands of {rows}"


def name_of(node: Node) -> str:
    """What the model calls a node, or its first output."""
    return node.name or next(filter(None, node.outputs), "")


def groups_of(plan: Plan) -> tuple[Group, ...]:
    """Nodes and chains, in order."""
    chains = {}
    for buffer in plan.buffers:
        if buffer.name.endswith(CHAIN_ROWS):
            made = _chain(plan, buffer)
            chains[made.first] = made
    steps = {step.node: at for at, step in enumerate(plan.steps) if not step.is_band}
    found: list[Group] = []
    at = begin = 0
    while at < len(plan.graph.nodes):
        begin = steps.get(at, begin)
        group = chains.get(at)
        if group is None:
            # A view beside a chain has no step.
            group = Group((plan.graph.nodes[at],), at, begin, begin + (at in steps))
        found.append(group)
        at, begin = group.last + 1, group.end
    return tuple(found)


def _chain(plan: Plan, buffer: Buffer) -> Group:
    begin, end = buffer.first, buffer.last + 1
    steps = plan.steps[begin:end]
    first, last = min(s.node for s in steps), max(s.node for s in steps)
    rows = Counter(s.end - s.begin for s in steps).most_common(1)[0][0]
    nodes = plan.graph.nodes[first : last + 1]
    return Group(nodes, first, begin, end, max(rows, 1), buffer.nbytes)


def by_node(plan: Plan, groups: Sequence[Group]) -> tuple[Buffer, ...]:
    """The buffers, their first and last counted in nodes."""
    at = [group for group in groups for _ in range(group.begin, group.end)]
    return tuple(replace(b, first=at[b.first].first, last=at[b.last].last) for b in plan.buffers)


def peak_of(plan: Plan) -> Group | None:
    """The first group that holds the most bytes; None if the arena is empty."""
    if not plan.buffers:
        return None
    groups = groups_of(plan)
    profile = live_bytes(by_node(plan, groups), len(plan.graph.nodes))
    return group_at(groups, profile.index(max(profile)))


def group_at(groups: Sequence[Group], node: int) -> Group:
    """The group that a node is in."""
    return next(group for group in groups if group.first <= node <= group.last)
