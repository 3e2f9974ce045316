"""Attention: the same over every namespace, like onnxruntime, and true to its purpose."""

from __future__ import annotations

import numpy as np
import pytest

from pelemay.errors import ExecutionError
from pelemay.graph import DType
from pelemay.graph.operations.attention import ROWS

RNG = np.random.default_rng(13)


def floats(*shape: int) -> np.ndarray:
    return RNG.uniform(-1, 1, shape)


Q, K, V = floats(2, 4, 3, 6), floats(2, 2, 5, 6), floats(2, 2, 5, 4)
PACKED = (floats(2, 3, 24), floats(2, 5, 12), floats(2, 5, 8))
HEADS = {"q_num_heads": 4, "kv_num_heads": 2}
MASK = RNG.integers(0, 2, (2, 1, 3, 5)).astype(bool)
BIAS = floats(3, 5)
PAST = (floats(2, 2, 2, 6), floats(2, 2, 2, 4))

ATTENTIONS = [
    ((Q, K, V), {}),
    ((Q, K, V), {"is_causal": 1, "scale": 0.3, "softcap": 0.5}),
    ((Q, K, V, MASK), {"qk_matmul_output_mode": 2}),
    ((Q, K, V, BIAS), {"qk_matmul_output_mode": 1, "softcap": 2.0}),
    ((Q, K, V, BIAS, *PAST[:0]), {"qk_matmul_output_mode": 3, "is_causal": 1}),
    (PACKED, HEADS),
    ((Q, K, V, None, *PAST), {"is_causal": 1}),
]
CACHED = [
    ((Q, K, V, None, None, None, np.int64([5, 2])), {"is_causal": 1}),
    ((Q, K, V, BIAS[:, :3], None, None, np.int64([1, 3])), {}),
    ((Q, K, V), {"left_window_size": 1, "right_window_size": 0}),
    ((Q, K, V, None, *PAST), {"left_window_size": 2, "right_window_size": 1}),
]
X4, X3 = floats(2, 4, 3, 6), floats(2, 3, 24)
COS, SIN = floats(7, 3), floats(7, 3)
POSITIONS = np.int64([[0, 1, 2], [4, 5, 6]])
ROTATIONS = [
    ((X4, COS, SIN, POSITIONS), {}),
    ((X3, COS, SIN, POSITIONS), {"num_heads": 4, "interleaved": 1}),
    ((X4, COS[:, :2], SIN[:, :2], POSITIONS), {"rotary_embedding_dim": 4}),
    ((X4, floats(2, 3, 3), floats(2, 3, 3)), {}),
]
LINEAR = (floats(2, 3, 24), floats(2, 3, 12), floats(2, 3, 8) / 4, floats(2, 2, 6, 4) / 4)
CASES = [
    *(("Attention", *case) for case in (*ATTENTIONS, *CACHED)),
    *(("RotaryEmbedding", *case) for case in ROTATIONS),
    ("LinearAttention", LINEAR, {**HEADS, "update_rule": "linear"}),
    ("LinearAttention", (*LINEAR, floats(2, 3, 12)), {**HEADS, "update_rule": "gated"}),
    ("LinearAttention", (*LINEAR, None, floats(2, 3, 1)), {**HEADS, "update_rule": "delta"}),
    ("LinearAttention", (*LINEAR, floats(2, 3, 2), floats(2, 3, 2)), HEADS),
]


@pytest.mark.parametrize(("name", "inputs", "attributes"), CASES)
def test_every_namespace_gives_what_numpy_gives(agree, name, inputs, attributes):
    agree(name, *inputs, **attributes)


def test_every_operation_has_a_case():
    assert {row.name for row in ROWS} == {name for name, _, _ in CASES}


def narrow(inputs: tuple) -> list:
    return [x.astype(np.float32) if x is not None and x.dtype.kind == "f" else x for x in inputs]


