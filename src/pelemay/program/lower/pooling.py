"""Pooling over windows and over whole images.

In: nodes of the family "pooling", channels first or last. Out: the instruction ``pool``, which sees
channels last in any case (a view of other strides, which is slower), or a reduction.

>>> filled((3,), 1)
(1, 1, 3)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pelemay.errors import ExecutionError
from pelemay.graph import DType
from pelemay.graph.operations.windows import Window, window_of
from pelemay.program.lower.reduction import FLOATS, SMALL, emit_reduce, need_types

if TYPE_CHECKING:
    from pelemay.graph import Node
    from pelemay.program.lowering import Lowering
    from pelemay.program.operand import Operand

KINDS = ("max", "average", "lp")
"""In the order of ``pm_pool_kind``."""

TYPES = {
    "max": (*FLOATS, DType.INT8, DType.UINT8),
    "average": FLOATS,
    "lp": FLOATS,
}


def filled(sizes: Sequence[int], missing: int) -> tuple[int, ...]:
    """Three numbers, those of the axes that the data does not have first."""
    return (*(missing,) * (3 - len(sizes)), *sizes)


def _pool(l: Lowering, node: Node, kind: str, *, first: bool) -> None:
    x, y = l.tensor(node.inputs[0]), l.tensor(node.outputs[0])
    places = l.tensor(node.outputs[1]) if len(node.outputs) > 1 and node.outputs[1] else None
    if not 3 <= x.rank <= 5:
        raise l.unsupported(f"windows over {x.rank - 2} axes")
    need_types(l, TYPES[kind], x, y)
    sizes, rows, taps = window_params(l, node, x.shape[2:] if first else x.shape[1:-1])
    views = [None if v is None else _last(l, v) if first else v for v in (x, y, places)]
    numbers = (
        KINDS.index(kind),
        float(_int(node, "p", 2)),
        _int(node, "count_include_pad", 0),
        _int(node, "storage_order", 0),
        *rows,
    )
    of_all = filled(y.shape[2:] if first else y.shape[1:-1], 1)[1]
    cost = taps * y.size * (rows[1] - rows[0]) // max(1, of_all)
    l.emit("pool", views[:1], views[1:], (*sizes, *numbers), cost=cost, serial=cost < SMALL)


def window_params(
    l: Lowering, node: Node, spatial: Sequence[int]
) -> tuple[tuple[int, ...], tuple[int, int], int]:
    """The parameters that all pools begin with, the rows to make, and the positions of a window."""
    window = _window(l, node, spatial)
    sizes = (
        *filled(window.kernel, 1),
        *filled(window.strides, 1),
        *filled(window.dilations, 1),
        *filled(window.begins, 0),
        *filled(window.ends, 0),
    )
    return sizes, l.rows or (0, filled(window.outputs, 1)[1]), math.prod(window.kernel)


def _window(l: Lowering, node: Node, sizes: Sequence[int]) -> Window:
    names = ("strides", "dilations", "pads", "auto_pad", "ceil_mode")
    given: dict[str, Any] = {n: node.attributes[n] for n in names if n in node.attributes}
    kernel: Any = node.attributes["kernel_shape"]
    try:
        return window_of(sizes, kernel, **given)
    except ExecutionError as error:
        raise l.unsupported(str(error)) from error


def _last(l: Lowering, v: Operand) -> Operand:
    """The same elements as (N, *spatial, C)."""
    order = (0, *range(2, v.rank), 1)
    shape, strides = ([values[i] for i in order] for values in (v.shape, v.strides))
    return l.view_of(v, shape=shape, strides=strides)


def _max_first(l: Lowering, node: Node) -> None:
    _pool(l, node, "max", first=True)


def _average_first(l: Lowering, node: Node) -> None:
    _pool(l, node, "average", first=True)


def _lp_first(l: Lowering, node: Node) -> None:
    _pool(l, node, "lp", first=True)


def _max_last(l: Lowering, node: Node) -> None:
    _pool(l, node, "max", first=False)


def _average_last(l: Lowering, node: Node) -> None:
    _pool(l, node, "average", first=False)


def _lp_last(l: Lowering, node: Node) -> None:
    _pool(l, node, "lp", first=False)


def _global(l: Lowering, node: Node, kind: str) -> None:
    x, y = l.tensor(node.inputs[0]), l.tensor(node.outputs[0])
    emit_reduce(l, kind, x, y, tuple(range(2, x.rank)), float(_int(node, "p", 2)))


def _global_average(l: Lowering, node: Node) -> None:
    _global(l, node, "mean")


def _global_max(l: Lowering, node: Node) -> None:
    _global(l, node, "max")


def _global_lp(l: Lowering, node: Node) -> None:
    p = _int(node, "p", 2)
    _global(l, node, {1: "l1", 2: "l2"}.get(p, "lp"))


def _max_unpool(l: Lowering, node: Node) -> None:
    x, places = (l.tensor(name) for name in node.inputs[:2])
    y = l.tensor(node.outputs[0])
    kernel: Any = node.attributes["kernel_shape"]
    rank = len(kernel)
    strides: Any = node.attributes.get("strides") or (1,) * rank
    pads: Any = node.attributes.get("pads") or (0,) * (2 * rank)
    if not 3 <= x.rank <= 5 or rank != x.rank - 2:
        raise l.unsupported(f"windows over {rank} axes of {x.rank} dimensions")
    axes = zip(x.shape[2:], kernel, strides, pads[:rank], pads[rank:], strict=True)
    sizes = [(n - 1) * s + k - b - e for n, k, s, b, e in axes]
    if min(sizes) < 1 or places.dtype is not DType.INT64:
        raise l.unsupported(f"an image of {sizes}, with places of {places.dtype.value}")
    l.emit("unpool", [x, places], [y], filled(sizes, 1), serial=y.size < SMALL)


def _int(node: Node, name: str, default: int) -> int:
    value: Any = node.attributes.get(name, default)
    return int(value)


LOWERINGS = {
    ("", "MaxPool"): _max_first,
    ("", "AveragePool"): _average_first,
    ("", "LpPool"): _lp_first,
    ("pelemay", "MaxPool"): _max_last,
    ("pelemay", "AveragePool"): _average_last,
    ("pelemay", "LpPool"): _lp_last,
    ("", "GlobalAveragePool"): _global_average,
    ("", "GlobalMaxPool"): _global_max,
    ("", "GlobalLpPool"): _global_lp,
    ("", "MaxUnpool"): _max_unpool,
}
