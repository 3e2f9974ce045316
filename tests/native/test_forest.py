"""Decision trees: every instruction set against the plainest walk, and bytes that are no trees."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pelemay.backends.programs import ProgramRunnable
from pelemay.compilation import compile_graph
from pelemay.engine import native
from pelemay.errors import ExecutionError, ModelError
from pelemay.graph.operations.forest import COMBINED, COMPARED, Forest, forest
from pelemay.program.image import image
from pelemay.program.lower.trees import laid_out, words_of
from pelemay.target import Target
from support.forests import graph_of, random_forest, rows_for, walked, without_nodes
from support.ops import run_op

TYPES = (np.float32, np.float64)
ROWS = (1, 3, 8, 150)


def operands(trees: Forest, x: Any, start: Any = None) -> list[Any]:
    order = laid_out(trees)
    roots = order.places(trees)[order.roots].astype(np.int32)
    of = None if trees.targets is None else trees.targets[order.leaves].astype(np.int32)
    return [x, words_of(trees, order), roots, trees.weights[order.leaves], of, start]


def run(inputs: list[Any], targets: int, params: Any = (0, 3), **options: Any) -> Any:
    made = [((len(inputs[0]), targets), inputs[0].dtype)]
    return run_op("forest", inputs, made, params, weights=(1, 2, 3, 4), **options)[0]


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("kinds", [0, 2, 3])
def test_walks(isa: str, kinds: int, rows: int, dtype: Any) -> None:
    """To the last bit, because the sums are in the same order."""
    modes = range(len(COMPARED)) if kinds == 3 else (0,) if kinds == 0 else (0, 1, 2, 3)
    trees = random_forest(modes=modes, missing=kinds > 0, dtype=dtype, seed=rows)
    x = rows_for(rows, dtype, holes=kinds > 0)
    expected = walked(trees, x, 1)
    for workers in (1, 2, 3):
        found = run(operands(trees, x), 1, (0, kinds), isa=isa, workers=workers)
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("combine", COMBINED)
@pytest.mark.parametrize("given", [0, 1, 2])
def test_targets(isa: str, given: int, combine: str) -> None:
    trees, x = random_forest(targets=3, given=given), rows_for(20)
    params = (COMBINED.index(combine), 0)
    found = run(operands(trees, x), 3, params, isa=isa, workers=2)
    np.testing.assert_array_equal(found, walked(trees, x, 3, combine))


def test_going_on_from_what_was_there(isa: str) -> None:
    trees, x = random_forest(trees=4, targets=2), rows_for(70)
    start = np.ones((70, 2), np.float32)
    inputs = operands(trees, x, start)
    options: Any = {"isa": isa, "weights": (1, 2, 3), "alias": {0: 5}}
    found = run_op("forest", inputs, [((70, 2), np.float32)], (0, 0), **options)[0]
    np.testing.assert_allclose(found, walked(trees, x, 2) + 1, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("value", [-np.inf, np.inf, np.nan, -0.0, 0.0, 1e-45, 3.4e38])
@pytest.mark.parametrize("mode", COMPARED)
def test_ends_of_the_numbers(mode: str, value: float) -> None:
    features, numbers = np.zeros(1, np.int64), np.asarray([value], np.float32)
    one = Forest(
        features,
        numbers,
        np.asarray([COMPARED.index(mode)]),
        np.asarray([[1, 2]]),
        np.asarray([False]),
        features,
        np.asarray([[3], [5]], np.float32),
    )
    ends = [-np.inf, np.inf, np.nan, -0.0, 0.0, 1e-45, -1e-45, 1.0, 3.4e38]
    x = np.asarray(ends, np.float32)[:, None]
    np.testing.assert_array_equal(run(operands(one, x), 1), walked(one, x, 1))


def test_trees_that_are_leaves_only(isa: str) -> None:
    trees, x = without_nodes(random_forest()), rows_for(9)
    np.testing.assert_array_equal(run(operands(trees, x), 1, isa=isa), walked(trees, x, 1))


def test_rows_with_gaps(isa: str) -> None:
    trees, x = random_forest(), np.zeros((6, 11), np.float32)
    x[:, :5] = rows_for(6)
    found = run(operands(trees, x[:, :5]), 1, isa=isa)
    np.testing.assert_array_equal(found, walked(trees, x[:, :5], 1))


@pytest.mark.parametrize("dtype", TYPES)
def test_bytes_that_are_no_trees_end_and_stay_inside(isa: str, dtype: Any) -> None:
    """Blocks are read after the program was checked: whatever they hold, a walk comes to an end."""
    trees, x = random_forest(targets=3, given=2), rows_for(20).astype(dtype)
    rng = np.random.default_rng(0)
    for _ in range(20):
        inputs = operands(trees, x)
        inputs[1] = rng.integers(-(1 << 31), 1 << 31, (9, 4 + (dtype is np.float64)), np.int64)
        if rng.random() < 0.5:
            inputs[1] = inputs[1] % 3
        inputs[1] = inputs[1].astype(np.int32)
        inputs[2] = rng.integers(-(1 << 31), 1 << 31, len(trees.roots), np.int64).astype(np.int32)
        inputs[3] = inputs[3].astype(dtype)
        inputs[4] = rng.integers(-4, 9, inputs[4].shape).astype(np.int32)
        kinds = int(rng.integers(4))
        assert run(inputs, 3, (0, kinds), isa=isa).shape == (20, 3)


@pytest.mark.parametrize(
    ("number", "value"),
    [
        (0, np.zeros((3, 0), np.float32)),
        (0, np.zeros((2, 5), np.float32)),
        (0, np.zeros((3, 5), np.float64)),
        (1, np.zeros((7, 5), np.int32)),
        (1, np.zeros((0, 4), np.int32)),
        (1, np.zeros((7, 4), np.uint32)),
        (2, np.zeros(0, np.int32)),
        (2, np.zeros(3, np.int64)),
        (3, np.zeros((0, 2), np.float32)),
        (3, np.zeros((4, 3), np.float32)),
        (3, None),
        (4, np.zeros((4, 2), np.int64)),
        (4, np.zeros((4, 3), np.int32)),
        (5, np.zeros((3, 1), np.float32)),
    ],
)
def test_operands_that_do_not_fit_are_refused(number: int, value: Any) -> None:
    inputs = [*operands(random_forest(targets=2), rows_for(3)), None][:6]
    made = [((3, 2), np.float32)]
    run_op("forest", inputs, made, (0, 0))
    inputs[number] = value
    with pytest.raises((ModelError, native().NativeError)):
        run_op("forest", inputs, made, (0, 0))


@pytest.mark.parametrize("params", [(3, 0), (-1, 0), (0, 4), (0, -1), (0,), (0, 0, 0)])
def test_parameters_that_do_not_fit_are_refused(params: Any) -> None:
    with pytest.raises((ModelError, native().NativeError)):
        run(operands(random_forest(), rows_for(3)), 1, params)


@pytest.mark.parametrize("combine", COMBINED)
@pytest.mark.parametrize("dtype", TYPES)
def test_slices_of_trees_give_the_same_bits(dtype: Any, combine: str) -> None:
    trees, x = random_forest(targets=2, given=1, dtype=dtype), rows_for(30, dtype)
    graph = graph_of(trees, 30, 2, combine)
    whole, cut = (compile_graph(graph, target=Target(block_bytes=n)) for n in (None, 600))
    assert len(whole.instructions) == 1 < len(cut.instructions)
    assert max(block.nbytes for block in cut.blocks) <= 600
    for program in (whole, cut):
        found = ProgramRunnable(image(program)).run({"x": x})["y"]
        np.testing.assert_array_equal(found, walked(trees, x, 2, combine))


@pytest.mark.parametrize("combine", COMBINED)
@pytest.mark.parametrize("given", [0, 1, 2])
def test_the_meaning(given: int, combine: str) -> None:
    import array_api_compat.numpy as xp

    trees = random_forest(targets=3, given=given, modes=range(6), missing=True)
    x = rows_for(20, holes=True)
    tables = (trees.features, trees.values, trees.modes, trees.follow, trees.missing)
    found = forest(
        xp, x, *tables, trees.roots, trees.weights, trees.targets, n_targets=3, combine=combine
    )
    np.testing.assert_allclose(found, walked(trees, x, 3, combine), rtol=1e-5, atol=1e-6)


def test_nodes_that_several_lead_to() -> None:
    """Where a test for one of several values was, a node is reached from each of its steps."""
    ints, f32 = np.int64, np.float32
    shared = Forest(
        features=np.asarray([0, 0, 1, 1], ints),
        values=np.asarray([1, 2, 0, 3], f32),
        modes=np.asarray([4, 4, 0, 1], ints),
        follow=np.asarray([[1, 3], [2, 3], [4, 5], [6, 2]], ints),
        missing=np.zeros(4, bool),
        roots=np.asarray([0, 3, 1, 6], ints),
        weights=np.asarray([[1], [10], [100]], f32),
    )
    x = np.asarray([[a, b] for a in (0, 1, 2) for b in (-1, 1, 5)], f32)
    np.testing.assert_array_equal(run(operands(shared, x), 1), walked(shared, x, 1))


def test_walks_without_an_end_are_refused() -> None:
    trees = random_forest()
    trees.follow[trees.roots[0]] = trees.roots[0]
    with pytest.raises(ExecutionError, match="back to themselves"):
        laid_out(trees)
    trees.follow[trees.roots[0]] = 1 << 40
    with pytest.raises(ExecutionError, match="not one of"):
        laid_out(trees)
