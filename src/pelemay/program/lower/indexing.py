"""Reading and writing by index.

In: nodes of the family "indexing". Out: a gather; or a copy and a scatter into it, in place.

>>> ("", "GatherND") in LOWERINGS
True
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from pelemay.engine import native
from pelemay.graph import DType
from pelemay.plan.layout import Permute, Reshape
from pelemay.program.lower.reduction import axis_of, ints_of
from pelemay.program.views import SMALL, choice, copy_in_order, given, option, shown

if TYPE_CHECKING:
    from pelemay.graph import Node
    from pelemay.program.lowering import Lowering
    from pelemay.program.operand import Operand


def _indices(l: Lowering, name: str) -> Operand:
    x = l.tensor(name)
    if x.dtype not in (DType.INT32, DType.INT64):
        raise l.unsupported(f"indices of {x.dtype.value}")
    return x


def _as(l: Lowering, x: Operand, shape: Sequence[int]) -> Operand:
    found = shown(l, x, Reshape(tuple(shape)))
    if found is None:
        raise l.unsupported(f"{x.shape} with gaps cannot be shown as {tuple(shape)}")
    return found


def _emit(
    l: Lowering, opcode: str, inputs: Sequence[Operand], y: Operand, params: Sequence[int] = ()
) -> None:
    work = max(x.size for x in (*inputs[-1:], y))
    l.emit(opcode, inputs, [y], params, cost=work, serial=work < SMALL)


def _gather(l: Lowering, node: Node) -> None:
    x, indices, y = l.tensor(node.inputs[0]), _indices(l, node.inputs[1]), l.tensor(node.outputs[0])
    axis = axis_of(l, option(node, "axis"), x.rank)
    outer, inner = math.prod(x.shape[:axis]), math.prod(x.shape[axis + 1 :])
    if not y.size:
        return
    table = _as(l, x, (outer, x.shape[axis], inner))
    found = _as(l, y, (outer, indices.size, inner))
    _emit(l, "gather", [table, _as(l, indices, (1, indices.size, 1))], found, (1,))


def _gather_elements(l: Lowering, node: Node) -> None:
    x, indices, y = l.tensor(node.inputs[0]), _indices(l, node.inputs[1]), l.tensor(node.outputs[0])
    _emit(l, "gather", [x, indices], y, (axis_of(l, option(node, "axis"), x.rank),))


def _gather_nd(l: Lowering, node: Node) -> None:
    x, indices, y = l.tensor(node.inputs[0]), _indices(l, node.inputs[1]), l.tensor(node.outputs[0])
    lead = option(node, "batch_dims")
    depth = indices.shape[-1]
    batch, inner = math.prod(x.shape[:lead]), math.prod(x.shape[lead + depth :])
    if not y.size:
        return
    count = math.prod(indices.shape[lead:-1])
    table = _as(l, x, (batch, *x.shape[lead : lead + depth], inner))
    tuples = _as(l, indices, (batch, count, depth))
    _emit(l, "gather_nd", [table, tuples], _as(l, y, (batch, count, inner)))


def _started(l: Lowering, node: Node) -> Operand:
    """The output, which has the data already."""
    y = l.tensor(node.outputs[0])
    copy_in_order(l, l.tensor(node.inputs[0]), y)
    return y


def _reduction(node: Node) -> int:
    return choice(node, "reduction", native().SCATTERS)


def _scatter_elements(l: Lowering, node: Node) -> None:
    indices, updates = _indices(l, node.inputs[1]), l.tensor(node.inputs[2])
    y = _started(l, node)
    if not updates.size:
        return
    axis = axis_of(l, option(node, "axis"), y.rank)
    _emit(l, "scatter", [indices, updates], y, (axis, _reduction(node)))


def _scatter_nd(l: Lowering, node: Node) -> None:
    indices, updates = _indices(l, node.inputs[1]), l.tensor(node.inputs[2])
    y = _started(l, node)
    if not updates.size:
        return
    depth, count = indices.shape[-1], math.prod(indices.shape[:-1])
    inner = math.prod(y.shape[depth:])
    table = _as(l, y, (*y.shape[:depth], inner))
    inputs = [_as(l, indices, (count, depth)), _as(l, updates, (count, inner))]
    _emit(l, "scatter_nd", inputs, table, (_reduction(node),))


def _tensor_scatter(l: Lowering, node: Node) -> None:
    updates = l.tensor(node.inputs[1])
    y = _started(l, node)
    axis = axis_of(l, option(node, "axis"), y.rank)
    if not axis:
        raise l.unsupported("the axis is that of the samples")
    if name := given(node, 2):
        places = _indices(l, name)
    else:
        places = l.literal(np.zeros(y.shape[0], np.int64))
    sides = y.shape[0], math.prod(y.shape[1:axis]), math.prod(y.shape[axis + 1 :])
    split = [_as(l, x, (*sides[:2], x.shape[axis], sides[2])) for x in (updates, y)]
    circular = option(node, "mode") == "circular"
    _emit(l, "tensor_scatter", [places, split[0]], split[1], (circular,))


def _one_hot(l: Lowering, node: Node) -> None:
    indices, values = l.tensor(node.inputs[0]), l.tensor(node.inputs[2])
    y = l.tensor(node.outputs[0])
    axis = axis_of(l, option(node, "axis"), y.rank)
    outer, inner = math.prod(y.shape[:axis]), math.prod(y.shape[axis + 1 :])
    places, found = _as(l, indices, (outer, inner)), _as(l, y, (outer, y.shape[axis], inner))
    if y.size:
        _emit(l, "one_hot", [places, values], found)


def _trilu(l: Lowering, node: Node) -> None:
    x, y = l.tensor(node.inputs[0]), l.tensor(node.outputs[0])
    if not y.size:
        return
    shape = (math.prod(y.shape[:-2]), *y.shape[-2:])
    diagonal = (ints_of(l, node, 1) or (0,))[0]
    held = max(min(diagonal, y.shape[-1]), -y.shape[-2])
    _emit(l, "trilu", [_as(l, x, shape)], _as(l, y, shape), (held, option(node, "upper")))


def _reverse_sequence(l: Lowering, node: Node) -> None:
    lengths = _indices(l, node.inputs[1])
    ends = []
    for name in (node.inputs[0], node.outputs[0]):
        x = l.tensor(name)
        whole = _as(l, x, (*x.shape[:2], math.prod(x.shape[2:])))
        batch = option(node, "batch_axis")
        turned = whole if not batch else shown(l, whole, Permute((1, 0, 2)))
        ends.append(turned or whole)
    _emit(l, "reverse_sequence", [ends[0], lengths], ends[1])


LOWERINGS: dict[tuple[str, str], Callable[[Lowering, Node], None]] = {
    ("", "Gather"): _gather,
    ("", "GatherElements"): _gather_elements,
    ("", "GatherND"): _gather_nd,
    ("", "OneHot"): _one_hot,
    ("", "ReverseSequence"): _reverse_sequence,
    ("", "ScatterElements"): _scatter_elements,
    ("", "ScatterND"): _scatter_nd,
    ("", "TensorScatter"): _tensor_scatter,
    ("", "Trilu"): _trilu,
}
