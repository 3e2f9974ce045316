"""Normalisation by statistics of the data, or by statistics that are given.

In: nodes of the family "normalization", channels first or last. Out: one instruction each. The
instruction ``norm`` takes a set of axes; groups of channels become an axis of their own in the view
that it is given, scales and biases have one element along the axes over which they are the same.

>>> split((2, 6, 4), (24, 4, 1), 1, 3)
((2, 3, 2, 4), (24, 8, 4, 1))
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pelemay.program.lower.reduction import FLOATS, SMALL, axis_of, bits, need_types

if TYPE_CHECKING:
    from pelemay.graph import Node
    from pelemay.program.lowering import Lowering
    from pelemay.program.operand import Operand

NORM_KINDS = ("layer", "root", "deviation", "sizes", "length")
"""What numbers are divided by, in the order of ``pm_norm_kind``."""

Ints = tuple[int, ...]


def split(shape: Ints, strides: Ints, axis: int, parts: int) -> tuple[Ints, Ints]:
    """Shape and strides with an axis in two: ``parts``, and what each of them has."""
    size = shape[axis] // parts
    return (
        (*shape[:axis], parts, size, *shape[axis + 1 :]),
        (*strides[:axis], size * strides[axis], *strides[axis:]),
    )


def _layer(l: Lowering, node: Node, kind: str) -> None:
    x = l.tensor(node.inputs[0])
    first = axis_of(l, _int(node, "axis", -1), x.rank)
    axes = tuple(range(first, x.rank))
    scale, bias = (_aligned(l, name, x.rank) for name in (*node.inputs[1:], "", "")[:2])
    outputs = [l.tensor(name) if name else None for name in (*node.outputs, "", "")[:3]]
    _emit(l, kind, (x, scale, bias), outputs, axes, _float(node, "epsilon", 1e-5))


def _layer_normalization(l: Lowering, node: Node) -> None:
    _layer(l, node, "layer")


def _rms_normalization(l: Lowering, node: Node) -> None:
    _layer(l, node, "root")


def _instance(l: Lowering, node: Node, channel: int) -> None:
    x, y = l.tensor(node.inputs[0]), l.tensor(node.outputs[0])
    channel %= x.rank
    scale, bias = (_per_channel(l, name, channel, x.rank) for name in node.inputs[1:3])
    axes = tuple(axis for axis in range(1, x.rank) if axis != channel)
    _emit(l, "layer", (x, scale, bias), (y, None, None), axes, _float(node, "epsilon", 1e-5))


def _instance_first(l: Lowering, node: Node) -> None:
    _instance(l, node, 1)


def _instance_last(l: Lowering, node: Node) -> None:
    _instance(l, node, -1)


def _group(l: Lowering, node: Node, channel: int) -> None:
    x, y = l.tensor(node.inputs[0]), l.tensor(node.outputs[0])
    channel %= x.rank
    groups = _int(node, "num_groups", 1)
    if x.shape[channel] % groups:
        raise l.unsupported(f"{groups} groups do not divide {x.shape[channel]} channels")
    views = [x, y, *(_per_channel(l, name, channel, x.rank) for name in node.inputs[1:3])]
    x, y, scale, bias = (_grouped(l, view, channel, groups) for view in views)
    axes = tuple(axis for axis in range(1, x.rank) if axis != channel)
    _emit(l, "layer", (x, scale, bias), (y, None, None), axes, _float(node, "epsilon", 1e-5))


def _group_first(l: Lowering, node: Node) -> None:
    _group(l, node, 1)


def _group_last(l: Lowering, node: Node) -> None:
    _group(l, node, -1)


def _lp_normalization(l: Lowering, node: Node) -> None:
    x, y = l.tensor(node.inputs[0]), l.tensor(node.outputs[0])
    kind = "sizes" if _int(node, "p", 2) == 1 else "length"
    axis = axis_of(l, _int(node, "axis", -1), x.rank)
    _emit(l, kind, (x, None, None), (y, None, None), (axis,), 0.0)


def _mean_variance_normalization(l: Lowering, node: Node) -> None:
    x, y = l.tensor(node.inputs[0]), l.tensor(node.outputs[0])
    given: Any = node.attributes.get("axes", (0, 2, 3))
    axes = tuple(sorted({axis_of(l, axis, x.rank) for axis in given}))
    _emit(l, "deviation", (x, None, None), (y, None, None), axes, 1e-9)


def _emit(
    l: Lowering,
    kind: str,
    inputs: tuple[Operand | None, ...],
    outputs: Any,
    axes: Ints,
    epsilon: float,
) -> None:
    x = inputs[0]
    assert x is not None
    need_types(l, FLOATS, *inputs, *outputs)
    params = (NORM_KINDS.index(kind), bits(axes), epsilon)
    l.emit("norm", inputs, outputs, params, cost=4 * x.size, serial=x.size < SMALL // 4)


def _lrn(l: Lowering, node: Node, axis: int) -> None:
    x, y = l.tensor(node.inputs[0]), l.tensor(node.outputs[0])
    need_types(l, FLOATS, x, y)
    size = _int(node, "size", 1)
    numbers = (
        _float(node, "alpha", 1e-4),
        _float(node, "beta", 0.75),
        _float(node, "bias", 1.0),
    )
    cost = (size + 8) * x.size
    l.emit("lrn", [x], [y], (axis % x.rank, size, *numbers), cost=cost, serial=x.size < SMALL // 4)


def _lrn_first(l: Lowering, node: Node) -> None:
    _lrn(l, node, 1)


def _lrn_last(l: Lowering, node: Node) -> None:
    _lrn(l, node, -1)


def _batch_normalization(l: Lowering, node: Node) -> None:
    if _int(node, "training_mode", 0):
        raise l.unsupported("training mode")
    x, y = l.tensor(node.inputs[0]), l.tensor(node.outputs[0])
    channel = min(1, x.rank - 1)
    given = [_per_channel(l, name, channel, x.rank) for name in node.inputs[1:5]]
    need_types(l, FLOATS, x, y, *given)
    epsilon = _float(node, "epsilon", 1e-5)
    l.emit("batch_norm", [x, *given], [y], (epsilon,), serial=x.size < SMALL)


def _aligned(l: Lowering, name: str, rank: int) -> Operand | None:
    """A value with axes of one element before its own, as broadcasting adds them."""
    if not name:
        return None
    v = l.tensor(name)
    missing = rank - v.rank
    if missing < 0:
        raise l.unsupported(f"'{name}' has more dimensions than the data")
    ones = (1,) * missing
    return l.view_of(v, shape=(*ones, *v.shape), strides=(*ones, *v.strides))


def _per_channel(l: Lowering, name: str, channel: int, rank: int) -> Operand:
    """A vector that lies along one axis of ``rank``."""
    v = l.tensor(name)
    shape, strides = [1] * rank, [1] * rank
    shape[channel], strides[channel] = v.shape[0], v.strides[0]
    return l.view_of(v, shape=shape, strides=strides)


def _grouped(l: Lowering, v: Operand, channel: int, groups: int) -> Operand:
    shape, strides = split(v.shape, v.strides, channel, groups)
    return l.view_of(v, shape=shape, strides=strides)


def _int(node: Node, name: str, default: int) -> int:
    value: Any = node.attributes.get(name, default)
    return int(value)


def _float(node: Node, name: str, default: float) -> float:
    value: Any = node.attributes.get(name, default)
    return float(value)


LOWERINGS = {
    ("", "LayerNormalization"): _layer_normalization,
    ("", "RMSNormalization"): _rms_normalization,
    ("", "InstanceNormalization"): _instance_first,
    ("pelemay", "InstanceNormalization"): _instance_last,
    ("", "GroupNormalization"): _group_first,
    ("pelemay", "GroupNormalization"): _group_last,
    ("", "LpNormalization"): _lp_normalization,
    ("", "MeanVarianceNormalization"): _mean_variance_normalization,
    ("", "LRN"): _lrn_first,
    ("pelemay", "LRN"): _lrn_last,
    ("", "BatchNormalization"): _batch_normalization,
}
