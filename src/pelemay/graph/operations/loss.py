"""Losses of classifiers.

In: scores of shape (N, C, ...), the right classes of shape (N, ...). Out: a loss for each
place, or one number.

>>> import array_api_compat.numpy as xp
>>> scores, right = xp.asarray([[-1.0, -3.0]]), xp.asarray([1])
>>> negative_log_likelihood(xp, scores, right, reduction="sum")
np.float64(3.0)
"""

from __future__ import annotations

from typing import Any

from pelemay.errors import ExecutionError
from pelemay.graph.dtypes import DType
from pelemay.graph.operations.activation import log_softmax
from pelemay.graph.operations.common import Array, cast, in_float32
from pelemay.graph.operations.table import Operation


@in_float32
def negative_log_likelihood(
    xp: Any,
    x: Array,
    target: Array,
    weight: Array | None = None,
    *,
    ignore_index: int | None = None,
    reduction: str = "mean",
) -> Array:
    classes = x.shape[1]
    held = xp.clip(cast(xp, target, DType.INT64), 0, classes - 1)
    right = xp.expand_dims(held, axis=1)
    picked = xp.take_along_axis(x, right, axis=1)[:, 0, ...]
    if weight is None:
        weights = xp.ones_like(picked)
    else:
        weights = xp.reshape(xp.take(weight, xp.reshape(right, (-1,)), axis=0), target.shape)
    if ignore_index is not None:
        weights = xp.where(target == ignore_index, xp.zeros_like(weights), weights)
    loss = -picked * weights
    if reduction == "none":
        return loss
    if reduction not in ("mean", "sum"):
        raise ExecutionError(f"reduction '{reduction}' is not known", hint="none, sum or mean")
    total = xp.sum(loss)
    return total / xp.sum(weights) if reduction == "mean" else total


@in_float32
def softmax_cross_entropy(
    xp: Any,
    scores: Array,
    labels: Array,
    weights: Array | None = None,
    *,
    ignore_index: int | None = None,
    reduction: str = "mean",
) -> tuple[Array, Array]:
    """The loss and the logarithms of the probabilities."""
    log_prob = log_softmax(xp, scores, axis=1)
    loss = negative_log_likelihood(
        xp, log_prob, labels, weights, ignore_index=ignore_index, reduction=reduction
    )
    return loss, log_prob


ROWS = (
    Operation("NegativeLogLikelihoodLoss", negative_log_likelihood, "loss"),
    Operation("SoftmaxCrossEntropyLoss", softmax_cross_entropy, "loss"),
)
