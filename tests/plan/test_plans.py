"""Plans as a whole: random graphs keep their meaning over one array of bytes."""

from __future__ import annotations

import array_api_compat.numpy as xp
import numpy as np
import pytest
from hypothesis import given, settings

from pelemay.errors import UnsupportedError
from pelemay.graph import DType, Graph, Node, TensorType
from pelemay.graph.evaluate import Table, evaluate
from pelemay.plan import ALIGNMENT, Plan, plan_graph
from pelemay.plan.check import check_plan
from support.planned import run_planned
from support.plans import Builder, feeds_of, graphs

F32 = DType.FLOAT32


def assert_same_meaning(graph: Graph) -> Plan:
    """Plan, check, run over memory; the outputs must be those of the reference.

    NumPy adds in another order where strides differ, hence not bit for bit.
    """
    plan = plan_graph(graph)
    check_plan(plan)
    feeds = feeds_of(graph)
    expected = evaluate(graph, feeds, Table(xp))
    found = run_planned(plan, feeds)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-5, atol=1e-6, strict=True)
    return plan


@settings(max_examples=150)
@given(graph=graphs())
def test_random_graphs_keep_their_meaning(graph: Graph) -> None:
    plan = assert_same_meaning(graph)
    assert plan.arena_bytes >= plan.lower_bound_bytes >= plan.order_bound_bytes
    assert set(plan.placements) >= {*graph.inputs, *graph.outputs, *graph.types}


@settings(max_examples=30)
@given(graph=graphs())
def test_the_same_graph_gives_the_same_plan(graph: Graph) -> None:
    first, second = plan_graph(graph), plan_graph(graph)
    assert first.placements == second.placements
    assert [n.outputs for n in first.graph.nodes] == [n.outputs for n in second.graph.nodes]


def test_every_buffer_is_aligned() -> None:
    b = Builder()
    x = b.input(1, 3, 3, 5)
    y = b.conv(b.conv(x, 7), 3)
    plan = assert_same_meaning(b.graph(b.conv(y, 1)))
    assert plan.arena_bytes % ALIGNMENT == 0
    assert all(buffer.offset % ALIGNMENT == 0 for buffer in plan.buffers)
    assert len({buffer.offset for buffer in plan.buffers}) > 1


def test_values_of_no_bytes_take_none() -> None:
    x = TensorType(F32, (0, 3))
    nodes = (Node("Relu", ("x",), ("a",)), Node("Neg", ("a",), ("y",)))
    plan = assert_same_meaning(Graph("g", {"x": x}, {"y": x}, nodes, types={"a": x}))
    assert (plan.arena_bytes, plan.buffers) == (0, ())


def test_a_graph_without_nodes() -> None:
    x = TensorType(F32, (2,))
    plan = plan_graph(Graph("g", {"x": x}, {"x": x}, ()))
    check_plan(plan)
    assert plan.placements["x"].space == "input"


@pytest.mark.parametrize("shape", [("n", 3), (None, 3), None])
def test_a_size_that_is_not_known_is_refused(shape: tuple[object, ...] | None) -> None:
    nodes = (Node("Relu", ("x",), ("a",), name="first"), Node("Neg", ("a",), ("y",)))
    x = TensorType(F32, (2, 3))
    graph = Graph("g", {"x": x}, {"y": x}, nodes, types={"a": TensorType(F32, shape)})  # type: ignore[arg-type]
    with pytest.raises(UnsupportedError, match="Relu 'first': the size of value 'a' is not known"):
        plan_graph(graph)


def test_strings_are_refused() -> None:
    x = TensorType(DType.STRING, (2,))
    graph = Graph("g", {"x": x}, {"y": x}, (Node("Identity", ("x",), ("y",)),))
    with pytest.raises(UnsupportedError, match="holds strings"):
        plan_graph(graph)


def test_what_a_branch_reads_from_outside_stays_until_then() -> None:
    t = TensorType(F32, (64,))
    inner = Graph("then", {}, {"r": t}, (Node("Neg", ("a",), ("r",)),))
    nodes = (
        Node("Relu", ("x",), ("a",)),
        Node("Exp", ("x",), ("b",)),
        Node("ReduceMax", ("b",), ("m",), {"keepdims": 0}),
        Node("Cast", ("m",), ("c",), {"to": DType.BOOL}),
        Node("If", ("c",), ("y",), {"then_branch": inner, "else_branch": inner}),
    )
    types = {"a": t, "b": t, "m": TensorType(F32, ()), "c": TensorType(DType.BOOL, ())}
    plan = assert_same_meaning(Graph("g", {"x": t}, {"y": t}, nodes, types=types))
    a, b = plan.placements["a"], plan.placements["b"]
    assert a.offset != b.offset
