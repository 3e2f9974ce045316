"""What a Slice throws away is not computed: slices move up to where values come from.

In: Slice along one axis behind operations that work on each position of that axis alone. Out: the
operations behind the Slice, over what is kept. A vision transformer that reads one token of its
last layer computes that layer's products for one token.

>>> from pelemay.graph import ArrayConstant, DType, Graph, Node, TensorType
>>> x, y = TensorType(DType.FLOAT32, (4, 3)), TensorType(DType.FLOAT32, (1, 3))
>>> limits = {name: ArrayConstant.of([int(name[1])]) for name in ("c0", "c1")}
>>> nodes = (Node("Exp", ("x",), ("e",)), Node("Slice", ("e", "c0", "c1", "c0"), ("y",)))
>>> g = push_slices(Graph("g", {"x": x}, {"y": y}, nodes, limits, {"e": x}))
>>> [node.op for node in g.nodes]
['Slice', 'Exp']
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import prod

from pelemay.graph import Graph, Node
from pelemay.graph.operations.fused import DOMAIN
from pelemay.graph.typing import infer
from pelemay.passes.cse import merge_common
from pelemay.passes.dead import remove_dead
from pelemay.passes.emitting import Emitter
from pelemay.passes.layout import elementwise
from pelemay.passes.layout.moves import groups_of
from pelemay.passes.matching import integers, is_standard, operand, shape_of
from pelemay.passes.rewrite import Rewriter

ROUNDS = 64
"""More steps than one Slice takes through a layer, and many layers."""


def push_slices(graph: Graph) -> Graph:
    """Move slices up as far as they go.

    Requires static types. Guarantees that nothing is computed that was not, and that a value which
    something else reads whole is still made whole.
    """
    for _ in range(ROUNDS):
        after = _one_step(graph)
        if after is graph:
            break
        graph = infer(remove_dead(merge_common(after)))
    return graph


def _one_step(graph: Graph) -> Graph:
    rewriter = Rewriter(graph)
    for index, node in enumerate(graph.nodes):
        cut = _cut_of(graph, node)
        if cut is not None:
            _push(rewriter, index, cut)
    return rewriter.graph_after()


@dataclass(frozen=True)
class _Cut:
    """The part [start, stop) of an axis that is kept."""

    axis: int
    start: int
    stop: int

    @property
    def size(self) -> int:
        """Positions that are kept."""
        return self.stop - self.start

    def of(self, emitter: Emitter, name: str, axis: int) -> str:
        """The same part of a value, along an axis of its own."""
        shape = emitter.shape(name)
        if axis < 0 or shape[axis] == 1:
            return name
        kept = (*shape[:axis], self.size, *shape[axis + 1 :])
        values = {"starts": self.start, "ends": self.stop, "axes": axis}
        limits = [emitter.integers(label, [value]) for label, value in values.items()]
        return emitter.node("Slice", (name, *limits), kept, dtype=emitter.dtype(name))


def _cut_of(graph: Graph, node: Node) -> _Cut | None:
    """What a Slice along one axis keeps, if that is known."""
    if not is_standard(node, "Slice"):
        return None
    shape = shape_of(graph, node.inputs[0])
    parts = [integers(graph, operand(node, index)) for index in (1, 2, 3)]
    steps = integers(graph, operand(node, 4)) if operand(node, 4) else (1,)
    if shape is None or steps != (1,) or any(part is None or len(part) != 1 for part in parts):
        return None
    start, stop, axis = (part[0] for part in parts if part is not None)
    axis %= len(shape)
    start, stop, _ = slice(start, stop).indices(shape[axis])
    return _Cut(axis, start, stop) if start < stop else None


def _push(rewriter: Rewriter, index: int, cut: _Cut) -> None:
    """Put the operation that makes a Slice's input behind the Slice."""
    graph = rewriter.graph
    name = graph.nodes[index].inputs[0]
    maker = rewriter.makers.get(name)
    if maker is None or rewriter.changed(maker) or shape_of(graph, name) is None:
        return
    node = graph.nodes[maker]
    rule = _rule_for(node)
    if rule is None or not all(shape_of(graph, n) is not None for n in node.inputs if n):
        return
    if rewriter.only_user(name) != index and rule is not _reshaped:
        return
    emitter = Emitter(rewriter, graph.nodes[index].outputs[0])
    inputs = rule(emitter, node, cut)
    if inputs is None:
        return
    if rule is not _reshaped:
        made = replace(node, inputs=inputs, outputs=graph.nodes[index].outputs)
        emitter.nodes.append(made)
        rewriter.remove(maker)
    rewriter.replace(index, *emitter.nodes)


