"""Transformers: vision transformers and a small BERT encoder, as PyTorch exports them.

In: width, heads and layers, which tests may make tiny. Out: a blueprint at opset 17, with
LayerNormalization as one operation, GELU written out through Erf, and attention as two MatMuls
around a Softmax. There is no original file; the parameters are those of timm's
``vit_*_patch16_224`` and of ``google/bert_uncased_L-4_H-256_A-4``.

Sources: Dosovitskiy et al. 2021, "An Image is Worth 16x16 Words"; Devlin et al. 2019, "BERT".

>>> vit(192, 3).parameter_bytes  # 5,717,416 parameters and the 4 constants of GELU and attention
22869680
"""

from __future__ import annotations

from typing import Any

from onnx import TensorProto

from pelemay.models.standins.builder import (
    Blueprint,
    Exact,
    GraphBuilder,
    Normal,
    Uniform,
    he_normal,
)

# The most negative float32: what masks a position out before the Softmax.
_MASKED = -3.4028234663852886e38


class _TransformerGraph(GraphBuilder):
    """Layers that both kinds share; values are named after their module."""

    def __init__(self, heads: int, width: int, tokens: int, epsilon: float) -> None:
        super().__init__("main_graph", opset=17, ir_version=8)
        self.heads = heads
        self.width = width
        self.tokens = tokens
        self.epsilon = epsilon
        self._counts: dict[str, int] = {}
        self._constants: dict[str, str] = {}

    def op(self, scope: str, op_type: str, *inputs: str, **attributes: Any) -> str:
        stem = f"{scope}/{op_type}"
        number = self._counts.get(stem, 0)
        self._counts[stem] = number + 1
        return self.node(op_type, inputs, f"{stem}_{number}" if number else stem, **attributes)

    def constant(self, name: str, value: float) -> str:
        """A scalar, made once and shared."""
        if name not in self._constants:
            self._constants[name] = self.scalar(name, value)
        return self._constants[name]

    def target(self, name: str, *shape: int) -> str:
        """A shape for Reshape, made once and shared."""
        if name not in self._constants:
            self._constants[name] = self.integers(name, shape)
        return self._constants[name]

    def index(self, number: int) -> str:
        """A scalar index for Gather, made once and shared."""
        name = f"index_{number}"
        if name not in self._constants:
            law = Exact((number,))
            self._constants[name] = self.parameter(name, (), law, TensorProto.INT64)
        return self._constants[name]

    def linear(self, scope: str, x: str, inputs: int, outputs: int) -> str:
        """``x @ weight + bias``; a MatMul's weight lies input by input."""
        module = _module(scope)
        law = he_normal(inputs, centre=False, gain=0.5**0.5)
        weight = self.parameter(f"{module}.weight", (inputs, outputs), law)
        bias = self.parameter(f"{module}.bias", (outputs,), Normal(0.02))
        return self.op(scope, "Add", bias, self.op(scope, "MatMul", x, weight))

    def layer_norm(self, scope: str, x: str) -> str:
        module = _module(scope)
        scale = self.parameter(f"{module}.weight", (self.width,), Uniform(0.9, 1.1))
        shift = self.parameter(f"{module}.bias", (self.width,), Normal(0.05))
        return self.op(scope, "LayerNormalization", x, scale, shift, axis=-1, epsilon=self.epsilon)

    def gelu(self, scope: str, x: str) -> str:
        """``x / 2 * (1 + erf(x / sqrt(2)))``, operation by operation."""
        y = self.op(scope, "Erf", self.op(scope, "Div", x, self.constant("sqrt_2", 2**0.5)))
        y = self.op(scope, "Mul", x, self.op(scope, "Add", y, self.constant("one", 1.0)))
        return self.op(scope, "Mul", y, self.constant("half", 0.5))

    def attend(self, scope: str, q: str, k: str, v: str, mask: str | None = None) -> str:
        """Softmax attention over [1, heads, tokens, depth]; ``k`` comes transposed."""
        scores = self.op(scope, "MatMul", q, k)
        if mask is not None:
            scores = self.op(scope, "Add", scores, mask)
        mixed = self.op(scope, "MatMul", self.op(scope, "Softmax", scores, axis=-1), v)
        mixed = self.op(scope, "Transpose", mixed, perm=[0, 2, 1, 3])
        joined = self.target("joined_heads", 1, self.tokens, self.width)
        return self.op(scope, "Reshape", mixed, joined)


