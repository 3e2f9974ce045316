"""Linear models and support vector machines of ``ai.onnx.ml``.

In: rows of features. Out: for a regressor a row of values each; for a classifier labels, and scores
after their transform. Source: ONNX, docs/Operators-ml.md; where that leaves something open, what
onnxruntime does.

>>> import array_api_compat.numpy as xp
>>> linear_regressor(xp, xp.asarray([[1.0, 2.0]]), coefficients=(3.0, 4.0))
array([[11.]], dtype=float32)
"""

from __future__ import annotations

from itertools import accumulate, combinations
from typing import Any

import numpy as np

from pelemay.errors import ExecutionError
from pelemay.graph.dtypes import DType
from pelemay.graph.operations.classes import ML, best, either, labels_at, opposed, transformed
from pelemay.graph.operations.common import Array, cast, full_like, standard
from pelemay.graph.operations.fused import DOMAIN
from pelemay.graph.operations.table import Operation

Floats = tuple[float, ...]


def _rows(xp: Any, x: Array) -> Array:
    """Rows of features in float32; a vector is one row."""
    y = cast(xp, x, DType.FLOAT32)
    return xp.reshape(y, (1, -1)) if y.ndim == 1 else y


def _products(xp: Any, x: Array, coefficients: Floats, columns: int) -> Array:
    """(rows, columns): features times coefficients, which lie as (columns, features)."""
    weights = np.asarray(coefficients, np.float32).reshape(columns, -1)
    return standard(xp, "MatMul", x, np.ascontiguousarray(weights.T))


def linear_regressor(
    xp: Any,
    x: Array,
    *,
    coefficients: Floats,
    intercepts: Floats = (),
    targets: int = 1,
    post_transform: str = "NONE",
) -> Array:
    """``x @ coefficients + intercepts``."""
    y = _products(xp, _rows(xp, x), coefficients, targets)
    y = y + np.asarray(intercepts, np.float32) if intercepts else y
    return transformed(xp, y, post_transform)


def linear_classifier(
    xp: Any,
    x: Array,
    *,
    coefficients: Floats,
    intercepts: Floats = (),
    classlabels_ints: tuple[int, ...] = (),
    classlabels_strings: tuple[str, ...] = (),
    multi_class: int = 0,
    post_transform: str = "NONE",
) -> tuple[Array, Array]:
    """A score for each class, or one score for the second of two."""
    labels = classlabels_ints or classlabels_strings
    rows = _rows(xp, x)
    columns = len(coefficients) // rows.shape[1]
    scores = _products(xp, rows, coefficients, columns)
    scores = scores + np.asarray(intercepts, np.float32) if intercepts else scores
    if columns > 1:
        return best(xp, scores, labels), transformed(xp, scores, post_transform)
    holds = scores[:, 0] > full_like(xp, 0, scores)
    pair = labels if len(labels) == 2 else (0, 1)
    if len(labels) != 2:
        return either(xp, holds, pair), transformed(xp, scores, post_transform)
    both = opposed(xp, scores, post_transform, probability=True)
    return either(xp, holds, pair), both


def _kernel(xp: Any, x: Array, vectors: Any, kind: str, params: Floats) -> Array:
    """(rows, vectors): what each support vector has in common with each row."""
    gamma, offset, degree = (*params, 0.0, 0.0, 0.0)[:3]
    if kind == "RBF":
        gaps = xp.expand_dims(x, axis=1) - vectors
        return xp.exp(xp.sum(gaps * gaps, axis=-1) * full_like(xp, -gamma, x))
    dots = standard(xp, "MatMul", x, np.ascontiguousarray(vectors.T))
    if kind == "LINEAR":
        return dots
    inner = dots * full_like(xp, gamma, x) + full_like(xp, offset, x)
    if kind == "POLY":
        return standard(xp, "Pow", inner, np.asarray(degree, np.float32))
    if kind == "SIGMOID":
        return xp.tanh(inner)
    raise ExecutionError(f"kernel '{kind}' is not known; allowed: LINEAR, POLY, RBF, SIGMOID")


def svm_regressor(
    xp: Any,
    x: Array,
    *,
    coefficients: Floats,
    rho: Floats,
    support_vectors: Floats = (),
    n_supports: int = 0,
    kernel_type: str = "LINEAR",
    kernel_params: Floats = (),
    one_class: int = 0,
    post_transform: str = "NONE",
) -> Array:
    """Sums over support vectors, or over features where there are none; a sign for one class."""
    rows = _rows(xp, x)
    if n_supports:
        vectors = np.asarray(support_vectors, np.float32).reshape(n_supports, -1)
        rows = _kernel(xp, rows, vectors, kernel_type, kernel_params)
    y = _products(xp, rows, coefficients, 1) + np.asarray(rho[0], np.float32)
    if one_class:
        inside = y > full_like(xp, 0, y)
        y = xp.where(inside, full_like(xp, 1, y), full_like(xp, -1, y))
    return transformed(xp, y, post_transform)


