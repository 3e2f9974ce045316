"""Operations that onnxruntime and its optimizer add: fused activations, products and norms.

Rows of domain ``com.microsoft`` (``SimplifiedLayerNormalization`` stands in the standard one, where
onnxruntime has it). Each meaning is said in standard operations, so that tracing it leaves nodes
that have instructions. Source: onnxruntime, docs/ContribOperators.md.

>>> import array_api_compat.numpy as xp
>>> quick_gelu(xp, xp.asarray([0.0]))
array([0.])
"""

from __future__ import annotations

from typing import Any

from pelemay.graph.dtypes import DType
from pelemay.graph.operations.common import Array, in_float32, standard
from pelemay.graph.operations.fused import finished
from pelemay.graph.operations.table import Operation
from pelemay.graph.operations.windows import Ints

DOMAIN = "com.microsoft"


def gelu(xp: Any, x: Array) -> Array:
    """Hendrycks and Gimpel, arXiv 1606.08415."""
    return standard(xp, "Gelu", x)


def bias_gelu(xp: Any, x: Array, bias: Array) -> Array:
    return standard(xp, "Gelu", x + bias)


def fast_gelu(xp: Any, x: Array, bias: Array | None = None) -> Array:
    """The approximation with tanh."""
    return standard(xp, "Gelu", x if bias is None else x + bias, approximate="tanh")


def quick_gelu(xp: Any, x: Array, *, alpha: float = 1.702) -> Array:
    return standard(xp, "Swish", x, alpha=alpha)


def bias_add(xp: Any, x: Array, bias: Array, skip: Array) -> Array:
    return x + bias + skip


_FACTORS = {"LeakyRelu": (0.01, 0.0), "HardSigmoid": (0.2, 0.5)}
"""What activations take where the node does not say it."""


def _activated(xp: Any, y: Array, name: str, given: tuple[float, ...]) -> Array:
    """``y`` after an activation, as nodes if ``xp`` traces."""
    factors = (*given, *_FACTORS.get(name, (0.0, 0.0))[len(given) :])
    if not hasattr(xp, "node") or name == "Clip":
        return finished(xp, y, None, name, (factors[0], factors[1]), "before")
    attributes: dict[str, Any] = {}
    if name in _FACTORS:
        attributes = dict(zip(("alpha", "beta"), factors, strict=False))
    if name == "LeakyRelu":
        del attributes["beta"]
    return standard(xp, name, y, **attributes) if name else y


@in_float32
def fused_conv(
    xp: Any,
    x: Array,
    w: Array,
    b: Array | None = None,
    z: Array | None = None,
    *,
    activation: str = "",
    activation_params: tuple[float, ...] = (),
    auto_pad: str = "NOTSET",
    dilations: Ints = (),
    group: int = 1,
    kernel_shape: Ints = (),
    pads: Ints = (),
    strides: Ints = (),
) -> Array:
    """A convolution, plus ``z``, and an activation."""
    options: dict[str, Any] = {"dilations": dilations, "kernel_shape": kernel_shape, "pads": pads}
    given = {name: value for name, value in {**options, "strides": strides}.items() if value}
    y = standard(xp, "Conv", x, w, b, auto_pad=auto_pad, group=group, **given)
    return _activated(xp, y if z is None else y + z, activation, activation_params)


def fused_matmul(
    xp: Any,
    a: Array,
    b: Array,
    *,
    alpha: float = 1.0,
    transA: int = 0,  # noqa: N803
    transB: int = 0,  # noqa: N803
    transBatchA: int = 0,  # noqa: N803
    transBatchB: int = 0,  # noqa: N803
) -> Array:
    """``alpha * a @ b``; ``transBatch`` moves the first axis to the place before the last."""
    left = _turned(xp, a, transA, transBatchA)
    right = _turned(xp, b, transB, transBatchB)
    y = standard(xp, "MatMul", left, right)
    return y if alpha == 1 else y * alpha


def _turned(xp: Any, x: Array, transposed: int, batch: int) -> Array:
    if batch:
        x = xp.permute_dims(x, (*range(1, x.ndim - 1), 0, x.ndim - 1))
    return xp.matrix_transpose(x) if transposed and x.ndim > 1 else x


def fused_gemm(
    xp: Any,
    a: Array,
    b: Array,
    c: Array | None = None,
    *,
    activation: str = "",
    activation_alpha: float | None = None,
    activation_beta: float | None = None,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,  # noqa: N803
    transB: int = 0,  # noqa: N803
) -> Array:
    y = standard(xp, "Gemm", a, b, c, alpha=alpha, beta=beta, transA=transA, transB=transB)
    given = (activation_alpha, activation_beta)
    return _activated(xp, y, activation, tuple(v for v in given if v is not None))


