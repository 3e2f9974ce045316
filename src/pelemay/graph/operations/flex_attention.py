"""Attention whose scores and probabilities a sub-graph may change.

In: queries, keys and values of shape (batch, heads, tokens, size), keys and values with fewer
heads where groups of queries share them. Out: the result, in the shape of the queries.

>>> import array_api_compat.numpy as xp
>>> q = xp.zeros((1, 1, 1, 2))
>>> flex_attention(xp, q, xp.ones((1, 1, 2, 2)), xp.asarray([[[[1.0, 0.0], [3.0, 0.0]]]]))
array([[[[2., 0.]]]])
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from pelemay.graph.dtypes import DType
from pelemay.graph.operations.activation import softmax
from pelemay.graph.operations.common import Array, cast, cast_like, dtype_of
from pelemay.graph.operations.table import Operation

Modifier = Callable[[Array], tuple[Array, ...]]


def flex_attention(
    xp: Any,
    q: Array,
    k: Array,
    v: Array,
    *,
    prob_mod: Modifier | None = None,
    scale: float | None = None,
    score_mod: Modifier | None = None,
    softmax_precision: DType | None = None,
) -> Array:
    double = dtype_of(q) is DType.FLOAT64
    precision = softmax_precision or (DType.FLOAT64 if double else DType.FLOAT32)
    shared = q.shape[1] // k.shape[1]
    keys, values = (xp.repeat(cast(xp, x, precision), shared, axis=1) for x in (k, v))
    factor = 1 / math.sqrt(q.shape[-1]) if scale is None else scale
    scores = xp.matmul(cast(xp, q, precision), xp.matrix_transpose(keys)) * factor
    if score_mod is not None:
        (scores,) = score_mod(scores)
    weights = softmax(xp, scores, axis=-1)
    if prob_mod is not None:
        (weights,) = prob_mod(weights)
    return cast_like(xp, xp.matmul(weights, values), q)


ROWS = (Operation("FlexAttention", flex_attention, "attention", domain="ai.onnx.preview"),)
