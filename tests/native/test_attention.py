"""Attention, against its meaning."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pelemay.engine import native
from support.nodes import Case
from support.ops import run_op, workers_agree

RNG = np.random.default_rng


def floats(*shape: int, seed: int = 0, scale: float = 1) -> Any:
    return RNG(seed).normal(0, scale, shape).astype(np.float32)


def qkv(
    batch: int = 2, heads: int = 3, few: int = 3, rows: int = 20, keys: int = 20, size: int = 8
) -> tuple[Any, Any, Any]:
    return (
        floats(batch, heads, rows, size),
        floats(batch, few, keys, size, seed=1),
        floats(batch, few, keys, size, seed=2),
    )


def packed(x: Any) -> Any:
    return np.ascontiguousarray(x.transpose(0, 2, 1, 3)).reshape(x.shape[0], x.shape[2], -1)


def check(
    *inputs: Any, wanted: tuple[int, ...] = (0,), workers: Any = (1, 2), **options: Any
) -> None:
    Case("Attention", inputs, options, wanted=wanted).check(of_largest=True, workers=workers)


@pytest.mark.parametrize("size", [1, 3, 8, 64, 80])
@pytest.mark.parametrize("rows", [1, 5, 16, 17, 33, 197])
def test_sizes(rows: int, size: int) -> None:
    for keys in (1, 7, rows, 130, 300):
        check(*qkv(1, 2, 2, rows, keys, size), workers=(1, 3))


def test_values_of_another_size() -> None:
    q, k, _ = qkv()
    check(q, k, floats(2, 3, 20, 21, seed=4))


@pytest.mark.parametrize("few", [1, 2, 4, 8])
@pytest.mark.parametrize("rows", [1, 3, 40])
def test_grouped_queries(few: int, rows: int) -> None:
    q, k, v = qkv(2, 8, few, rows, 50, 16)
    check(q, k, v, workers=(1, 2, 3))
    check(q, k, v, floats(2, 8, rows, 50, seed=3), is_causal=1)
    check(packed(q), packed(k), packed(v), q_num_heads=8, kv_num_heads=few)


MASKS = [
    (20, 150),
    (1, 150),
    (3, 20, 150),
    (2, 1, 20, 150),
    (2, 3, 20, 150),
    (2, 1, 1, 150),
    (150,),
]


@pytest.mark.parametrize("shape", [*MASKS, (20, 100), (2, 1, 1, 1)], ids=str)
@pytest.mark.parametrize("kind", ["float", "bool"])
def test_masks(shape: tuple[int, ...], kind: str) -> None:
    q, k, v = qkv(keys=150)
    mask = floats(*shape, seed=5)
    mask = mask > -0.3 if kind == "bool" else np.where(mask > 1, np.float32(-np.inf), mask)
    check(q, k, v, mask)
    check(q, k, v, mask, is_causal=1, softcap=0.5)


def test_rows_that_see_no_key() -> None:
    q, k, v = qkv(keys=150)
    mask = RNG(0).random((20, 150)) < 0.5
    mask[3], mask[7, :140] = False, False
    check(q, k, v, mask, wanted=(0, 3), qk_matmul_output_mode=3)
    check(q, k, v, np.zeros((20, 150), bool))


@pytest.mark.parametrize("options", [
    {"is_causal": 1}, {"left_window_size": 3}, {"right_window_size": 2},
    {"is_causal": 1, "left_window_size": 20}, {"left_window_size": 0, "right_window_size": 0},
    {"softcap": 2.0}, {"scale": 0.3}, {"scale": 3.0, "softcap": 1.0, "is_causal": 1},
], ids=str)  # fmt: skip
@pytest.mark.parametrize("keys", [20, 9, 300])
def test_what_a_query_sees(options: dict[str, Any], keys: int) -> None:
    check(*qkv(keys=keys), **options)
    check(*qkv(1, 2, 2, 300, keys), **options)


@pytest.mark.parametrize("options", [{}, {"is_causal": 1}, {"left_window_size": 4}], ids=str)
def test_past_and_present(options: dict[str, Any]) -> None:
    q, k, v = qkv(rows=5, keys=5)
    _, past_k, past_v = qkv(keys=30)
    check(q, k, v, None, past_k, past_v, wanted=(0, 1, 2), **options)
    check(q, k, v, floats(5, 35), past_k, past_v, wanted=(0, 1, 2), **options)
    check(q, k, v, wanted=(0, 1, 2), **options)
    heads = {"q_num_heads": 3, "kv_num_heads": 3}
    threes = (packed(x) for x in (q, k, v))
    check(*threes, None, past_k, past_v, wanted=(0, 1, 2), **heads, **options)


@pytest.mark.parametrize("options", [{}, {"is_causal": 1}, {"left_window_size": 4}], ids=str)
def test_counts_of_keys(options: dict[str, Any]) -> None:
    q, k, v = qkv(batch=5, rows=6, keys=30)
    counts = np.array([30, 7, 1, 0, 55])
    check(q, k, v, None, None, None, counts, **options)
    check(q, k, v, floats(6, 30) > 0, None, None, counts, **options)


@pytest.mark.parametrize("mode", range(4))
@pytest.mark.parametrize("masked", [False, True])
def test_scores(mode: int, masked: bool) -> None:
    options = {"qk_matmul_output_mode": mode, "is_causal": int(masked), "softcap": 1.5}
    mask = floats(40, 150, seed=6) if masked else None
    check(*qkv(rows=40, keys=150), mask, wanted=(0, 3), **options)
    check(*qkv(heads=6, rows=4, keys=150), None, wanted=(0, 3), **options)


def test_large_scores() -> None:
    q, k, v = qkv(rows=40, keys=300, size=64)
    Case("Attention", (q * 3, k * 3, v), {}, wanted=(0,)).check(of_largest=True)


def test_no_elements() -> None:
    check(*qkv(rows=0))
    check(*qkv(batch=0))
    check(*qkv(keys=0))


def test_parts_of_one_projection(isa: str) -> None:
    """Queries, keys and values in the columns of one (tokens, 3 * hidden), as they come."""
    tokens, heads, size = 37, 3, 16
    whole = floats(1, tokens, 3 * heads * size)
    views = [
        part.reshape(1, tokens, heads, size).transpose(0, 2, 1, 3)
        for part in np.split(whole, 3, axis=-1)
    ]
    parts = [
        np.lib.stride_tricks.as_strided(
            whole[..., i * heads * size :], (1, heads, tokens, size),
            (whole.strides[0], size * 4, whole.strides[1], 4),
        )
        for i in range(3)
    ]  # fmt: skip
    y = np.empty((1, tokens, heads, size), np.float32)
    params = (size**-0.5, 0.0, 0, 0, -1, -1, 0)
    outputs = [y.transpose(0, 2, 1, 3), None]
    (found,) = run_op("attention", [*parts, None, None], outputs, params, isa=isa)
    ideal = Case("Attention", tuple(views), {}).meaning(wide=True)[0]
    np.testing.assert_allclose(found, ideal, 1e-5, 1e-5)


@given(
    shape=st.fixed_dictionaries({
        "batch": st.integers(1, 2), "rows": st.integers(1, 40), "keys": st.integers(1, 140),
        "few": st.integers(1, 3), "size": st.integers(1, 20),
    }),
    group=st.integers(1, 3),
    causal=st.integers(0, 1),
    left=st.integers(-1, 9),
    right=st.integers(-1, 9),
    mask=st.sampled_from([None, "float", "bool"]),
)  # fmt: skip
@settings(max_examples=60)
def test_random(
    shape: dict[str, int], group: int, causal: int, left: int, right: int, mask: str | None
) -> None:
    q, k, v = qkv(heads=group * shape["few"], **shape)
    given_mask = None if mask is None else floats(shape["rows"], shape["keys"], seed=9)
    if mask == "bool" and given_mask is not None:
        given_mask = given_mask > 0
    options = {"left_window_size": left, "right_window_size": right, "is_causal": causal}
    check(q, k, v, given_mask, **options)


def test_results_do_not_depend_on_workers(isa: str) -> None:
    q, k, v = qkv(2, 4, 2, 50, 150, 16)

    def run(workers: int) -> list[Any]:
        params = (0.25, 0.0, 1, 100, -1, -1, 0)
        outputs = [(q.shape, np.float32), None]
        return run_op("attention", [q, k, v, None, None], outputs, params, workers=workers, isa=isa)

    workers_agree(run)


@pytest.mark.parametrize("interleaved", [0, 1])
@pytest.mark.parametrize("turned", [0, 38])
@pytest.mark.parametrize("form", ["heads", "packed"])
@pytest.mark.parametrize("placed", [False, True])
def test_rotary(interleaved: int, turned: int, form: str, placed: bool) -> None:
    x = floats(2, 3, 40, 70)
    half = (turned or 70) // 2
    options = {"interleaved": interleaved, "rotary_embedding_dim": turned, "num_heads": 3}
    shape = (50, half) if placed else (2, 40, half)
    inputs = [packed(x) if form == "packed" else x, floats(*shape, seed=1), floats(*shape, seed=2)]
    if placed:
        inputs.append(RNG(3).integers(0, 50, (2, 40)))
    Case("RotaryEmbedding", tuple(inputs), options).check(of_largest=True)


def test_rotary_place_out_of_range(isa: str) -> None:
    inputs = [floats(1, 1, 3, 4), *[floats(5, 2, seed=1)] * 2, np.array([[0, 5, 1]])]
    with pytest.raises(native().NativeError, match="out of range"):
        run_op("rotary", inputs, [((1, 1, 3, 4), np.float32)], (4, 0), isa=isa)


@pytest.mark.parametrize("rule", ["linear", "gated", "delta", "gated_delta"])
@pytest.mark.parametrize("few", [1, 2, 4])
@pytest.mark.parametrize("past", [False, True])
def test_linear(rule: str, few: int, past: bool) -> None:
    q, k, v = floats(2, 9, 4 * 6), floats(2, 9, few * 6, seed=1), floats(2, 9, few * 17, seed=2)
    state = floats(2, few, 6, 17, seed=3) if past else None
    options = {"q_num_heads": 4, "kv_num_heads": few, "update_rule": rule}
    for width, count in ((6, few), (1, 1)):
        decay = -np.abs(floats(2, 9, few * width, seed=4)) if "gated" in rule else None
        rate = floats(2, 9, count, seed=5, scale=0.3) if "delta" in rule else None
        inputs = (q, k / 3, v, state, decay, rate)
        for scale in (0.0, 0.5):
            Case("LinearAttention", inputs, {**options, "scale": scale}).check(of_largest=True)


@pytest.mark.parametrize("few", [1, 2, 4])
def test_flex(few: int) -> None:
    case = Case("ai.onnx.preview::FlexAttention", qkv(2, 4, few, 30, 140, 16), {"scale": 0.2})
    case.check(of_largest=True)


@pytest.mark.parametrize("hidden", [-np.inf, float(np.finfo(np.float32).min)])
@pytest.mark.parametrize("rows", [1, 20])
def test_keys_of_which_a_mask_leaves_nothing(rows: int, hidden: float) -> None:
    """Whole blocks of keys are passed over, and are none where a query sees nothing at all."""
    q, k, v = qkv(2, 4, 2, rows, 300, 16)
    mask = np.full((2, 1, rows, 300), hidden, np.float32)
    mask[0, 0, :, 250:260] = 0
    mask[1, 0, :, 70] = 0.5
    mask[1, 0, 0, 70] = hidden
    check(q, k, v, mask, workers=(1, 3))
    check(q, k, v, mask[:1, :, :1])
    check(q, k, v, mask[:1, :, :1], is_causal=1)
    check(q, k, v, mask == 0)