def layer_normalization(
    xp: Any,
    x: Array,
    scale: Array,
    bias: Array | None = None,
    *,
    axis: int = -1,
    epsilon: float = 1e-5,
    stash_type: DType | None = None,
) -> tuple[Array, ...]:
    options: dict[str, Any] = {"axis": axis, "epsilon": epsilon, "stash_type": stash_type}
    found: tuple[Array, ...] = standard(
        xp, "LayerNormalization", x, scale, bias, outputs=3, **options
    )
    return found


def skip_layer_normalization(
    xp: Any,
    x: Array,
    skip: Array,
    gamma: Array,
    beta: Array | None = None,
    bias: Array | None = None,
    *,
    epsilon: float = 1e-12,
) -> tuple[Array, Array, Array, Array]:
    """The norm of ``x + skip + bias``, its mean and inverse deviation, and that sum."""
    total = x + skip if bias is None else x + skip + bias
    y, mean, inverse = standard(
        xp, "LayerNormalization", total, gamma, beta, outputs=3, epsilon=epsilon
    )
    return y, mean, inverse, total


def simplified_layer_normalization(
    xp: Any,
    x: Array,
    scale: Array,
    *,
    axis: int = -1,
    epsilon: float = 1e-5,
    stash_type: DType | None = None,
) -> Array:
    """Zhang and Sennrich, Root mean square layer normalization, arXiv 1910.07467."""
    options: dict[str, Any] = {"axis": axis, "epsilon": epsilon, "stash_type": stash_type}
    return standard(xp, "RMSNormalization", x, scale, **options)


def skip_simplified_layer_normalization(
    xp: Any,
    x: Array,
    skip: Array,
    gamma: Array,
    bias: Array | None = None,
    *,
    epsilon: float = 1e-12,
) -> tuple[Array, None, None, Array]:
    """The norm of ``x + skip + bias``, and that sum."""
    total = x + skip if bias is None else x + skip + bias
    y = standard(xp, "RMSNormalization", total, gamma, epsilon=epsilon)
    return y, None, None, total


def embed_layer_normalization(
    xp: Any,
    input_ids: Array,
    segment_ids: Array | None,
    word_embedding: Array,
    position_embedding: Array,
    segment_embedding: Array | None,
    gamma: Array,
    beta: Array,
    mask: Array | None = None,
    position_ids: Array | None = None,
    *,
    epsilon: float = 1e-12,
    mask_index_type: int = 1,
) -> tuple[Array, Array, Array]:
    """The norm of the embeddings' sum, how many tokens the mask counts, and the sum."""
    total = _rows(xp, word_embedding, input_ids)
    if position_ids is None:
        total = total + position_embedding[: input_ids.shape[1], :]
    else:
        total = total + _rows(xp, position_embedding, position_ids)
    if segment_ids is not None and segment_embedding is not None:
        total = total + _rows(xp, segment_embedding, segment_ids)
    y = standard(xp, "LayerNormalization", total, gamma, beta, epsilon=epsilon)
    if mask is None:
        counts = xp.zeros((input_ids.shape[0],), dtype=xp.int32)
    else:
        counts = xp.astype(xp.sum(xp.astype(mask, xp.int64), axis=1), xp.int32)
    return y, counts, total


def _rows(xp: Any, table: Array, places: Array) -> Array:
    return standard(xp, "Gather", table, places, axis=0)


ROWS = (
    Operation("BiasAdd", bias_add, "elementwise", domain=DOMAIN),
    Operation("BiasGelu", bias_gelu, "activation", domain=DOMAIN),
    Operation("EmbedLayerNormalization", embed_layer_normalization, "normalization", domain=DOMAIN),
    Operation("FastGelu", fast_gelu, "activation", domain=DOMAIN),
    Operation("FusedConv", fused_conv, "convolution", domain=DOMAIN),
    Operation("FusedGemm", fused_gemm, "linear", domain=DOMAIN),
    Operation("FusedMatMul", fused_matmul, "linear", domain=DOMAIN),
    Operation("Gelu", gelu, "activation", domain=DOMAIN),
    Operation("LayerNormalization", layer_normalization, "normalization", domain=DOMAIN),
    Operation("QuickGelu", quick_gelu, "activation", domain=DOMAIN),
    Operation("SimplifiedLayerNormalization", simplified_layer_normalization, "normalization"),
    Operation(
        "SimplifiedLayerNormalization",
        simplified_layer_normalization,
        "normalization",
        domain=DOMAIN,
    ),
    Operation("SkipLayerNormalization", skip_layer_normalization, "normalization", domain=DOMAIN),
    Operation(
        "SkipSimplifiedLayerNormalization",
        skip_simplified_layer_normalization,
        "normalization",
        domain=DOMAIN,
    ),
    Operation("TransposeMatMul", fused_matmul, "linear", domain=DOMAIN),
)
