"""An operand that is broadcast is read again after its first element would have been replaced."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pelemay.errors import PlanError
from pelemay.graph import DType, Graph, Node, TensorType
from pelemay.plan import plan_graph
from pelemay.plan.check import check_plan

WHOLE = (3, 4, 5)


def t(*shape: int) -> TensorType:
    return TensorType(DType.FLOAT32, shape)


def graph_of(small: tuple[int, ...], swapped: bool) -> Graph:
    """``small`` dies where it is combined with ``x``, whose place the result cannot take."""
    operands = ("small", "x") if swapped else ("x", "small")
    nodes = (Node("Neg", ("s",), ("small",)), Node("Sub", operands, ("y",)))
    return Graph(
        "g", {"x": t(*WHOLE), "s": t(*small)}, {"y": t(*WHOLE)}, nodes, {}, {"small": t(*small)}
    )


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("small", [(1, 4, 5), (3, 4, 1), (3, 1, 5), (4, 5), (5,), (1, 1, 1), ()])
def test_its_place_is_not_taken(small: tuple[int, ...], swapped: bool) -> None:
    plan = plan_graph(graph_of(small, swapped))
    check_plan(plan)
    assert plan.placements["small"].space == "arena"


@pytest.mark.parametrize("swapped", [False, True])
def test_the_place_of_one_that_is_not_broadcast_is_taken(swapped: bool) -> None:
    plan = plan_graph(graph_of(WHOLE, swapped))
    check_plan(plan)
    assert plan.placements["small"] == plan.placements["y"]


def test_the_checker_refuses_it() -> None:
    plan = plan_graph(graph_of((1, 4, 5), swapped=False))
    placements = {**plan.placements, "small": plan.placements["y"]}
    with pytest.raises(PlanError, match="would overwrite operand 'small'"):
        check_plan(replace(plan, placements=placements))
