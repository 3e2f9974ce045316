"""Half precision is computed in single precision.

In: a graph with values of float16 or bfloat16. Out: the same in float32, with a Cast at each of its
inputs and outputs of a narrow type, and around operations that must see the narrow bits.
Constants stay as narrow as they are stored and are widened when they are read.

>>> from pelemay.graph import DType, Graph, Node, TensorType
>>> x = TensorType(DType.FLOAT16, (2,))
>>> nodes = (Node("Exp", ("x",), ("e",)), Node("Neg", ("e",), ("y",)))
>>> g = widen_half(Graph("g", {"x": x}, {"y": x}, nodes, types={"e": x}))
>>> [node.op for node in g.nodes]
['Cast', 'Exp', 'Neg', 'Cast']
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from pelemay.graph import Attribute, Constant, DType, Graph, Node, TensorType, reads
from pelemay.graph.operations import find
from pelemay.graph.typing import infer
from pelemay.passes.derived import widened
from pelemay.passes.rewrite import Rewriter

HALF = (DType.FLOAT16, DType.BFLOAT16)

TYPE_ATTRIBUTES = ("to", "output_dtype", "stash_type", "softmax_precision")
"""Attributes that name the type of a result or of a sum."""

NARROW_BITS = ("BitCast",)
"""Operations to which the bits themselves matter."""


def widen_half(graph: Graph) -> Graph:
    """Compute narrow floating-point values in float32.

    Requires nothing; the types that it needs are inferred. Guarantees that of the operations
    of the table only Cast, those with sub-graphs or sequences, and readings of constant tables
    see narrow types. Results are not rounded to the narrow type in between.
    """
    typed = infer(graph)
    values = {name for node in typed.nodes for name in (*reads(node), *node.outputs) if name}
    if not any(_is_half(typed, name) for name in values | set(typed.outputs)):
        return graph
    return _Widening(typed).run()


def _is_half(graph: Graph, name: str) -> bool:
    kind = graph.type_of(name)
    return isinstance(kind, TensorType) and kind.dtype in HALF


@dataclass
class _Widening:
    """A walk over the nodes that keeps which values exist wide, narrow, or both."""

    graph: Graph
    nodes: list[Node] = field(default_factory=list)
    wide: dict[str, str] = field(default_factory=dict)
    narrow: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.rewriter = Rewriter(self.graph)
        self.narrow.update(self.graph.inputs, self.graph.constants)

    def run(self) -> Graph:
        for node in self.graph.nodes:
            if not any(_is_half(self.graph, n) for n in (*reads(node), *node.outputs) if n):
                self.nodes.append(node)
            elif self._may_be_wide(node):
                self._widen(node)
            else:
                self._keep(node)
        for name in self.graph.outputs:
            self._narrowed(name)
        return replace(self.rewriter.graph_after(), nodes=tuple(self.nodes))

    def _may_be_wide(self, node: Node) -> bool:
        """Whether the operation computes the same in float32."""
        row = find(node.op, node.domain) if node.version == 0 else None
        if row is None or row.random or node.op in NARROW_BITS or any(node.graphs):
            return False
        if node.op == "Gather" and node.inputs[0] in self.graph.constants:
            return False
        names = filter(None, (*node.inputs, *node.outputs))
        if not all(isinstance(self.graph.type_of(name), TensorType) for name in names):
            return False
        return not any(map(_names_half, _others(node)))

    def _widen(self, node: Node) -> None:
        inputs = tuple(self._widened(name) for name in node.inputs)
        outputs = tuple(self._wide_output(name) for name in node.outputs)
        attributes: dict[str, Attribute] = {
            name: DType.FLOAT32 if name in TYPE_ATTRIBUTES and value in HALF else value
            for name, value in node.attributes.items()
        }
        self.nodes.append(replace(node, inputs=inputs, outputs=outputs, attributes=attributes))

    def _keep(self, node: Node) -> None:
        for name in dict.fromkeys(reads(node)):
            self._narrowed(name)
        self.nodes.append(node)
        self.narrow.update(node.outputs)

    def _wide_output(self, name: str) -> str:
        if not name or not _is_half(self.graph, name):
            return name
        self.wide[name] = self._name(name)
        return self.wide[name]

    def _name(self, name: str) -> str:
        kind = self.graph.type_of(name)
        shape = kind.shape if isinstance(kind, TensorType) else None
        return self.rewriter.value(f"{name}::wide", TensorType(DType.FLOAT32, shape))

    def _widened(self, name: str) -> str:
        """The float32 form of a value, made if it is not there."""
        if not name or not _is_half(self.graph, name):
            return name
        if name not in self.wide:
            constant = self.graph.constants.get(name)
            if constant is not None:
                self.wide[name] = self.rewriter.constant(f"{name}::wide", widened(constant))
            else:
                self.wide[name] = self._name(name)
                self.nodes.append(_cast(name, self.wide[name], DType.FLOAT32))
        return self.wide[name]

    def _narrowed(self, name: str) -> None:
        """See that a value exists in its own type, if it has only been made wide."""
        if name in self.narrow or name not in self.wide:
            return
        kind = self.graph.type_of(name)
        assert isinstance(kind, TensorType)
        self.narrow.add(name)
        self.nodes.append(_cast(self.wide[name], name, kind.dtype))


def _cast(source: str, target: str, dtype: DType) -> Node:
    return Node("Cast", (source,), (target,), {"to": dtype})


def _others(node: Node) -> Iterator[Attribute]:
    """Attributes but those that name the type of a result."""
    return (value for name, value in node.attributes.items() if name not in TYPE_ATTRIBUTES)


def _names_half(value: Attribute) -> bool:
    """Whether an attribute is a narrow type, or a constant of one."""
    if isinstance(value, DType):
        return value in HALF
    return isinstance(value, Constant) and value.dtype in HALF
