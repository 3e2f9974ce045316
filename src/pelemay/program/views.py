"""Views of operands: what moves elements is mostly another view, copied.

In: an operand and a view of :mod:`pelemay.plan.layout`. Out: the operand that shows it, or a copy
from one view to another as one instruction.

>>> common_refinement((4, 6), (2, 12))
(2, 2, 6)
>>> common_refinement((2, 3), (3, 2)) is None
True
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import accumulate, pairwise
from operator import mul
from typing import TYPE_CHECKING, Any

from pelemay.errors import GraphError
from pelemay.graph.operations import find
from pelemay.plan.layout import Layout, Reshape, View, Window

if TYPE_CHECKING:
    from pelemay.graph import Node
    from pelemay.program.lowering import Lowering
    from pelemay.program.operand import Operand

SMALL = 8192
"""Elements below which waking another worker takes longer than the work."""


def option(node: Node, name: str) -> Any:
    """An attribute of a node, or its default in the operation table."""
    row = find(node.op, node.domain)
    default = row.attributes[name] if row else None
    return node.attributes.get(name, default)


def choice(node: Node, name: str, choices: Sequence[str]) -> int:
    """The place of an attribute's value among those that it may have.

    Raises
    ------
    GraphError
        If it is none of them.
    """
    value = option(node, name)
    if value not in choices:
        what = f"attribute '{name}' is {value!r}, not one of {', '.join(choices)}"
        raise GraphError(what, where=node.label)
    return choices.index(value)


def given(node: Node, index: int) -> str:
    """The name of an input; ``""`` if it is left out."""
    return node.inputs[index] if index < len(node.inputs) else ""


def shown(lowering: Lowering, x: Operand, view: View) -> Operand | None:
    """A view of an operand; None where its elements do not lie at regular strides."""
    layout = view.apply(Layout(0, x.shape, x.strides))
    if layout is None:
        return None
    offset = layout.offset * x.dtype.numpy.itemsize
    return lowering.view_of(x, offset=offset, shape=layout.shape, strides=layout.strides)


def part(
    lowering: Lowering,
    x: Operand,
    starts: Sequence[int],
    shape: Sequence[int],
    steps: Sequence[int] = (),
) -> Operand:
    """Some of the elements along each axis."""
    window = Window(tuple(starts), tuple(steps) or (1,) * x.rank, tuple(shape))
    found = shown(lowering, x, window)
    if found is None:
        raise lowering.unsupported(
            f"{tuple(shape)} elements from {tuple(starts)} are not in {x.shape}"
        )
    return found


def part_along(lowering: Lowering, x: Operand, axis: int, start: int, size: int) -> Operand:
    """Some of the elements along one axis, all along the others."""
    shape = tuple(size if i == axis else n for i, n in enumerate(x.shape))
    return part(lowering, x, [start if i == axis else 0 for i in range(x.rank)], shape)


def copy(lowering: Lowering, x: Operand, y: Operand, turned: Collection[int] = ()) -> None:
    """Copy ``x``, broadcast to the shape of ``y``; read backwards along the axes in ``turned``."""
    if not y.size or (not turned and x.is_same_view(y)):
        return
    params = (sum(1 << axis for axis in turned),) if turned else ()
    lowering.emit("copy", [x], [y], params, serial=y.size < SMALL)


def fill(lowering: Lowering, value: Any, y: Operand) -> None:
    """Set all elements of ``y``."""
    copy(lowering, lowering.scalar(value, y.dtype), y)


def copy_in_order(lowering: Lowering, x: Operand, y: Operand) -> None:
    """Copy elements in C order to an operand of another shape."""
    if x.shape == y.shape:
        copy(lowering, x, y)
    elif (seen := shown(lowering, x, Reshape(y.shape))) is not None:
        copy(lowering, seen, y)
    elif (seen := shown(lowering, y, Reshape(x.shape))) is not None:
        copy(lowering, x, seen)
    else:
        _copy_refined(lowering, x, y)


def _copy_refined(lowering: Lowering, x: Operand, y: Operand) -> None:
    shape = common_refinement(x.shape, y.shape)
    if shape is None:
        raise lowering.unsupported(f"{x.shape} with gaps cannot be {y.shape} with gaps in one copy")
    both = shown(lowering, x, Reshape(shape)), shown(lowering, y, Reshape(shape))
    if both[0] is None or both[1] is None:
        raise lowering.unsupported(f"{x.shape} cannot be shown as {shape}")
    copy(lowering, both[0], both[1])


def common_refinement(a: Sequence[int], b: Sequence[int]) -> tuple[int, ...] | None:
    """The shape that splits dimensions of both; None where theirs cross."""
    ends = sorted({*accumulate(reversed(a), mul, initial=1), *accumulate(reversed(b), mul)})
    if any(outer % inner for inner, outer in pairwise(ends)):
        return None
    return tuple(outer // inner for inner, outer in reversed(list(pairwise(ends))))
