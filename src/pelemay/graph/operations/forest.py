"""Decision trees as one operation of the dialect: ``pelemay::Forest``.

In: rows of features, and the tables of a :class:`Forest`. Out: what the leaves of all trees give
together. Numbers from 0 on are nodes, those behind them leaves. All trees are walked at once, a
level a step.

>>> import array_api_compat.numpy as xp
>>> sign = Forest(
...     features=np.array([0]), values=np.array([0.0]), modes=np.array([0]),
...     follow=np.array([[1, 2]]), missing=np.array([False]), roots=np.array([0]),
...     weights=np.array([[1.0], [-1.0]]),
... )
>>> summed(xp, sign, xp.asarray([[-3.0], [5.0]]), 1)
array([[-1.],
       [ 1.]])
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pelemay.errors import ExecutionError
from pelemay.graph.operations.common import Array, full_like, standard
from pelemay.graph.operations.fused import DOMAIN
from pelemay.graph.operations.table import Operation

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[Any]

COMPARED = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ")
COMBINED = ("SUM", "MIN", "MAX")


@dataclass(frozen=True)
class Forest:
    """All nodes of all trees in one table, all leaves in another.

    Attributes
    ----------
    features : ndarray of int64, (nodes,)
        Which feature is compared.
    values : ndarray, (nodes,)
        What it is compared with.
    modes : ndarray of int64, (nodes,)
        How: a place in :data:`COMPARED`.
    follow : ndarray of int64, (nodes, 2)
        The next node where the comparison does not hold, and where it does.
    missing : ndarray of bool, (nodes,)
        Whether a feature that is NaN counts as one for which it holds.
    roots : ndarray of int64, (trees,)
        Where each tree begins.
    weights : ndarray, (leaves, k)
        What a leaf gives.
    targets : ndarray of int64, (leaves, k), optional
        To which targets; -1 for none. Where it is left out, each leaf gives to all in their order.
    """

    features: Ints
    values: Floats
    modes: Ints
    follow: Ints
    missing: npt.NDArray[np.bool_]
    roots: Ints
    weights: Floats
    targets: Ints | None = None

    def levels(self) -> Iterator[Ints]:
        """The nodes that are some steps from a root: none, one, and so on.

        Raises
        ------
        ExecutionError
            If a walk never comes to a leaf, or leads to what is not there.
        """
        count, places = len(self.features), len(self.features) + len(self.weights)
        ends = np.concatenate([self.roots.reshape(-1), self.follow.reshape(-1)])
        if ends.size and (ends.min() < 0 or ends.max() >= places):
            raise ExecutionError(f"a tree leads to a node that is not one of its {places}")
        at = np.unique(self.roots)
        for _ in range(count + 1):
            at = at[at < count]
            if not at.size:
                return
            yield at
            at = np.unique(self.follow[at])
        raise ExecutionError("the nodes of a tree lead back to themselves")


def summed(xp: Any, forest: Forest, x: Array, targets: int, how: str = "SUM") -> Array:
    """(rows, targets): what the leaves of all trees give together.

    Raises
    ------
    ExecutionError
        If there is no such way to put them together.
    """
    if how not in (*COMBINED, "AVERAGE"):
        allowed = "SUM, AVERAGE, MIN, MAX"
        raise ExecutionError(f"aggregate_function '{how}' is not known; allowed: {allowed}")
    combine = "SUM" if how == "AVERAGE" else how
    f = forest
    tables = (f.features, f.values, f.modes, f.follow, f.missing, f.roots, f.weights, f.targets)
    y = standard(xp, "Forest", x, *tables, domain=DOMAIN, n_targets=targets, combine=combine)
    if how == "AVERAGE":
        return y / full_like(xp, len(f.roots), y)
    if combine == "SUM" or f.targets is None:
        return y
    return xp.where(xp.isnan(y), full_like(xp, 0, y), y)


def forest(
    xp: Any,
    x: Array,
    features: Ints,
    values: Floats,
    modes: Ints,
    follow: Ints,
    missing: npt.NDArray[np.bool_],
    roots: Ints,
    weights: Floats,
    targets: Ints | None = None,
    *,
    n_targets: int,
    combine: str = "SUM",
) -> Array:
    """As :class:`Forest` has them; a least or largest that no leaf gave is NaN."""
    trees = Forest(features, values, modes, follow, missing, roots, weights, targets)
    leaves = xp.reshape(_walked(xp, trees, x), (-1,))
    size = (x.shape[0], -1, n_targets)
    given = xp.take(weights, leaves, axis=0)
    if targets is None:
        return _combined(xp, combine)(xp.reshape(given, size), axis=1)
    for_which = xp.expand_dims(xp.take(targets, leaves, axis=0), axis=-1)
    hits = for_which == xp.arange(n_targets, dtype=for_which.dtype)
    none = full_like(xp, {"SUM": 0.0, "MIN": np.inf, "MAX": -np.inf}[combine], given)
    spread = xp.reshape(xp.where(hits, xp.expand_dims(given, axis=-1), none), size)
    y = _combined(xp, combine)(spread, axis=1)
    if combine == "SUM":
        return y
    return xp.where(xp.any(xp.reshape(hits, size), axis=1), y, full_like(xp, np.nan, y))


def _combined(xp: Any, combine: str) -> Any:
    return {"SUM": xp.sum, "MIN": xp.min, "MAX": xp.max}[combine]


def _walked(xp: Any, forest: Forest, x: Array) -> Array:
    """(rows, trees): the leaf that each row comes to in each tree."""
    trees, nodes = len(forest.roots), np.int64(len(forest.features))
    at = xp.asarray(np.broadcast_to(forest.roots, (x.shape[0], trees)))
    for _ in forest.levels():
        inner = at < nodes
        flat = xp.reshape(xp.where(inner, at, xp.zeros_like(at)), (-1,))
        features = xp.reshape(xp.take(forest.features, flat, axis=0), at.shape)
        found = xp.take_along_axis(x, features, axis=1)
        holds = _compared(xp, forest, found, flat)
        step = flat * np.int64(2) + xp.astype(xp.reshape(holds, (-1,)), xp.int64)
        onward = xp.take(forest.follow.reshape(-1), step, axis=0)
        at = xp.where(inner, xp.reshape(onward, at.shape), at)
    return at - nodes


def _compared(xp: Any, forest: Forest, found: Array, at: Array) -> Array:
    """Whether the comparison of each node holds."""

    def of(table: Any) -> Array:
        return xp.reshape(xp.take(table, at, axis=0), found.shape)

    modes = np.unique(forest.modes).tolist()
    values = of(forest.values)
    results = [_holds(xp, COMPARED[mode], found, values) for mode in modes]
    holds = results[0]
    for mode, result in zip(modes[1:], results[1:], strict=True):
        holds = xp.where(of(forest.modes) == np.int64(mode), result, holds)
    if forest.missing.any():
        holds = holds | (xp.isnan(found) & of(forest.missing))
    return holds


def _holds(xp: Any, mode: str, a: Array, b: Array) -> Array:
    match mode:
        case "BRANCH_LEQ":
            return a <= b
        case "BRANCH_LT":
            return a < b
        case "BRANCH_GTE":
            return a >= b
        case "BRANCH_GT":
            return a > b
        case "BRANCH_EQ":
            return a == b
    return a != b


ROWS = (Operation("Forest", forest, "classical", host=tuple(range(1, 9)), domain=DOMAIN),)
