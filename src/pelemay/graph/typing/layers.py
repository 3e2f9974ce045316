"""Types of recurrent layers, attention, losses and quantization.

In: a :class:`Site`. Out: the types of its outputs.
"""

from __future__ import annotations

from pelemay.errors import GraphError
from pelemay.graph.dtypes import DType
from pelemay.graph.typing.dims import computed, tensor, total
from pelemay.graph.typing.site import Rule, Site, Types
from pelemay.graph.values import Dim, Shape


def recurrent(site: Site) -> Types:
    """All hidden states, the last one, and for an LSTM the last cell state."""
    x, r = site.shape(0), site.shape(2)
    hidden: Dim = r[-1] if r else site.attribute("hidden_size") or None
    directions = 2 if site.attribute("direction") == "bidirectional" else 1
    first, second = (None, None) if x is None else x[:2]
    every: Shape = (first, directions, second, hidden)
    last: Shape = (directions, second, hidden)
    if site.attribute("layout"):
        every, last = (first, second, directions, hidden), (first, directions, hidden)
    dtype = site.dtype(0)
    return tensor(dtype, every), tensor(dtype, last), tensor(dtype, last)


def _heads(shape: Shape | None, heads: int | None) -> tuple[Dim, Dim, Dim, Dim]:
    """(batch, heads, tokens, size) of an input whose heads may be packed."""
    if shape is None:
        return (None, heads, None, None)
    if len(shape) == 4:
        return shape[0], shape[1], shape[2], shape[3]
    if len(shape) != 3 or not heads:
        raise GraphError(f"an input of shape {shape} has no heads")
    return shape[0], heads, shape[1], computed(lambda n: n // heads, shape[2])


def _agree(what: str, *sizes: Dim) -> None:
    found = {size for size in sizes if isinstance(size, int)}
    if len(found) > 1:
        raise GraphError(f"{what} differ: {', '.join(map(str, sorted(found)))}")


def attention(site: Site) -> Types:
    """The result in the layout of the queries, all keys, all values, the scores."""
    queries, shared = site.attribute("q_num_heads"), site.attribute("kv_num_heads")
    q = _heads(site.shape(0), queries)
    k, v = _heads(site.shape(1), shared), _heads(site.shape(2), shared)
    _agree("batches of queries, keys and values", q[0], k[0], v[0])
    _agree("heads of keys and values", k[1], v[1])
    _agree("tokens of keys and values", k[2], v[2])
    _agree("sizes of queries and keys", q[3], k[3])
    keys: Dim = k[2]
    if site.has(4):
        past = site.shape(4)
        keys = total((past[2] if past else None, keys))
    rank = site.rank(0)
    packed = computed(lambda h, n: h * n, q[1], v[3])
    y = (q[0], q[2], packed) if rank == 3 else (*q[:3], v[3])
    return (
        tensor(site.dtype(0), None if rank is None else y),
        tensor(site.dtype(1), (k[0], k[1], keys, k[3])),
        tensor(site.dtype(2), (v[0], v[1], keys, v[3])),
        tensor(site.dtype(0), (*q[:3], keys)),
    )


def rotary_embedding(site: Site) -> Types:
    """What is turned, as it was; cosines and sines are of each place, or of each token."""
    rank = site.rank(1)
    if rank is not None and rank != (2 if site.has(3) else 3):
        raise GraphError(f"cosines have {rank} axes, {5 - rank} are needed")
    for cos, sin in zip(site.shape(1) or (), site.shape(2) or (), strict=False):
        _agree("shapes of cosines and sines", cos, sin)
    return (site.type(0),)


def linear_attention(site: Site) -> Types:
    """The result with its heads packed, and the state."""
    queries, shared = site.attribute("q_num_heads"), site.attribute("kv_num_heads")
    q = _heads(site.shape(0), queries)
    k, v = _heads(site.shape(1), shared), _heads(site.shape(2), shared)
    y = (q[0], q[2], computed(lambda h, n: h * n, q[1], v[3]))
    return tensor(site.dtype(0), y), tensor(site.dtype(0), (k[0], k[1], k[3], v[3]))


def flex_attention(site: Site) -> Types:
    """The queries' shape with the values' last size."""
    q, v = site.shape(0), site.shape(2)
    dims = None if q is None else (*q[:-1], v[-1] if v else None)
    return (tensor(site.dtype(0), dims),)


def loss(site: Site) -> Types:
    """A loss for each place, or one number."""
    scores, classes = site.shape(0), site.shape(1)
    if scores is not None and classes is not None:
        for score, place in zip((scores[0], *scores[2:]), classes, strict=True):
            _agree("places of scores and classes", score, place)
    places = site.shape(1) if site.attribute("reduction") == "none" else ()
    return (tensor(site.dtype(0), places),)


def cross_entropy(site: Site) -> Types:
    """The loss, and the logarithms of the probabilities."""
    return (*loss(site), site.type(0))


def quantize(site: Site) -> Types:
    """The data's shape in the type of the zero point."""
    asked = site.attribute("output_dtype")
    dtype = asked or (site.dtype(2) if site.has(2) else DType.UINT8)
    return (tensor(dtype, site.shape(0)),)


def dequantize(site: Site) -> Types:
    """The data's shape in the type of the scale."""
    return (tensor(site.attribute("output_dtype") or site.dtype(1), site.shape(0)),)


def dynamic_quantize(site: Site) -> Types:
    """The data in uint8, its scale and its zero point."""
    return (
        tensor(DType.UINT8, site.shape(0)),
        tensor(DType.FLOAT32, ()),
        tensor(DType.UINT8, ()),
    )


RULES: dict[str, Rule] = {
    "Attention": attention,
    "DequantizeLinear": dequantize,
    "DynamicQuantizeLinear": dynamic_quantize,
    "GRU": recurrent,
    "LSTM": recurrent,
    "LinearAttention": linear_attention,
    "RotaryEmbedding": rotary_embedding,
    "NegativeLogLikelihoodLoss": loss,
    "QuantizeLinear": quantize,
    "RNN": recurrent,
    "SoftmaxCrossEntropyLoss": cross_entropy,
    "ai.onnx.preview::FlexAttention": flex_attention,
}
