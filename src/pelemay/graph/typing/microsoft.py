"""Types of the operations that onnxruntime adds.

In: a :class:`Site`. Out: the types of its outputs.
"""

from __future__ import annotations

from pelemay.graph.dtypes import DType
from pelemay.graph.typing.dims import broadcast, computed, tensor, total
from pelemay.graph.typing.linear import gemm, layer_normalization, product_shape
from pelemay.graph.typing.site import Rule, Site, Types
from pelemay.graph.typing.windows import conv
from pelemay.graph.values import Dim, Shape


def same(site: Site) -> Types:
    """The type of the first input."""
    return (site.type(0),)


def together(site: Site) -> Types:
    """All inputs broadcast."""
    shapes = [site.shape(i) for i in range(len(site.node.inputs)) if site.has(i)]
    return (tensor(site.dtype(0), broadcast(shapes)),)


def skip_norm(site: Site) -> Types:
    """The data, statistics with the last axis as 1, and the sum."""
    shape = broadcast([site.shape(0), site.shape(1)])
    kept = None if shape is None else (*shape[:-1], 1)
    y, statistics = tensor(site.dtype(0), shape), tensor(DType.FLOAT32, kept)
    return y, statistics, statistics, y


def embed(site: Site) -> Types:
    """(batch, tokens, width), a count for each sample, and the sum."""
    ids, table = site.shape(0), site.shape(2)
    dims = None if ids is None else (*ids, table[-1] if table else None)
    y = tensor(site.dtype(2), dims)
    return y, tensor(DType.INT32, None if ids is None else ids[:1]), y


def _turned(shape: Shape | None, turn: object, batch: object) -> Shape | None:
    if shape is None or len(shape) < 2:
        return shape
    if batch:
        shape = (*shape[1:-1], shape[0], shape[-1])
    return (*shape[:-2], shape[-1], shape[-2]) if turn else shape


def fused_matmul(site: Site) -> Types:
    """A product of which each side may be turned first."""
    a, b = (
        _turned(site.shape(i), site.attribute(f"trans{side}"), site.attribute(f"transBatch{side}"))
        for i, side in enumerate("AB")
    )
    return (tensor(site.dtype(0), product_shape(a, b)),)


def matmul_nbits(site: Site) -> Types:
    """The data with N as its last size."""
    shape = site.shape(0)
    return (tensor(site.dtype(0), None if shape is None else (*shape[:-1], site.attribute("N"))),)


def gather_block_quantized(site: Site) -> Types:
    """The indices' shape, then a row's."""
    table, places = site.shape(0), site.shape(1)
    if table is None or places is None:
        return (tensor(site.dtype(2), None),)
    each = 8 // site.attribute("bits") if site.dtype(0) is DType.UINT8 else 1
    width = computed(lambda n: n * each, table[-1])
    return (tensor(site.dtype(2), (*places, *table[1:-1], width)),)


def multi_head_attention(site: Site) -> Types:
    """The queries' shape with the values' width, all keys, all values."""
    heads: int = site.attribute("num_heads")
    q, k, v = (site.shape(i) for i in range(3))
    if q is not None and len(q) == 5:
        q = k = v = (*q[:2], computed(lambda n, s: n * s, q[2], q[4]))
    elif k is not None and len(k) == 5:
        k = v = (*k[:2], computed(lambda n, s: n * s, k[2], k[4]))
    keys, values = _heads(k, heads), _heads(v, heads)
    past = site.shape(6)
    if site.has(6):
        length = total((past[2] if past else None, keys[2]))
        keys, values = (*keys[:2], length, keys[3]), (*values[:2], length, values[3])
    width = computed(lambda n: n * heads, values[3])
    y = None if q is None else (q[0], q[1], width)
    return tuple(tensor(site.dtype(0), dims) for dims in (y, keys, values))


def _heads(shape: Shape | None, heads: int) -> tuple[Dim, Dim, Dim, Dim]:
    """(batch, heads, tokens, size) of an input whose heads may be packed."""
    if shape is None or len(shape) not in (3, 4):
        return (None, heads, None, None)
    if len(shape) == 4:
        return shape[0], shape[1], shape[2], shape[3]
    return shape[0], heads, shape[1], computed(lambda n: n // heads, shape[2])


def attention(site: Site) -> Types:
    """(batch, tokens, width of the values), and the keys and values of all tokens."""
    x, weights, heads = site.shape(0), site.shape(1), site.attribute("num_heads")
    sizes = site.attribute("qkv_hidden_sizes")
    width = sizes[2] if sizes else computed(lambda n: n // 3, weights[-1] if weights else None)
    tokens = x[1] if x else None
    if site.has(4):
        past = site.shape(4)
        tokens = total((past[3] if past else None, tokens))
    size = computed(lambda n: n // heads, width)
    present = (2, x[0] if x else None, heads, tokens, size)
    y = None if x is None else (*x[:2], width)
    return tensor(site.dtype(0), y), tensor(site.dtype(0), present)


def group_query_attention(site: Site) -> Types:
    """The result, and the keys and values, in the past's size or as many as there are."""
    many, few = site.attribute("num_heads"), site.attribute("kv_num_heads")
    q = site.shape(0)
    packed = not site.has(1)
    width = q[-1] if q else None
    size = computed(lambda n: n // (many + 2 * few if packed else many), width)
    past, whole = site.shape(3), site.number(6)
    room = whole if not site.has(3) else computed(max, past[2] if past else None, whole)
    present = (q[0] if q else None, few, room, size)
    y = None if q is None else (*q[:2], computed(lambda n: n * many, size))
    return tuple(tensor(site.dtype(0), dims) for dims in (y, present, present))


RULES: dict[str, Rule] = {
    "SimplifiedLayerNormalization": same,
    "com.microsoft::Attention": attention,
    "com.microsoft::BiasAdd": together,
    "com.microsoft::BiasGelu": together,
    "com.microsoft::EmbedLayerNormalization": embed,
    "com.microsoft::FastGelu": same,
    "com.microsoft::FusedConv": conv,
    "com.microsoft::FusedGemm": gemm,
    "com.microsoft::FusedMatMul": fused_matmul,
    "com.microsoft::GatherBlockQuantized": gather_block_quantized,
    "com.microsoft::Gelu": same,
    "com.microsoft::GroupQueryAttention": group_query_attention,
    "com.microsoft::LayerNormalization": layer_normalization,
    "com.microsoft::MatMulNBits": matmul_nbits,
    "com.microsoft::MultiHeadAttention": multi_head_attention,
    "com.microsoft::QuickGelu": same,
    "com.microsoft::RotaryEmbedding": same,
    "com.microsoft::SimplifiedLayerNormalization": same,
    "com.microsoft::SkipLayerNormalization": skip_norm,
    "com.microsoft::SkipSimplifiedLayerNormalization": skip_norm,
    "com.microsoft::TransposeMatMul": fused_matmul,
}
