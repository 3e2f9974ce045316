"""Ensembles of decision trees of ``ai.onnx.ml``.

In: rows of features. Out: for a regressor sums over trees, for a classifier labels and scores. The
attributes become the tables of a :class:`~pelemay.graph.operations.forest.Forest`. Source: ONNX,
docs/Operators-ml.md; where that leaves something open, what onnxruntime does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Any

import numpy as np
import numpy.typing as npt

from pelemay.errors import ExecutionError
from pelemay.graph.operations.classes import ML, best, either, opposed, transformed
from pelemay.graph.operations.common import Array, full_like, in_float32
from pelemay.graph.operations.forest import COMPARED, Floats, Forest, Ints, summed
from pelemay.graph.operations.table import Operation

LEAF = "LEAF"


@dataclass(frozen=True)
class Leaves:
    """What leaves give, by tree and number of the node."""

    trees: Sequence[int]
    nodes: Sequence[int]
    targets: Sequence[int]
    weights: Any


def _forest(dtype: Any, nodes: dict[str, Any], leaves: Leaves, targets: int) -> Forest:
    """From the attributes of the first four versions; the first node of a tree is its root."""
    trees, numbers = (_ints(nodes[f"nodes_{key}"]) for key in ("treeids", "nodeids"))
    names = np.asarray(nodes["nodes_modes"], object)
    keys = zip(trees.tolist(), numbers.tolist(), strict=True)
    ends, inner = names == LEAF, np.flatnonzero(names != LEAF)
    places = np.where(ends, len(inner) + np.cumsum(ends) - 1, np.cumsum(~ends) - 1)
    at = dict(zip(keys, places.tolist(), strict=True))
    follow = np.zeros((len(inner), 2), np.int64)
    for column, key in enumerate(("falsenodeids", "truenodeids")):
        goals = _ints(nodes[f"nodes_{key}"])[inner].tolist()
        follow[:, column] = [at[key] for key in zip(trees[inner].tolist(), goals, strict=True)]
    rows = _ints([at[key] for key in zip(leaves.trees, leaves.nodes, strict=True)]) - len(inner)
    kept = rows >= 0
    given = _ints(leaves.targets)[kept], np.asarray(leaves.weights, dtype)[kept]
    return Forest(
        _ints(nodes["nodes_featureids"])[inner],
        np.asarray(_either_form(nodes, "nodes_values"), dtype)[inner],
        _ints([_place(name) for name in names[inner]]),
        follow,
        _missing(nodes, len(names))[inner],
        places[np.sort(np.unique(trees, return_index=True)[1])],
        *_given(rows[kept], *given, (len(names) - len(inner), targets)),
    )


def _given(
    rows: Ints, targets: Ints, weights: Floats, sizes: tuple[int, int]
) -> tuple[Floats, Ints | None]:
    """Weights and targets of leaves, (leaves, k), from what each of the rows is given.

    There are no targets where every leaf gives to each of them once.
    """
    leaves, count = sizes
    if len(rows) == leaves * count and len(np.unique(rows * count + targets)) == len(rows):
        made = np.zeros(sizes, weights.dtype)
        made[rows, targets] = weights
        return made, None
    order = np.argsort(rows, kind="stable")
    sorted_rows = rows[order]
    place = np.arange(len(rows)) - np.searchsorted(sorted_rows, sorted_rows)
    shape = (leaves, int(place.max(initial=0)) + 1)
    made, of = np.zeros(shape, weights.dtype), np.full(shape, -1, np.int64)
    made[sorted_rows, place], of[sorted_rows, place] = weights[order], targets[order]
    return made, of


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
    y = summed(xp, forest, rows, n_targets, aggregate_function)
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
    count = 1 if alone else len(labels)
    forest = _forest(rows.dtype, nodes, leaves, count)
    y = summed(xp, forest, rows, count)
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


@in_float32
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
    nodes = len(nodes_featureids)
    goals = [
        np.where(_ints(leafs) != 0, _ints(ids) + nodes, _ints(ids))
        for ids, leafs in (
            (nodes_falsenodeids, nodes_falseleafs),
            (nodes_truenodeids, nodes_trueleafs),
        )
    ]
    targets, weights = _ints(leaf_targetids), np.asarray(leaf_weights, x.dtype)
    sizes = (len(targets), n_targets)
    forest = Forest(
        _ints(nodes_featureids),
        np.asarray(nodes_splits, x.dtype),
        _ints(nodes_modes),
        np.stack(goals, axis=1),
        _missing({"nodes_missing_value_tracks_true": nodes_missing_value_tracks_true}, nodes),
        _ints(tree_roots),
        *_given(np.arange(len(targets)), targets, weights, sizes),
    )
    if membership_values is not None:
        forest = _of_members(forest, np.asarray(membership_values).tolist())
    y = summed(xp, forest, x, n_targets, AGGREGATES[aggregate_function])
    return transformed(xp, y, TRANSFORMS[post_transform])


def _of_members(forest: Forest, members: list[float]) -> Forest:
    """A test for one of several values as a chain of tests, each for one of them.

    The values of each such node end with NaN; the first takes the node's place, and the others
    come after all nodes.
    """
    equal, member, left = COMPARED.index("BRANCH_EQ"), len(COMPARED), iter(members)
    chains = {node: _until_nan(left) for node in np.flatnonzero(forest.modes == member).tolist()}
    count = len(forest.features)
    longer = sum(max(0, len(values) - 1) for values in chains.values())
    goals = np.where(forest.follow >= count, forest.follow + longer, forest.follow)
    rows, follow = list(range(count)), goals.tolist()
    values, modes = forest.values.tolist(), forest.modes.tolist()
    for node, chosen in chains.items():
        values[node], modes[node] = chosen[0] if chosen else np.nan, equal
        at, (otherwise, then) = node, follow[node]
        for value in chosen[1:]:
            follow[at][0] = at = len(follow)
            follow.append([otherwise, then])
            rows.append(node)
            values.append(value)
            modes.append(equal)
    return replace(
        forest,
        features=forest.features[rows],
        values=np.asarray(values, forest.values.dtype),
        modes=_ints(modes),
        follow=_ints(follow),
        missing=forest.missing[rows],
        roots=np.where(forest.roots >= count, forest.roots + longer, forest.roots),
    )


def _until_nan(values: Iterator[float]) -> list[float]:
    return list(takewhile(lambda value: value == value, values))


GROUP = "classical"

ROWS = (
    Operation("TreeEnsemble", tree_ensemble, GROUP, domain=ML),
    Operation("TreeEnsembleClassifier", tree_ensemble_classifier, GROUP, domain=ML),
    Operation("TreeEnsembleRegressor", tree_ensemble_regressor, GROUP, domain=ML),
)