@pytest.mark.parametrize(("inputs", "attributes"), ATTENTIONS)
def test_attention_like_onnxruntime(run, run_onnxruntime, inputs, attributes):
    outputs = 4 if len(inputs) > 4 or "qk_matmul_output_mode" in attributes else 1
    if outputs == 4 and len(inputs) <= 4:
        inputs = (*inputs, *([None] * (4 - len(inputs))), PAST[0][:, :, :0], PAST[1][:, :, :0])
    expected = run_onnxruntime(
        "Attention", *narrow(inputs), outputs=outputs, opset=23, **attributes
    )
    found = run("Attention", *narrow(inputs), **attributes)
    for y, z in zip(found[:outputs], expected, strict=True):
        hidden = z < -1e30
        assert np.array_equal(hidden, y < -1e30)
        np.testing.assert_allclose(y[~hidden], z[~hidden], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("inputs", "attributes"), ROTATIONS)
def test_rotary_embedding_like_onnxruntime(run, run_onnxruntime, inputs, attributes):
    (expected,) = run_onnxruntime("RotaryEmbedding", *narrow(inputs), opset=23, **attributes)
    (y,) = run("RotaryEmbedding", *narrow(inputs), **attributes)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)


def test_a_query_that_sees_nothing_has_zeros(run):
    mask = np.ones((3, 5), bool)
    mask[1] = False
    y, _, _, shares = run("Attention", Q, K, V, mask, qk_matmul_output_mode=3)
    assert not y[:, :, 1].any()
    assert not shares[:, :, 1].any()
    np.testing.assert_allclose(shares[:, :, 0].sum(axis=-1), 1)


def test_an_empty_batch_stays_empty(run):
    packed = (x[:0] for x in PACKED)
    assert run("Attention", *packed, **HEADS)[0].shape == (0, 3, 16)


def test_token_by_token_is_the_whole(run):
    """With the keys so far handed on, causal attention gives what it gives at once."""
    q, k, v = floats(1, 4, 5, 6), floats(1, 2, 5, 6), floats(1, 2, 5, 4)
    expected = run("Attention", q, k, v, is_causal=1)[0]
    past = (None, None)
    for t in range(5):
        now = (x[:, :, t : t + 1] for x in (q, k, v))
        y, *past = run("Attention", *now, None, *past[:2], is_causal=1)
        np.testing.assert_allclose(y[:, :, 0], expected[:, :, t], atol=1e-14)


def test_the_precision_of_the_softmax_can_be_chosen(run):
    half = [x.astype(np.float16) for x in (Q, K, V)]
    coarse = run("Attention", Q, K, V, softmax_precision=DType.FLOAT16)[0]
    assert coarse.dtype == np.float64
    assert np.abs(coarse - run("Attention", Q, K, V)[0]).max() > 1e-6
    assert run("Attention", *half, softmax_precision=DType.FLOAT64)[0].dtype == np.float16


def test_turning_keeps_lengths(run):
    angles = floats(7, 3)
    (y,) = run("RotaryEmbedding", X4, np.cos(angles), np.sin(angles), POSITIONS)
    np.testing.assert_allclose(np.linalg.norm(y, axis=-1), np.linalg.norm(X4, axis=-1))


def test_linear_attention_in_two_calls_is_the_whole(run):
    q, k, v, state = LINEAR
    decay, beta = floats(2, 3, 2), floats(2, 3, 2)
    expected, last = run("LinearAttention", q, k, v, state, decay, beta, **HEADS)
    parts = []
    for tokens in (slice(0, 1), slice(1, 3)):
        now = (x[:, tokens] for x in (q, k, v))
        gates = (x[:, tokens] for x in (decay, beta))
        y, state = run("LinearAttention", *now, state, *gates, **HEADS)
        parts.append(y)
    np.testing.assert_allclose(np.concatenate(parts, axis=1), expected, atol=1e-14)
    np.testing.assert_allclose(state, last, atol=1e-14)


def test_heads_must_be_named_where_they_are_packed(run):
    with pytest.raises(ExecutionError, match="None heads"):
        run("Attention", *PACKED)
    with pytest.raises(ExecutionError, match="needs beta"):
        run("LinearAttention", *LINEAR, floats(2, 3, 2), **HEADS)
