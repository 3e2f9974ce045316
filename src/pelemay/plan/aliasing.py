"""What each operation may do with the memory of its operands: one table.

In: a node. Out: its :class:`Ability`: which operand's place its output may take, which layouts its
kernel reads and writes, and whether its output is only a view. An operation that is not in the
table reads and writes C order only, and never in place.

>>> from pelemay.graph import DType, Graph, Node, TensorType
>>> x = TensorType(DType.FLOAT32, (2, 3))
>>> g = Graph("g", {"x": x}, {"y": x}, (Node("Softmax", ("x",), ("y",), {"axis": 0}),))
>>> ability(g, g.nodes[0]).in_place
()
>>> ability(g, Node("Conv", ("x", "w", "", "r"), ("y",), domain="pelemay")).in_place
(3,)
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from pelemay.graph import Graph, Node, TensorType
from pelemay.plan.layout import Ints, Permute, Reshape, Same, View, Window


class Form(enum.IntEnum):
    """Which layouts a kernel takes, from the freest to the strictest."""

    ANY = 0
    INNER = 1
    """Elements of the last dimension are neighbours; the other strides are free."""
    DENSE = 2
    """C order without gaps."""


@dataclass(frozen=True, slots=True)
class Ability:
    """What an operation may do.

    Attributes
    ----------
    in_place : tuple of int
        Operands that the kernel reads, element by element, before it writes that element of its
        first output: the output may take the place of one that dies here.
    form : Form
        Layouts of operands and outputs.
    """

    in_place: Ints = ()
    form: Form = Form.DENSE


# fmt: off
_UNARY = (
    "Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "BitwiseNot", "Cast", "Ceil",
    "Celu", "Clip", "Cos", "Cosh", "Elu", "Erf", "Exp", "Floor", "Gelu", "HardSigmoid",
    "HardSwish", "IsInf", "IsNaN", "LeakyRelu", "Log", "Mish", "Neg", "Not", "Reciprocal",
    "Relu", "Round", "Selu", "Shrink", "Sigmoid", "Sign", "Sin", "Sinh", "Softplus", "Softsign",
    "Sqrt", "Swish", "Tan", "Tanh", "ThresholdedRelu",
)
_BINARY = (
    "Add", "And", "BitShift", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "Div", "Equal",
    "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Mod", "Mul", "Or", "PRelu", "Pow",
    "Sub", "Xor",
)
_VARIADIC = (
    "Max", "Mean", "Min", "Sum",
)
_ROWS_IN_PLACE = (
    "LayerNormalization", "LogSoftmax", "RMSNormalization", "Softmax",
)
_STRIDED = (
    "AveragePool", "GlobalAveragePool", "GlobalLpPool", "GlobalMaxPool", "LpPool", "MatMul",
    "MaxPool", "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax",
    "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare", "Resize",
)
_COPIES = (
    "Concat", "Expand", "Flatten", "Identity", "Reshape", "Slice", "Split", "Squeeze",
    "Transpose", "Unsqueeze",
)
_POOLS = (
    "AveragePool", "LpPool", "MaxPool",
)
# fmt: on

_UNLISTED = Ability()

ABILITIES: dict[tuple[str, str], Ability] = {
    **{("", op): Ability((0,), Form.INNER) for op in _UNARY},
    **{("", op): Ability((0, 1), Form.INNER) for op in _BINARY},
    **{("", op): Ability((0, 1), Form.INNER) for op in _VARIADIC},
    **{("", op): Ability((0,), Form.INNER) for op in _ROWS_IN_PLACE},
    **{("", op): Ability((), Form.INNER) for op in _STRIDED},
    **{("", op): Ability((), Form.ANY) for op in _COPIES},
    **{("pelemay", op): Ability((), Form.INNER) for op in _POOLS},
    ("", "Attention"): Ability((), Form.INNER),
    ("", "DequantizeLinear"): Ability((), Form.INNER),
    ("", "QuantizeLinear"): Ability((), Form.INNER),
    ("", "Where"): Ability((0, 1, 2), Form.INNER),
    ("pelemay", "Conv"): Ability((3,), Form.INNER),
    ("pelemay", "ConvTranspose"): Ability((3,), Form.INNER),
    ("pelemay", "MatMul"): Ability((3,), Form.INNER),
    ("pelemay", "QAveragePool"): Ability((), Form.INNER),
    ("pelemay", "QBinary"): Ability((0, 3), Form.INNER),
    ("pelemay", "QConv"): Ability((), Form.INNER),
    ("pelemay", "QMatMul"): Ability((), Form.INNER),
    ("pelemay", "QSoftmax"): Ability((0,), Form.INNER),
    ("pelemay", "QTable"): Ability((0,), Form.INNER),
}


CHAIN = ("pelemay", "Chain")
"""Stands for nodes that run together, while whole values are placed; see ``plan.bands``."""


def ability(graph: Graph, node: Node) -> Ability:
    """What a node of ``graph`` may do with the memory of its operands."""
    if node.version:
        return _UNLISTED
    if (node.domain, node.op) == CHAIN:
        places: Any = node.attributes["places"]
        return Ability(places, Form.INNER)
    if (not node.domain and node.op in _ROWS_IN_PLACE) or node.op == "QSoftmax":
        rank = len(shape_of(graph, node.inputs[0]) or ())
        if node.attributes.get("axis", -1) not in (-1, rank - 1):
            return _UNLISTED
    return ABILITIES.get((node.domain, node.op), _UNLISTED)


def shape_of(graph: Graph, name: str) -> Ints | None:
    """The static shape of a value; None if it has none."""
    kind = graph.type_of(name)
    if not isinstance(kind, TensorType) or kind.shape is None:
        return None
    sizes = tuple(size for size in kind.shape if isinstance(size, int))
    return sizes if len(sizes) == len(kind.shape) else None


def views(graph: Graph, node: Node) -> tuple[View, ...] | None:
    """For each output, which view of the first operand it is; None if the node computes.

    >>> from pelemay.graph import DType
    >>> x, y = TensorType(DType.FLOAT32, (2, 3)), TensorType(DType.FLOAT32, (6,))
    >>> node = Node("Reshape", ("x", "s"), ("y",))
    >>> views(Graph("g", {"x": x}, {"y": y}, (node,)), node)
    (Reshape(shape=(6,)),)
    """
    make = _VIEWS.get(node.op) if not node.domain and node.version == 0 else None
    if make is None or not node.inputs or not node.inputs[0]:
        return None
    shape = shape_of(graph, node.inputs[0])
    outputs = [shape_of(graph, name) for name in node.outputs if name]
    known = [s for s in outputs if s is not None]
    if shape is None or len(known) != len(node.outputs):
        return None
    return make(graph, node, shape, known)


Make = Callable[[Graph, Node, Ints, list[Ints]], tuple[View, ...] | None]


def parts(graph: Graph, node: Node) -> tuple[Window, ...] | None:
    """For each operand of a Concat, which part of the output it is; None for other nodes."""
    axis = node.attributes.get("axis", 0)
    if node.op != "Concat" or node.domain or node.version or not isinstance(axis, int):
        return None
    found = [shape_of(graph, name) for name in node.inputs]
    shapes = [shape for shape in found if shape is not None]
    if len(shapes) != len(found):
        return None
    axis %= len(shapes[0])
    starts = np.cumsum([0, *(shape[axis] for shape in shapes)]).tolist()
    return tuple(Window.along(axis, at, shape) for at, shape in zip(starts, shapes, strict=False))


def _same(_graph: Graph, node: Node, _shape: Ints, _outputs: list[Ints]) -> tuple[View, ...] | None:
    return (Same(),) if len(node.outputs) == 1 else None


def _reshape(
    _graph: Graph, _node: Node, _shape: Ints, outputs: list[Ints]
) -> tuple[View, ...] | None:
    return (Reshape(outputs[0]),)


def _expand(
    _graph: Graph, _node: Node, shape: Ints, outputs: list[Ints]
) -> tuple[View, ...] | None:
    return (Same(),) if shape == outputs[0] else None


def _transpose(
    _graph: Graph, node: Node, shape: Ints, _outputs: list[Ints]
) -> tuple[View, ...] | None:
    axes = node.attributes.get("perm") or tuple(reversed(range(len(shape))))
    if not isinstance(axes, tuple):
        return None
    return (Permute(tuple(int(a) for a in axes if isinstance(a, int))),)


def _split(_graph: Graph, node: Node, shape: Ints, outputs: list[Ints]) -> tuple[View, ...] | None:
    axis = node.attributes.get("axis", 0)
    if not isinstance(axis, int):
        return None
    axis %= len(shape)
    starts = np.cumsum([0, *(out[axis] for out in outputs)]).tolist()
    return tuple(
        Window.along(axis, start, out) for start, out in zip(starts, outputs, strict=False)
    )


def _slice(graph: Graph, node: Node, shape: Ints, outputs: list[Ints]) -> tuple[View, ...] | None:
    given = [_ints(graph, name) for name in node.inputs[1:]]
    if len(given) < 2 or any(values is None for values in given):
        return None
    numbers = [values or [] for values in given]
    axes = numbers[2] if len(numbers) > 2 and node.inputs[3] else list(range(len(numbers[0])))
    steps = numbers[3] if len(numbers) > 3 and node.inputs[4] else [1] * len(axes)
    begin, step = [0] * len(shape), [1] * len(shape)
    for axis, first, stride in zip(axes, numbers[0], steps, strict=True):
        if stride < 1:
            return None
        size = shape[axis]
        begin[axis] = min(max(first + size if first < 0 else first, 0), size)
        step[axis] = stride
    return (Window(tuple(begin), tuple(step), outputs[0]),)


def _ints(graph: Graph, name: str) -> list[int] | None:
    """The numbers of a constant operand; none where it is left out; None if not known."""
    if not name:
        return []
    constant = graph.constants.get(name)
    if constant is None:
        return None
    return [int(value) for value in np.ravel(constant.array())]


_VIEWS: dict[str, Make] = {
    "Identity": _same,
    "Expand": _expand,
    "Flatten": _reshape,
    "Reshape": _reshape,
    "Squeeze": _reshape,
    "Unsqueeze": _reshape,
    "Transpose": _transpose,
    "Slice": _slice,
    "Split": _split,
}