def svm_classifier(
    xp: Any,
    x: Array,
    *,
    coefficients: Floats,
    rho: Floats,
    support_vectors: Floats = (),
    vectors_per_class: tuple[int, ...] = (),
    kernel_type: str = "LINEAR",
    kernel_params: Floats = (),
    prob_a: Floats = (),
    prob_b: Floats = (),
    classlabels_ints: tuple[int, ...] = (),
    classlabels_strings: tuple[str, ...] = (),
    post_transform: str = "NONE",
) -> tuple[Array, Array]:
    """Votes of all pairs of classes; their scores, or probabilities where the model has them."""
    labels = classlabels_ints or classlabels_strings
    rows = _rows(xp, x)
    if not vectors_per_class:
        scores = _products(xp, rows, coefficients, len(labels)) + np.asarray(rho[0], np.float32)
        return best(xp, scores, labels), transformed(xp, scores, post_transform)
    vectors = np.asarray(support_vectors, np.float32).reshape(sum(vectors_per_class), -1)
    kernels = _kernel(xp, rows, vectors, kernel_type, kernel_params)
    scores = standard(xp, "MatMul", kernels, _pairs(coefficients, vectors_per_class))
    scores = scores + np.asarray(rho, np.float32)
    winners = _winners(xp, scores, len(vectors_per_class))
    label = labels_at(xp, winners, labels)
    if prob_a:
        pairs, classes = _of_pairs(xp, scores, prob_a, prob_b), len(vectors_per_class)
        found = standard(xp, "PairwiseCoupling", pairs, domain=DOMAIN, classes=classes)
        return label, transformed(xp, found, post_transform)
    if scores.shape[1] > 1:
        return label, transformed(xp, scores, post_transform)
    return label, opposed(xp, scores, post_transform, probability=False)


def _pairs(coefficients: Floats, sizes: tuple[int, ...]) -> Any:
    """(vectors, pairs): what each support vector adds to the score of each pair of classes."""
    given = np.asarray(coefficients, np.float32).reshape(len(sizes) - 1, -1)
    ends = list(accumulate(sizes))
    spans = [slice(end - size, end) for end, size in zip(ends, sizes, strict=True)]
    made = np.zeros((ends[-1], len(sizes) * (len(sizes) - 1) // 2), np.float32)
    for place, (i, j) in enumerate(combinations(range(len(sizes)), 2)):
        made[spans[i], place] = given[j - 1, spans[i]]
        made[spans[j], place] = given[i, spans[j]]
    return made


def _winners(xp: Any, scores: Array, classes: int) -> Array:
    """The class with the most votes, the first of equals."""
    plus = np.zeros((scores.shape[1], classes), np.float32)
    minus = np.zeros_like(plus)
    for place, (i, j) in enumerate(combinations(range(classes), 2)):
        plus[place, i] = minus[place, j] = 1
    won = xp.astype(scores > full_like(xp, 0, scores), scores.dtype)
    lost = full_like(xp, 1, scores) - won
    votes = standard(xp, "MatMul", won, plus) + standard(xp, "MatMul", lost, minus)
    return xp.argmax(votes, axis=1)


def _of_pairs(xp: Any, scores: Array, a: Floats, b: Floats) -> Array:
    """The probability of the first of each pair (Platt scaling)."""
    bent = scores * np.asarray(a, np.float32) + np.asarray(b, np.float32)
    found = standard(xp, "Sigmoid", -bent)
    return xp.minimum(xp.maximum(found, full_like(xp, 1e-7, found)), full_like(xp, 1 - 1e-7, found))


def pairwise_coupling(xp: Any, pairs: Array, *, classes: int) -> Array:
    """(rows, classes): probabilities of classes from those of the first of each pair.

    The second method of Wu, Lin and Weng (2004), which takes rounds until they agree: only arrays
    whose elements can be looked at allow it.
    """
    made = [_agreed(row, classes) for row in np.asarray(pairs)]
    return xp.asarray(np.asarray(made, np.float32).reshape(-1, classes))


def _agreed(pairs: Any, classes: int) -> Any:
    """One row of :func:`pairwise_coupling`."""
    first, second = np.triu_indices(classes, 1)
    r = np.zeros((classes, classes))
    r[first, second], r[second, first] = pairs, 1 - pairs
    q = -r.T * r
    np.fill_diagonal(q, (r * r).sum(axis=0))
    p = np.full(classes, 1 / classes)
    for _ in range(max(100, classes)):
        gains = q @ p
        mean = p @ gains
        if np.abs(gains - mean).max() < 0.005 / classes:
            break
        for t in range(classes):
            step = (mean - gains[t]) / q[t, t]
            p[t] += step
            mean = (mean + step * (step * q[t, t] + 2 * gains[t])) / (1 + step) ** 2
            gains = (gains + step * q[t]) / (1 + step)
            p /= 1 + step
    return p


GROUP = "classical"

ROWS = (
    Operation("LinearClassifier", linear_classifier, GROUP, domain=ML),
    Operation("LinearRegressor", linear_regressor, GROUP, domain=ML),
    Operation("PairwiseCoupling", pairwise_coupling, GROUP, domain=DOMAIN),
    Operation("SVMClassifier", svm_classifier, GROUP, domain=ML),
    Operation("SVMRegressor", svm_regressor, GROUP, domain=ML),
)
