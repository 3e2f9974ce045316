"""The plan's checker: replays the steps over memory. It is dumb on purpose, and plans nothing.

In: a :class:`~pelemay.plan.Plan`. Out: nothing, or a :class:`~pelemay.errors.PlanError`. Instead of
numbers every element is a token that stands for "this element of that value"; see
:mod:`pelemay.plan.replay`.

>>> from pelemay.graph import DType, Graph, Node, TensorType
>>> from pelemay.plan import plan_graph
>>> t = TensorType(DType.FLOAT32, (16,))
>>> nodes = (Node("Relu", ("x",), ("a",)), Node("MatMul", ("a", "a"), ("y",)))
>>> check_plan(plan_graph(Graph("g", {"x": t}, {"y": t}, nodes, types={"a": t})))
"""

from __future__ import annotations

from pelemay.graph import check as check_graph
from pelemay.plan.replay.rules import check_buffers, check_lifetimes, check_steps
from pelemay.plan.replay.run import Replay
from pelemay.plan.types import Plan


def check_plan(plan: Plan) -> None:
    """Check offsets, lifetimes, layouts, and that nothing is read after it was overwritten.

    A band must find every row that it needs, and every row is made once. The time is that of moving
    every value as often as it is read; the memory that of arena, inputs and outputs, twice.

    Raises
    ------
    PlanError
        If a rule is broken.
    GraphError
        If the order is none.
    """
    check_graph(plan.graph)
    check_buffers(plan)
    check_steps(plan)
    check_lifetimes(plan)
    Replay(plan).run()
