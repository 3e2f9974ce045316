"""Decision trees.

In: nodes ``pelemay::Forest`` whose tables are constants. Out: the instruction ``forest``, or one
for each run of trees where a limit for a block of weights is set, which go on from one another's
sums. Nodes lie tree by tree, a level after the other, so that each lies behind those that lead to
it.

>>> i = np.array([0])
>>> one = Forest(i, np.array([2.0], np.float32), i, np.array([[1, 2]]), i == 1, i, np.ones((2, 1)))
>>> words_of(one, laid_out(one))[0, 1:].tolist()
[0, 0, 1]
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pelemay.errors import ExecutionError
from pelemay.graph import DType
from pelemay.graph.operations.forest import COMBINED, COMPARED, Forest
from pelemay.graph.operations.fused import DOMAIN
from pelemay.program.lower.reduction import FLOATS, need_types
from pelemay.program.slices import Slice
from pelemay.program.views import choice, given

if TYPE_CHECKING:
    from pelemay.graph import Node
    from pelemay.program.lowering import Lowering
    from pelemay.program.operand import Operand

Array = npt.NDArray[Any]

EQUAL, NAN = 1 << 31, 1 << 30
"""Bits of a node above the number of its feature: ``PM_NODE_EQUAL`` and ``PM_NODE_NAN``."""

STEP_COST = 16
"""A step from a node to the next, in multiply-accumulates."""

SMALL = 8192
"""Steps below which waking another worker takes longer than the work."""

LEQ, LT, GTE, GT, EQ, NEQ = range(len(COMPARED))


@dataclass(frozen=True)
class Order:
    """Where the nodes and leaves of some trees go.

    Attributes
    ----------
    roots : ndarray of int64
        Where the trees begin, in the whole forest.
    nodes, leaves : ndarray of int64
        Numbers in the whole forest, in the order in which they are stored.
    node_trees, leaf_trees : ndarray of int64
        To which tree each of them belongs, the last of those that share it.
    depth : int
        The steps of the longest walk.
    """

    roots: Array
    nodes: Array
    leaves: Array
    node_trees: Array
    leaf_trees: Array
    depth: int

    def places(self, forest: Forest) -> Array:
        """The new number of each node and leaf of the forest."""
        count = len(forest.features)
        places = np.zeros(count + len(forest.weights), np.int64)
        places[self.nodes] = np.arange(len(self.nodes))
        places[count + self.leaves] = max(1, len(self.nodes)) + np.arange(len(self.leaves))
        return places


def laid_out(forest: Forest) -> Order:
    """The order of all nodes that walks come to.

    Raises
    ------
    ExecutionError
        If a walk never comes to a leaf, or leads to what is not there.
    """
    count, roots = len(forest.features), forest.roots
    levels = list(forest.levels())
    level = np.zeros(count, np.int64)
    for depth, nodes in enumerate(levels):
        level[nodes] = depth
    trees = np.full(count + len(forest.weights), -1)
    np.maximum.at(trees, roots, np.arange(len(roots)))
    for depth, nodes in enumerate(levels):
        done = nodes[level[nodes] == depth]
        np.maximum.at(trees, forest.follow[done].reshape(-1), np.repeat(trees[done], 2))
    nodes, leaves = (np.flatnonzero(part >= 0) for part in (trees[:count], trees[count:]))
    nodes = nodes[np.lexsort((level[nodes], trees[nodes]))]
    leaves = leaves[np.argsort(trees[count + leaves], kind="stable")]
    return Order(roots, nodes, leaves, trees[nodes], trees[count + leaves], len(levels))


def words_of(forest: Forest, order: Order) -> Array:
    """Nodes (nodes, words) as the kernel reads them: threshold, feature, steps for no and for yes.

    Every comparison is one for at most the threshold, or for equality: less is at most the number
    before, and where the opposite is asked for, the steps change places.
    """
    modes, values = (table[order.nodes] for table in (forest.modes, forest.values))
    turned = np.isin(modes, (GTE, GT, NEQ))
    below = np.isin(modes, (LT, GTE))
    least = np.asarray(-np.inf, values.dtype)
    with np.errstate(invalid="ignore"):
        before = np.where(values == least, np.nan, np.nextafter(values, least)).astype(values.dtype)
    thresholds = np.where(below, before, values)
    thresholds[np.isnan(values) & np.isin(modes, (GTE, GT))] = np.inf
    nan_is_yes = (forest.missing[order.nodes] | (modes == NEQ)) != turned
    bits = np.isin(modes, (EQ, NEQ)) * EQUAL + nan_is_yes * NAN
    steps = order.places(forest)[forest.follow[order.nodes]] - np.arange(len(modes))[:, None] - 1
    steps[turned] = steps[turned, ::-1]
    size = values.dtype.itemsize // 4
    words = np.zeros((max(1, len(modes)), size + 3), np.uint32)
    words[: len(modes), :size] = thresholds.view(np.uint32).reshape(-1, size)
    words[: len(modes), size] = forest.features[order.nodes] + bits
    words[: len(modes), size + 1 :] = steps
    return words.view(np.int32)


def _kinds(words: Array) -> int:
    """``pm_forest_kinds``: which bits there are."""
    features = words[:, -3].view(np.uint32)
    return int(np.any(features & EQUAL)) + 2 * int(np.any(features & NAN))


def _slices(forest: Forest, order: Order, limit: int | None) -> list[Slice]:
    """As many trees at a time as blocks of so many bytes hold, one at least."""
    count = len(order.roots)
    if limit is None:
        return [Slice(0, count)]
    width = forest.values.dtype.itemsize
    row = forest.weights.shape[1] * max(width, 4)
    nodes = np.bincount(order.node_trees, minlength=count) * (width + 12)
    leaves = np.bincount(order.leaf_trees, minlength=count) * row
    ends, sums = [0], [0, 0]
    for tree, sizes in enumerate(zip(nodes.tolist(), leaves.tolist(), strict=True)):
        sums = [a + b for a, b in zip(sums, sizes, strict=True)]
        if max(sums) > limit and tree > ends[-1]:
            ends.append(tree)
            sums = list(sizes)
    return [Slice(*pair) for pair in pairwise([*ends, count])]


def _checked(l: Lowering, forest: Forest, x: Operand, y: Operand) -> Order:
    """The order of all trees, if the kernel takes them."""
    need_types(l, FLOATS, x, y)
    if any(operand.shape[1] > 1 and operand.strides[1] != 1 for operand in (x, y)):
        raise l.unsupported(f"features of strides {x.strides}")
    if not (x.size and y.size and len(forest.roots) and len(forest.weights)):
        raise l.unsupported("nothing to compare, or nothing to give")
    features = forest.features
    if len(features) and not 0 <= features.min() <= features.max() < x.shape[1]:
        raise l.unsupported(f"a feature beyond the {x.shape[1]} that there are")
    try:
        return laid_out(forest)
    except ExecutionError as error:
        raise l.unsupported(str(error)) from error


def _forest(l: Lowering, node: Node) -> None:
    forest, x, y = _tables(l, node), l.tensor(node.inputs[0]), l.tensor(node.outputs[0])
    order = _checked(l, forest, x, y)
    combine, start = choice(node, "combine", COMBINED), None
    for trees in _slices(forest, order, l.block_bytes):
        part = replace(forest, roots=forest.roots[trees.first : trees.last])
        chosen = laid_out(part)
        words = words_of(part, chosen)
        blocks = _blocks(l, node, part, chosen, words, trees.key(len(forest.roots)))
        steps = x.shape[0] * trees.size * (chosen.depth + 1)
        inputs = [x, *blocks, start]
        params = (combine, _kinds(words))
        l.emit("forest", inputs, [y], params, cost=STEP_COST * steps, serial=steps < SMALL)
        start = y


def _tables(l: Lowering, node: Node) -> Forest:
    found = [l.constant(name) if (name := given(node, index)) else None for index in range(1, 9)]
    if any(constant is None for constant in found[:7]):
        raise l.unsupported("its tables are not known")
    arrays: list[Any] = [None if constant is None else constant.array() for constant in found]
    return Forest(*arrays)


def _blocks(
    l: Lowering, node: Node, forest: Forest, order: Order, words: Array, key: str
) -> list[Operand | None]:
    """Nodes, roots, weights and targets of some trees."""
    roots = order.places(forest)[order.roots].astype(np.int32)
    targets = None if forest.targets is None else forest.targets[order.leaves].astype(np.int32)

    def block(name: str, array: Array) -> Operand:
        def pieces() -> Iterator[Array]:
            yield array

        dtype = DType.of_numpy(array.dtype)
        return l.packed(node.outputs[0], f"forest-{name}{key}", array.shape, dtype, pieces)

    weights = forest.weights[order.leaves]
    made = [block("nodes", words), block("roots", roots), block("weights", weights)]
    return [*made, None if targets is None else block("targets", targets)]


LOWERINGS = {(DOMAIN, "Forest"): _forest}
