"""The same plan for other sizes: what was decided for the largest holds for the smaller ones too.

In: a graph with static types. Out: a :class:`Recipe`, which gives plans of the same graph with
smaller sizes: in the same order, with the same values in one memory, at the same offsets.

>>> from pelemay.graph import DType, Graph, Node, TensorType
>>> def graph(n):
...     t = TensorType(DType.FLOAT32, (n,))
...     nodes = (Node("Relu", ("x",), ("a",)), Node("MatMul", ("a", "a"), ("y",)))
...     return Graph("g", {"x": t}, {"y": t}, nodes, types={"a": t})
>>> recipe = Recipe.of(graph(64))
>>> recipe.plan.arena_bytes, recipe.at(graph(3)).arena_bytes
(256, 256)
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from pelemay.graph import Graph
from pelemay.plan.assign import Assignment, assign
from pelemay.plan.choose import Choice, choose
from pelemay.plan.facts import Facts
from pelemay.plan.planner import finish
from pelemay.plan.types import Buffer, Plan


@dataclass(frozen=True)
class Recipe:
    """What was decided for a graph.

    Attributes
    ----------
    choice : Choice
        The order, and what shares memory.
    plan : Plan
        With offsets.
    """

    choice: Choice
    plan: Plan

    @classmethod
    def of(cls, graph: Graph) -> Recipe:
        """Decide it; all values are whole.

        Raises
        ------
        UnsupportedError
            If a value's size is not known before the run.
        """
        facts = Facts.of(graph)
        choice = choose(facts)
        return cls(choice, finish(facts, choice))

    def at(self, graph: Graph) -> Plan | None:
        """The plan of the same graph with other sizes, no larger; None where it does not hold.

        Parameters
        ----------
        graph : Graph
            With the same nodes in the same order.
        """
        facts = Facts.of(graph)
        if not are_alike(self.choice.facts.graph, graph):
            return None
        assignment = self._assigned(facts)
        if assignment is None:
            return None
        choice = replace(self.choice, facts=facts, assignment=assignment)
        places = {buffer.name: buffer for buffer in self.plan.buffers}
        if not all(_fits(buffer, places.get(buffer.name)) for buffer in choice.buffers):
            return None
        offsets = [places[buffer.name].offset for buffer in choice.buffers]
        return replace(finish(facts, choice, offsets), arena_bytes=self.plan.arena_bytes)

    def _assigned(self, facts: Facts) -> Assignment | None:
        """The same wishes granted, and no others."""
        wanted = self.choice.assignment
        found = assign(facts, wanted.order, self.choice.refused)
        if extra := frozenset(found.granted) - frozenset(wanted.granted):
            found = assign(facts, wanted.order, self.choice.refused | extra)
        return found if found.granted == wanted.granted else None


def are_alike(a: Graph, b: Graph) -> bool:
    """Whether two graphs are the same but for sizes, attributes and constants."""
    first, second = (
        [(n.domain, n.op, n.version, n.inputs, n.outputs) for n in graph.nodes] for graph in (a, b)
    )
    ends = all(tuple(x) == tuple(y) for x, y in ((a.inputs, b.inputs), (a.outputs, b.outputs)))
    return ends and first == second and a.constants.keys() == b.constants.keys()


def _fits(buffer: Buffer, place: Buffer | None) -> bool:
    if place is None or buffer.nbytes > place.nbytes:
        return False
    return (buffer.first, buffer.last) == (place.first, place.last)