def _module(scope: str) -> str:
    return scope.removeprefix("/").replace("/", ".")


def vit(
    width: int,
    heads: int,
    *,
    layers: int = 12,
    patch: int = 16,
    classes: int = 1000,
    size: int = 224,
) -> Blueprint:
    """A vision transformer: input ``pixel_values`` [1, 3, size, size]; output ``logits``.

    Parameters
    ----------
    width, heads : int
        192 and 3 for ViT-Tiny, 768 and 12 for ViT-Base.
    layers, patch : int
        Blocks, and side of a patch in pixels.
    classes, size : int
        Outputs, and height and width of the input in pixels.
    """
    tokens = (size // patch) ** 2 + 1
    b = _TransformerGraph(heads, width, tokens, epsilon=1e-6)
    x = _embed_patches(b, b.input("pixel_values", (1, 3, size, size)), patch)
    for layer in range(layers):
        scope = f"/blocks.{layer}"
        y = _fused_attention(b, f"{scope}/attn", b.layer_norm(f"{scope}/norm1", x))
        x = b.op(scope, "Add", x, y)
        y = _feed_forward(b, f"{scope}/mlp", b.layer_norm(f"{scope}/norm2", x))
        x = b.op(scope, "Add", x, y)
    x = b.layer_norm("/norm", x)
    x = b.op("", "Gather", x, b.index(0), axis=1)
    weight = b.parameter("head.weight", (classes, width), he_normal(width, gain=0.5**0.5))
    bias = b.parameter("head.bias", (classes,), Normal(0.02))
    x = b.node("Gemm", [x, weight, bias], "logits", alpha=1.0, beta=1.0, transB=1)
    b.output(x, (1, classes))
    return b.blueprint()


def _embed_patches(b: _TransformerGraph, x: str, patch: int) -> str:
    scope, width = "/patch_embed", b.width
    law = he_normal(3 * patch * patch, centre=False, gain=0.5**0.5)
    weight = b.parameter("patch_embed.proj.weight", (width, 3, patch, patch), law)
    bias = b.parameter("patch_embed.proj.bias", (width,), Normal(0.02))
    square = [patch, patch]
    x = b.op(
        scope,
        "Conv",
        x,
        weight,
        bias,
        dilations=[1, 1],
        group=1,
        kernel_shape=square,
        pads=[0] * 4,
        strides=square,
    )
    x = b.op(scope, "Reshape", x, b.target("flat_patches", 1, width, b.tokens - 1))
    x = b.op(scope, "Transpose", x, perm=[0, 2, 1])
    x = b.op("", "Concat", b.parameter("cls_token", (1, 1, width), Normal(0.02)), x, axis=1)
    return b.op("", "Add", x, b.parameter("pos_embed", (1, b.tokens, width), Normal(0.2)))


def _fused_attention(b: _TransformerGraph, scope: str, x: str) -> str:
    """One linear layer gives queries, keys and values, which are then taken apart."""
    depth = b.width // b.heads
    x = b.linear(f"{scope}/qkv", x, b.width, 3 * b.width)
    x = b.op(scope, "Reshape", x, b.target("split_heads", 1, b.tokens, 3, b.heads, depth))
    x = b.op(scope, "Transpose", x, perm=[2, 0, 3, 1, 4])
    q, k, v = (b.op(scope, "Gather", x, b.index(n), axis=0) for n in range(3))
    q = b.op(scope, "Mul", q, b.constant("attention_scale", depth**-0.5))
    k = b.op(scope, "Transpose", k, perm=[0, 1, 3, 2])
    return b.linear(f"{scope}/proj", b.attend(scope, q, k, v), b.width, b.width)


def _feed_forward(b: _TransformerGraph, scope: str, x: str) -> str:
    x = b.gelu(f"{scope}/act", b.linear(f"{scope}/fc1", x, b.width, 4 * b.width))
    return b.linear(f"{scope}/fc2", x, 4 * b.width, b.width)


def bert(
    layers: int,
    width: int,
    heads: int,
    *,
    tokens: int = 128,
    vocabulary: int = 30522,
    positions: int = 512,
) -> Blueprint:
    """A BERT encoder: inputs ``input_ids`` and ``attention_mask``, both int64 [1, tokens].

    Parameters
    ----------
    layers, width, heads : int
        4, 256 and 4 for BERT-mini.
    tokens : int
        Length of the sequence.
    vocabulary, positions : int
        Rows of the two embedding tables.

    Returns
    -------
    Blueprint
        Outputs ``last_hidden_state`` [1, tokens, width] and ``pooler_output`` [1, width].
    """
    b = _TransformerGraph(heads, width, tokens, epsilon=1e-12)
    ids = b.input("input_ids", (1, tokens), TensorProto.INT64)
    mask = _attention_bias(b, b.input("attention_mask", (1, tokens), TensorProto.INT64))
    x = _embed_words(b, ids, vocabulary, positions)
    for layer in range(layers):
        scope = f"/encoder/layer.{layer}"
        y = _separate_attention(b, f"{scope}/attention", x, mask)
        x = b.layer_norm(f"{scope}/attention/output/LayerNorm", b.op(scope, "Add", y, x))
        y = _feed_forward(b, f"{scope}/mlp", x)
        x = b.layer_norm(f"{scope}/output/LayerNorm", b.op(scope, "Add", y, x))
    b.output(b.node("Identity", [x], "last_hidden_state"), (1, tokens, width))
    _pool(b, x)
    return b.blueprint()


def _attention_bias(b: _TransformerGraph, mask: str) -> str:
    """0 where the mask is 1, the most negative number where it is 0."""
    axes = b.target("mask_axes", 1, 2)
    x = b.op("/mask", "Cast", b.op("/mask", "Unsqueeze", mask, axes), to=TensorProto.FLOAT)
    x = b.op("/mask", "Sub", b.constant("one", 1.0), x)
    return b.op("/mask", "Mul", x, b.constant("masked", _MASKED))


def _embed_words(b: _TransformerGraph, ids: str, vocabulary: int, positions: int) -> str:
    scope = "/embeddings"
    row, whole = (1, b.tokens), TensorProto.INT64
    types = b.parameter("token_type_ids", row, Exact((0,) * b.tokens), whole)
    places = b.parameter("position_ids", row, Exact(tuple(range(b.tokens))), whole)
    tables = {
        "word_embeddings": (vocabulary, ids),
        "token_type_embeddings": (2, types),
        "position_embeddings": (positions, places),
    }
    word, kind, place = (
        b.op(
            f"{scope}/{name}",
            "Gather",
            b.parameter(f"embeddings.{name}.weight", (rows, b.width), Normal(0.02)),
            index,
        )
        for name, (rows, index) in tables.items()
    )
    x = b.op(scope, "Add", b.op(scope, "Add", word, kind), place)
    return b.layer_norm(f"{scope}/LayerNorm", x)


def _separate_attention(b: _TransformerGraph, scope: str, x: str, mask: str) -> str:
    depth = b.width // b.heads
    split = b.target("split_heads", 1, b.tokens, b.heads, depth)
    values = {}
    for name, order in (("query", [0, 2, 1, 3]), ("key", [0, 2, 3, 1]), ("value", [0, 2, 1, 3])):
        part = f"{scope}/self/{name}"
        y = b.op(part, "Reshape", b.linear(part, x, b.width, b.width), split)
        values[name] = b.op(part, "Transpose", y, perm=order)
    q = b.op(scope, "Mul", values["query"], b.constant("attention_scale", depth**-0.5))
    mixed = b.attend(scope, q, values["key"], values["value"], mask)
    return b.linear(f"{scope}/output/dense", mixed, b.width, b.width)


def _pool(b: _TransformerGraph, x: str) -> None:
    first = b.op("/pooler", "Gather", x, b.index(0), axis=1)
    law = he_normal(b.width, gain=0.5**0.5)
    weight = b.parameter("pooler.dense.weight", (b.width, b.width), law)
    bias = b.parameter("pooler.dense.bias", (b.width,), Normal(0.02))
    dense = b.op("/pooler", "Gemm", first, weight, bias, alpha=1.0, beta=1.0, transB=1)
    b.output(b.node("Tanh", [dense], "pooler_output"), (1, b.width))
