"""Some rows of a node as instructions.

In: a step of a plan that is a band. Out: calls of the same kernels as for whole values: over a
range of rows where the kernel takes one, else over views of those rows; a band that goes round the
end of a ring is two.

>>> list(unbroken(5, 11, 1, lambda begin, end: begin // 4 == (end - 1) // 4))
[(5, 8), (8, 11)]
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from pelemay.errors import PlanError
from pelemay.plan.bands.rows import ROWS, Local, Way, band_of
from pelemay.program.lower import LOWERINGS
from pelemay.program.lower.elementwise import emit_binary
from pelemay.program.lower.reduction import emit_reduce
from pelemay.program.lowering import Cut

if TYPE_CHECKING:
    from pelemay.graph import Graph, Node
    from pelemay.plan import Placement, Plan, Step
    from pelemay.program.lowering import Lowering
    from pelemay.program.operand import Call


def banded(lowering: Lowering, plan: Plan, step: Step, found: Local | None) -> list[Call]:
    """The calls for one band.

    Parameters
    ----------
    lowering : Lowering
        Of the plan.
    plan, step
        What is done.
    found : Local or None
        How the step's node works by rows: the same for all of its bands.

    Raises
    ------
    PlanError
        If the node does not work row by row, or has no kernel.
    """
    node = plan.graph.nodes[step.node]
    lower = LOWERINGS.get((node.domain, node.op))
    if found is None or lower is None:
        raise PlanError("it cannot be done row by row", where=node.label)
    if found.way is Way.RANGE:
        with lowering.band(rows=(step.begin, step.end)):
            lower(lowering, node)
        return lowering.take()

    def together(begin: int, end: int) -> bool:
        cuts = _cuts(plan.graph, node, found, begin, end)
        return all(_is_together(cut, plan.placements.get(name)) for name, cut in cuts.items())

    for begin, end in unbroken(step.begin, step.end, found.unit, together):
        with lowering.band(cuts=_cuts(plan.graph, node, found, begin, end)):
            if found.way is Way.GATHER:
                _gather(lowering, node, begin, end, found.rows)
            else:
                lower(lowering, node)
    return lowering.take()


def unbroken(
    begin: int, end: int, unit: int, together: Callable[[int, int], bool]
) -> Iterator[tuple[int, int]]:
    """Parts of [begin, end), as long as may be, whose rows lie together wherever they are held."""
    while begin < end:
        middle = min(begin + unit, end)
        while middle < end and together(begin, min(middle + unit, end)):
            middle = min(middle + unit, end)
        yield begin, middle
        begin = middle


def _is_together(cut: Cut, place: Placement | None) -> bool:
    ring = place.ring if place is not None else 0
    return not ring or cut.begin == cut.end or cut.begin // ring == (cut.end - 1) // ring


def _cuts(graph: Graph, node: Node, found: Local, begin: int, end: int) -> dict[str, Cut]:
    cuts: dict[str, Cut] = {}
    for name, reach in zip(node.inputs, found.reaches, strict=False):
        if reach is not None:
            low, high = reach.first(begin), reach.end(end)
            cuts[name] = Cut(reach.axis, low, high, _size(graph, name, reach.axis))
    if found.way is not Way.GATHER:
        for name in filter(None, node.outputs):
            cuts[name] = Cut(found.axis, begin, end, _size(graph, name, found.axis))
    return cuts


def _size(graph: Graph, name: str, axis: int) -> int:
    shape = getattr(graph.type_of(name), "shape", None)
    assert shape is not None
    return int(shape[axis])


def _gather(lowering: Lowering, node: Node, begin: int, end: int, rows: int) -> None:
    """Add a band to what was gathered of those before; at the end, make a mean of the sum."""
    x, y = lowering.tensor(node.inputs[0]), lowering.tensor(node.outputs[0])
    kind, join = ("max", "Max") if node.op == "ReduceMax" else ("sum", "Add")
    band = lowering.tensor(band_of(node.outputs[0])) if begin else y
    emit_reduce(lowering, kind, x, band, (ROWS, 2))
    if begin:
        emit_binary(lowering, join, [y, band], y)
    if end == rows and node.op == "ReduceMean":
        count = rows * x.shape[2]
        emit_binary(lowering, "Div", [y, lowering.scalar(count, y.dtype)], y)
