"""Older operator sets, rewritten into the newest forms.

In: a graph whose nodes carry the operator-set version that they mean. Out: the same graph in which
every node that the operation table can run has version 0 (the table's meaning); the
others keep their version and go to whatever else can run them.

>>> from pelemay.graph import Graph, Node
>>> old = Node("Squeeze", ("x",), ("y",), {"axes": (0,)}, version=11)
>>> upgrade(Graph("g", {"x": None}, {"y": None}, (old,))).nodes[0].inputs
('x', 'y::axes')
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np

from pelemay.graph import ArrayConstant, Constant, DType, Graph, Node, TensorType, reads
from pelemay.graph.operations import find
from pelemay.importers.dtypes import dtype_of
from pelemay.importers.labels import with_labels_apart


@dataclass
class Rewriting:
    """The graph being rewritten: what a rule may look at and add."""

    graph: Graph
    added: dict[str, Constant] = field(default_factory=dict)

    def constant(self, node: Node, name: str, value: Any, dtype: str = "int64") -> str:
        """Add a constant that belongs to ``node``; its name comes from the node's output."""
        full = f"{node.outputs[0]}::{name}"
        self.added[full] = ArrayConstant.of(np.asarray(value, dtype))
        return full

    @cached_property
    def read(self) -> frozenset[str]:
        """Names of all values that a node or the graph's caller reads."""
        return frozenset(chain(self.graph.outputs, *map(reads, self.graph.nodes)))

    def rank(self, name: str) -> int | None:
        """The rank of a value, as far as it is known."""
        found = self.graph.type_of(name)
        if not isinstance(found, TensorType) or found.shape is None:
            return None
        return len(found.shape)

    def sizes(self, name: str) -> tuple[int | str | None, ...]:
        """The sizes of a value, as far as they are known."""
        found = self.graph.type_of(name)
        return (found.shape or ()) if isinstance(found, TensorType) else ()

    def dtype(self, name: str) -> str:
        """The element type's name of a value, float32 where it is not known."""
        found = self.graph.type_of(name)
        return found.dtype.value if isinstance(found, TensorType) else "float32"


Rule = Callable[[Node, Rewriting], tuple[Node, ...] | None]
"""The nodes to put instead, or None if this form cannot be said in the newest one."""


def upgrade(graph: Graph) -> Graph:
    """Rewrite every node into the operation table's form, where there is one."""
    rewriting = Rewriting(graph)
    nodes = tuple(new for node in graph.nodes for new in _upgraded(_deep(node), rewriting))
    return replace(graph, nodes=nodes, constants={**graph.constants, **rewriting.added})


def _deep(node: Node) -> Node:
    if not any(True for _ in node.graphs):
        return node
    attributes = {
        name: upgrade(value) if isinstance(value, Graph) else value
        for name, value in node.attributes.items()
    }
    return replace(node, attributes=attributes)


def _upgraded(node: Node, rewriting: Rewriting) -> Iterator[Node]:
    if node.domain or not node.outputs:
        row = find(node.op, node.domain)
        yield from with_labels_apart(replace(node, version=0)) if row else (node,)
        return
    node = _without(node, "consumed_inputs")
    until, rule = RULES.get(node.op, (0, _same))
    new = rule(node, rewriting) if node.version < until else (node,)
    if new is None or node.version < SPOKEN_SINCE.get(node.op, 0):
        yield node
    elif all(find(item.op) for item in new):
        yield from (replace(_counted(item), version=0) for item in new)
    else:
        yield node


def _counted(node: Node) -> Node:
    """Say how many outputs are wanted where the meaning depends on it."""
    wanted = node.op == "MaxPool" or (node.op == "Split" and len(node.inputs) == 1)
    if not wanted or "num_outputs" in node.attributes:
        return node
    return replace(node, attributes={**node.attributes, "num_outputs": len(node.outputs)})


def _same(node: Node, rewriting: Rewriting) -> tuple[Node, ...]:
    return (node,)


