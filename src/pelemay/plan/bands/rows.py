"""Which operations work row by row, and which rows of their operands they need: one table.

In: a node of a graph with static types. Out: its :class:`Local`, or None for an operation that
needs whole values. Rows are axis 1: of an image with channels last, or of a sequence of tokens;
the batch is one.

>>> from pelemay.graph import DType, Graph, Node, TensorType
>>> x = TensorType(DType.FLOAT32, (1, 8, 8, 4))
>>> pool = {"kernel_shape": (3, 3), "strides": (1, 1), "pads": (1, 1, 1, 1)}
>>> node = Node("MaxPool", ("x",), ("y",), pool, "pelemay")
>>> found = local(Graph("g", {"x": x}, {"y": x}, (node,)), node)
>>> found.reaches[0].first(4), found.reaches[0].end(4)
(3, 5)
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate
from operator import sub
from typing import Any

import numpy as np

from pelemay.errors import ExecutionError
from pelemay.graph import DType, Graph, Node, TensorType
from pelemay.graph.operations.resize import tables_of
from pelemay.graph.operations.windows import extent_of, window_of
from pelemay.plan.aliasing import Form, ability, shape_of, views
from pelemay.plan.layout import Ints, Layout, Reshape, dense_strides

ROWS = 1
"""The axis that is cut into bands."""


TILE = 16
"""Pixels or tokens that a product works on at a time."""

NARROW = 4
"""Rows of no more pixels, such as tokens, are done several at a time."""


class Way(enum.Enum):
    """How an operation is done for some of its rows."""

    CUT = "cut"
    """Its kernel is given views of those rows, as if they were all there is."""
    RANGE = "range"
    """Its kernel takes a range of rows, and operands of which only some rows are held."""
    VIEW = "view"
    """Nothing is done: the output is a part of each row of its operand."""
    GATHER = "gather"
    """Each band adds to an output that has no rows of its own."""


@dataclass(frozen=True)
class Reach:
    """The rows of an operand that an operation's output rows need.

    Attributes
    ----------
    axis : int
        Of the operand, that is its rows.
    firsts : sequence of int
        For each output row, the first row that it or a later one needs.
    ends : sequence of int
        For each output row, one more than the last row that it or an earlier one needs.
    """

    axis: int
    firsts: Sequence[int]
    ends: Sequence[int]

    @cached_property
    def span(self) -> int:
        """The most rows that one output row needs at a time."""
        return max(map(sub, self.ends, self.firsts), default=0)

    def first(self, row: int) -> int:
        """The first row that output rows from ``row`` on need; a huge number if none does."""
        return self.firsts[row] if row < len(self.firsts) else 1 << 60

    def end(self, row: int) -> int:
        """One more than the last row that output rows before ``row`` need."""
        return self.ends[row - 1] if row else 0


@dataclass(frozen=True)
class Local:
    """An operation that works row by row.

    Attributes
    ----------
    way : Way
        How.
    axis : int
        Of the output, that is its rows.
    rows : int
        How many there are; with :attr:`Way.GATHER` those of the operand.
    reaches : tuple of Reach or None
        For each operand; None where it is needed whole, or left out.
    unit : int
        Rows are made in multiples of this.
    multiple : int
        Rows held at a time must be a multiple of this.
    tile : int
        Rows that are worth a step: more than one where a row has few pixels.
    """

    way: Way
    axis: int
    rows: int
    reaches: tuple[Reach | None, ...]
    unit: int = 1
    multiple: int = 1
    tile: int = 1

    def grain(self, grain: int) -> int:
        """Rows that are made at a time, where ``grain`` times a tile are asked for."""
        return -(-grain * self.tile // self.unit) * self.unit


def local(graph: Graph, node: Node) -> Local | None:
    """How a node can be done row by row; None if it cannot."""
    if node.version or not node.outputs or not node.outputs[0]:
        return None
    rule = _RULES.get((node.domain, node.op), _elementwise)
    shapes = [shape_of(graph, name) if name else None for name in (*node.inputs, *node.outputs)]
    known = [s for s in shapes if s is not None]
    named = sum(1 for name in (*node.inputs, *node.outputs) if name)
    if len(known) != named or any(0 in s for s in known):
        return None
    inputs = tuple(shapes[: len(node.inputs)])
    output = shapes[len(node.inputs)]
    if output is None or len(output) < 3 or output[0] != 1:
        return None
    found = rule(graph, node, inputs, output)
    if found is None or found.way is Way.GATHER:
        return found
    pixels = math.prod(output[2:-1])
    return replace(found, tile=TILE // pixels) if pixels <= NARROW else found


def band_of(name: str) -> str:
    """The value that holds what one band adds to a value that is gathered."""
    return f"{name}::band"


Shapes = tuple[Ints | None, ...]
Rule = Callable[[Graph, Node, Shapes, Ints], Local | None]


def _same(axis: int, rows: int) -> Reach:
    return Reach(axis, range(rows), range(1, rows + 1))


def _reach(firsts: Any, ends: Any, size: int) -> Reach:
    """From the rows of each output row; outputs that lie wholly in the padding need none."""
    low = np.clip(np.asarray(firsts), 0, size)
    high = np.clip(np.asarray(ends), 0, size)
    low = np.minimum.accumulate(low[::-1])[::-1]
    return Reach(ROWS, tuple(low.tolist()), tuple(accumulate(high.tolist(), max)))


def _aligned(shape: Ints | None, output: Ints) -> Reach | None:
    """An operand of broadcasting: row for row, or the same for all rows."""
    if shape is None:
        return None
    axis = ROWS - (len(output) - len(shape))
    rows = output[ROWS]
    return _same(axis, rows) if axis >= 0 and shape[axis] == rows and rows > 1 else None


def _elementwise(graph: Graph, node: Node, inputs: Shapes, output: Ints) -> Local | None:
    """Element by element: what may work in place, and is no convolution."""
    can = ability(graph, node)
    listed = not node.domain and bool(can.in_place) and can.form is Form.INNER
    if not listed or len(node.outputs) > 1:
        return None
    reaches = tuple(_aligned(shape, output) for shape in inputs)
    return Local(Way.CUT, ROWS, output[ROWS], reaches) if any(reaches) else None


def _quantization(graph: Graph, node: Node, inputs: Shapes, output: Ints) -> Local | None:
    """Element by element, with one scale, or one for each place of an axis that is not rows."""
    axis: Any = node.attributes.get("axis", 1)
    rows, scale = output[ROWS], inputs[1] if len(inputs) > 1 else None
    many = scale is not None and math.prod(scale) > 1
    if inputs[0] != output or (many and (axis % len(output) == ROWS or len(scale or ()) > 1)):
        return None
    return Local(Way.CUT, ROWS, rows, (_same(ROWS, rows), *(None,) * (len(inputs) - 1)))


def _quantized_binary(graph: Graph, node: Node, inputs: Shapes, output: Ints) -> Local | None:
    reaches = tuple(_aligned(x, output) if i in (0, 3) else None for i, x in enumerate(inputs))
    return Local(Way.CUT, ROWS, output[ROWS], reaches) if any(reaches) else None


def _normalization(graph: Graph, node: Node, inputs: Shapes, output: Ints) -> Local | None:
    axis = node.attributes.get("axis", -1)
    if axis not in (-1, len(output) - 1) or len(node.outputs) > 1:
        return None
    reaches = (_same(ROWS, output[ROWS]), *(None,) * (len(inputs) - 1))
    return Local(Way.CUT, ROWS, output[ROWS], reaches)


def _matmul(graph: Graph, node: Node, inputs: Shapes, output: Ints) -> Local | None:
    """Products of tokens with a matrix that is the same for all."""
    a, b = inputs[0], inputs[1]
    if node.op == "QMatMul":
        inputs = (a, b, *(None,) * (len(inputs) - 2))
    if node.attributes.get("trans_a", 0) or a is None or b is None or len(b) != 2:
        return None
    if len(a) != len(output) or len(output) != 3:
        return None
    addends = tuple(_aligned(shape, output) for shape in inputs[2:])
    return Local(Way.CUT, ROWS, output[ROWS], (_same(ROWS, output[ROWS]), None, *addends))


def _attention(graph: Graph, node: Node, inputs: Shapes, output: Ints) -> Local | None:
    """Bands of queries; all keys and values."""
    plain = len(output) == 3 and not any(node.inputs[3:]) and len(node.outputs) == 1
    if not plain or node.attributes.get("is_causal", 0):
        return None
    rest = (None,) * (len(inputs) - 1)
    return Local(Way.CUT, ROWS, output[ROWS], (_same(ROWS, output[ROWS]), *rest))


def _is_image(graph: Graph, name: str, *dtypes: DType) -> bool:
    kind = graph.type_of(name)
    known = dtypes or (DType.FLOAT32,)
    return isinstance(kind, TensorType) and kind.dtype in known and len(kind.shape or ()) == 4


BYTES = (DType.UINT8, DType.INT8)


def _conv(graph: Graph, node: Node, inputs: Shapes, output: Ints) -> Local | None:
    x, w = inputs[0], inputs[1]
    types = BYTES if node.op == "QConv" else ()
    if not _is_image(graph, node.inputs[0], *types) or x is None or w is None:
        return None
    kernel = w[2]
    stride, dilation, pad = (_row_option(node, n, d) for n, d in _WINDOW)
    first = np.arange(output[ROWS]) * stride - pad
    reach = _reach(first, first + extent_of(kernel, dilation), x[ROWS])
    return Local(Way.RANGE, ROWS, output[ROWS], (reach, *_residual(inputs, output)))


_WINDOW = (("strides", 1), ("dilations", 1), ("pads", 0))


def _row_option(node: Node, name: str, default: int) -> int:
    values: Any = node.attributes.get(name) or (default,)
    return int(values[0])


def _residual(inputs: Shapes, output: Ints) -> tuple[Reach | None, ...]:
    """Reaches of weights, bias and what is added."""
    added = _same(ROWS, output[ROWS]) if len(inputs) > 3 and inputs[3] == output else None
    return (None, None, added)[: len(inputs) - 1]


def _conv_transpose(graph: Graph, node: Node, inputs: Shapes, output: Ints) -> Local | None:
    x, w = inputs[0], inputs[1]
    if not _is_image(graph, node.inputs[0]) or x is None or w is None:
        return None
    stride, dilation, pad = (_row_option(node, n, d) for n, d in _WINDOW)
    place = np.arange(output[ROWS]) + pad
    firsts = -((extent_of(w[2], dilation) - 1 - place) // stride)
    reach = _reach(firsts, place // stride + 1, x[ROWS])
    return Local(Way.RANGE, ROWS, output[ROWS], (reach, *_residual(inputs, output)), 1, stride)


def _pool(graph: Graph, node: Node, inputs: Shapes, output: Ints) -> Local | None:
    x = inputs[0]
    types = BYTES if node.op == "QAveragePool" else (DType.FLOAT32, *BYTES)
    if not _is_image(graph, node.inputs[0], *types) or x is None or len(node.outputs) > 1:
        return None
    names = ("strides", "dilations", "pads", "auto_pad", "ceil_mode")
    given: dict[str, Any] = {n: node.attributes[n] for n in names if n in node.attributes}
    kernel: Any = node.attributes["kernel_shape"]
    try:
        window = window_of(x[1:-1], kernel, **given)
    except ExecutionError:
        return None
    first = np.arange(output[ROWS]) * window.strides[0] - window.begins[0]
    reach = _reach(first, first + extent_of(kernel[0], window.dilations[0]), x[ROWS])
    rest = (None,) * (len(inputs) - 1)
    return Local(Way.RANGE, ROWS, output[ROWS], (reach, *rest))


def _resize(graph: Graph, node: Node, inputs: Shapes, output: Ints) -> Local | None:
    """Rows and columns both, as the kernel has them."""
    x = inputs[0]
    if not _is_image(graph, node.inputs[0]) or x is None:
        return None
    given = [graph.constants.get(name) if name else None for name in (*node.inputs[1:], "", "")]
    if any(name and name not in graph.constants for name in node.inputs[1:]):
        return None
    values = [None if c is None else np.asarray(c.array()) for c in given[:3]]
    tables = tables_of(node.attributes, x, *values)
    if set(tables) != {1, 2}:
        return None
    places = tables[ROWS][0]
    held = np.where(places < 0, x[ROWS], places).min(1), places.max(1) + 1
    rest = (None,) * (len(inputs) - 1)
    return Local(Way.RANGE, ROWS, output[ROWS], (_reach(*held, x[ROWS]), *rest))


def _concat(graph: Graph, node: Node, inputs: Shapes, output: Ints) -> Local | None:
    axis, rows = node.attributes.get("axis", 0), output[ROWS]
    if not isinstance(axis, int):
        return None
    if axis % len(output) != ROWS:
        return Local(Way.CUT, ROWS, rows, (_same(ROWS, rows),) * len(inputs))
    reaches = []
    start = 0
    for shape in inputs:
        assert shape is not None
        size = shape[ROWS]
        after = np.clip(np.arange(rows + 1) - start, 0, size).tolist()
        reaches.append(Reach(ROWS, tuple(after[:-1]), tuple(after[1:])))
        start += size
    return Local(Way.CUT, ROWS, rows, tuple(reaches))


def _part(graph: Graph, node: Node, inputs: Shapes, output: Ints) -> Local | None:
    """Slices and splits of each row are views."""
    x = inputs[0]
    if x is None or x[: ROWS + 1] != output[: ROWS + 1] or views(graph, node) is None:
        return None
    rest = (None,) * (len(inputs) - 1)
    return Local(Way.VIEW, ROWS, output[ROWS], (_same(ROWS, output[ROWS]), *rest))


def _reshape(graph: Graph, node: Node, inputs: Shapes, output: Ints) -> Local | None:
    """Each row in another shape is a view; an image as tokens, some for each of its rows."""
    x = inputs[0]
    rest = (None,) * (len(inputs) - 1)
    if x is None or len(x) < 3:
        return None
    if x[: ROWS + 1] == output[: ROWS + 1]:
        # Also where the elements of a row have gaps between them.
        gaps = Layout(0, x, dense_strides((*x[:-1], x[-1] + 1)))
        if Reshape(output).apply(gaps) is None:
            return None
        return Local(Way.VIEW, ROWS, output[ROWS], (_same(ROWS, output[ROWS]), *rest))
    if len(x) != 4 or output != (1, x[1] * x[2], x[3]):
        return None
    row = np.arange(output[ROWS]) // x[2]
    return Local(Way.CUT, ROWS, output[ROWS], (_reach(row, row + 1, x[1]), *rest), x[2], x[2])


def _transpose(graph: Graph, node: Node, inputs: Shapes, output: Ints) -> Local | None:
    """Channels put last or first, where one of the two is a whole value."""
    order, x = node.attributes.get("perm"), inputs[0]
    if x is None:
        return None
    if order in ((0, 2, 3, 1), (0, 2, 1)) and not _is_made(graph, node.inputs[0]):
        return Local(Way.CUT, ROWS, output[ROWS], (_same(2, output[ROWS]),))
    if order in ((0, 3, 1, 2), (0, 2, 1)):
        return Local(Way.CUT, 2, output[2], (_same(ROWS, output[2]),))
    return None


def _is_made(graph: Graph, name: str) -> bool:
    return name in graph.producers


def _mean(graph: Graph, node: Node, inputs: Shapes, output: Ints) -> Local | None:
    """The mean of each channel over an image: sums of bands."""
    x = inputs[0]
    if x is None or len(x) != 4 or not _is_image(graph, node.inputs[0]):
        return None
    if output != (1, 1, 1, x[3]) or x[ROWS] < 2:
        return None
    return Local(Way.GATHER, ROWS, x[ROWS], (_same(ROWS, x[ROWS]), *(None,) * (len(inputs) - 1)))


def _across(graph: Graph, node: Node, inputs: Shapes, output: Ints) -> Local | None:
    """Each pixel by itself, whatever its channels."""
    rest = (None,) * (len(inputs) - 1)
    return Local(Way.CUT, ROWS, output[ROWS], (_same(ROWS, output[ROWS]), *rest))


_RULES: dict[tuple[str, str], Rule] = {
    ("", "Attention"): _attention,
    ("", "Concat"): _concat,
    ("", "DequantizeLinear"): _quantization,
    ("", "LayerNormalization"): _normalization,
    ("", "LogSoftmax"): _normalization,
    ("", "QuantizeLinear"): _quantization,
    ("", "RMSNormalization"): _normalization,
    ("", "ReduceMax"): _mean,
    ("", "ReduceMean"): _mean,
    ("", "Reshape"): _reshape,
    ("", "Resize"): _resize,
    ("", "Slice"): _part,
    ("", "Softmax"): _normalization,
    ("", "Split"): _part,
    ("", "Transpose"): _transpose,
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
    ("pelemay", "QSoftmax"): _normalization,
    ("pelemay", "QTable"): _across,
}
