"""Type inference: a walk over the nodes that asks each operation's rule.

In: a graph whose inputs have types. Out: the same graph with the types of all values that follow
from them, sub-graphs included.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import import_module
from operator import is_

from pelemay.errors import GraphError, PelemayError
from pelemay.graph.ir import Graph, Node
from pelemay.graph.typing.dims import refined
from pelemay.graph.typing.site import Numbers, Rule, Site, Types
from pelemay.graph.typing.values import evaluated, numbers_of
from pelemay.graph.values import OptionalType, SequenceType, TensorType, ValueType

FAMILIES = (
    "classical",
    "control",
    "elementwise",
    "indexing",
    "layers",
    "linear",
    "microsoft",
    "microsoft_quantized",
    "sequence",
    "shape",
    "vision",
    "windows",
)


_DONE = "_types_are_inferred"


@cache
def rules() -> Mapping[str, Rule]:
    """Every rule, by the operation's name with its domain."""
    found: dict[str, Rule] = {}
    for family in FAMILIES:
        module = import_module(f"pelemay.graph.typing.{family}")
        for name, rule in module.RULES.items():
            if name in found:
                raise AssertionError(f"operation {name} has two typing rules")
            found[name] = rule
    return found


def infer(graph: Graph) -> Graph:
    """Fill the types of all values, as far as they follow from the inputs' types.

    What the rules find replaces what the graph declares; where they find nothing, what is
    declared stays. Nodes of a form that the operation table does not have keep the types they
    were given.

    Parameters
    ----------
    graph : Graph
        A checked graph.

    Returns
    -------
    Graph
        With ``types`` of every value whose type is known, and those of the outputs; the graph
        itself if it has them already.

    Raises
    ------
    GraphError
        If the operands of a node contradict each other, whatever its unknown sizes are.

    Examples
    --------
    >>> from pelemay.graph import DType, Graph, Node, TensorType
    >>> x = TensorType(DType.FLOAT32, ("n", 3))
    >>> g = Graph("g", {"x": x}, {"y": None}, (Node("Flatten", ("x",), ("y",), {"axis": 0}),))
    >>> str(infer(g).outputs["y"])
    'float32[1, ?]'
    """
    if _DONE in vars(graph):
        return graph
    typed = _Scope(graph).typed()
    # Like a cached property: a graph never changes, so what is inferred of it holds.
    vars(typed)[_DONE] = True
    return typed


@dataclass
class _Scope:
    """A graph while its types are found; sub-graphs see the scopes around them."""

    graph: Graph
    outer: _Scope | None = None
    types: dict[str, ValueType | None] = field(default_factory=dict)
    values: dict[str, Numbers | None] = field(default_factory=dict)

    def typed(self) -> Graph:
        graph = self.graph
        for name, kind in graph.inputs.items():
            self.types.setdefault(name, kind)
        for name, constant in graph.constants.items():
            self.types[name] = TensorType(constant.dtype, constant.shape)
        nodes = tuple(self._node(node) for node in graph.nodes)
        types = {name: kind for name, kind in graph.types.items() if name not in self.types}
        types.update(
            (name, kind)
            for name, kind in self.types.items()
            if kind is not None and name not in graph.inputs and name not in graph.constants
        )
        inputs = {name: self.types[name] for name in graph.inputs}
        outputs = {name: self._type(name) or kind for name, kind in graph.outputs.items()}
        known = (graph.inputs, graph.outputs, graph.types)
        if known == (inputs, outputs, types) and all(map(is_, nodes, graph.nodes)):
            return graph
        return replace(graph, inputs=inputs, outputs=outputs, nodes=nodes, types=types)

    def _type(self, name: str) -> ValueType | None:
        scope: _Scope | None = self
        while scope is not None:
            if name in scope.types:
                return scope.types[name]
            scope = scope.outer
        return None

    def _value(self, name: str) -> Numbers | None:
        scope: _Scope | None = self
        while scope is not None:
            if name in scope.values:
                return scope.values[name]
            if name in scope.graph.constants:
                found = numbers_of(scope.graph.constants[name])
                scope.values[name] = found
                return found
            if name in scope.types:
                return None
            scope = scope.outer
        return None

    def _node(self, node: Node) -> Node:
        rule = rules().get(node.qualified) if node.version == 0 else None
        site = Site(
            node,
            tuple(self._type(name) if name else None for name in node.inputs),
            self._value,
            self._body,
        )
        found = () if rule is None else _applied(rule, site)
        numbers = () if rule is None else evaluated(site, found)
        for index, name in enumerate(node.outputs):
            if name:
                kind = found[index] if index < len(found) else None
                self._note(name, kind, numbers[index] if index < len(numbers) else None)
        if all(node.attributes[name] is body for name, body in site.bodies.items()):
            return node
        return replace(node, attributes={**node.attributes, **site.bodies})

    def _note(self, name: str, kind: ValueType | None, numbers: Numbers | None) -> None:
        if numbers is not None:
            self.values[name] = numbers
            kind = _as_computed(kind, numbers)
        declared = self.graph.outputs.get(name) or self.graph.types.get(name)
        self.types[name] = merged(kind, declared)

    def _body(self, graph: Graph, inputs: Types) -> Graph:
        """A sub-graph with its types; what contradicts itself in it may never run."""
        given = dict(zip(graph.inputs, inputs, strict=False))
        known: dict[str, ValueType | None] = {n: kind for n, kind in given.items() if kind}
        try:
            return _Scope(graph, self, known).typed()
        except GraphError:
            return graph


def _as_computed(kind: ValueType | None, numbers: Numbers) -> ValueType | None:
    """The type with the sizes that the numbers have."""
    if not isinstance(kind, TensorType):
        return kind
    return TensorType(kind.dtype, numbers.shape)


def _applied(rule: Rule, site: Site) -> Types:
    try:
        site.check_inputs()
        return rule(site)
    except PelemayError as error:
        what, hint = error.what, error.hint
        raise GraphError(what, where=site.node.label, hint=hint) from error
    except (ArithmeticError, LookupError, TypeError, ValueError, AttributeError) as error:
        types = ", ".join(str(kind or "?") for kind in site.types)
        what = f"its inputs ({types}) and attributes do not fit each other: {error}"
        raise GraphError(what, where=site.node.label) from error


def merged(found: ValueType | None, declared: ValueType | None) -> ValueType | None:
    """What a rule found, and where that says nothing, what the graph declares.

    >>> from pelemay.graph import DType, TensorType
    >>> a, b = TensorType(DType.INT8, (2, None)), TensorType(DType.INT8, (1, 7))
    >>> str(merged(a, b))
    'int8[2, 7]'
    """
    match found, declared:
        case None, _:
            return declared
        case TensorType(), TensorType():
            return TensorType(found.dtype, refined(found.shape, declared.shape))
        case SequenceType(), SequenceType():
            return SequenceType(merged(found.element, declared.element) or found.element)
        case OptionalType(), OptionalType():
            return OptionalType(merged(found.element, declared.element) or found.element)
    return found