def _without(node: Node, *names: str) -> Node:
    if not any(name in node.attributes for name in names):
        return node
    return replace(node, attributes={k: v for k, v in node.attributes.items() if k not in names})


def _moved(*names: str, dtypes: str = "int64") -> Rule:
    """Attributes that became inputs, in this order, after the first input."""

    def rule(node: Node, rewriting: Rewriting) -> tuple[Node, ...]:
        extra = [
            rewriting.constant(node, name, node.attributes[name], dtypes)
            if name in node.attributes
            else ""
            for name in names
        ]
        while extra and not extra[-1]:
            extra.pop()
        moved = replace(node, inputs=(*node.inputs[:1], *extra)) if extra else node
        return (_without(moved, *names),)

    return rule


def _clip(node: Node, rewriting: Rewriting) -> tuple[Node, ...]:
    return _moved("min", "max", dtypes=rewriting.dtype(node.inputs[0]))(node, rewriting) or ()


def _pad(node: Node, rewriting: Rewriting) -> tuple[Node, ...]:
    pads = node.attributes.get("pads", node.attributes.get("paddings", ()))
    value = node.attributes.get("value", 0.0)
    dtype = rewriting.dtype(node.inputs[0])
    extra = (
        rewriting.constant(node, "pads", pads),
        rewriting.constant(node, "value", value, dtype),
    )
    moved = replace(node, inputs=(node.inputs[0], *extra))
    return (_without(moved, "pads", "paddings", "value"),)


def _slice(node: Node, rewriting: Rewriting) -> tuple[Node, ...]:
    if "starts" not in node.attributes:
        return (node,)
    return _moved("starts", "ends", "axes")(node, rewriting) or ()


def _split(node: Node, rewriting: Rewriting) -> tuple[Node, ...]:
    if len(node.inputs) > 1:
        return (node,)
    return _moved("split")(node, rewriting) or ()


def _broadcast(node: Node, rewriting: Rewriting) -> tuple[Node, ...] | None:
    """Before operator set 7 the second operand was aligned to an axis of the first."""
    plain = _without(node, "axis", "broadcast")
    axis = node.attributes.get("axis")
    if not node.attributes.get("broadcast") or axis is None:
        return (plain,)
    left, right = (rewriting.rank(name) for name in node.inputs)
    if left is None or right is None or not isinstance(axis, int):
        return None
    trailing = left - (axis % left) - right
    return _unsqueezed(plain, 1, right, trailing, rewriting) if trailing > 0 else (plain,)


def _unsqueezed(
    node: Node, index: int, rank: int, trailing: int, rewriting: Rewriting
) -> tuple[Node, ...]:
    axes = rewriting.constant(node, "aligned_axes", range(rank, rank + trailing))
    aligned = f"{node.outputs[0]}::aligned"
    inputs = (*node.inputs[:index], aligned, *node.inputs[index + 1 :])
    unsqueeze = Node("Unsqueeze", (node.inputs[index], axes), (aligned,), name=node.name)
    return unsqueeze, replace(node, inputs=inputs)


def _prelu(node: Node, rewriting: Rewriting) -> tuple[Node, ...] | None:
    """Before operator set 7 a slope of rank 1 belonged to the channels, axis 1."""
    left, right = (rewriting.rank(name) for name in node.inputs)
    if left is None or right is None:
        return None
    if right != 1 or left <= 2:
        return (node,)
    return _unsqueezed(node, 1, 1, left - 2, rewriting)


def _softmax(node: Node, rewriting: Rewriting) -> tuple[Node, ...] | None:
    """Before operator set 13 the axes from ``axis`` on were taken as one."""
    axis = node.attributes.get("axis", 1)
    rank = rewriting.rank(node.inputs[0])
    if not isinstance(axis, int):
        return None
    if rank is not None and axis % max(rank, 1) == rank - 1:
        return (replace(node, attributes={"axis": axis}),)
    shape, flat, soft = (f"{node.outputs[0]}::{part}" for part in ("shape", "flat", "soft"))
    return (
        Node("Shape", node.inputs, (shape,), name=node.name),
        Node("Flatten", node.inputs, (flat,), {"axis": axis}, name=node.name),
        Node(node.op, (flat,), (soft,), {"axis": 1}, name=node.name),
        Node("Reshape", (soft, shape), node.outputs, {"allowzero": 1}, name=node.name),
    )


