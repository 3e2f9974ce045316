"""What transformers add: attention, rotary positions, linear attention.

In: queries, keys and values of shape (batch, heads, tokens, size), or with the heads packed into
the last axis, (batch, tokens, heads * size). Out: the same for the result, and what the next
call reuses.

>>> import array_api_compat.numpy as xp
>>> q = xp.zeros((1, 1, 1, 2))
>>> attention(xp, q, xp.ones((1, 1, 2, 2)), xp.asarray([[[[1.0, 0.0], [3.0, 0.0]]]]))[0]
array([[[[2., 0.]]]])
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from pelemay.errors import ExecutionError
from pelemay.graph.dtypes import DType, Kind
from pelemay.graph.operations.common import (
    Array,
    cast,
    cast_like,
    dtype_of,
    full_like,
    in_float32,
    widened,
)
from pelemay.graph.operations.table import Operation


def _unpacked(xp: Any, x: Array, heads: int | None) -> Array:
    """From (batch, tokens, heads * size) to (batch, heads, tokens, size)."""
    if x.ndim == 4:
        return x
    if not heads or x.shape[2] % heads:
        raise ExecutionError(
            f"{heads} heads do not divide an input of shape {tuple(x.shape)}",
            hint="q_num_heads and kv_num_heads are needed where the heads are packed",
        )
    split = xp.reshape(x, (*x.shape[:2], heads, x.shape[2] // heads))
    return xp.permute_dims(split, (0, 2, 1, 3))


def _packed(xp: Any, x: Array) -> Array:
    moved = xp.permute_dims(x, (0, 2, 1, 3))
    return xp.reshape(moved, (*moved.shape[:2], moved.shape[2] * moved.shape[3]))


def _with_past(xp: Any, past: Array | None, new: Array) -> Array:
    return new if past is None else xp.concat([past, new], axis=2)


@dataclass(frozen=True)
class Span:
    """Which keys a query may see by its position."""

    causal: bool
    left: int
    right: int

    def visible(self, xp: Any, queries: int, keys: int, offset: Any, valid: Array | None) -> Any:
        """A mask that broadcasts to (batch, heads, queries, keys), or None where all are visible.

        ``offset`` keys come before the first query; ``valid`` says how many keys are no padding.
        """
        key = xp.arange(keys)
        position = xp.reshape(xp.arange(queries), (-1, 1)) + offset
        masks = [] if valid is None else [key < valid]
        if self.causal:
            masks.append(key <= position)
        if self.left >= 0:
            masks.append(key >= position - self.left)
        if self.right >= 0:
            masks.append(key <= position + self.right)
        seen = None
        for mask in masks:
            seen = mask if seen is None else seen & mask
        return seen


def attention(
    xp: Any,
    q: Array,
    k: Array,
    v: Array,
    attn_mask: Array | None = None,
    past_key: Array | None = None,
    past_value: Array | None = None,
    nonpad_kv_seqlen: Array | None = None,
    *,
    is_causal: int = 0,
    kv_num_heads: int | None = None,
    left_window_size: int = -1,
    q_num_heads: int | None = None,
    qk_matmul_output_mode: int = 0,
    right_window_size: int = -1,
    scale: float | None = None,
    softcap: float = 0.0,
    softmax_precision: DType | None = None,
) -> tuple[Array, Array, Array, Array]:
    """The result, all keys, all values, and the scores at the stage that the mode names.

    Vaswani et al., Attention is all you need, arXiv 1706.03762; grouped queries: 2305.13245.
    """
    query = widened(xp, _unpacked(xp, q, q_num_heads))
    keys = _with_past(xp, past_key, _unpacked(xp, k, kv_num_heads))
    values = _with_past(xp, past_value, _unpacked(xp, v, kv_num_heads))
    factor = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    stages = [_scores(xp, query * factor, widened(xp, keys))]
    stages.append(softcap * xp.tanh(stages[0] / softcap) if softcap else stages[0])
    span = Span(bool(is_causal), left_window_size, right_window_size)
    offset: Any = 0 if past_key is None else past_key.shape[2]
    valid = None
    if nonpad_kv_seqlen is not None:
        valid = xp.reshape(nonpad_kv_seqlen, (-1, 1, 1, 1))
        offset = valid - query.shape[2]
    seen = span.visible(xp, query.shape[2], keys.shape[2], offset, valid)
    stages.append(_masked(xp, stages[1], attn_mask, seen))
    stages.append(_shares(xp, stages[2], softmax_precision))
    y = _mixed(xp, stages[3], widened(xp, values))
    y = cast_like(xp, _packed(xp, y) if q.ndim == 3 else y, q)
    return y, keys, values, cast_like(xp, stages[qk_matmul_output_mode], q)


def _scores(xp: Any, query: Array, keys: Array) -> Array:
    """Products of queries and keys; each head of keys serves a group of query heads."""
    batch, heads, tokens, size = query.shape
    shared = keys.shape[1]
    grouped = xp.reshape(query, (batch, shared, heads // shared * tokens, size))
    scores = xp.matmul(grouped, xp.matrix_transpose(cast_like(xp, keys, query)))
    return xp.reshape(scores, (batch, heads, tokens, keys.shape[2]))


def _mixed(xp: Any, shares: Array, values: Array) -> Array:
    batch, heads, tokens, count = shares.shape
    shared = values.shape[1]
    grouped = xp.reshape(shares, (batch, shared, heads // shared * tokens, count))
    y = xp.matmul(grouped, cast_like(xp, values, shares))
    return xp.reshape(y, (batch, heads, tokens, values.shape[3]))


def _masked(xp: Any, scores: Array, mask: Array | None, seen: Array | None) -> Array:
    hidden = full_like(xp, -math.inf, scores)
    if mask is not None:
        missing = scores.shape[-1] - mask.shape[-1]
        if dtype_of(mask).kind is Kind.BOOL:
            bias = xp.where(mask, full_like(xp, 0, scores), hidden)
        else:
            bias = cast_like(xp, mask, scores)
        if missing:
            edge = xp.broadcast_to(hidden, (*bias.shape[:-1], missing))
            bias = xp.concat([bias, edge], axis=-1)
        scores = scores + bias
    return scores if seen is None else xp.where(seen, scores, hidden)


def _shares(xp: Any, scores: Array, precision: DType | None) -> Array:
    """Softmax over the keys; a query that sees none has zeros."""
    if scores.shape[-1] == 0:
        return scores
    return cast_like(xp, _softmax(xp, cast(xp, scores, precision or dtype_of(scores))), scores)


@in_float32
def _softmax(xp: Any, x: Array) -> Array:
    most = xp.max(x, axis=-1, keepdims=True)
    powers = xp.exp(x - xp.where(most == -math.inf, xp.zeros_like(most), most))
    total = xp.sum(powers, axis=-1, keepdims=True)
    return powers / xp.where(total == 0, xp.ones_like(total), total)


@in_float32
def rotary_embedding(
    xp: Any,
    x: Array,
    cos_cache: Array,
    sin_cache: Array,
    position_ids: Array | None = None,
    *,
    interleaved: int = 0,
    num_heads: int | None = None,
    rotary_embedding_dim: int = 0,
) -> Array:
    """Turn pairs of numbers by angles that grow with the token's position.

    Su et al., RoFormer, arXiv 2104.09864.
    """
    heads = _unpacked(xp, x, num_heads)
    size = rotary_embedding_dim or heads.shape[-1]
    cos, sin = (
        xp.expand_dims(_at_positions(xp, cache, position_ids), axis=1)
        for cache in (cos_cache, sin_cache)
    )
    if interleaved:
        first, second = heads[..., 0:size:2], heads[..., 1:size:2]
    else:
        first, second = heads[..., : size // 2], heads[..., size // 2 : size]
    turned = [cos * first - sin * second, sin * first + cos * second]
    if interleaved:
        turned = [xp.reshape(xp.stack(turned, axis=-1), (*heads.shape[:-1], size))]
    y = xp.concat([*turned, heads[..., size:]], axis=-1)
    return _packed(xp, y) if x.ndim == 3 else y


def _at_positions(xp: Any, cache: Array, positions: Array | None) -> Array:
    if positions is None:
        return cache
    rows = xp.take(cache, xp.reshape(positions, (-1,)), axis=0)
    return xp.reshape(rows, (*positions.shape, cache.shape[-1]))


@in_float32
def linear_attention(
    xp: Any,
    query: Array,
    key: Array,
    value: Array,
    past_state: Array | None = None,
    decay: Array | None = None,
    beta: Array | None = None,
    *,
    kv_num_heads: int,
    q_num_heads: int,
    chunk_size: int = 64,
    scale: float = 0.0,
    update_rule: str = "gated_delta",
) -> tuple[Array, Array]:
    """Attention as a recurrence: a state (batch, heads, key size, value size), token by token.

    Katharopoulos et al., Transformers are RNNs, arXiv 2006.16236; the delta rule: 2412.06464.
    """
    q = _unpacked(xp, query, q_num_heads)
    k, v = (_unpacked(xp, x, kv_num_heads) for x in (key, value))
    batch, heads, _, size = k.shape
    gate = None if "gated" not in update_rule else xp.exp(_unpacked(xp, decay, kv_num_heads))
    rate = None if "delta" not in update_rule else _rates(xp, beta, heads)
    state = past_state
    if state is None:
        state = xp.zeros((batch, heads, size, v.shape[-1]), dtype=query.dtype)
    factor = scale or 1 / math.sqrt(size)
    outputs = []
    for t in range(q.shape[2]):
        column = xp.expand_dims(k[:, :, t, :], axis=-1)
        if gate is not None:
            state = state * xp.expand_dims(gate[:, :, t, :], axis=-1)
        new = v[:, :, t : t + 1, :]
        if rate is not None:
            known = xp.matmul(xp.matrix_transpose(column), state)
            new = (new - known) * rate[:, :, t : t + 1, :]
        state = state + column * new
        grouped = xp.reshape(q[:, :, t, :], (batch, heads, q_num_heads // heads, size))
        read = xp.matmul(grouped * factor, state)
        outputs.append(xp.reshape(read, (batch, q_num_heads, 1, v.shape[-1])))
    return _packed(xp, xp.concat(outputs, axis=2)), state


def _rates(xp: Any, beta: Array | None, heads: int) -> Array:
    """From (batch, tokens, heads or 1) to (batch, heads, tokens, 1)."""
    if beta is None:
        raise ExecutionError("a delta rule needs beta")
    wide = xp.broadcast_to(beta, (*beta.shape[:2], heads))
    return xp.expand_dims(xp.permute_dims(wide, (0, 2, 1)), axis=-1)


ROWS = (
    Operation("Attention", attention, "attention"),
    Operation("RotaryEmbedding", rotary_embedding, "attention"),
    Operation("LinearAttention", linear_attention, "attention"),
)
