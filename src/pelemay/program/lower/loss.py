"""Losses of classifiers.

In: nodes of the family "loss". Out: one instruction, and one for the logarithms of the
probabilities where they are an output.

>>> REDUCTIONS.index("mean")
2
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from pelemay.graph import DType
from pelemay.plan.layout import Reshape
from pelemay.program.lower.reduction import FLOATS, SOFTMAX_KINDS, need_types
from pelemay.program.views import SMALL, choice, given, option, shown

if TYPE_CHECKING:
    from pelemay.graph import Node
    from pelemay.program.lowering import Lowering

REDUCTIONS = ("none", "sum", "mean")
"""In the order of ``pm_loss_reduction``."""


def _emit(l: Lowering, node: Node, name: str, *, scores: bool) -> None:
    x, right, y = l.tensor(node.inputs[0]), l.tensor(node.inputs[1]), l.tensor(name)
    weights = l.tensor(given(node, 2)) if given(node, 2) else None
    need_types(l, FLOATS, x, weights, y)
    if right.dtype not in (DType.INT32, DType.INT64):
        raise l.unsupported(f"classes of {right.dtype.value}")
    places = math.prod(x.shape[2:])
    reduction, ignored = option(node, "reduction"), option(node, "ignore_index")
    whole = reduction != "none"
    flat = (x.shape[0], places)
    wanted = [(x, (*x.shape[:2], places)), (right, flat), (y, y.shape if whole else flat)]
    views = [shown(l, operand, Reshape(shape)) for operand, shape in wanted]
    if not all(views):
        raise l.unsupported("its operands have gaps")
    params = (choice(node, "reduction", REDUCTIONS), ignored or 0, ignored is not None, scores)
    cost = x.size if scores else right.size
    l.emit("loss", [*views[:2], weights], views[2:], params, cost=cost, serial=cost < SMALL)


def _negative_log_likelihood(l: Lowering, node: Node) -> None:
    _emit(l, node, node.outputs[0], scores=False)


def _softmax_cross_entropy(l: Lowering, node: Node) -> None:
    if node.outputs[0]:
        _emit(l, node, node.outputs[0], scores=True)
    if len(node.outputs) > 1 and node.outputs[1]:
        x, y = l.tensor(node.inputs[0]), l.tensor(node.outputs[1])
        need_types(l, FLOATS, x, y)
        params = (SOFTMAX_KINDS.index("log"), 1)
        l.emit("softmax", [x], [y], params, cost=8 * x.size, serial=x.size < SMALL // 8)


LOWERINGS: dict[tuple[str, str], Callable[[Lowering, Node], None]] = {
    ("", "NegativeLogLikelihoodLoss"): _negative_log_likelihood,
    ("", "SoftmaxCrossEntropyLoss"): _softmax_cross_entropy,
}