def _batch_normalization(node: Node, rewriting: Rewriting) -> tuple[Node, ...] | None:
    if len(node.outputs) > 1 or not node.attributes.get("spatial", 1):
        return None
    return (_without(node, "spatial", "is_test"),)


def _dropout(node: Node, rewriting: Rewriting) -> tuple[Node, ...] | None:
    """An older Dropout drops nothing when a trained model runs; its mask had another type."""
    if any(name in rewriting.read for name in node.outputs[1:]):
        return None
    return (_without(replace(node, outputs=node.outputs[:1]), "ratio", "is_test"),)


def _cast(node: Node, rewriting: Rewriting) -> tuple[Node, ...]:
    to = node.attributes.get("to")
    if not isinstance(to, str):
        return (node,)
    numbers = {"FLOAT": 1, "DOUBLE": 11}
    dtype = dtype_of(numbers[to]) if to in numbers else DType.of(to.lower())
    return (replace(node, attributes={"to": dtype}),)


def _concat(node: Node, rewriting: Rewriting) -> tuple[Node, ...]:
    return (replace(node, attributes={"axis": 1, **node.attributes}),)


def _upsample(node: Node, rewriting: Rewriting) -> tuple[Node, ...] | None:
    if "height_scale" in node.attributes:
        scales: Any = (1.0, 1.0, node.attributes["height_scale"], node.attributes["width_scale"])
        name = rewriting.constant(node, "scales", scales, "float32")
    elif "scales" in node.attributes:
        name = rewriting.constant(node, "scales", node.attributes["scales"], "float32")
    else:
        name = node.inputs[1]
    mode = node.attributes.get("mode", "nearest")
    resize = replace(node, op="Resize", inputs=(node.inputs[0], name), attributes={"mode": mode})
    return _resize(resize, rewriting)


def _resize(node: Node, rewriting: Rewriting) -> tuple[Node, ...]:
    x, scales = node.inputs
    mode = "linear" if node.attributes.get("mode") == "bilinear" else node.attributes.get("mode")
    attributes = {
        "mode": mode or "nearest",
        "coordinate_transformation_mode": "asymmetric",
        "nearest_mode": "floor",
    }
    return (replace(node, inputs=(x, "", scales), attributes=attributes),)


def _scatter(node: Node, rewriting: Rewriting) -> tuple[Node, ...]:
    return (replace(node, op="ScatterElements"),)


def _roi_align(node: Node, rewriting: Rewriting) -> tuple[Node, ...]:
    attributes = {**node.attributes, "coordinate_transformation_mode": "output_half_pixel"}
    return (replace(node, attributes=attributes),)


def _grid_sample(node: Node, rewriting: Rewriting) -> tuple[Node, ...]:
    names = {"bilinear": "linear", "bicubic": "cubic"}
    mode = str(node.attributes.get("mode", "bilinear"))
    return (replace(node, attributes={**node.attributes, "mode": names.get(mode, mode)}),)


def _dft(node: Node, rewriting: Rewriting) -> tuple[Node, ...]:
    axis = rewriting.constant(node, "axis", node.attributes.get("axis", 1))
    length = node.inputs[1] if len(node.inputs) > 1 else ""
    return (_without(replace(node, inputs=(node.inputs[0], length, axis)), "axis"),)


def _gemm(node: Node, rewriting: Rewriting) -> tuple[Node, ...]:
    return (_without(node, "broadcast"),)


