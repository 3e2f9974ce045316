"""Running a node's meaning over traced arrays.

In: a graph, in a rewriter, and one of its nodes. Out: the nodes to put in its place. Sub-graphs
are followed: a loop whose rounds are known becomes its rounds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pelemay.errors import UnsupportedError
from pelemay.graph import Constant, Graph, Node, TensorType, reads
from pelemay.graph.evaluate import Table, evaluate
from pelemay.graph.operations import find
from pelemay.passes.tracing.array import Traced
from pelemay.passes.tracing.namespace import Namespace
from pelemay.passes.tracing.recorder import Recorder

if TYPE_CHECKING:
    from pelemay.passes.rewrite import Rewriter

SMALL_BYTES = 64 << 10
"""Constants up to this size are known while tracing; larger ones stay in their file."""

Meanings = Mapping[tuple[str, str], Callable[..., Any] | None]


def trace(rewriter: Rewriter, node: Node, meanings: Meanings | None = None) -> list[Node]:
    """What a node does, as nodes of the operations that its meaning uses.

    Parameters
    ----------
    rewriter : Rewriter
        Of the node's graph; it takes the new constants and types.
    node : Node
        The node.
    meanings : mapping, optional
        ``(domain, name)`` of the operations to follow into, and for some another meaning than
        the table's; only the node's own if not given. Other operations inside of sub-graphs
        stay as they are.

    Returns
    -------
    list of Node
        The last ones make what the node made.

    Raises
    ------
    PelemayError
        If the node cannot be traced: a type is not known, an element would have to be, or a
        function has no steps.
    """
    recorder = Recorder(rewriter, node)
    tracer = Tracer(recorder, {(node.domain, node.op): None} if meanings is None else meanings)
    graph = rewriter.graph
    names = [name for name in dict.fromkeys(reads(node)) if name not in graph.constants]
    feeds = {name: recorder.traced(name, graph.type_of(name)) for name in names}
    constants = {n: graph.constants[n] for n in reads(node) if n in graph.constants}
    outputs: dict[str, Any] = {name: None for name in node.outputs if name}
    alone = Graph("", dict.fromkeys(feeds), outputs, (node,), constants)
    for name, value in evaluate(alone, feeds, tracer).items():
        _finish(recorder, name, value)
    return recorder.nodes


def _finish(recorder: Recorder, name: str, value: Any) -> None:
    """Let a value of the trace be what the node made."""
    if not isinstance(value, (Traced, np.ndarray, np.generic)):
        raise UnsupportedError(f"'{name}' is no tensor")
    kind = recorder.rewriter.graph.type_of(name)
    if isinstance(kind, TensorType):
        known = kind.nbytes is not None
        if value.dtype != kind.dtype.numpy or (known and tuple(value.shape) != kind.shape):
            have = f"{value.dtype}{list(value.shape)}"
            raise UnsupportedError(f"'{name}' would be {have} instead of {kind}")
    source = value.name if isinstance(value, Traced) else recorder.constant(np.asarray(value))
    recorder.nodes.append(Node("Identity", (source,), (name,), name=recorder.node.name))


@dataclass(frozen=True)
class Tracer:
    """An executor over traced arrays.

    Parameters
    ----------
    recorder : Recorder
        Takes the nodes.
    meanings : mapping
        As of :func:`trace`.
    """

    recorder: Recorder
    meanings: Meanings

    @property
    def space(self) -> Namespace:
        """What meanings compute with."""
        return Namespace(self.recorder)

    def constant(self, constant: Constant) -> Any:
        """Its elements where they are few; else a value that stands for them."""
        if constant.nbytes <= SMALL_BYTES:
            return constant.array()
        name = self.recorder.constant(constant)
        return self.recorder.traced(name, TensorType(constant.dtype, constant.shape))

    def run(self, node: Node, inputs: list[Any], attributes: dict[str, Any]) -> tuple[Any, ...]:
        """Compute what is known, follow what is to be followed, write down the rest.

        Raises
        ------
        UnsupportedError
            If it can be neither.
        """
        row = find(node.op, node.domain) if node.version == 0 else None
        if row is None or row.random:
            raise UnsupportedError(f"{node.qualified} has no meaning that could be traced")
        key = (node.domain, node.op)
        if row.on_host or key in self.meanings or not any(map(_is_traced, inputs)):
            meaning = self.meanings.get(key)
            if meaning is None or not any(map(_is_traced, inputs)):
                return Table(self.space).run(node, inputs, attributes)
            results = meaning(self.space, *inputs, **attributes)
            return results if isinstance(results, tuple) else (results,)
        if any(True for _ in node.graphs):
            raise UnsupportedError(f"{node.qualified} with values that are not known")
        return self.recorder.apply(node, inputs)


def _is_traced(value: Any) -> bool:
    return isinstance(value, Traced)
