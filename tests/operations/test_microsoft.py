"""Operations of onnxruntime's: the reference and native instructions against onnxruntime."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import array_api_compat.numpy as xp
import numpy as np
import pytest

import pelemay
from pelemay.graph.operations import find
from pelemay.onnx_backend import NativeBackend

DOMAIN = "com.microsoft"

Arrays = list[Any]


@dataclass(frozen=True)
class Case:
    """One node over these inputs, None where one is left out; constants are inputs by number."""

    op: str
    inputs: Arrays
    outputs: int = 1
    attributes: dict[str, Any] = field(default_factory=dict)
    constants: tuple[int, ...] = ()
    domain: str = DOMAIN
    read: tuple[int, ...] = ()
    """Outputs that are compared; all if empty."""
    rows: int | None = None
    """Rows of the keys and values that are compared: what lies behind them is not read."""
    tolerance: float = 2e-5


def f(*shape: int, seed: int = 0, scale: float = 1.0) -> Any:
    return (np.random.default_rng(seed).standard_normal(shape) * scale).astype(np.float32)


def i(high: int, *shape: int, dtype: str = "int64", seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(0, high, shape).astype(dtype)


def u(high: int, *shape: int, seed: int = 0) -> Any:
    return i(high, *shape, dtype="uint8", seed=seed)


def int32(*values: int) -> Any:
    return np.array(values, np.int32)


def scalar32(value: int) -> Any:
    return np.array(value, np.int32)


HEADS = {"num_heads": 4}
GROUPS = {"num_heads": 4, "kv_num_heads": 2}


def caches(size: int = 8, rows: int = 32) -> tuple[Any, Any]:
    angles = np.outer(np.arange(rows), 0.9 ** np.arange(size // 2)).astype(np.float32)
    return np.cos(angles), np.sin(angles)


def past(batch: int = 2, heads: int = 2, rows: int = 16, size: int = 8) -> tuple[Any, Any]:
    return f(batch, heads, rows, size, seed=5), f(batch, heads, rows, size, seed=6)


def qkv(tokens: int = 3, heads: tuple[int, int] = (4, 2), batch: int = 2, size: int = 8) -> Arrays:
    widths = (heads[0] * size, heads[1] * size, heads[1] * size)
    return [f(batch, tokens, width, seed=9 + n) for n, width in enumerate(widths)]


def image(activation: str, *params: float, residual: bool = True) -> Case:
    z = f(1, 4, 6, 6, seed=3) if residual else None
    attributes = {"activation": activation, "pads": [1, 1, 1, 1], "kernel_shape": [3, 3]}
    if params:
        attributes["activation_params"] = list(params)
    inputs = [f(1, 3, 6, 6), f(4, 3, 3, 3, seed=1), f(4, seed=2), z]
    return Case("FusedConv", inputs, attributes=attributes)


def product(**attributes: Any) -> Case:
    return Case("FusedMatMul", [f(2, 4, 4), f(2, 4, 4, seed=1)], attributes=attributes)


X, ROW = f(2, 3, 16), f(16, seed=1)

CASES = {
    "Gelu": Case("Gelu", [X]),
    "FastGelu": Case("FastGelu", [X, ROW]),
    "FastGelu without bias": Case("FastGelu", [X]),
    "BiasGelu": Case("BiasGelu", [X, ROW]),
    "QuickGelu": Case("QuickGelu", [X], attributes={"alpha": 1.5}),
    "FusedConv": image("Relu"),
    "FusedConv leaky": image("LeakyRelu", 0.2),
    "FusedConv clipped": image("Clip", -0.5, 0.7, residual=False),
    "FusedConv hard sigmoid": image("HardSigmoid", 0.3, 0.4),
    "FusedConv tanh": image("Tanh", residual=False),
    "FusedMatMul": product(alpha=0.5),
    "FusedMatMul turned": product(transA=1, transB=1),
    "FusedMatMul batches": Case(
        "FusedMatMul",
        [f(4, 2, 3), f(3, 2, 5, seed=1)],
        attributes={"transBatchA": 1, "transBatchB": 1, "transA": 0},
    ),
    "TransposeMatMul": Case(
        "TransposeMatMul", [f(2, 4, 3), f(2, 4, 5, seed=1)], attributes={"transA": 1}
    ),
    "FusedGemm": Case(
        "FusedGemm",
        [f(3, 4), f(5, 4, seed=1), f(5, seed=2)],
        attributes={"transB": 1, "activation": "LeakyRelu", "activation_alpha": 0.3},
    ),
    "SkipLayerNormalization": Case(
        "SkipLayerNormalization",
        [X, f(2, 3, 16, seed=4), ROW, f(16, seed=2), f(16, seed=3)],
        outputs=4,
        attributes={"epsilon": 1e-5},
        read=(0, 3),
    ),
    "SkipSimplifiedLayerNormalization": Case(
        "SkipSimplifiedLayerNormalization",
        [X, f(2, 3, 16, seed=4), ROW],
        outputs=4,
        attributes={"epsilon": 1e-6},
        read=(0, 3),
    ),
    "SimplifiedLayerNormalization": Case(
        "SimplifiedLayerNormalization", [X, ROW], attributes={"epsilon": 1e-6}, domain=""
    ),
    "EmbedLayerNormalization": Case(
        "EmbedLayerNormalization",
        [
            i(9, 2, 4, dtype="int32"),
            i(2, 2, 4, dtype="int32", seed=1),
            f(9, 16),
            f(6, 16, seed=1),
            f(2, 16, seed=2),
            ROW,
            f(16, seed=3),
            np.array([[1, 1, 1, 0], [1, 1, 0, 0]], np.int32),
        ],
        outputs=2,
        attributes={"epsilon": 1e-5},
        constants=(2, 3, 4, 5, 6),
    ),
    "MultiHeadAttention": Case(
        "MultiHeadAttention",
        [f(2, 3, 32), f(2, 5, 32, seed=1), f(2, 5, 32, seed=2), f(96, seed=3)],
        attributes=HEADS,
    ),
    "MultiHeadAttention masked": Case(
        "MultiHeadAttention",
        [f(2, 3, 32), f(2, 5, 32, seed=1), f(2, 5, 32, seed=2), None, int32(5, 3)],
        attributes=HEADS,
    ),
    "MultiHeadAttention biased": Case(
        "MultiHeadAttention",
        [*qkv(heads=(4, 4)), None, np.array([[1, 1, 0], [1, 1, 1]], np.int32), f(1, 4, 3, 3)],
        attributes=HEADS | {"scale": 0.25},
    ),
    "MultiHeadAttention with a past": Case(
        "MultiHeadAttention",
        [*qkv(heads=(4, 4)), None, None, None, *past(heads=4)],
        outputs=3,
        attributes=HEADS | {"unidirectional": 1},
    ),
    "Attention": Case(
        "Attention",
        [f(2, 3, 16), f(16, 48, seed=1), f(48, seed=2), np.ones((2, 3), np.int32)],
        attributes=HEADS,
    ),
    "Attention with a past": Case(
        "Attention",
        [f(2, 3, 16), f(16, 48, seed=1), f(48, seed=2), None, f(2, 2, 4, 5, 4)],
        outputs=2,
        attributes=HEADS | {"unidirectional": 1},
        constants=(1, 2),
    ),
    "RotaryEmbedding": Case("RotaryEmbedding", [f(2, 3, 32), i(20, 2, 3), *caches()]),
    "RotaryEmbedding from a position": Case(
        "RotaryEmbedding", [f(2, 4, 3, 8), np.array([7]), *caches()], attributes={"interleaved": 1}
    ),
    "RotaryEmbedding in part": Case(
        "RotaryEmbedding",
        [f(2, 3, 32), i(20, 2, 3), *caches(4)],
        attributes={"rotary_embedding_dim": 4, "num_heads": 4},
    ),
    "GroupQueryAttention first": Case(
        "GroupQueryAttention",
        [*qkv(size=16), None, None, int32(2, 2), scalar32(3), *caches(16)],
        outputs=3,
        attributes=GROUPS | {"do_rotary": 1},
        constants=(6,),
    ),
    "GroupQueryAttention next": Case(
        "GroupQueryAttention",
        [*qkv(1, size=16), *past(size=16), int32(10, 10), scalar32(16), *caches(16)],
        outputs=3,
        attributes=GROUPS | {"do_rotary": 1, "scale": 0.4},
        constants=(6,),
        rows=11,
    ),
    "GroupQueryAttention packed": Case(
        "GroupQueryAttention",
        [f(1, 1, 128), None, None, *past(1, size=16), int32(16), scalar32(17), *caches(16)],
        outputs=3,
        attributes=GROUPS | {"do_rotary": 1, "rotary_interleaved": 1},
        constants=(6,),
    ),
    "GroupQueryAttention near": Case(
        "GroupQueryAttention",
        [*qkv(4, batch=1, size=16), *past(1, size=16), int32(15), scalar32(16)],
        attributes=GROUPS | {"local_window_size": 3},
        outputs=3,
        constants=(6,),
    ),
    "MatMulNBits": Case(
        "MatMulNBits",
        [f(2, 3, 64), u(256, 24, 2, 16), f(48, seed=1)],
        attributes={"K": 64, "N": 24, "block_size": 32, "bits": 4},
        constants=(1, 2),
    ),
    "MatMulNBits with zero points": Case(
        "MatMulNBits",
        [f(5, 80), u(256, 24, 3, 16), f(72, seed=1), u(256, 48), None, f(24)],
        attributes={"K": 80, "N": 24, "block_size": 32, "bits": 4},
        constants=(1, 2, 3, 5),
    ),
    "MatMulNBits of bytes": Case(
        "MatMulNBits",
        [f(1, 64), u(256, 24, 2, 32), f(48, seed=1), u(256, 48)],
        attributes={"K": 64, "N": 24, "block_size": 32, "bits": 8},
        constants=(1, 2, 3),
        tolerance=1e-4,
    ),
    "GatherBlockQuantized": Case(
        "GatherBlockQuantized",
        [u(256, 9, 32), i(9, 2, 3), f(9, 2)],
        attributes={"bits": 4, "block_size": 32, "quantize_axis": 1},
        constants=(0, 2),
    ),
    "GatherBlockQuantized with zero points": Case(
        "GatherBlockQuantized",
        [u(256, 9, 32), i(9, 2, 3), f(9, 2), u(256, 9, 1)],
        attributes={"bits": 4, "block_size": 32, "quantize_axis": 1},
        constants=(0, 2, 3),
    ),
}


@pytest.fixture(params=CASES.values(), ids=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return request.param


def test_reference(case: Case) -> None:
    model, feeds = _model(case)
    found = pelemay.InferenceSession(model.SerializeToString(), backend="reference").run(
        None, feeds
    )
    _same(case, found, _expected(case, model, feeds))


def test_native(case: Case) -> None:
    model, feeds = _model(case)
    found = NativeBackend.prepare(model, allow_fallback=False).run(list(feeds.values()))
    _same(case, list(found), _expected(case, model, feeds))


def test_packed_heads_are_those_apart() -> None:
    packed = f(2, 3, 4, 3, 8)
    apart = [np.ascontiguousarray(packed[:, :, :, n]).reshape(2, 3, 32) for n in range(3)]
    meaning = find("MultiHeadAttention", DOMAIN).meaning
    results = (meaning(xp, *given, num_heads=4)[0] for given in ([packed], apart))
    np.testing.assert_array_equal(*results)


def _same(case: Case, found: Arrays, expected: Arrays) -> None:
    for y, z in zip(found, expected, strict=True):
        assert (y.dtype, y.shape) == (z.dtype, z.shape)
        if y.ndim == 4:
            y, z = y[:, :, : case.rows], z[:, :, : case.rows]
        np.testing.assert_allclose(y, z, rtol=case.tolerance, atol=case.tolerance)


def _model(case: Case) -> tuple[Any, dict[str, Any]]:
    import onnx
    from onnx import helper, numpy_helper

    names = ["" if x is None else f"x{n}" for n, x in enumerate(case.inputs)]
    read = case.read or tuple(range(case.outputs))
    results = [f"y{n}" if n in read else "" for n in range(case.outputs)]
    node = helper.make_node(case.op, names, results, domain=case.domain, **case.attributes)
    arrays = {n: np.asarray(x) for n, x in zip(names, case.inputs, strict=True) if n}
    constants = {names[n] for n in case.constants}
    feeds = {n: x for n, x in arrays.items() if n not in constants}
    types = [
        helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)
        for n, x in feeds.items()
    ]
    graph = helper.make_graph(
        [node],
        "one",
        types,
        [onnx.ValueInfoProto(name=n) for n in results if n],
        [numpy_helper.from_array(arrays[n], n) for n in sorted(constants)],
    )
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid(DOMAIN, 1)]
    return helper.make_model(graph, ir_version=10, opset_imports=opsets), feeds


def _expected(case: Case, model: Any, feeds: dict[str, Any]) -> list[Any]:
    ort = pytest.importorskip("onnxruntime")
    options = ort.SessionOptions()
    options.log_severity_level = 4
    data, providers = model.SerializeToString(), ["CPUExecutionProvider"]
    found: Arrays = ort.InferenceSession(data, options, providers=providers).run(None, feeds)
    return found
