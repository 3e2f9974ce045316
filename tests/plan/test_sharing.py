"""What shares memory: places of operands, views, concatenations without copies."""

from __future__ import annotations

import array_api_compat.numpy as xp
import numpy as np

from pelemay.graph import DType, Graph
from pelemay.graph.evaluate import Table, evaluate
from pelemay.plan import Plan, plan_graph
from pelemay.plan.check import check_plan
from support.planned import run_planned
from support.plans import Builder, feeds_of


def planned(graph: Graph) -> Plan:
    """A plan that keeps the meaning."""
    plan = plan_graph(graph)
    check_plan(plan)
    feeds = feeds_of(graph)
    found = run_planned(plan, feeds)
    for name, value in evaluate(graph, feeds, Table(xp)).items():
        np.testing.assert_array_equal(found[name], value)
    return plan


def place(plan: Plan, name: str) -> tuple[str, str, int]:
    found = plan.placements[name]
    return found.space, found.buffer, found.offset


def test_a_result_takes_the_place_of_an_operand_that_dies() -> None:
    b = Builder()
    x = b.conv(b.input(1, 4, 4, 8), 8)
    y = b.relu(x)
    plan = planned(b.graph(b.conv(y, 4)))
    assert plan.placements[x] == plan.placements[y]
    assert plan.arena_bytes == 4 * 4 * 8 * 4


def test_a_result_leaves_an_operand_that_is_read_again() -> None:
    b = Builder()
    x = b.conv(b.input(1, 4, 4, 8), 8)
    y = b.relu(x)
    plan = planned(b.graph(b.conv(b.conv(y, 8, residual=x), 1)))
    assert place(plan, x) != place(plan, y)


def test_the_callers_input_is_not_written() -> None:
    b = Builder()
    x = b.input(1, 4, 4, 8)
    y = b.relu(x)
    assert planned(b.graph(b.conv(y, 4))).placements[y].space == "arena"


def test_a_value_lies_in_the_output_that_takes_its_place() -> None:
    b = Builder()
    x = b.conv(b.input(1, 4, 4, 8), 8)
    plan = planned(b.graph(b.relu(x)))
    assert (plan.placements[x].space, plan.arena_bytes) == ("output", 0)


def test_a_residual_is_accumulated_where_it_lies() -> None:
    b = Builder()
    x = b.conv(b.input(1, 4, 4, 8), 8)
    y = b.conv(b.conv(x, 8), 8, residual=x)
    plan = planned(b.graph(b.conv(y, 1)))
    assert plan.placements[x] == plan.placements[y]
    assert plan.arena_bytes == 2 * 4 * 4 * 8 * 4


def test_a_residual_that_is_convolved_too_is_not_overwritten() -> None:
    b = Builder()
    x = b.conv(b.input(1, 4, 4, 8), 8)
    y = b.conv(x, 8, residual=x)
    plan = planned(b.graph(b.conv(y, 1)))
    assert place(plan, x) != place(plan, y)


def test_reshapes_and_transposes_of_outer_axes_are_views() -> None:
    b = Builder()
    x = b.conv(b.input(1, 4, 4, 8), 8)
    heads = b.transpose(b.reshape(x, 1, 16, 2, 4), 0, 2, 1, 3)
    y = b.add("Softmax", (heads,), b.shape(heads), axis=-1)
    back = b.reshape(b.transpose(y, 0, 2, 1, 3), 1, 4, 4, 8)
    plan = planned(b.graph(b.conv(back, 2)))
    assert plan.copies == ()
    assert plan.placements[heads].strides[1:] == (4, 8, 1)
    assert place(plan, back) == place(plan, x)


def test_a_transpose_of_the_last_axis_is_copied_for_a_kernel() -> None:
    b = Builder()
    x = b.conv(b.input(1, 4, 4, 8), 8)
    y = b.transpose(x, 0, 3, 1, 2)
    plan = planned(b.graph(b.add("Softmax", (y,), b.shape(y), axis=-1)))
    assert [copy.value for copy in plan.copies] == [x]
    assert plan.copies[0].nbytes == 4 * 4 * 8 * 4


