"""Attention as onnxruntime's optimizer and its generation tools write it.

Rows of domain ``com.microsoft``. In: queries, keys and values, together or apart, with their heads
packed or not, and what was kept of earlier calls. Out: the result with its heads packed, and what
the next call needs. Source: onnxruntime, docs/ContribOperators.md.

>>> import array_api_compat.numpy as xp
>>> one, two = xp.ones((1, 1, 2)), xp.asarray([[[1.0, 0.0], [3.0, 0.0]]])
>>> multi_head_attention(xp, one, xp.ones((1, 2, 2)), two, num_heads=1)[0]
array([[[2., 0.]]])
"""

from __future__ import annotations

from typing import Any

from pelemay.errors import ExecutionError, UnsupportedError
from pelemay.graph.dtypes import DType
from pelemay.graph.operations.common import Array, cast, cast_like, full_like, standard
from pelemay.graph.operations.microsoft import DOMAIN
from pelemay.graph.operations.table import Operation

NEAREST_HIDDEN = -10000.0
"""What is added to the scores of keys that a mask hides, if the node does not say."""


def _heads(xp: Any, x: Array, heads: int) -> Array:
    """From (batch, tokens, heads * size) to (batch, heads, tokens, size)."""
    if x.ndim == 4:
        return x
    if not heads or x.shape[2] % heads:
        raise ExecutionError(f"{heads} heads do not divide an input of shape {tuple(x.shape)}")
    split = xp.reshape(x, (*x.shape[:2], heads, x.shape[2] // heads))
    return xp.permute_dims(split, (0, 2, 1, 3))


def _packed(xp: Any, x: Array) -> Array:
    moved = xp.permute_dims(x, (0, 2, 1, 3))
    return xp.reshape(moved, (*moved.shape[:2], moved.shape[2] * moved.shape[3]))


def _mask_bias(xp: Any, mask: Array, shape: tuple[int, int, int], hidden: float) -> Array:
    """What a mask of whole numbers adds to scores of (batch, tokens, keys).

    The mask is 0 or 1 for each key, (batch, keys) or (batch, tokens, keys); or it counts the keys
    that are no padding, (batch), or says their ends and then their starts, (2 * batch).
    """
    batch, tokens, keys = shape
    allowed = {(batch,), (2 * batch,), (batch, keys), (batch, tokens, keys)}
    if tuple(mask.shape) not in allowed:
        what = f"a mask of shape {tuple(mask.shape)} for {tokens} tokens and {keys} keys"
        raise UnsupportedError(what, hint=f"shapes are {sorted(allowed, key=len)}")
    if mask.ndim == 1:
        seen = _counted(xp, mask, batch, keys)
    else:
        seen = mask != full_like(xp, 0, mask)
        seen = xp.reshape(seen, (batch, 1, 1 if mask.ndim == 2 else tokens, keys))
    zero = xp.zeros((1,), dtype=xp.float32)
    return xp.where(seen, zero, zero + hidden)


def _counted(xp: Any, mask: Array, batch: int, keys: int) -> Array:
    """Which keys are seen, (batch, 1, 1, keys), from their ends and starts."""
    place = xp.reshape(xp.arange(keys, dtype=xp.int32), (1, 1, 1, keys))
    ends = xp.reshape(cast(xp, mask[:batch], DType.INT32), (batch, 1, 1, 1))
    if mask.shape[0] == batch:
        return place < ends
    starts = xp.reshape(cast(xp, mask[batch:], DType.INT32), (batch, 1, 1, 1))
    return (place < ends) & (place >= starts)


def _attend(
    xp: Any,
    heads: tuple[Array, Array, Array],
    mask: Array | None,
    bias: Array | None,
    past: tuple[Array | None, Array | None],
    options: dict[str, Any],
) -> tuple[Array, Array, Array]:
    """The result with its heads packed, all keys and all values."""
    query, key, value = heads
    hidden = options.pop("hidden")
    if mask is not None:
        old = 0 if past[0] is None else past[0].shape[2]
        shape = (query.shape[0], query.shape[2], old + key.shape[2])
        made = cast_like(xp, _mask_bias(xp, mask, shape, hidden), query)
        bias = made if bias is None else bias + made
    if scale := options.pop("scale"):
        options["scale"] = scale
    y, keys, values = standard(
        xp, "Attention", query, key, value, bias, *past, outputs=3, **options
    )
    return _packed(xp, y), keys, values


def multi_head_attention(
    xp: Any,
    query: Array,
    key: Array | None = None,
    value: Array | None = None,
    bias: Array | None = None,
    key_padding_mask: Array | None = None,
    attention_bias: Array | None = None,
    past_key: Array | None = None,
    past_value: Array | None = None,
    past_sequence_length: Array | None = None,
    cache_indirection: Array | None = None,
    *,
    num_heads: int,
    mask_filter_value: float = NEAREST_HIDDEN,
    scale: float = 0.0,
    unidirectional: int = 0,
) -> tuple[Array, Array, Array]:
    """Vaswani et al., arXiv 1706.03762, with the heads packed; and all keys and values."""
    if past_sequence_length is not None or cache_indirection is not None:
        raise UnsupportedError("MultiHeadAttention with a past in a buffer, or with beams")
    q, k, v = _apart(xp, query, key, value)
    if bias is not None:
        q, k, v = _biased(xp, q, k, v, bias)
    options = {"is_causal": unidirectional, "scale": scale, "hidden": mask_filter_value}
    heads = (_heads(xp, q, num_heads), _heads(xp, k, num_heads), _heads(xp, v, num_heads))
    past = (past_key, past_value)
    return _attend(xp, heads, key_padding_mask, attention_bias, past, options)


def _apart(
    xp: Any, query: Array, key: Array | None, value: Array | None
) -> tuple[Array, Array, Array]:
    """Queries, keys and values that may be packed as (batch, tokens, heads, 3 or 2, size)."""
    if key is None:
        q, k, v = (query[:, :, :, i, :] for i in range(3))
        return _flat(xp, q), _flat(xp, k), _flat(xp, v)
    if value is None:
        return query, _flat(xp, key[:, :, :, 0, :]), _flat(xp, key[:, :, :, 1, :])
    return query, key, value


def _flat(xp: Any, x: Array) -> Array:
    return xp.reshape(x, (*x.shape[:2], x.shape[2] * x.shape[3]))


def _biased(xp: Any, q: Array, k: Array, v: Array, bias: Array) -> tuple[Array, Array, Array]:
    """Keys and values of four dimensions are those of another network: they have it already."""
    width, wide = q.shape[-1], k.shape[-1]
    q = q + bias[:width]
    if k.ndim == 3:
        k = k + bias[width : width + wide]
        v = v + bias[width + wide :]
    return q, k, v


def attention(
    xp: Any,
    x: Array,
    weights: Array,
    bias: Array | None = None,
    mask_index: Array | None = None,
    past: Array | None = None,
    attention_bias: Array | None = None,
    past_sequence_length: Array | None = None,
    *,
    num_heads: int,
    do_rotary: int = 0,
    mask_filter_value: float = NEAREST_HIDDEN,
    past_present_share_buffer: int = 0,
    qkv_hidden_sizes: tuple[int, ...] = (),
    rotary_embedding_dim: int = 0,
    scale: float = 0.0,
    unidirectional: int = 0,
) -> tuple[Array, Array]:
    """Projections and attention in one; the second output is (2, batch, heads, keys, size)."""
    if past_sequence_length is not None or past_present_share_buffer or do_rotary:
        raise UnsupportedError("Attention with a past in a buffer, or with rotary positions")
    y = standard(xp, "MatMul", x, weights)
    y = y if bias is None else y + bias
    q, k, v = _parts(y, qkv_hidden_sizes or (y.shape[-1] // 3,) * 3)
    options = {"is_causal": unidirectional, "scale": scale, "hidden": mask_filter_value}
    heads = (_heads(xp, q, num_heads), _heads(xp, k, num_heads), _heads(xp, v, num_heads))
    old = (None, None) if past is None else (past[0, ...], past[1, ...])
    y, keys, values = _attend(xp, heads, mask_index, attention_bias, old, options)
    return y, xp.stack([keys, values], axis=0)


def _parts(x: Array, sizes: tuple[int, ...]) -> list[Array]:
    """The last axis in pieces of these sizes."""
    ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]
    return [x[..., end - size : end] for end, size in zip(ends, sizes, strict=True)]


def rotary_embedding(
    xp: Any,
    x: Array,
    position_ids: Array,
    cos_cache: Array,
    sin_cache: Array,
    *,
    interleaved: int = 0,
    is_packed_batching: int = 0,
    num_heads: int = 0,
    rotary_embedding_dim: int = 0,
    scale: float = 1.0,
) -> Array:
    """Su et al., RoFormer, arXiv 2104.09864; one position is that of the first token."""
    size = rotary_embedding_dim or 2 * cos_cache.shape[1]
    heads = num_heads or (x.shape[2] // (2 * cos_cache.shape[1]) if x.ndim == 3 else 0)
    batch, tokens = x.shape[0], x.shape[1 if x.ndim == 3 else 2]
    if position_ids.ndim == 1:
        start = xp.reshape(position_ids, (1, 1)) + xp.zeros((batch, 1), dtype=xp.int64)
        position_ids = start + xp.reshape(xp.arange(tokens, dtype=xp.int64), (1, tokens))
    y = standard(
        xp,
        "RotaryEmbedding",
        x,
        cos_cache,
        sin_cache,
        position_ids,
        interleaved=interleaved,
        num_heads=heads,
        rotary_embedding_dim=0 if size == _size(x, heads) else size,
    )
    return y if scale == 1 else y * scale


def _size(x: Array, heads: int) -> int:
    return int(x.shape[3] if x.ndim == 4 else x.shape[2] // heads)


def group_query_attention(
    xp: Any,
    query: Array,
    key: Array | None,
    value: Array | None,
    past_key: Array | None,
    past_value: Array | None,
    seqlens_k: Array,
    total_sequence_length: Array,
    cos_cache: Array | None = None,
    sin_cache: Array | None = None,
    position_ids: Array | None = None,
    attention_bias: Array | None = None,
    head_sink: Array | None = None,
    *,
    num_heads: int,
    kv_num_heads: int,
    do_rotary: int = 0,
    local_window_size: int = -1,
    rotary_interleaved: int = 0,
    scale: float = 0.0,
    sliding_window_cache: int = 0,
    smooth_softmax: int = 0,
    softcap: float = 0.0,
) -> tuple[Array, Array, Array]:
    """The result, and the keys and values of all tokens, in the past's own size if that is enough.

    ``seqlens_k`` is one less than how many tokens of each sample there are with the new ones: new
    keys and values take the places behind those that are there, and what lies behind them is not
    read. So the present can be the past's own memory. A cache of a window may have room for more
    than the window: nothing leaves it then. Ainslie et al., arXiv 2305.13245.
    """
    if smooth_softmax or head_sink is not None:
        raise UnsupportedError("GroupQueryAttention with sinks")
    q, k, v = _grouped(query, key, value, (num_heads, kv_num_heads))
    q, k, v = _heads(xp, q, num_heads), _heads(xp, k, kv_num_heads), _heads(xp, v, kv_num_heads)
    tokens, whole = q.shape[2], _whole(total_sequence_length)
    _check_room(past_key if sliding_window_cache else None, whole)
    ends = cast(xp, xp.reshape(seqlens_k, (-1,)), DType.INT64) + 1
    first = tokens == whole
    starts = xp.zeros((q.shape[0],), dtype=xp.int64) if first else ends - tokens
    if do_rotary:
        if position_ids is None:
            steps = xp.reshape(xp.arange(tokens, dtype=xp.int64), (1, tokens))
            position_ids = xp.reshape(starts, (-1, 1)) + steps
        turn = {"interleaved": rotary_interleaved, "position_ids": position_ids}
        q, k = (_turned(xp, x, cos_cache, sin_cache, **turn) for x in (q, k))
    keys = _scattered(xp, past_key, k, starts, whole)
    values = _scattered(xp, past_value, v, starts, whole)
    scale = scale or q.shape[3] ** -0.5
    options: dict[str, Any] = {"is_causal": 1, "softcap": softcap, "scale": scale}
    if local_window_size > 0:
        options["left_window_size"] = local_window_size - 1
    read = (k, v) if first else (keys, values)
    counts = (None, None, None) if first else (None, None, ends)
    y = standard(xp, "Attention", q, *read, attention_bias, *counts, **options)
    return _packed(xp, y), keys, values


def _grouped(
    query: Array, key: Array | None, value: Array | None, heads: tuple[int, int]
) -> tuple[Array, Array, Array]:
    """Queries, keys and values, which may be packed in the last axis of the queries."""
    if key is not None and value is not None:
        return query, key, value
    many, few = heads
    size = query.shape[-1] // (many + 2 * few)
    q, k, v = _parts(query, (many * size, few * size, few * size))
    return q, k, v


def _check_room(cache: Array | None, whole: int) -> None:
    if cache is not None and 0 < cache.shape[2] < whole:
        what = f"GroupQueryAttention with a cache of {cache.shape[2]} for {whole} tokens"
        raise UnsupportedError(what, hint="give it room for all: what leaves a window is kept")


def _whole(total: Array) -> int:
    """How many tokens the longest sample has: it must be known before the run."""
    import numpy as np

    return int(np.asarray(total).reshape(-1)[0])


def _turned(
    xp: Any, x: Array, cos: Array, sin: Array, *, interleaved: int, position_ids: Array
) -> Array:
    return rotary_embedding(xp, x, position_ids, cos, sin, interleaved=interleaved)


def _scattered(xp: Any, past: Array | None, new: Array, starts: Array, whole: int) -> Array:
    """All tokens: the past, which may have more room than is used, with the new ones in it."""
    batch, heads, tokens, size = new.shape
    room = max(whole, 0 if past is None else past.shape[2])
    old = 0 if past is None else past.shape[2]
    if room == tokens and not old:
        return new
    parts = [past] if old else []
    if room > old:
        parts.append(xp.zeros((batch, heads, room - old, size), dtype=new.dtype))
    cache = parts[0] if len(parts) == 1 else xp.concat(parts, axis=2)
    return standard(xp, "TensorScatter", cache, new, starts, axis=2)


ROWS = (
    Operation("Attention", attention, "attention", domain=DOMAIN),
    Operation("GroupQueryAttention", group_query_attention, "attention", host=(6,), domain=DOMAIN),
    Operation("MultiHeadAttention", multi_head_attention, "attention", domain=DOMAIN),
    Operation("RotaryEmbedding", rotary_embedding, "attention", domain=DOMAIN),
)