Rule = Callable[[Emitter, Node, _Cut], "tuple[str, ...] | None"]
"""The inputs with which a node makes just the part that is kept; None if it cannot."""


def _broadcast(emitter: Emitter, node: Node, cut: _Cut) -> tuple[str, ...] | None:
    """Elementwise operations: each input's part along the same axis, counted from the end."""
    rank = len(emitter.shape(node.outputs[0]))
    return tuple(name and _aligned(emitter, name, rank, cut) for name in node.inputs)


def _aligned(emitter: Emitter, name: str, rank: int, cut: _Cut) -> str:
    return cut.of(emitter, name, cut.axis - (rank - len(emitter.shape(name))))


def _along_another(emitter: Emitter, node: Node, cut: _Cut) -> tuple[str, ...] | None:
    """Softmax and normalisations: along axes that are not cut."""
    rank = len(emitter.shape(node.inputs[0]))
    axis = node.attributes.get("axis", -1)
    assert isinstance(axis, int)
    axis %= rank
    own = cut.axis == axis if node.op.endswith("Softmax") else cut.axis >= axis
    if own or any(node.outputs[1:]):
        return None
    return (cut.of(emitter, node.inputs[0], cut.axis), *node.inputs[1:])


def _product(emitter: Emitter, node: Node, cut: _Cut) -> tuple[str, ...] | None:
    """Products: rows of the first operand, or batches of both."""
    rank = len(emitter.shape(node.outputs[0]))
    a, b = node.inputs[:2]
    if cut.axis == rank - 1:
        return None
    if cut.axis == rank - 2:
        rows = -1 if node.attributes.get("trans_a", 0) else -2
        inputs = [cut.of(emitter, a, len(emitter.shape(a)) + rows), b]
    else:
        inputs = [_aligned(emitter, name, rank, cut) for name in (a, b)]
    inputs.extend(node.inputs[2:3])
    inputs.extend(_aligned(emitter, name, rank, cut) for name in node.inputs[3:4])
    return tuple(inputs)


def _attention(emitter: Emitter, node: Node, cut: _Cut) -> tuple[str, ...] | None:
    """Attention: some of the queries, if their place does not matter."""
    rank = len(emitter.shape(node.outputs[0]))
    plain = set(node.attributes) <= {"scale", "softcap", "q_num_heads", "kv_num_heads"}
    if not plain or cut.axis != rank - 2 or any(node.inputs[4:]):
        return None
    if any(node.outputs[1:]):
        return None
    inputs = [cut.of(emitter, node.inputs[0], cut.axis), *node.inputs[1:3]]
    if operand(node, 3):
        mask = node.inputs[3]
        inputs.append(cut.of(emitter, mask, len(emitter.shape(mask)) - 2))
    return tuple(inputs)


def _joined(emitter: Emitter, node: Node, cut: _Cut) -> tuple[str, ...] | None:
    """Concat along another axis: the part of each input."""
    axis = node.attributes["axis"]
    assert isinstance(axis, int)
    if axis % len(emitter.shape(node.outputs[0])) == cut.axis:
        return None
    return tuple(cut.of(emitter, name, cut.axis) for name in node.inputs)


def _reshaped(emitter: Emitter, node: Node, cut: _Cut) -> tuple[str, ...] | None:
    """Reshape: what is kept of an axis is a run of the axis that it was taken from."""
    source = node.inputs[0]
    before, after = emitter.shape(source), emitter.shape(node.outputs[0])
    groups = groups_of(before, after) or []
    found = next((group for group in groups if group[1][0] == cut.axis), None)
    if found is None or len(found[0]) != 1:
        return None
    inner = prod(after[axis] for axis in found[1][1:])
    run = _Cut(found[0][0], cut.start * inner, cut.stop * inner)
    part = run.of(emitter, source, run.axis)
    kept = (*after[: cut.axis], cut.size, *after[cut.axis + 1 :])
    emitter.finish(emitter.reshape(part, kept))
    return ()


RULES: Mapping[str, Rule] = {
    **dict.fromkeys(elementwise.RULES, _broadcast),
    **dict.fromkeys(("Softmax", "LogSoftmax"), _along_another),
    **dict.fromkeys(("LayerNormalization", "RMSNormalization"), _along_another),
    "Attention": _attention,
    "Concat": _joined,
    "Reshape": _reshaped,
}


def _rule_for(node: Node) -> Rule | None:
    if node.domain == DOMAIN:
        return _product if node.op == "MatMul" else None
    return RULES.get(node.op) if is_standard(node, node.op) else None
