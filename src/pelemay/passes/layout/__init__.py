"""Channels last throughout: where transpositions go when a graph is laid out anew.

In: a graph over values as ONNX has them, with channels at axis 1. Out: the same over values whose
axes are in the order that the engine works in; a Transpose stands only where the graph's
inputs and outputs, or an operation that knows one order alone, ask for another one.

A Transpose of the graph is not a node but a way to read what is there (see
:mod:`pelemay.passes.layout.forms`), so that transpositions sink through the graph, meet and cancel.

>>> from pelemay.graph import DType, Graph, Node, TensorType
>>> x, w = TensorType(DType.FLOAT32, (1, 3, 8, 8)), TensorType(DType.FLOAT32, (3, 3, 1, 1))
>>> nodes = (Node("Conv", ("x", "w"), ("c",)), Node("Relu", ("c",), ("y",)))
>>> g = Graph("g", {"x": x, "w": w}, {"y": x}, nodes, types={"c": x})
>>> [node.qualified for node in lay_out(g).nodes]
['Transpose', 'pelemay::Conv', 'Relu', 'Transpose']
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from pelemay.graph import Graph, Node, TensorType
from pelemay.graph.operations.fused import DOMAIN
from pelemay.passes.layout import along, elementwise, images, moves, products, windows
from pelemay.passes.layout.forms import Forms, natural
from pelemay.passes.layout.wishes import wanted_last
from pelemay.passes.matching import is_standard
from pelemay.passes.rewrite import rename, rename_inputs

Rule = Callable[[Forms, Node], bool]
"""Writes the new nodes for an old one; False if it has to stay as it is."""

RULES: Mapping[str, Rule] = {
    **along.RULES,
    **elementwise.RULES,
    **images.RULES,
    **moves.RULES,
    **products.RULES,
    **windows.RULES,
}
"""For operations of the standard set; others get their inputs as they were."""

DIALECT_RULES: Mapping[str, Rule] = products.DIALECT_RULES


def lay_out(graph: Graph) -> Graph:
    """Hold values in the order that the engine works in.

    Requires static types, and products as ``pelemay::MatMul``. Guarantees that float32
    convolutions and pools have channels last, that no Transpose follows another, and that inputs
    and outputs of the graph are as they were.
    """
    forms = Forms(graph, wanted_last(graph))
    _turn_inputs(forms)
    for index, node in enumerate(graph.nodes):
        forms.index = index
        rule = _rule_for(forms, node)
        if rule is None or not rule(forms, node):
            _stay(forms, node)
    sources = {name: forms.plain(name) for name in graph.outputs}
    after = replace(forms.rewriter.graph_after(), nodes=tuple(forms.nodes))
    return rename(after, {name: source for name, source in sources.items() if name != source})


def _turn_inputs(forms: Forms) -> None:
    """Turn inputs of the graph at once: what is done to them then needs no turning."""
    for name in forms.graph.inputs:
        if name in forms.wanted_last and forms.is_static(name) and len(forms.shape(name)) > 2:
            forms.prefer(name, (0, *range(2, len(forms.shape(name))), 1))


def _rule_for(forms: Forms, node: Node) -> Rule | None:
    if node.domain == DOMAIN:
        rule = DIALECT_RULES.get(node.op)
    else:
        rule = RULES.get(node.op) if is_standard(node, node.op) else None
    names = (*node.inputs, *node.outputs)
    return rule if rule is not None and forms.is_static(*names) else None


def _stay(forms: Forms, node: Node) -> None:
    """Keep a node as it is, over its inputs as they were."""
    names = dict.fromkeys([*node.inputs, *(n for graph in node.graphs for n in graph.free_names)])
    sources = {name: forms.plain(name) for name in names if name}
    changed = {name: source for name, source in sources.items() if source != name}
    forms.nodes.append(rename_inputs(node, changed))
    for name in node.outputs:
        kind = forms.graph.type_of(name)
        if name and isinstance(kind, TensorType) and forms.is_static(name):
            forms.hold(name, name, natural(len(forms.shape(name))))