def _group_normalization(node: Node, rewriting: Rewriting) -> tuple[Node, ...] | None:
    """Before operator set 21 scale and bias had a value for each group, not for each channel."""
    groups = node.attributes.get("num_groups")
    channels = next(iter(rewriting.sizes(node.inputs[0])[1:]), None)
    if not isinstance(groups, int) or not isinstance(channels, int):
        return None
    column = rewriting.constant(node, "column", [groups, 1])
    each = rewriting.constant(node, "each", [groups, channels // groups])
    flat = rewriting.constant(node, "flat", [channels])
    steps, names = [], []
    for name, part in zip(node.inputs[1:], ("scale", "bias"), strict=True):
        tall, wide, made = (f"{node.outputs[0]}::{part}{n}" for n in range(3))
        steps.append(Node("Reshape", (name, column), (tall,), name=node.name))
        steps.append(Node("Expand", (tall, each), (wide,), name=node.name))
        steps.append(Node("Reshape", (wide, flat), (made,), name=node.name))
        names.append(made)
    return *steps, replace(node, inputs=(node.inputs[0], *names))


def _scan(node: Node, rewriting: Rewriting) -> tuple[Node, ...] | None:
    """Before operator set 9 a batch was scanned, each sequence of it to a length of its own."""
    lengths, *values = node.inputs
    if lengths or any(rewriting.sizes(name)[:1] != (1,) for name in values):
        return None
    batch = rewriting.constant(node, "batch", [0])
    single = [f"{node.outputs[0]}::single{i}" for i in range(len(values))]
    made = [name and f"{name}::single" for name in node.outputs]
    attributes = {**node.attributes, "scan_input_directions": node.attributes.get("directions", ())}
    scan = replace(node, inputs=tuple(single), outputs=tuple(made), attributes=attributes)
    return (
        *(Node("Squeeze", (x, batch), (y,)) for x, y in zip(values, single, strict=True)),
        _without(scan, "directions"),
        *(
            Node("Unsqueeze", (x, batch), (y,))
            for x, y in zip(made, node.outputs, strict=True)
            if y
        ),
    )


_axes = _moved("axes")

RULES: dict[str, tuple[int, Rule]] = {
    "Add": (7, _broadcast),
    "And": (7, _broadcast),
    "BatchNormalization": (14, _batch_normalization),
    "Cast": (6, _cast),
    "Clip": (11, _clip),
    "Concat": (4, _concat),
    "DFT": (20, _dft),
    "Div": (7, _broadcast),
    "Dropout": (12, _dropout),
    "Equal": (7, _broadcast),
    "Gemm": (7, _gemm),
    "Greater": (7, _broadcast),
    "GridSample": (20, _grid_sample),
    "GroupNormalization": (21, _group_normalization),
    "Hardmax": (13, _softmax),
    "Less": (7, _broadcast),
    "LogSoftmax": (13, _softmax),
    "Mul": (7, _broadcast),
    "Or": (7, _broadcast),
    "PRelu": (7, _prelu),
    "Pad": (11, _pad),
    "Pow": (7, _broadcast),
    "ReduceL1": (18, _axes),
    "ReduceL2": (18, _axes),
    "ReduceLogSum": (18, _axes),
    "ReduceLogSumExp": (18, _axes),
    "ReduceMax": (18, _axes),
    "ReduceMean": (18, _axes),
    "ReduceMin": (18, _axes),
    "ReduceProd": (18, _axes),
    "ReduceSum": (13, _axes),
    "ReduceSumSquare": (18, _axes),
    "Reshape": (5, _moved("shape")),
    "Resize": (11, _resize),
    "RoiAlign": (16, _roi_align),
    "Scan": (9, _scan),
    "Scatter": (99, _scatter),
    "Slice": (10, _slice),
    "Softmax": (13, _softmax),
    "Split": (13, _split),
    "Squeeze": (13, _axes),
    "Sub": (7, _broadcast),
    "TopK": (10, _moved("k")),
    "Unsqueeze": (13, _axes),
    "Upsample": (99, _upsample),
    "Xor": (7, _broadcast),
}
"""Operation to the version whose form the table has, and the rule for older ones."""

SPOKEN_SINCE = {
    "GRU": 7,
    "GlobalLpPool": 2,
    "LSTM": 7,
    "LpPool": 2,
    "RNN": 7,
    "Tile": 6,
}
"""Operations whose form before this version has no rule: whoever knows that version runs them."""