def test_nested_concatenations_are_one_buffer() -> None:
    """DenseNet: each layer reads all before it."""
    b = Builder()
    features = [b.conv(b.input(1, 4, 4, 3), 8)]
    everything = features[0]
    for _ in range(4):
        features.append(b.conv(everything, 4))
        everything = b.concat(*features, axis=3)
    plan = planned(b.graph(b.conv(everything, 2)))
    assert plan.copies == ()
    assert len(plan.buffers) == 1
    assert plan.arena_bytes == 4 * 4 * 24 * 4
    assert plan.placements[features[2]].strides == (384, 96, 24, 1)


def test_parts_of_a_value_and_what_is_made_of_them_lie_side_by_side() -> None:
    """YOLO's C2f: halves of a value, and what is made of one of them, are concatenated."""
    b = Builder()
    y = b.conv(b.input(1, 4, 4, 3), 8)
    left, right = b.slice(y, 3, 0, 4), b.slice(y, 3, 4, 8)
    first = b.conv(right, 4)
    second = b.conv(first, 4)
    plan = planned(b.graph(b.conv(b.concat(left, right, first, second, axis=3), 2)))
    assert (plan.copies, len(plan.buffers)) == ((), 1)
    assert plan.placements[y].strides == (256, 64, 16, 1)


def test_a_part_that_is_dead_is_written_over() -> None:
    """ShuffleNet: one half passes by, the other is replaced by what is made of it."""
    b = Builder()
    y = b.conv(b.input(1, 4, 4, 3), 8)
    kept, used = b.slice(y, 3, 0, 4), b.slice(y, 3, 4, 8)
    made = b.conv(b.conv(used, 4), 4)
    plan = planned(b.graph(b.conv(b.concat(kept, made, axis=3), 2)))
    assert plan.copies == ()
    assert plan.placements[made] == plan.placements[used]


def test_an_operand_twice_in_a_concatenation_is_copied_once() -> None:
    b = Builder()
    x = b.conv(b.input(1, 4, 4, 3), 4)
    plan = planned(b.graph(b.conv(b.concat(x, x, axis=3), 2)))
    assert [copy.value for copy in plan.copies] == [x]


def test_a_concatenation_is_copied_where_its_memory_would_be_held_too_long() -> None:
    """The first part is small and early; its whole would be held while something large runs."""
    b = Builder()
    x = b.input(1, 8, 8, 2)
    early = b.conv(x, 1)
    large = b.conv(b.conv(b.conv(x, 64), 64), 32)
    plan = planned(b.graph(b.conv(b.concat(early, large, axis=3), 1)))
    assert plan.lower_bound_bytes <= 8 * 8 * (64 + 64 + 1) * 4


def test_kernels_that_take_c_order_only_get_it() -> None:
    b = Builder()
    x = b.conv(b.input(1, 4, 4, 3), 4)
    y = b.conv(x, 4)
    whole = b.concat(x, y, axis=3)
    index = b.constant(np.array([0, 0]))
    gathered = b.add("Gather", (x, index), (2, 4, 4, 4), axis=0)
    plan = planned(b.graph(b.conv(whole, 2), b.conv(gathered, 1)))
    assert plan.placements[x].strides == (64, 16, 4, 1)


def test_constants_are_not_moved() -> None:
    b = Builder()
    weights = b.weights(1, 4, 4, 2)
    flat = b.reshape(weights, 32)
    x = b.conv(b.input(1, 4, 4, 3), 2)
    plan = planned(b.graph(b.conv(b.concat(x, weights, axis=3), 2), b.add("Exp", (flat,), (32,))))
    assert plan.placements[flat].space == "constant"
    assert plan.placements[flat].buffer == weights


def test_values_of_another_width_share_only_where_elements_stay_apart() -> None:
    b = Builder()
    x = b.conv(b.input(1, 4, 4, 3), 2)
    kind = {"to": DType.FLOAT64}
    wide = b.add("Cast", (x,), b.shape(x), dtype=DType.FLOAT64, **kind)
    whole = b.add("Cast", (x,), b.shape(x), dtype=DType.INT32, to=DType.INT32)
    plan = planned(b.graph(b.add("Abs", (wide,), b.shape(x), dtype=DType.FLOAT64), whole))
    assert place(plan, wide) != place(plan, x)
    assert plan.placements[whole] == plan.placements[x]
