"""Attention, and what stands around it.

In: nodes of the family "attention". Out: the instruction ``attention`` over views (batch, heads,
tokens, size), whatever the strides, so that packed heads need no transposition; keys and values
that are kept for the next call are copied to their outputs first, and read from there.

>>> head_view((2, 7, 12), (84, 12, 1), 3)
((2, 3, 7, 4), (84, 4, 12, 1))
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pelemay.graph import DType
from pelemay.program.lower.reduction import need_types

if TYPE_CHECKING:
    from pelemay.graph import Node
    from pelemay.program.lowering import Lowering
    from pelemay.program.operand import Operand

Ints = tuple[int, ...]
Names = tuple[str, ...]

SMALL = 1 << 15
"""Multiply-accumulates below which waking another worker takes longer than the work."""


def head_view(shape: Ints, strides: Ints, heads: int) -> tuple[Ints, Ints]:
    """From (batch, tokens, heads * size) to (batch, heads, tokens, size)."""
    batch, tokens, width = shape
    size = width // heads
    outer, token, inner = strides
    return (batch, heads, tokens, size), (outer, size * inner, token, inner)


@dataclass(frozen=True)
class _Heads:
    """The operands of one node, each as (batch, heads, tokens, size)."""

    q: Operand
    k: Operand
    v: Operand
    y: Operand
    before: int


def _attention(l: Lowering, node: Node) -> None:
    inputs = (*node.inputs, *[""] * 7)[:7]
    outputs = (*node.outputs, *[""] * 4)[:4]
    heads = _heads(l, node, inputs, outputs)
    mask = _mask(l, inputs[3], heads)
    counts = l.tensor(inputs[6]) if inputs[6] else None
    scores = l.tensor(outputs[3]) if outputs[3] else None
    _emit(l, node, heads, (mask, counts), scores)


def _flex_attention(l: Lowering, node: Node) -> None:
    if any(True for _ in node.graphs):
        raise l.unsupported("scores or shares that a sub-graph changes")
    q, k, v = (l.tensor(name) for name in node.inputs)
    heads = _Heads(q, k, v, l.tensor(node.outputs[0]), 0)
    _emit(l, node, heads, (None, None), None)


def _emit(
    l: Lowering,
    node: Node,
    heads: _Heads,
    limits: tuple[Operand | None, Operand | None],
    scores: Operand | None,
) -> None:
    precision = node.attributes.get("softmax_precision")
    if precision not in (None, DType.FLOAT32, DType.FLOAT64):
        raise l.unsupported(f"softmax in {precision}")
    need_types(l, (DType.FLOAT32,), heads.q, heads.k, heads.v, heads.y, scores)
    params = (
        _float(node, "scale", 1 / math.sqrt(max(1, heads.q.shape[3]))),
        _float(node, "softcap", 0.0),
        _int(node, "is_causal", 0),
        heads.before,
        max(-1, _int(node, "left_window_size", -1)),
        max(-1, _int(node, "right_window_size", -1)),
        _int(node, "qk_matmul_output_mode", 0),
    )
    batch, count, tokens, size = heads.q.shape
    cost = batch * count * tokens * heads.k.shape[2] * (size + heads.v.shape[3])
    operands = [heads.q, heads.k, heads.v, *limits]
    l.emit("attention", operands, [heads.y, scores], params, cost=cost, serial=cost < SMALL)


def _heads(l: Lowering, node: Node, inputs: Names, outputs: Names) -> _Heads:
    many, few = _int(node, "q_num_heads", 0), _int(node, "kv_num_heads", 0)
    q, y = _unpacked(l, l.tensor(inputs[0]), many), _unpacked(l, l.tensor(outputs[0]), many)
    k, v = (_unpacked(l, l.tensor(name), few) for name in inputs[1:3])
    before = l.shape(inputs[4])[2] if inputs[4] else 0
    k = _kept(l, k, inputs[4], outputs[1])
    v = _kept(l, v, inputs[5], outputs[2])
    if not k.shape[1] or q.shape[1] % k.shape[1]:
        raise l.unsupported(f"{k.shape[1]} heads of keys for {q.shape[1]} of queries")
    return _Heads(q, k, v, y, before)


def _unpacked(l: Lowering, x: Operand, heads: int) -> Operand:
    if x.rank == 4:
        return x
    if x.rank != 3 or not heads or x.shape[2] % heads:
        raise l.unsupported(f"{heads} heads do not divide an input of shape {x.shape}")
    shape, strides = head_view(x.shape, x.strides, heads)
    return l.view_of(x, shape=shape, strides=strides)


def _kept(l: Lowering, new: Operand, past: str, present: str) -> Operand:
    """All keys, or all values: the new ones, or an output that they are copied to."""
    if not present:
        if past:
            raise l.unsupported("a past that is not kept")
        return new
    whole = l.tensor(present)
    if past:
        old = l.tensor(past)
        need_types(l, (DType.FLOAT32,), old, new, whole)
        l.copy(old, _tokens(l, whole, 0, old.shape[2]))
        l.copy(new, _tokens(l, whole, old.shape[2], new.shape[2]))
    else:
        l.copy(new, whole)
    return whole


def _tokens(l: Lowering, x: Operand, first: int, count: int) -> Operand:
    offset = first * x.strides[2] * x.dtype.numpy.itemsize
    shape = (*x.shape[:2], count, x.shape[3])
    return l.view_of(x, offset=offset, shape=shape, strides=x.strides)


def _mask(l: Lowering, name: str, heads: _Heads) -> Operand | None:
    if not name:
        return None
    mask = l.tensor(name)
    need_types(l, (DType.FLOAT32, DType.BOOL), mask)
    ones = (1,) * (4 - mask.rank)
    mask = l.view_of(mask, shape=(*ones, *mask.shape), strides=(*ones, *mask.strides))
    sizes = zip(mask.shape[:3], heads.q.shape[:3], strict=True)
    if any(m not in (1, n) for m, n in sizes) or mask.shape[3] > heads.k.shape[2]:
        raise l.unsupported(f"a mask of shape {mask.shape}")
    return mask


def _rotary_embedding(l: Lowering, node: Node) -> None:
    heads = _int(node, "num_heads", 0)
    x, y = (_unpacked(l, l.tensor(v), heads) for v in (node.inputs[0], node.outputs[0]))
    cosines, sines = (l.tensor(name) for name in node.inputs[1:3])
    places = l.tensor(node.inputs[3]) if len(node.inputs) > 3 and node.inputs[3] else None
    need_types(l, (DType.FLOAT32,), x, y, cosines, sines)
    need_types(l, (DType.INT64,), places)
    turned = _int(node, "rotary_embedding_dim", 0) or x.shape[3]
    params = (turned, _int(node, "interleaved", 0))
    l.emit("rotary", [x, cosines, sines, places], [y], params, serial=x.size < SMALL // 8)


def _linear_attention(l: Lowering, node: Node) -> None:
    many, few = _int(node, "q_num_heads", 0), _int(node, "kv_num_heads", 0)
    names = (*node.inputs, *[""] * 6)[:6]
    rule: Any = node.attributes.get("update_rule", "gated_delta")
    if len(node.outputs) < 2 or not node.outputs[1]:
        raise l.unsupported("a state that is not kept")
    q, y = (_unpacked(l, l.tensor(name), many) for name in (names[0], node.outputs[0]))
    k, v = (_unpacked(l, l.tensor(name), few) for name in names[1:3])
    past = l.tensor(names[3]) if names[3] else None
    decay = _unpacked(l, l.tensor(names[4]), few) if "gated" in rule else None
    rate = _rates(l, names[5], few) if "delta" in rule else None
    state = l.tensor(node.outputs[1])
    need_types(l, (DType.FLOAT32,), q, k, v, past, decay, rate, y, state)
    scale = _float(node, "scale", 0.0) or 1 / math.sqrt(k.shape[3])
    cost = 4 * q.size * v.shape[3]
    inputs = [q, k, v, past, decay, rate]
    l.emit("linear_attention", inputs, [y, state], (scale,), cost=cost, serial=cost < SMALL)


def _rates(l: Lowering, name: str, heads: int) -> Operand:
    """From (batch, tokens, heads or 1) to (batch, heads or 1, tokens, 1)."""
    rate = l.tensor(name)
    batch, tokens, count = rate.shape
    outer, token, inner = rate.strides
    if count not in (1, heads):
        raise l.unsupported(f"{count} rates for {heads} heads")
    shape, strides = (batch, count, tokens, 1), (outer, inner, token, 1)
    return l.view_of(rate, shape=shape, strides=strides)


def _int(node: Node, name: str, default: int) -> int:
    value: Any = node.attributes.get(name)
    return default if value is None else int(value)


def _float(node: Node, name: str, default: float) -> float:
    value: Any = node.attributes.get(name)
    return default if value is None else float(value)


LOWERINGS = {
    ("", "Attention"): _attention,
    ("ai.onnx.preview", "FlexAttention"): _flex_attention,
    ("", "RotaryEmbedding"): _rotary_embedding,
    ("", "LinearAttention"): _linear_attention,
}
