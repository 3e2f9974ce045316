"""Reductions, positions of extremes, running sums, sorting, softmax.

In: nodes of the families "reduction" and softmax. Out: one instruction each; the axes that are
reduced, or along which something runs, are a parameter.

>>> KINDS.index("mean"), bits((0, 2))
(1, 5)
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any

from pelemay.graph import DType
from pelemay.program.program import NATIVE_DTYPES

if TYPE_CHECKING:
    from pelemay.graph import Node
    from pelemay.program.lowering import Lowering
    from pelemay.program.operand import Operand

KINDS = (
    "sum", "mean", "max", "min", "prod", "l1", "l2",
    "sum_square", "log_sum", "log_sum_exp", "lp",
)  # fmt: skip
"""What the instruction ``reduce`` computes, in the order of ``pm_reduce_kind``."""

SOFTMAX_KINDS = ("plain", "log", "hard")
"""In the order of ``pm_softmax_kind``."""

FLOATS = (DType.FLOAT32, DType.FLOAT64)
NUMBERS = tuple(set(NATIVE_DTYPES) - {DType.FLOAT16, DType.BFLOAT16})
"""Types that the kernels of this family have code for; narrow floats are widened by a pass."""

SMALL = 4096
"""Elements below which waking another worker takes longer than the work."""


def bits(axes: Sequence[int]) -> int:
    """A set of axes as the engine takes it."""
    return sum(1 << axis for axis in axes)


def axis_of(l: Lowering, axis: int, rank: int) -> int:
    """An axis counted from the front."""
    if not -rank <= axis < rank:
        raise l.unsupported(f"axis {axis} is outside [{-rank}, {rank - 1}]")
    return axis % rank


def ints_of(l: Lowering, node: Node, index: int) -> tuple[int, ...] | None:
    """The numbers of an input that has to be known before the run; None where it is left out."""
    if len(node.inputs) <= index or not node.inputs[index]:
        return None
    constant = l.constant(node.inputs[index])
    if constant is None:
        raise l.unsupported(f"'{node.inputs[index]}' is not known before the run")
    return tuple(map(int, constant.array().reshape(-1).tolist()))


def need_types(l: Lowering, allowed: Collection[DType], *operands: Operand | None) -> None:
    """Refuse operands of several types, or of one that a kernel has no code for."""
    types = {operand.dtype for operand in operands if operand is not None}
    if len(types) > 1 or not types <= set(allowed):
        names = ", ".join(sorted(dtype.value for dtype in types))
        raise l.unsupported(f"no kernel for elements of {names}")


def with_ones(l: Lowering, name: str, axes: Sequence[int], rank: int) -> Operand:
    """A value with the axes back that were reduced away, of one element each."""
    y = l.tensor(name)
    if y.rank == rank:
        return y
    kept = iter(zip(y.shape, y.strides, strict=True))
    sizes = [(1, 1) if axis in axes else next(kept) for axis in range(rank)]
    return l.view(name, shape=[n for n, _ in sizes], strides=[s for _, s in sizes])


def emit_reduce(
    l: Lowering, kind: str, x: Operand, y: Operand, axes: Sequence[int], p: float = 0.0
) -> None:
    """Reduce ``x`` over some axes to ``y``, which has one element along them."""
    need_types(l, FLOATS if kind.startswith(("log", "lp")) else NUMBERS, x, y)
    params = (KINDS.index(kind), bits(axes), float(p))
    l.emit("reduce", [x], [y], params, cost=x.size, serial=x.size < SMALL)


def _reduce(kind: str) -> Callable[[Lowering, Node], None]:
    def lower(l: Lowering, node: Node) -> None:
        x = l.tensor(node.inputs[0])
        given = ints_of(l, node, 1) or ()
        if not given and not node.attributes.get("noop_with_empty_axes", 0):
            given = tuple(range(x.rank))
        axes = sorted({axis_of(l, axis, x.rank) for axis in given})
        emit_reduce(l, kind, x, with_ones(l, node.outputs[0], axes, x.rank), axes)

    return lower


def _argmax(*, smallest: bool) -> Callable[[Lowering, Node], None]:
    def lower(l: Lowering, node: Node) -> None:
        x = l.tensor(node.inputs[0])
        axis = axis_of(l, _int(node, "axis", 0), x.rank)
        y = with_ones(l, node.outputs[0], [axis], x.rank)
        need_types(l, NUMBERS, x)
        params = (axis, smallest, _int(node, "select_last_index", 0))
        l.emit("argmax", [x], [y], params, cost=x.size, serial=x.size < SMALL)

    return lower


def _scan(*, product: bool) -> Callable[[Lowering, Node], None]:
    def lower(l: Lowering, node: Node) -> None:
        x, y = l.tensor(node.inputs[0]), l.tensor(node.outputs[0])
        need_types(l, NUMBERS, x, y)
        given = ints_of(l, node, 1) or (0,)
        axis = axis_of(l, given[0], x.rank)
        params = (axis, product, _int(node, "exclusive", 0), _int(node, "reverse", 0))
        l.emit("scan", [x], [y], params, serial=x.size < SMALL)

    return lower


def _top_k(l: Lowering, node: Node) -> None:
    x = l.tensor(node.inputs[0])
    outputs = [l.tensor(name) if name else None for name in (*node.outputs, "")[:2]]
    need_types(l, NUMBERS, x)
    axis = axis_of(l, _int(node, "axis", -1), x.rank)
    params = (axis, _int(node, "largest", 1))
    l.emit("topk", [x], outputs, params, cost=x.size, serial=x.size < SMALL)


def _softmax(kind: str) -> Callable[[Lowering, Node], None]:
    def lower(l: Lowering, node: Node) -> None:
        x, y = l.tensor(node.inputs[0]), l.tensor(node.outputs[0])
        need_types(l, FLOATS, x, y)
        axis = axis_of(l, _int(node, "axis", -1), x.rank)
        params = (SOFTMAX_KINDS.index(kind), axis)
        l.emit("softmax", [x], [y], params, cost=8 * x.size, serial=x.size < SMALL // 4)

    return lower


def _int(node: Node, name: str, default: int) -> int:
    value: Any = node.attributes.get(name, default)
    return int(value)


_REDUCTIONS = {
    "ReduceSum": "sum",
    "ReduceMean": "mean",
    "ReduceMax": "max",
    "ReduceMin": "min",
    "ReduceProd": "prod",
    "ReduceL1": "l1",
    "ReduceL2": "l2",
    "ReduceSumSquare": "sum_square",
    "ReduceLogSum": "log_sum",
    "ReduceLogSumExp": "log_sum_exp",
}

LOWERINGS = {
    **{("", op): _reduce(kind) for op, kind in _REDUCTIONS.items()},
    ("", "ArgMax"): _argmax(smallest=False),
    ("", "ArgMin"): _argmax(smallest=True),
    ("", "CumSum"): _scan(product=False),
    ("", "CumProd"): _scan(product=True),
    ("", "TopK"): _top_k,
    ("", "Softmax"): _softmax("plain"),
    ("", "LogSoftmax"): _softmax("log"),
    ("", "Hardmax"): _softmax("hard"),
}
