"""Forests for tests: random tables, and walks through them in the plainest way."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from pelemay.graph import ArrayConstant, DType, Graph, Node, TensorType
from pelemay.graph.operations.forest import COMPARED, Forest

FEATURES = 5


def random_forest(
    *,
    trees: int = 13,
    nodes: int = 20,
    targets: int = 1,
    given: int = 0,
    modes: Sequence[int] = (0,),
    missing: bool = False,
    dtype: Any = np.float32,
    seed: int = 0,
) -> Forest:
    """Trees of many forms, of up to so many nodes; ``given`` targets of each leaf, 0 for all.

    Thresholds are small whole numbers, so that equality happens.
    """
    rng = np.random.default_rng(seed)
    sizes = rng.integers(0, nodes + 1, trees)
    count, leaf = int(sizes.sum()), 0
    roots, follow = [], np.zeros((count, 2), np.int64)
    for first, size in zip(np.cumsum(sizes) - sizes, sizes, strict=True):
        open_ends: list[tuple[Any, Any]] = []
        for number in range(first, first + size):
            if open_ends:
                follow[open_ends.pop(int(rng.integers(len(open_ends))))] = number
            open_ends += [(number, 0), (number, 1)]
        roots.append(first if size else count + leaf)
        for place in open_ends:
            follow[place], leaf = count + leaf, leaf + 1
        leaf += not size
    shuffled = rng.permutation(count)
    places = np.concatenate([shuffled, np.arange(count, count + leaf)])
    turned = np.empty_like(follow)
    turned[shuffled] = places[follow]
    width = given or targets
    return Forest(
        features=rng.integers(0, FEATURES, count),
        values=rng.integers(-2, 3, count).astype(dtype),
        modes=rng.choice(np.asarray(modes, np.int64), count),
        follow=turned,
        missing=(rng.random(count) < 0.5) & missing,
        roots=places[roots],
        weights=rng.standard_normal((leaf, width)).astype(dtype),
        targets=rng.integers(-1, targets, (leaf, width)) if given else None,
    )


def rows_for(count: int, dtype: Any = np.float32, *, holes: bool = False, seed: int = 1) -> Any:
    """Features that often are what thresholds are."""
    rng = np.random.default_rng(seed)
    x = rng.integers(-2, 3, (count, FEATURES)).astype(dtype)
    x += (rng.random(x.shape) < 0.5) * rng.standard_normal(x.shape).astype(dtype)
    return np.where(rng.random(x.shape) < 0.2, np.nan, x).astype(dtype) if holes else x


def walked(forest: Forest, x: Any, targets: int, combine: str = "SUM") -> Any:
    """What the leaves give, one row and one tree after the other."""
    y = np.full((len(x), targets), 0.0 if combine == "SUM" else np.nan, x.dtype)
    for row in range(len(x)):
        for root in forest.roots:
            leaf = _leaf(forest, int(root), x[row])
            of = range(targets) if forest.targets is None else forest.targets[leaf]
            for target, weight in zip(of, forest.weights[leaf], strict=True):
                if target >= 0:
                    y[row, target] = _combined(y[row, target], weight, combine)
    return y


def _combined(old: Any, weight: Any, combine: str) -> Any:
    if combine == "SUM":
        return old + weight
    if math.isnan(old):
        return weight
    return min(old, weight) if combine == "MIN" else max(old, weight)


def _leaf(forest: Forest, at: int, row: Any) -> int:
    while at < len(forest.features):
        value, against = row[forest.features[at]], forest.values[at]
        holds = {
            "BRANCH_LEQ": value <= against,
            "BRANCH_LT": value < against,
            "BRANCH_GTE": value >= against,
            "BRANCH_GT": value > against,
            "BRANCH_EQ": value == against,
            "BRANCH_NEQ": value != against,
        }[COMPARED[forest.modes[at]]]
        at = int(forest.follow[at, int(holds or (forest.missing[at] and math.isnan(value)))])
    return at - len(forest.features)


def graph_of(forest: Forest, rows: int, targets: int, combine: str = "SUM") -> Graph:
    """One node over so many rows."""
    dtype = DType.of_numpy(forest.values.dtype)
    names = ("features", "values", "modes", "follow", "missing", "roots", "weights", "targets")
    tables = {name: getattr(forest, name) for name in names}
    constants = {n: ArrayConstant.of(table) for n, table in tables.items() if table is not None}
    attributes = {"n_targets": targets, "combine": combine}
    node = Node("Forest", ("x", *constants), ("y",), attributes, "pelemay")
    x, y = TensorType(dtype, (rows, FEATURES)), TensorType(dtype, (rows, targets))
    return Graph("g", {"x": x}, {"y": y}, (node,), constants)


def without_nodes(forest: Forest) -> Forest:
    """The same leaves, each a tree of its own."""
    none: dict[str, Any] = {"follow": np.zeros((0, 2), np.int64)}
    for name in ("features", "values", "modes", "missing"):
        none[name] = getattr(forest, name)[:0]
    return replace(forest, roots=np.arange(len(forest.weights)), **none)
