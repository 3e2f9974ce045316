"""Ensembles of decision trees of ``ai.onnx.ml``.

In: rows of features. Out: for a regressor sums over trees, for a classifier labels and scores. All
trees are walked at once, a level a step: a table of nodes says for each where it goes on, and a
leaf goes on to itself. Source: ONNX, docs/Operators-ml.md; where that leaves something open, what
onnxruntime does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pelemay.errors import ExecutionError
from pelemay.graph.operations.classes import ML, best, either, opposed, transformed
from pelemay.graph.operations.common import Array, full_like
from pelemay.graph.operations.table import Operation

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[Any]

COMPARED = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ")
MEMBER, LEAF = "BRANCH_MEMBER", "LEAF"


@dataclass(frozen=True)
class Forest:
    """All nodes of all trees in one table.

    Attributes
    ----------
    features : ndarray of int64, (nodes,)
        Which feature is compared; of a leaf 0.
    values : ndarray, (nodes,)
        What it is compared with.
    modes : ndarray of int64, (nodes,)
        How: a place in :data:`COMPARED`.
    follow : ndarray of int64, (nodes, 2)
        The next node where the comparison does not hold, and where it does; a leaf itself.
    missing : ndarray of bool, (nodes,)
        Whether a feature that is NaN counts as one for which it holds.
    roots : ndarray of int64, (trees,)
        Where each tree begins.
    weights : ndarray, (nodes, targets)
        What a leaf gives.
    """

    features: Ints
    values: Floats
    modes: Ints
    follow: Ints
    missing: npt.NDArray[np.bool_]
    roots: Ints
    weights: Floats

    @property
    def levels(self) -> int:
        """The steps after which every walk has come to a leaf.

        Raises
        ------
        ExecutionError
            If there is a walk that never does.
        """
        at, count = np.unique(self.roots), 0
        while True:
            onward = np.unique(self.follow[at])
            at = onward[self.follow[onward, 1] != onward]
            if not at.size:
                return count + 1
            count += 1
            if count > len(self.features):
                raise ExecutionError("the nodes of a tree lead back to themselves")


def _walked(xp: Any, forest: Forest, x: Array) -> Array:
    """(rows, trees): the leaf that each row comes to in each tree."""
    count = len(forest.roots)
    at = np.broadcast_to(forest.roots, (x.shape[0], count))
    for _ in range(forest.levels):
        flat = xp.reshape(at, (-1,))
        features = xp.reshape(xp.take(forest.features, flat, axis=0), (x.shape[0], count))
        found = xp.take_along_axis(x, features, axis=1)
        holds = _compared(xp, forest, found, flat)
        step = xp.reshape(flat, at.shape) * np.int64(2) + xp.astype(holds, xp.int64)
        onward = xp.take(forest.follow.reshape(-1), xp.reshape(step, (-1,)), axis=0)
        at = xp.reshape(onward, (x.shape[0], count))
    return at


def _compared(xp: Any, forest: Forest, found: Array, at: Array) -> Array:
    """Whether the comparison of each node holds."""

    def of(table: Any) -> Array:
        return xp.reshape(xp.take(table, at, axis=0), found.shape)

    inner = forest.follow[:, 0] != forest.follow[:, 1]
    modes = np.unique(forest.modes[inner]).tolist() or [0]
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


def summed(xp: Any, forest: Forest, x: Array, how: str = "SUM") -> Array:
    """(rows, targets): what the leaves of all trees give together.

    Raises
    ------
    ExecutionError
        If there is no such way to put them together.
    """
    leaves = _walked(xp, forest, x)
    targets = forest.weights.shape[1]
    given = xp.take(forest.weights, xp.reshape(leaves, (-1,)), axis=0)
    given = xp.reshape(given, (*leaves.shape, targets))
    if how in ("SUM", "AVERAGE"):
        total = xp.sum(given, axis=1)
        return total if how == "SUM" else total / full_like(xp, len(forest.roots), total)
    if how not in ("MIN", "MAX"):
        allowed = "SUM, AVERAGE, MIN, MAX"
        raise ExecutionError(f"aggregate_function '{how}' is not known; allowed: {allowed}")
    return (xp.min if how == "MIN" else xp.max)(given, axis=1)


def _forest(dtype: Any, nodes: dict[str, Any], leaves: Leaves, targets: int) -> Forest:
    """From the attributes of the first four versions; the first node of a tree is its root."""
    trees, numbers = (_ints(nodes[f"nodes_{key}"]) for key in ("treeids", "nodeids"))
    names = list(nodes["nodes_modes"])
    at = {key: row for row, key in enumerate(zip(trees.tolist(), numbers.tolist(), strict=True))}
    own = np.arange(len(names))
    leaf = np.asarray([name == LEAF for name in names])
    follow = np.stack([own, own], axis=1)
    for column, key in enumerate(("falsenodeids", "truenodeids")):
        goals = _ints(nodes[f"nodes_{key}"])
        inner = np.flatnonzero(~leaf).tolist()
        follow[inner, column] = [at[int(trees[row]), int(goals[row])] for row in inner]
    weights = np.zeros((len(names), targets), dtype)
    rows = [at[key] for key in zip(leaves.trees, leaves.nodes, strict=True)]
    np.add.at(weights, (rows, list(leaves.targets)), np.asarray(leaves.weights, dtype))
    return Forest(
        np.where(leaf, 0, _ints(nodes["nodes_featureids"])),
        np.asarray(_either_form(nodes, "nodes_values"), dtype),
        np.asarray([0 if name == LEAF else _place(name) for name in names]),
        follow,
        _missing(nodes, len(names)),
        np.sort(np.unique(trees, return_index=True)[1]),
        weights,
    )


@dataclass(frozen=True)
class Leaves:
    """What leaves give, by tree and number of the node."""

    trees: Sequence[int]
    nodes: Sequence[int]
    targets: Sequence[int]
    weights: Any


def _ints(values: Any) -> Ints:
    return np.asarray(values, np.int64)


def _place(name: str) -> int:
    if name not in COMPARED:
        allowed = ", ".join((*COMPARED, LEAF))
        raise ExecutionError(f"mode '{name}' of a node is not known; allowed: {allowed}")
    return COMPARED.index(name)


def _either_form(given: dict[str, Any], name: str) -> Any:
    """An attribute, or the tensor that stands for it where doubles are meant."""
    tensor = given.get(f"{name}_as_tensor")
    return given.get(name, ()) if tensor is None else np.asarray(tensor).reshape(-1)


def _missing(nodes: dict[str, Any], count: int) -> npt.NDArray[np.bool_]:
    given = nodes.get("nodes_missing_value_tracks_true") or (0,) * count
    return np.asarray(given).astype(bool)


def _numbers(xp: Any, x: Array) -> Array:
    """Features as they are compared: doubles stay, all else is float32."""
    return x if x.dtype == xp.float64 else xp.astype(x, xp.float32)


def _in_float32(xp: Any, y: Array) -> Array:
    return xp.astype(y, xp.float32) if y.dtype != xp.float32 else y


def tree_ensemble_regressor(
    xp: Any,
    x: Array,
    *,
    nodes_treeids: tuple[int, ...],
    nodes_nodeids: tuple[int, ...],
    nodes_featureids: tuple[int, ...],
    nodes_modes: tuple[str, ...],
    nodes_truenodeids: tuple[int, ...],
    nodes_falsenodeids: tuple[int, ...],
    target_treeids: tuple[int, ...],
    target_nodeids: tuple[int, ...],
    target_ids: tuple[int, ...],
    target_weights: tuple[float, ...] = (),
    target_weights_as_tensor: Any = None,
    nodes_values: tuple[float, ...] = (),
    nodes_values_as_tensor: Any = None,
    nodes_missing_value_tracks_true: tuple[int, ...] = (),
    nodes_hitrates: tuple[float, ...] = (),
    nodes_hitrates_as_tensor: Any = None,
    base_values: tuple[float, ...] = (),
    base_values_as_tensor: Any = None,
    n_targets: int = 1,
    aggregate_function: str = "SUM",
    post_transform: str = "NONE",
) -> Array:
    """Each target: what the trees give together, plus its base value, after a transform."""
    nodes = {key: value for key, value in locals().items() if key.startswith("nodes_")}
    given = target_weights if target_weights_as_tensor is None else target_weights_as_tensor
    rows = _numbers(xp, x)
    leaves = Leaves(target_treeids, target_nodeids, target_ids, given)
    forest = _forest(rows.dtype, nodes, leaves, n_targets)
    y = summed(xp, forest, rows, aggregate_function)
    base = base_values if base_values_as_tensor is None else base_values_as_tensor
    if len(base):
        y = y + np.asarray(base, forest.weights.dtype)
    return transformed(xp, _in_float32(xp, y), post_transform)


def tree_ensemble_classifier(
    xp: Any,
    x: Array,
    *,
    nodes_treeids: tuple[int, ...],
    nodes_nodeids: tuple[int, ...],
    nodes_featureids: tuple[int, ...],
    nodes_modes: tuple[str, ...],
    nodes_truenodeids: tuple[int, ...],
    nodes_falsenodeids: tuple[int, ...],
    class_treeids: tuple[int, ...],
    class_nodeids: tuple[int, ...],
    class_ids: tuple[int, ...],
    class_weights: tuple[float, ...] = (),
    class_weights_as_tensor: Any = None,
    classlabels_int64s: tuple[int, ...] = (),
    classlabels_strings: tuple[str, ...] = (),
    nodes_values: tuple[float, ...] = (),
    nodes_values_as_tensor: Any = None,
    nodes_missing_value_tracks_true: tuple[int, ...] = (),
    nodes_hitrates: tuple[float, ...] = (),
    nodes_hitrates_as_tensor: Any = None,
    base_values: tuple[float, ...] = (),
    base_values_as_tensor: Any = None,
    post_transform: str = "NONE",
) -> tuple[Array, Array]:
    """Labels, and a score for each class; of two classes the trees may know only one."""
    nodes = {key: value for key, value in locals().items() if key.startswith("nodes_")}
    labels = classlabels_int64s or classlabels_strings
    given = class_weights if class_weights_as_tensor is None else class_weights_as_tensor
    base = base_values if base_values_as_tensor is None else base_values_as_tensor
    rows, known = _numbers(xp, x), set(class_ids)
    alone = len(labels) == 2 and known == {0}
    leaves = Leaves(class_treeids, class_nodeids, class_ids, given)
    forest = _forest(rows.dtype, nodes, leaves, 1 if alone else len(labels))
    y = summed(xp, forest, rows)
    if len(base):
        y = y + np.asarray(base[-1:] if alone else base, forest.weights.dtype)
    scores = _in_float32(xp, y)
    if len(labels) != 2 or len(known) != 1:
        return best(xp, scores, labels), transformed(xp, scores, post_transform)
    positive = bool(np.all(np.asarray(given) >= 0))
    score = scores[:, -1]
    label = either(xp, score > full_like(xp, 0.5 if positive else 0, score), labels)
    if not alone:
        return label, transformed(xp, scores, post_transform)
    return label, opposed(xp, scores, post_transform, probability=positive)


AGGREGATES = ("AVERAGE", "SUM", "MIN", "MAX")
TRANSFORMS = ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT")


def tree_ensemble(
    xp: Any,
    x: Array,
    *,
    tree_roots: tuple[int, ...],
    nodes_splits: Any,
    nodes_featureids: tuple[int, ...],
    nodes_modes: Any,
    nodes_truenodeids: tuple[int, ...],
    nodes_falsenodeids: tuple[int, ...],
    nodes_trueleafs: tuple[int, ...],
    nodes_falseleafs: tuple[int, ...],
    leaf_targetids: tuple[int, ...],
    leaf_weights: Any,
    membership_values: Any = None,
    nodes_missing_value_tracks_true: tuple[int, ...] = (),
    nodes_hitrates: Any = None,
    n_targets: int = 1,
    aggregate_function: int = 1,
    post_transform: int = 0,
) -> Array:
    """The fifth version: trees that begin at their roots, leaves apart from nodes."""
    nodes, leaves = len(nodes_featureids), len(leaf_targetids)
    goals = [
        np.where(_ints(leafs) != 0, _ints(ids) + nodes, _ints(ids))
        for ids, leafs in (
            (nodes_falsenodeids, nodes_falseleafs),
            (nodes_truenodeids, nodes_trueleafs),
        )
    ]
    own = np.arange(nodes, nodes + leaves)
    weights = np.zeros((nodes + leaves, n_targets), x.dtype)
    weights[own, _ints(leaf_targetids)] = np.asarray(leaf_weights, x.dtype)
    missing = nodes_missing_value_tracks_true or (0,) * nodes
    forest = Forest(
        np.concatenate([_ints(nodes_featureids), np.zeros(leaves, np.int64)]),
        np.concatenate([np.asarray(nodes_splits, x.dtype), np.zeros(leaves, x.dtype)]),
        np.concatenate([_ints(nodes_modes), np.zeros(leaves, np.int64)]),
        np.concatenate([np.stack(goals, axis=1), np.stack([own, own], axis=1)]),
        np.concatenate([np.asarray(missing).astype(bool), np.zeros(leaves, bool)]),
        _ints(tree_roots),
        weights,
    )
    if membership_values is not None:
        forest = _of_members(forest, np.asarray(membership_values).tolist())
    y = summed(xp, forest, x, AGGREGATES[aggregate_function])
    return transformed(xp, y, TRANSFORMS[post_transform])


def _of_members(forest: Forest, members: list[float]) -> Forest:
    """A test for one of several values as a chain of tests, each for one of them.

    The values of each such node end with NaN; the first takes the node's place.
    """
    equal, member, left = COMPARED.index("BRANCH_EQ"), len(COMPARED), iter(members)
    table = [forest.features, forest.values, forest.modes, forest.missing]
    features, values, modes, missing = (column.tolist() for column in table)
    follow, weights = forest.follow.tolist(), list(forest.weights)
    for node in np.flatnonzero(forest.modes == member).tolist():
        chosen = []
        for value in left:
            if value != value:
                break
            chosen.append(value)
        values[node], modes[node] = chosen[0] if chosen else np.nan, equal
        at, otherwise = node, follow[node][0]
        for value in chosen[1:]:
            follow[at][0] = len(features)
            at = len(features)
            features.append(features[node])
            values.append(value)
            modes.append(equal)
            missing.append(missing[node])
            weights.append(np.zeros_like(weights[0]))
            follow.append([otherwise, follow[node][1]])
    return replace(
        forest,
        features=_ints(features),
        values=np.asarray(values, forest.values.dtype),
        modes=_ints(modes),
        follow=_ints(follow),
        missing=np.asarray(missing, bool),
        weights=np.asarray(weights),
    )


GROUP = "classical"

ROWS = (
    Operation("TreeEnsemble", tree_ensemble, GROUP, domain=ML),
    Operation("TreeEnsembleClassifier", tree_ensemble_classifier, GROUP, domain=ML),
    Operation("TreeEnsembleRegressor", tree_ensemble_regressor, GROUP, domain=ML),
)
