"""Which rows a row is made of: ONNX's arithmetic of windows, written once more.

In: a node that is done by rows. Out: its :class:`Needs`. It shares nothing with
:mod:`pelemay.plan.bands`, which plans by intervals; here every row has the list of those it needs.

>>> from pelemay.graph import DType, Graph, Node, TensorType
>>> x, y = TensorType(DType.FLOAT32, (1, 5, 5, 4)), TensorType(DType.FLOAT32, (1, 3, 3, 4))
>>> pool = {"kernel_shape": (3, 3), "strides": (2, 2), "pads": (1, 1, 1, 1)}
>>> node = Node("MaxPool", ("x",), ("y",), pool, "pelemay")
>>> found = needs_of(Graph("g", {"x": x}, {"y": y}, (node,)), node)
>>> found.rows, found.operands[0].of(0, 1), found.operands[0].of(1, 3)
(3, array([0, 1]), array([1, 2, 3, 4]))
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pelemay.errors import PlanError
from pelemay.graph import Graph, Node
from pelemay.graph.operations.resize import tables_of
from pelemay.plan.aliasing import ability, shape_of

ROWS = 1
Rows = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Need:
    """The rows of an operand that each output row needs.

    Attributes
    ----------
    axis : int
        Of the operand, that is its rows.
    table : ndarray of int, shape (rows, needed)
        Numbers beyond the operand are padding.
    size : int
        Rows of the operand.
    """

    axis: int
    table: Rows
    size: int

    def of(self, begin: int, end: int) -> Rows:
        """The rows that output rows [begin, end) need."""
        found = np.unique(self.table[begin:end])
        return found[(found >= 0) & (found < self.size)]


@dataclass(frozen=True)
class Needs:
    """What a node needs for some of its rows.

    Attributes
    ----------
    axis : int
        Of the output, that is its rows.
    rows : int
        How many there are; of a reduction over rows, those of its operand.
    operands : tuple of Need or None
        For each operand; None where it is needed whole, or left out.
    gathers : bool
        Whether each band adds to an output that has no rows of its own.
    """

    axis: int
    rows: int
    operands: tuple[Need | None, ...]
    gathers: bool = False


def needs_of(graph: Graph, node: Node) -> Needs:
    """What a node needs for some of its rows.

    Raises
    ------
    PlanError
        If it cannot be done by rows.
    """
    shapes = [shape_of(graph, name) if name else None for name in node.inputs]
    output = shape_of(graph, node.outputs[0])
    if node.version or output is None or len(output) < 2:
        raise PlanError("it cannot be done by rows", where=node.label)
    return _TABLE.get((node.domain, node.op), _elementwise)(graph, node, shapes, output)


Shapes = list[tuple[int, ...] | None]
Ints = tuple[int, ...]


def _refused(node: Node, why: str) -> PlanError:
    return PlanError(f"{node.qualified} cannot be done by rows: {why}", where=node.label)


def _each(rows: int, axis: int = ROWS) -> Need:
    return Need(axis, np.arange(rows)[:, None], rows)


def _broadcast(shape: Ints | None, output: Ints) -> Need | None:
    """Row for row, or whole where one row stands for all."""
    axis = ROWS - len(output) + len(shape or ())
    if shape is None or axis < 0 or shape[axis] != output[ROWS]:
        return None
    return _each(shape[axis], axis)


def _elementwise(graph: Graph, node: Node, shapes: Shapes, output: Ints) -> Needs:
    if node.domain or not ability(graph, node).in_place or len(node.outputs) > 1:
        raise _refused(node, "it is not known to be")
    return Needs(ROWS, output[ROWS], tuple(_broadcast(s, output) for s in shapes))


def _last_axis(_graph: Graph, node: Node, shapes: Shapes, output: Ints) -> Needs:
    if len(node.outputs) > 1 or node.attributes.get("axis", -1) not in (-1, len(output) - 1):
        raise _refused(node, "it goes over other axes than the last")
    return Needs(ROWS, output[ROWS], (_each(output[ROWS]), *(None for _ in shapes[1:])))


def _across(_graph: Graph, _node: Node, shapes: Shapes, output: Ints) -> Needs:
    return Needs(ROWS, output[ROWS], (_each(output[ROWS]), *(None for _ in shapes[1:])))


def _quantization(_graph: Graph, node: Node, shapes: Shapes, output: Ints) -> Needs:
    x, scale = shapes[:2]
    many = scale is not None and scale != () and max(scale) > 1
    axis: Any = node.attributes.get("axis", 1)
    by_rows = axis % len(output) == ROWS
    if x != output or (many and (by_rows or len(scale or ()) != 1)):
        raise _refused(node, "its scales differ from row to row")
    return Needs(ROWS, output[ROWS], (_each(output[ROWS]), *(None for _ in shapes[1:])))


def _quantized_binary(_graph: Graph, _node: Node, shapes: Shapes, output: Ints) -> Needs:
    needs = [_broadcast(s, output) if i in (0, 3) else None for i, s in enumerate(shapes)]
    return Needs(ROWS, output[ROWS], tuple(needs))


def _first_of(node: Node, name: str, default: int) -> int:
    values: Any = node.attributes.get(name) or (default,)
    return int(values[0])


def _taps(node: Node, kernel: int, rows: int) -> Rows:
    """Where the window of each output row lies."""
    starts = np.arange(rows) * _first_of(node, "strides", 1) - _first_of(node, "pads", 0)
    return starts[:, None] + np.arange(kernel) * _first_of(node, "dilations", 1)


def _conv(_graph: Graph, node: Node, shapes: Shapes, output: Ints) -> Needs:
    x, w, *rest = shapes
    if x is None or w is None:
        raise _refused(node, "it lacks an operand")
    window = Need(ROWS, _taps(node, w[2], output[ROWS]), x[ROWS])
    if node.op == "QConv":
        return Needs(ROWS, output[ROWS], (window, None, *(None for _ in rest)))
    return Needs(ROWS, output[ROWS], (window, None, *(_broadcast(s, output) for s in rest)))


def _conv_transpose(_graph: Graph, node: Node, shapes: Shapes, output: Ints) -> Needs:
    x, w, *rest = shapes
    if x is None or w is None:
        raise _refused(node, "it lacks an operand")
    stride, dilation = _first_of(node, "strides", 1), _first_of(node, "dilations", 1)
    # Input i adds to output i * stride - pad + k * dilation.
    place = np.arange(output[ROWS])[:, None] + _first_of(node, "pads", 0)
    scaled = place - np.arange(w[2]) * dilation
    table = np.where(scaled % stride == 0, scaled // stride, -1)
    window = Need(ROWS, table, x[ROWS])
    return Needs(ROWS, output[ROWS], (window, None, *(_broadcast(s, output) for s in rest)))


def _pool(_graph: Graph, node: Node, shapes: Shapes, output: Ints) -> Needs:
    x = shapes[0]
    if x is None or len(node.outputs) > 1 or "auto_pad" in node.attributes:
        raise _refused(node, "of its attributes")
    taps = _taps(node, _first_of(node, "kernel_shape", 1), output[ROWS])
    rest = (None for _ in shapes[1:])
    return Needs(ROWS, output[ROWS], (Need(ROWS, taps, x[ROWS]), *rest))


def _resize(graph: Graph, node: Node, shapes: Shapes, output: Ints) -> Needs:
    """The places that the kernel reads, also where their weight is 0."""
    x = shapes[0]
    constants = [graph.constants.get(name) for name in (*node.inputs[1:], "", "")]
    if x is None or any(n and n not in graph.constants for n in node.inputs[1:]):
        raise _refused(node, "the sizes are not known")
    values = [None if c is None else np.asarray(c.array()) for c in constants[:3]]
    tables = tables_of(node.attributes, x, *values)
    places = tables[ROWS][0] if ROWS in tables else np.arange(x[ROWS])[:, None]
    window = Need(ROWS, np.asarray(places, np.intp), x[ROWS])
    return Needs(ROWS, output[ROWS], (window, *(None for _ in shapes[1:])))


def _matmul(_graph: Graph, node: Node, shapes: Shapes, output: Ints) -> Needs:
    a, b, *rest = shapes
    if a is None or b is None or len(a) != 3 or len(b) != 2 or node.attributes.get("trans_a", 0):
        raise _refused(node, "its rows are no tokens")
    addends = (None if node.op == "QMatMul" else _broadcast(s, output) for s in rest)
    return Needs(ROWS, output[ROWS], (_each(output[ROWS]), None, *addends))


def _attention(_graph: Graph, node: Node, shapes: Shapes, output: Ints) -> Needs:
    """Each query by itself; all keys and values."""
    if any(node.inputs[3:]) or len(node.outputs) > 1 or node.attributes.get("is_causal", 0):
        raise _refused(node, "queries see different keys")
    if len(output) != 3:
        raise _refused(node, "its rows are heads")
    return Needs(ROWS, output[ROWS], (_each(output[ROWS]), *(None for _ in shapes[1:])))


def _over_image(_graph: Graph, node: Node, shapes: Shapes, output: Ints) -> Needs:
    x = shapes[0]
    if x is None or output != (1, 1, 1, x[-1]) or len(x) != 4:
        raise _refused(node, "it is not over an image")
    whole = (None for _ in shapes[1:])
    return Needs(ROWS, x[ROWS], (_each(x[ROWS]), *whole), gathers=True)


Rule = Callable[[Graph, Node, Shapes, Ints], Needs]

_TABLE: dict[tuple[str, str], Rule] = {
    ("", "Attention"): _attention,
    ("", "DequantizeLinear"): _quantization,
    ("", "LayerNormalization"): _last_axis,
    ("", "LogSoftmax"): _last_axis,
    ("", "QuantizeLinear"): _quantization,
    ("", "RMSNormalization"): _last_axis,
    ("", "ReduceMax"): _over_image,
    ("", "ReduceMean"): _over_image,
    ("", "Resize"): _resize,
    ("", "Softmax"): _last_axis,
    ("pelemay", "AveragePool"): _pool,
    ("pelemay", "Conv"): _conv,
    ("pelemay", "ConvTranspose"): _conv_transpose,
    ("pelemay", "LRN"): _across,
    ("pelemay", "LpPool"): _pool,
    ("pelemay", "MatMul"): _matmul,
    ("pelemay", "MaxPool"): _pool,
    ("pelemay", "QAveragePool"): _pool,
    ("pelemay", "QBinary"): _quantized_binary,
    ("pelemay", "QConv"): _conv,
    ("pelemay", "QMatMul"): _matmul,
    ("pelemay", "QSoftmax"): _last_axis,
    ("pelemay", "QTable"): _across,
}
