"""Nodes that only move elements, to places that are known: what of their operands goes where.

In: a node. Out: its outputs from arrays of its operands, whole or by rows; it does not matter what
the elements are.

>>> from pelemay.graph import DType, Graph, Node, TensorType
>>> x, y = TensorType(DType.FLOAT32, (2, 3)), TensorType(DType.FLOAT32, (3, 2))
>>> graph = Graph("g", {"x": x}, {"y": y}, (Node("Transpose", ("x",), ("y",)),))
>>> moved_parts(graph, graph.nodes[0], {"x": np.arange(6).reshape(2, 3)})[0][1]
array([1, 4])
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import array_api_compat.numpy as xp
import numpy as np
import numpy.typing as npt

from pelemay.errors import PlanError
from pelemay.graph import Graph, Node, TensorType
from pelemay.graph.evaluate import Table

Array = npt.NDArray[Any]

_MOVING = (
    *("Concat", "Expand", "Flatten", "Identity", "Reshape"),
    *("Slice", "Split", "Squeeze", "Transpose", "Unsqueeze"),
)


def moves(graph: Graph, node: Node) -> bool:
    """Whether a node only moves elements, to places that are known."""
    if node.op == "Slice" and any(n and n not in graph.constants for n in node.inputs[1:]):
        return False
    return node.op in _MOVING and not node.domain and node.version == 0


def moved(node: Node) -> tuple[str, ...]:
    """The operands of a moving node whose elements are moved."""
    return node.inputs if node.op == "Concat" else node.inputs[:1]


def moved_parts(graph: Graph, node: Node, values: Mapping[str, Array]) -> list[Array]:
    """The outputs of a moving node."""
    given = [values[name] for name in moved(node)]
    shapes = [shape_of(graph, name) for name in node.outputs if name]
    axis: Any = node.attributes.get("axis", 0)
    if node.op == "Concat":
        return [np.concatenate(given, axis)]
    if node.op == "Expand":
        return [np.broadcast_to(given[0], np.broadcast_shapes(given[0].shape, shapes[0]))]
    if node.op == "Transpose":
        order: Any = node.attributes.get("perm")
        return [np.transpose(given[0], order)]
    if node.op == "Split":
        ends = np.cumsum([shape[axis] for shape in shapes])[:-1]
        return np.split(given[0], ends, axis)
    if node.op == "Slice":
        numbers = [graph.constants[n].array() if n else None for n in node.inputs[1:]]
        return list(Table(xp).run(node, [given[0], *numbers], {}))
    return [given[0].reshape(shapes[0])]


def origins(graph: Graph, node: Node) -> list[Array]:
    """For each output the number of the element that lies at each place.

    Elements are counted through the operands, one after the other, each in C order.
    """
    numbers = {}
    start = 0
    for name in dict.fromkeys(moved(node)):
        shape = shape_of(graph, name)
        numbers[name] = np.arange(start, start + math.prod(shape)).reshape(shape)
        start += math.prod(shape)
    return moved_parts(graph, node, numbers)


def keeps_rows(graph: Graph, node: Node) -> bool:
    """Whether each row of a moving node, along axis 1, is made of that row of its operands."""
    if node.op in ("Transpose", "Expand"):
        return False
    fronts = {shape_of(graph, n)[:2] for n in (*moved(node), *node.outputs) if n}
    steps = graph.constants.get(node.inputs[4]) if len(node.inputs) > 4 else None
    forward = steps is None or bool((steps.array() > 0).all())
    return len(fronts) == 1 and len(next(iter(fronts))) == 2 and forward


def moved_rows(graph: Graph, node: Node, values: Mapping[str, Array]) -> list[Array]:
    """The outputs of a node that keeps rows, from some rows of its operands."""
    if node.op in ("Concat", "Slice", "Split"):
        return moved_parts(graph, node, values)
    rows = values[node.inputs[0]]
    return [rows.reshape(*rows.shape[:2], *shape_of(graph, node.outputs[0])[2:])]


def row_axis(graph: Graph, node: Node) -> int:
    """The axis of the output along which a moving node is done by rows.

    An input of the graph that has its rows last is read column by column.
    """
    order: Any = node.attributes.get("perm")
    if node.op != "Transpose" or (node.inputs[0] not in graph.producers and order[1] == 2):
        return 1
    return int(order.index(1))


def shape_of(graph: Graph, name: str) -> tuple[int, ...]:
    """The shape of a value.

    Raises
    ------
    PlanError
        If it has none.
    """
    kind = graph.type_of(name)
    if not isinstance(kind, TensorType) or kind.shape is None:
        raise PlanError(f"'{name}' has no size")
    return tuple(size for size in kind.shape if isinstance(size, int))
