"""A part of a value may be replaced while another part of it is still to be read."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pelemay.errors import PlanError
from pelemay.graph import ArrayConstant, DType, Graph, Node, TensorType
from pelemay.plan import plan_graph
from pelemay.plan.check import check_plan


def t(*shape: int) -> TensorType:
    return TensorType(DType.FLOAT32, shape)


def graph_of(second: int) -> Graph:
    """A row of ``x`` is negated, in its place if it may be, before the row ``second`` is read."""
    constants = {
        name: ArrayConstant.of(np.array([value]))
        for name, value in {"zero": 0, "one": 1, "from": second, "to": second + 1}.items()
    }
    nodes = (
        Node("Relu", ("x",), ("a",)),
        Node("Slice", ("a", "zero", "one"), ("first",)),
        Node("Neg", ("first",), ("b",)),
        Node("Slice", ("a", "from", "to"), ("second",)),
        Node("Exp", ("second",), ("c",)),
        Node("Sub", ("b", "c"), ("y",)),
    )
    types = dict.fromkeys(("first", "b", "second", "c"), t(1, 8)) | {"a": t(2, 8)}
    return Graph("g", {"x": t(2, 8)}, {"y": t(1, 8)}, nodes, constants, types)


def test_what_lies_beside_may_be_replaced() -> None:
    plan = plan_graph(graph_of(1))
    assert plan.placements["b"] == plan.placements["first"]
    check_plan(plan)


def test_what_is_read_again_may_not() -> None:
    plan = plan_graph(graph_of(0))
    assert plan.placements["b"] != plan.placements["first"]
    check_plan(plan)
    placements = {**plan.placements, "b": plan.placements["first"]}
    with pytest.raises(PlanError, match="overwritten before it is read"):
        check_plan(replace(plan, placements=placements))
