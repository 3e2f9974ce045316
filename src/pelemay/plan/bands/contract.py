"""A plan with chains: each chain is one node while whole values are placed, then many steps.

In: a graph, and which of its nodes run as chains. Out: a :class:`~pelemay.plan.Plan` whose steps
are whole nodes and bands of rows. The order, what shares memory and the offsets of whole values are
found as for any graph; a chain's rows are one more buffer, held while it runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate

from pelemay.graph import DType, Graph, Node, TensorType, ValueType
from pelemay.plan.aliasing import CHAIN
from pelemay.plan.bands.choose import Band, Cut
from pelemay.plan.bands.rows import ROWS
from pelemay.plan.choose import choose
from pelemay.plan.facts import Facts
from pelemay.plan.layout import Layout, dense_strides
from pelemay.plan.planner import finish
from pelemay.plan.types import CHAIN_ROWS, Buffer, Copy, Placement, Plan, Step, aligned


def plan_cut(facts: Facts, order: Sequence[int], cut: Cut) -> Plan:
    """The plan in which these chains run band by band.

    Parameters
    ----------
    facts : Facts
        Of the graph.
    order : sequence of int
        Numbers of all nodes, in which each chain's stand together.
    cut : Cut
        The chains.
    """
    around = Facts.of(contracted(facts, order, cut.bands))
    return expanded(facts, finish(around, choose(around)), cut.bands)


def expanded(facts: Facts, around: Plan, bands: Sequence[Band]) -> Plan:
    """The plan of whole nodes and bands, of one in which each chain is one node.

    Parameters
    ----------
    facts : Facts
        Of the graph.
    around : Plan
        Of its contracted form.
    bands : sequence of Band
        The chains.
    """
    return _Expansion(facts, around, bands).plan()


def _rings(band: Band) -> str:
    """The name of the buffer of a chain's rows."""
    return f"{band.chain.links[-1].name}{CHAIN_ROWS}"


def contracted(facts: Facts, order: Sequence[int], bands: Sequence[Band]) -> Graph:
    """The graph in which each chain is one node."""
    graph = facts.graph
    starts = {band.chain.numbers[0]: band for band in bands}
    inside = {number for band in bands for number in band.chain.numbers}
    nodes = []
    types = dict(graph.types)
    for number in order:
        if number in starts:
            band = starts[number]
            nodes.append(_one(band))
            size = max(band.banding.ring_bytes, 1)
            types[_rings(band)] = TensorType(DType.UINT8, (size,))
        elif number not in inside:
            nodes.append(graph.nodes[number])
    return replace(graph, nodes=tuple(nodes), types=types)


def _one(band: Band) -> Node:
    """A node for a chain; its first output is the one that may take an operand's place."""
    chain, replaced = band.chain, band.banding.replaced
    outputs = sorted(chain.outputs, key=lambda name: name not in replaced)
    operand = replaced.get(outputs[0])
    places = (chain.inputs.index(operand),) if operand else ()
    makes = (*outputs, _rings(band))
    return Node(CHAIN[1], chain.inputs, makes, {"places": places}, CHAIN[0], name=_rings(band))


class _Expansion:
    """From a plan of chains as nodes to one of steps."""

    def __init__(self, facts: Facts, plan: Plan, bands: Sequence[Band]) -> None:
        self.facts, self.contracted = facts, plan
        self.bands = {_rings(band): band for band in bands}

    def plan(self) -> Plan:
        """The whole plan."""
        contracted = self.contracted
        nodes: list[Node] = []
        steps: list[Step] = []
        starts: list[int] = []
        for node in contracted.graph.nodes:
            starts.append(len(steps))
            band = self.bands.get(node.name) if (node.domain, node.op) == CHAIN else None
            if band is None:
                steps.append(Step(len(nodes)))
                nodes.append(node)
                continue
            numbers = {n: len(nodes) + i for i, n in enumerate(band.chain.numbers)}
            steps += [Step(numbers[n], begin, end) for n, begin, end in band.banding.steps]
            nodes += [self.facts.graph.nodes[n] for n in band.chain.numbers]
        ends = [*starts[1:], len(steps)]
        return replace(
            contracted,
            graph=replace(self.facts.graph, nodes=tuple(nodes), types=self.types()),
            placements=self.placements(),
            buffers=tuple(self.buffer(b, starts, ends) for b in contracted.buffers),
            copies=tuple(self.copy(c, starts, steps) for c in contracted.copies),
            steps=tuple(steps),
        )

    def types(self) -> Mapping[str, ValueType]:
        """Those of the graph, and of what bands add to values that are gathered."""
        found = dict(self.facts.graph.types)
        for band in self.bands.values():
            for ring in band.banding.rings:
                for member in ring.members:
                    if member not in self.facts.shapes:
                        found[member] = TensorType(DType.FLOAT32, ring.shape)
        return found

    def buffer(self, buffer: Buffer, starts: Sequence[int], ends: Sequence[int]) -> Buffer:
        """A buffer, held from the first step of its first node to the last of its last."""
        return replace(buffer, first=starts[buffer.first], last=ends[buffer.last] - 1)

    def copy(self, copy: Copy, starts: Sequence[int], steps: Sequence[Step]) -> Copy:
        """What a node outside of the chains copies."""
        return replace(copy, node=steps[starts[copy.node]].node)

    def placements(self) -> Mapping[str, Placement]:
        """Whole values where they were put; rows of the others in their chain's buffer."""
        found = dict(self.contracted.placements)
        for name, band in self.bands.items():
            rings = found.pop(name)
            sizes = [aligned(ring.nbytes) for ring in band.banding.rings]
            for ring, start in zip(band.banding.rings, accumulate(sizes, initial=0), strict=False):
                held = ring.rows if ring.rows < ring.shape[ROWS] else 0
                offset, strides = rings.offset + start, dense_strides(ring.shape)
                place = Placement("arena", rings.buffer, offset, strides, held)
                found.update(dict.fromkeys(ring.members, place))
            for guest, host in band.banding.guests.items():
                found[guest] = found[host]
            found.update(self.views(band, found))
        return found

    def views(self, band: Band, found: Mapping[str, Placement]) -> Iterator[tuple[str, Placement]]:
        """Where parts of rows lie: within the rows."""
        graph = self.facts.graph
        made: dict[str, Placement] = {}
        for number in band.chain.numbers:
            node = self.facts.nodes[number]
            if node.views is None or node.makes[0] not in band.chain.views:
                continue
            source = node.operands[0]
            place = made.get(source) or found[source]
            size = self.facts.itemsizes[source]
            whole = Layout(0, self.facts.shapes[source], place.strides)
            for name, view in zip(node.makes, node.views, strict=True):
                part = view.apply(whole)
                assert part is not None, f"{name} is no view of {source} in '{graph.name}'"
                made[name] = replace(
                    place, offset=place.offset + part.offset * size, strides=part.strides
                )
        return iter(made.items())
