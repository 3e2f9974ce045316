"""8-bit integers element by element and over windows, and to and from float32.

In: nodes ``pelemay::QBinary``, ``QTable``, ``QSoftmax`` and ``QAveragePool``, and the standard's
QuantizeLinear, DequantizeLinear and DynamicQuantizeLinear. Out: one instruction each.

>>> sorted(op for domain, op in LOWERINGS if domain)
['QAveragePool', 'QBinary', 'QSoftmax', 'QTable']
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import array_api_compat.numpy as xp
import numpy as np

from pelemay.graph import DType
from pelemay.graph.operations.quantized import BYTES, range_of, sum_terms
from pelemay.program.lower.pooling import KINDS, window_params
from pelemay.program.lower.quantized import known, zero_point
from pelemay.program.views import SMALL, given, option

if TYPE_CHECKING:
    from pelemay.graph import Node
    from pelemay.program.lowering import Lowering
    from pelemay.program.operand import Operand

OPERATIONS = ("Add", "Mul")
"""In the order of ``pm_qoperation``."""


def _scale(l: Lowering, node: Node, index: int) -> np.float32:
    """A scale that is one number."""
    values = known(l, node, index)
    if values is None or values.size != 1:
        raise l.unsupported(f"input {index} is not one scale")
    return np.float32(values[0])


def _need_bytes(l: Lowering, *operands: Operand) -> None:
    if any(x.dtype not in BYTES for x in operands):
        raise l.unsupported("data is of 8 bits")


def _bounds(node: Node, dtype: DType) -> tuple[int, int]:
    least, most = range_of(dtype)
    values: Any = node.attributes
    low, high = values.get("low"), values.get("high")
    low = least if low is None else min(max(int(low), least), most)
    return low, max(low, most if high is None else min(max(int(high), least), most))


def binary(l: Lowering, node: Node) -> None:
    """A sum or product; its constants are rounded as its meaning does."""
    a, b, y = l.tensor(node.inputs[0]), l.tensor(node.inputs[3]), l.tensor(node.outputs[0])
    _need_bytes(l, a, b, y)
    sa, sb, sy = (_scale(l, node, index) for index in (1, 4, 6))
    za, zb, zy = (zero_point(l, node, index) for index in (2, 5, 7))
    operation = str(node.attributes["operation"])
    if operation == "Add":
        zeros = (np.int32(za), np.int32(zb), np.int32(zy))
        ra, rb, shift = map(float, sum_terms(xp, (sa, sb, sy), zeros))
        factors = ra, rb, shift
    else:
        factors = float(sa * sb / sy), 0.0, 0.0
    params = (OPERATIONS.index(operation), *factors, za, zb, zy, *_bounds(node, y.dtype))
    if y.size:
        l.emit("qbinary", [a, b], [y], params, serial=y.size < SMALL)


def table(l: Lowering, node: Node) -> None:
    """A function of 8 bits, by its 256 results."""
    x, results, y = l.tensor(node.inputs[0]), l.tensor(node.inputs[1]), l.tensor(node.outputs[0])
    _need_bytes(l, x)
    l.emit("qtable", [x, results], [y], serial=y.size < SMALL)


def softmax(l: Lowering, node: Node) -> None:
    """Shares along an axis."""
    x, powers, y = l.tensor(node.inputs[0]), l.tensor(node.inputs[1]), l.tensor(node.outputs[0])
    _need_bytes(l, x, y)
    axis: Any = node.attributes.get("axis", -1)
    params = (axis % x.rank, float(_scale(l, node, 2)), zero_point(l, node, 3))
    cost = 4 * x.size
    if x.size:
        l.emit("qsoftmax", [x, powers], [y], params, cost=cost, serial=cost < SMALL)


def average_pool(l: Lowering, node: Node) -> None:
    """The mean of each window."""
    x, y = l.tensor(node.inputs[0]), l.tensor(node.outputs[0])
    _need_bytes(l, x, y)
    if not 3 <= x.rank <= 5:
        raise l.unsupported(f"windows over {x.rank - 2} axes")
    sizes, rows, taps = window_params(l, node, x.shape[1:-1])
    pads = option(node, "count_include_pad")
    numbers = (KINDS.index("average"), 2.0, int(pads), 0, *rows)
    factor = float(_scale(l, node, 1))
    ends = (factor, zero_point(l, node, 2), zero_point(l, node, 3))
    cost = taps * y.size
    l.emit("qpool", [x], [y], (*sizes, *numbers, *ends), cost=cost, serial=cost < SMALL)


def _spread(l: Lowering, node: Node, index: int, y: Operand) -> Operand | None:
    """A scale or zero point in a shape that broadcasts to y: one number, or one along an axis."""
    name = given(node, index)
    if not name:
        return None
    x = l.tensor(name)
    if math.prod(x.shape) == 1:
        return l.view_of(x, shape=(), strides=())
    if x.rank != 1 or option(node, "block_size"):
        raise l.unsupported(f"scales of shape {x.shape} are for blocks")
    axis = option(node, "axis") % y.rank
    shape = tuple(x.shape[0] if i == axis else 1 for i in range(y.rank))
    strides = tuple(x.strides[0] if i == axis else 0 for i in range(y.rank))
    return l.view_of(x, shape=shape, strides=strides)


def _convert(opcode: str) -> Callable[[Lowering, Node], None]:
    def lower(l: Lowering, node: Node) -> None:
        x, y = l.tensor(node.inputs[0]), l.tensor(node.outputs[0])
        operands = [x, _spread(l, node, 1, y), _spread(l, node, 2, y)]
        if y.size:
            l.emit(opcode, operands, [y], serial=y.size < SMALL)

    return lower


def quantize_dynamic(l: Lowering, node: Node) -> None:
    """Over the range of all elements."""
    x, outputs = l.tensor(node.inputs[0]), [l.tensor(name) for name in node.outputs]
    if not (x.is_contiguous and outputs[0].is_contiguous):
        raise l.unsupported("the elements do not lie one after the other")
    l.emit("quantize_dynamic", [x], outputs, serial=x.size < SMALL)


LOWERINGS: dict[tuple[str, str], Callable[[Lowering, Node], None]] = {
    ("", "DequantizeLinear"): _convert("dequantize"),
    ("", "DynamicQuantizeLinear"): quantize_dynamic,
    ("", "QuantizeLinear"): _convert("quantize"),
    ("pelemay", "QAveragePool"): average_pool,
    ("pelemay", "QBinary"): binary,
    ("pelemay", "QSoftmax"): softmax,
    ("pelemay", "QTable"): table,
}
