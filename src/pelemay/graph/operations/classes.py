"""What the classifiers of ``ai.onnx.ml`` share: scores made into probabilities, and labels.

In: scores, one row for each sample. Out: scores after a transform; the labels of the best.

>>> import array_api_compat.numpy as xp
>>> labels_at(xp, xp.asarray([1, 0]), (7, 9))
array([9, 7])
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pelemay.errors import ExecutionError
from pelemay.graph.operations.common import Array, full_like, standard

ML = "ai.onnx.ml"


def transformed(xp: Any, scores: Array, how: str) -> Array:
    """Scores after ``post_transform``.

    Raises
    ------
    ExecutionError
        If there is no such transform.
    """
    if how == "NONE":
        return scores
    if how == "LOGISTIC":
        return standard(xp, "Sigmoid", scores)
    if how == "SOFTMAX":
        return standard(xp, "Softmax", scores, axis=-1)
    if how == "SOFTMAX_ZERO":
        return _softmax_of_some(xp, scores)
    if how == "PROBIT":
        return _probit(xp, scores)
    raise ExecutionError(
        f"post_transform '{how}' is not known; allowed: "
        "NONE, LOGISTIC, SOFTMAX, SOFTMAX_ZERO, PROBIT"
    )


def _softmax_of_some(xp: Any, scores: Array) -> Array:
    """Softmax in which scores of zero stay zero."""
    top = xp.max(scores, axis=-1, keepdims=True)
    given = xp.abs(scores) > full_like(xp, 1e-7, scores)
    powers = xp.exp(scores - top)
    values = xp.where(given, powers, scores * xp.exp(-top))
    zero = full_like(xp, 0, scores)
    return values / xp.sum(xp.where(given, powers, zero), axis=-1, keepdims=True)


def _probit(xp: Any, scores: Array) -> Array:
    """The quantile of the normal distribution, by Winitzki's approximation of erf."""
    x = scores * full_like(xp, 2, scores) - full_like(xp, 1, scores)
    log = xp.log(full_like(xp, 1, x) - x * x)
    v = full_like(xp, 2 / (math.pi * 0.147), x) + log * full_like(xp, 0.5, x)
    root = xp.sqrt(xp.sqrt(v * v - log * full_like(xp, 1 / 0.147, x)) - v)
    return xp.sign(x) * root * full_like(xp, math.sqrt(2), x)


def labels_at(xp: Any, places: Array, labels: tuple[Any, ...]) -> Array:
    """The label of each place; texts where the labels are texts."""
    if labels and isinstance(labels[0], str):
        return np.asarray(labels, object)[np.asarray(places)]
    return xp.take(np.asarray(labels, np.int64), places, axis=0)


def best(xp: Any, scores: Array, labels: tuple[Any, ...]) -> Array:
    """The label of the highest score of each row, the first of equals."""
    return labels_at(xp, xp.argmax(scores, axis=1), labels)


def either(xp: Any, holds: Array, labels: tuple[Any, ...]) -> Array:
    """The second label where it holds, else the first."""
    return labels_at(xp, xp.astype(holds, xp.int64), labels)


def opposed(xp: Any, score: Array, how: str, *, probability: bool) -> Array:
    """The scores of both classes, from that of the second, (rows, 1), after a transform.

    Parameters
    ----------
    xp, score, how
        As of :func:`transformed`.
    probability : bool
        Whether the score is a probability, whose opposite is what it lacks to 1.
    """
    if how == "LOGISTIC":
        return transformed(xp, xp.concat([-score, score], axis=1), how)
    first = full_like(xp, 1, score) - score if probability else -score
    pair = xp.concat([first, score], axis=1)
    return _probit(xp, pair) if how == "PROBIT" else pair
