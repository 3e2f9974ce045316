"""Small language models with a cache, of random weights, in forms of the same network.

In: sizes. Out: a ``ModelProto`` like Llama's or Qwen2's: as optimum exports it, with keys and
values that grow; as onnxruntime-genai's model builder writes it, with ``GroupQueryAttention`` and
weights that may be 4 bits wide; and in the operations of operator set 23, whose ``Attention`` takes
the past, or 24, with ``TensorScatter``. The same seed gives the same weights: all say the same.

Sources: Touvron et al., LLaMA, arXiv 2302.13971; Ainslie et al., GQA, arXiv 2305.13245.

>>> [v.name for v in optimum(Sizes(layers=1)).graph.input]
['input_ids', 'attention_mask', 'position_ids', 'past_key_values.0.key', 'past_key_values.0.value']
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

MICROSOFT = "com.microsoft"
HIDDEN = float(np.finfo(np.float32).min)


@dataclass(frozen=True)
class Sizes:
    """What a decoder is made of.

    Parameters
    ----------
    vocabulary, width, layers, hidden : int
        Tokens, numbers for each of them, blocks, numbers between the two products of a block.
    heads, shared : int
        Of queries, and of keys and values.
    positions : int
        The most that can be read.
    bias : bool
        Whether queries, keys and values have one, as Qwen2's do.
    """

    vocabulary: int = 256
    width: int = 64
    layers: int = 2
    hidden: int = 128
    heads: int = 4
    shared: int = 2
    positions: int = 512
    bias: bool = False

    @property
    def size(self) -> int:
        """Of a head."""
        return self.width // self.heads


@dataclass
class Form:
    """A graph that is being written: nodes by name, weights by a seed of their own name."""

    sizes: Sizes
    seed: int
    bits: int = 32
    block: int = 32
    nodes: list[Any] = field(default_factory=list)
    initializers: list[Any] = field(default_factory=list)
    inputs: list[Any] = field(default_factory=list)
    outputs: list[Any] = field(default_factory=list)
    known: set[str] = field(default_factory=set)

    def op(self, op: str, inputs: Sequence[str], name: str, *more: str, **attributes: Any) -> str:
        """Add a node; the name is that of its first output."""
        node = helper.make_node(op, list(inputs), [name, *more], name=name, **attributes)
        self.nodes.append(node)
        return name

    def constant(self, name: str, value: Any, dtype: str = "int64") -> str:
        """Add a constant, once."""
        if name not in self.known:
            self.known.add(name)
            self.initializers.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def drawn(self, name: str, shape: tuple[int, ...], std: float, mean: float = 0.0) -> Any:
        """Numbers that depend on the name and the seed alone."""
        key = [self.seed, *name.encode()]
        return (np.random.default_rng(key).standard_normal(shape) * std + mean).astype(np.float32)

    def weight(self, name: str, shape: tuple[int, ...], std: float, mean: float = 0.0) -> str:
        """Add what is drawn."""
        return self.constant(name, self.drawn(name, shape, std, mean), "float32")

    def linear(self, x: str, name: str, steps: int, columns: int) -> str:
        """A product with weights, in as many bits as the form has."""
        drawn = self.drawn(f"{name}.weight", (steps, columns), steps**-0.5)
        if self.bits == 32:
            weight = self.constant(f"{name}.weight", drawn, "float32")
            return self.op("MatMul", (x, weight), f"{name}/MatMul")
        packed, scales = four_bits(drawn, self.block)
        operands = (
            self.constant(f"{name}.weight_Q4", packed, "uint8"),
            self.constant(f"{name}.weight_scales", scales, "float32"),
        )
        attributes = {"K": steps, "N": columns, "bits": 4, "block_size": self.block}
        return self.op(
            "MatMulNBits", (x, *operands), f"{name}/MatMulNBits", domain=MICROSOFT, **attributes
        )

    def projected(self, x: str, name: str, columns: int) -> str:
        """Queries, keys or values, with their bias."""
        y = self.linear(x, name, self.sizes.width, columns)
        if not self.sizes.bias:
            return y
        return self.op("Add", (y, self.weight(f"{name}.bias", (columns,), 0.1)), f"{name}/Add")

    def end(self, name: str, shape: Sequence[int | str], dtype: int = TensorProto.INT64) -> str:
        """Add an input."""
        self.inputs.append(helper.make_tensor_value_info(name, dtype, list(shape)))
        return name

    def caches(
        self, layer: int, tokens: int | str, grown: int | str, size: int | str = 0
    ) -> tuple[list[str], list[str]]:
        """Inputs for past keys and values, and the names of the outputs that go with them."""
        shape = ("batch_size", self.sizes.shared, tokens, size or self.sizes.size)
        past, present = [], []
        for kind in ("key", "value"):
            past.append(self.end(f"past_key_values.{layer}.{kind}", shape, TensorProto.FLOAT))
            name = f"present.{layer}.{kind}"
            whole = (*shape[:2], grown, shape[3])
            self.outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, whole))
            present.append(name)
        return past, present

    def model(self, opset: int) -> Any:
        """Close the graph."""
        logits = ("batch_size", "sequence_length", self.sizes.vocabulary)
        first = helper.make_tensor_value_info("logits", TensorProto.FLOAT, logits)
        outputs = [first, *self.outputs]
        graph = helper.make_graph(self.nodes, "main_graph", self.inputs, outputs, self.initializers)
        opsets = [helper.make_opsetid("", opset), helper.make_opsetid(MICROSOFT, 1)]
        return helper.make_model(graph, ir_version=10, opset_imports=opsets)


def four_bits(weights: Any, block: int) -> tuple[Any, Any]:
    """A matrix (steps, columns) as ``MatMulNBits`` has it: (columns, blocks, bytes), and scales."""
    steps, columns = weights.shape
    split = weights.T.reshape(columns, steps // block, block)
    scales = np.abs(split).max(-1) / 7
    numbers = np.clip(np.rint(split / scales[..., None]) + 8, 0, 15).astype(np.uint8)
    return numbers[..., 0::2] | numbers[..., 1::2] << 4, scales.reshape(-1).astype(np.float32)


Norm = Callable[[Form, str, str], str]
Attend = Callable[[Form, int, str], str]


def _network(form: Form, norm: Norm, attend: Attend) -> None:
    """Embedding, blocks, and scores of the next token."""
    s = form.sizes
    table = form.weight("model.embed_tokens.weight", (s.vocabulary, s.width), 1.0)
    x = form.op("Gather", (table, "input_ids"), "/model/embed_tokens/Gather")
    for layer in range(s.layers):
        scope = f"/model/layers.{layer}"
        y = attend(form, layer, norm(form, x, f"{scope}/input_layernorm"))
        y = form.linear(y, f"{scope}/attn/o_proj", s.heads * s.size, s.width)
        x = form.op("Add", (x, y), f"{scope}/Add")
        y = norm(form, x, f"{scope}/post_attention_layernorm")
        gate = form.linear(y, f"{scope}/mlp/gate_proj", s.width, s.hidden)
        share = form.op("Sigmoid", (gate,), f"{scope}/mlp/Sigmoid")
        gate = form.op("Mul", (gate, share), f"{scope}/mlp/act_fn")
        up = form.linear(y, f"{scope}/mlp/up_proj", s.width, s.hidden)
        y = form.op("Mul", (gate, up), f"{scope}/mlp/Mul")
        y = form.linear(y, f"{scope}/mlp/down_proj", s.hidden, s.width)
        x = form.op("Add", (x, y), f"{scope}/Add_1")
    x = norm(form, x, "/model/norm")
    logits = form.linear(x, "lm_head", s.width, s.vocabulary)
    form.op("Identity", (logits,), "logits")


def _frequencies(s: Sizes) -> Any:
    """Turns for each token, of each pair."""
    return 10000.0 ** -(np.arange(0, s.size, 2) / s.size)


def _angles(form: Form) -> tuple[str, str]:
    """Cosines and sines for all positions."""
    turns = np.outer(np.arange(form.sizes.positions), _frequencies(form.sizes))
    cosines = form.constant("cos_cache", np.cos(turns), "float32")
    return cosines, form.constant("sin_cache", np.sin(turns), "float32")


def _qkv(form: Form, layer: int, x: str) -> list[str]:
    s = form.sizes
    widths = (s.heads * s.size, s.shared * s.size, s.shared * s.size)
    scope = f"/model/layers.{layer}/attn"
    return [
        form.projected(x, f"{scope}/{name}_proj", width)
        for name, width in zip("qkv", widths, strict=True)
    ]


def _split(form: Form, x: str, heads: int) -> str:
    """(batch, heads, tokens, size)."""
    shape = form.constant(f"heads_{heads}", (0, 0, heads, form.sizes.size))
    y = form.op("Reshape", (x, shape), f"{x}/Reshape")
    return form.op("Transpose", (y,), f"{x}/Transpose", perm=[0, 2, 1, 3])


def _joined(form: Form, x: str, layer: int) -> str:
    scope = f"/model/layers.{layer}/attn"
    y = form.op("Transpose", (x,), f"{scope}/out/Transpose", perm=[0, 2, 1, 3])
    shape = form.constant("joined", (0, 0, form.sizes.heads * form.sizes.size))
    return form.op("Reshape", (y, shape), f"{scope}/out/Reshape")


def optimum(sizes: Sizes, *, seed: int = 0, counted: bool = False, window: int = 0) -> Any:
    """As optimum exports it: keys and values grow by ``Concat``, everything is written out.

    Where positions are ``counted`` there is no input for them, as of Gemma; attention may be of a
    ``window`` of so many tokens, as Mistral's.
    """
    form = Form(sizes, seed)
    total = "past_sequence_length + sequence_length"
    form.end("input_ids", ("batch_size", "sequence_length"))
    form.end("attention_mask", ("batch_size", total))
    if not counted:
        form.end("position_ids", ("batch_size", "sequence_length"))
    _write_mask(form, window)
    _write_angles(form)
    _network(form, _written_norm, _written_attention)
    return form.model(17)


def _write_mask(form: Form, window: int) -> None:
    """What is added to scores: nothing where a key is seen."""
    zero, one, two = (form.constant(str(n), n) for n in range(3))
    tokens = form.op("Gather", (form.op("Shape", ("input_ids",), "ids_shape"), one), "tokens")
    form.op("Gather", ("ids_shape", zero), "batch")
    shape = form.op("Shape", ("past_key_values.0.key",), "past_shape")
    past = form.op("Gather", (shape, two), "past")
    total = form.op("Add", (past, tokens), "total")
    keys = form.op("Range", (zero, total, one), "keys")
    rows = form.op(
        "Unsqueeze", (form.op("Range", (past, total, one), "queries"), one_axis(form)), "rows"
    )
    causal = form.op("LessOrEqual", (keys, rows), "causal")
    mask = form.op("Cast", ("attention_mask",), "mask_bool", to=TensorProto.BOOL)
    mask = form.op("Unsqueeze", (mask, form.constant("axes_1_2", (1, 2))), "mask_4")
    seen = form.op("And", (causal, mask), "seen")
    if window:
        first = form.op("Sub", ("rows", form.constant("window", window)), "window_first")
        inside = form.op("Greater", (keys, first), "inside")
        seen = form.op("And", (seen, inside), "seen_inside")
    numbers = [form.constant(f"add_{n}", v, "float32") for n, v in enumerate((0.0, HIDDEN))]
    form.op("Where", (seen, *numbers), "added_mask")


def one_axis(form: Form) -> str:
    """The axis 1, as Unsqueeze takes it."""
    return form.constant("axis_1", (1,))


def _write_angles(form: Form) -> None:
    turns = form.constant("inv_freq", _frequencies(form.sizes)[None, None], "float32")
    given = "position_ids"
    if all(end.name != given for end in form.inputs):
        given = form.op("Unsqueeze", ("queries", form.constant("axis_0", (0,))), "counted")
    places = form.op("Cast", (given,), "places", to=TensorProto.FLOAT)
    places = form.op("Unsqueeze", (places, form.constant("axis_2", (2,))), "places_3")
    half = form.op("Mul", (places, turns), "angles_half")
    angles = form.op("Concat", (half, half), "angles", axis=-1)
    for name in ("Cos", "Sin"):
        y = form.op(name, (angles,), name.lower())
        form.op("Unsqueeze", (y, one_axis(form)), f"{name.lower()}_4")


def _written_norm(form: Form, x: str, name: str) -> str:
    two, epsilon = form.constant("two", 2.0, "float32"), form.constant("epsilon", 1e-5, "float32")
    square = form.op("Pow", (x, two), f"{name}/Pow")
    mean = form.op("ReduceMean", (square,), f"{name}/ReduceMean", axes=[-1])
    root = form.op("Sqrt", (form.op("Add", (mean, epsilon), f"{name}/Add"),), f"{name}/Sqrt")
    one = form.constant("one", 1.0, "float32")
    y = form.op("Mul", (x, form.op("Div", (one, root), f"{name}/Div")), f"{name}/Mul")
    scale = form.weight(f"{name}.weight", (form.sizes.width,), 0.1, 1.0)
    return form.op("Mul", (scale, y), f"{name}/Mul_1")


def _written_turn(form: Form, x: str) -> str:
    half, size = form.sizes.size // 2, form.sizes.size
    bounds = {n: form.constant(f"at_{n}", (n,)) for n in (0, half, size, 3)}
    low = form.op("Slice", (x, bounds[0], bounds[half], bounds[3]), f"{x}/low")
    high = form.op("Slice", (x, bounds[half], bounds[size], bounds[3]), f"{x}/high")
    turned = form.op("Concat", (form.op("Neg", (high,), f"{x}/Neg"), low), f"{x}/Concat", axis=-1)
    parts = (
        form.op("Mul", (x, "cos_4"), f"{x}/Mul"),
        form.op("Mul", (turned, "sin_4"), f"{x}/Mul_1"),
    )
    return form.op("Add", parts, f"{x}/Add")


def _repeated(form: Form, x: str) -> str:
    """Each head of keys or values for a group of queries."""
    s = form.sizes
    axis = form.constant("axis_2", (2,))
    y = form.op("Unsqueeze", (x, axis), f"{x}/Unsqueeze")
    zero = form.constant("axis_0", (0,))
    dims = [form.op("Unsqueeze", (n, zero), f"{x}/{n}") for n in ("batch", "total")]
    sizes = [form.constant(f"size_{n}", (n,)) for n in (s.shared, s.heads // s.shared, s.size)]
    five = (dims[0], sizes[0], sizes[1], dims[1], sizes[2])
    shape = form.op("Concat", five, f"{x}/Concat", axis=0)
    y = form.op("Expand", (y, shape), f"{x}/Expand")
    four = (dims[0], form.constant(f"heads_count_{s.heads}", (s.heads,)), dims[1], sizes[2])
    shape = form.op("Concat", four, f"{x}/Concat_1", axis=0)
    return form.op("Reshape", (y, shape), f"{x}/Reshape")


def _written_attention(form: Form, layer: int, x: str) -> str:
    s, scope = form.sizes, f"/model/layers.{layer}/attn"
    past, present = form.caches(
        layer, "past_sequence_length", "past_sequence_length + sequence_length"
    )
    counts = (s.heads, s.shared, s.shared)
    q, k, v = (_split(form, y, n) for y, n in zip(_qkv(form, layer, x), counts, strict=True))
    q, k = _written_turn(form, q), _written_turn(form, k)
    k = form.op("Concat", (past[0], k), present[0], axis=-2)
    v = form.op("Concat", (past[1], v), present[1], axis=-2)
    turned = form.op("Transpose", (_repeated(form, k),), f"{scope}/k_turned", perm=[0, 1, 3, 2])
    scores = form.op("MatMul", (q, turned), f"{scope}/MatMul")
    factor = form.constant("scale", s.size**-0.5, "float32")
    scores = form.op("Mul", (scores, factor), f"{scope}/Mul")
    scores = form.op("Add", (scores, "added_mask"), f"{scope}/Add")
    shares = form.op("Softmax", (scores,), f"{scope}/Softmax", axis=-1)
    y = form.op("MatMul", (shares, _repeated(form, v)), f"{scope}/MatMul_1")
    return _joined(form, y, layer)


def genai(sizes: Sizes, *, seed: int = 0, bits: int = 4, block: int = 32) -> Any:
    """As onnxruntime-genai's model builder writes it: the past may be a buffer for a context."""
    form = Form(sizes, seed, bits, block)
    form.end("input_ids", ("batch_size", "sequence_length"))
    form.end("attention_mask", ("batch_size", "total_sequence_length"))
    scope = "/model/attn_mask_reformat"
    one = form.constant("axis_1", (1,))
    total = form.op("ReduceSum", ("attention_mask", one), f"{scope}/ReduceSum", keepdims=1)
    less = form.op("Sub", (total, one), f"{scope}/Sub")
    form.op("Cast", (less,), "seqlens_k", to=TensorProto.INT32)
    shape = form.op("Shape", ("attention_mask",), f"{scope}/Shape")
    whole = form.op("Gather", (shape, form.constant("1", 1)), f"{scope}/Gather")
    form.op("Cast", (whole,), "total_seq_len", to=TensorProto.INT32)
    _network(form, _simplified_norm, _grouped_attention)
    return form.model(21)


def _simplified_norm(form: Form, x: str, name: str) -> str:
    scale = form.weight(f"{name}.weight", (form.sizes.width,), 0.1, 1.0)
    op = "SimplifiedLayerNormalization"
    return form.op(op, (x, scale), f"{name}/LayerNorm", axis=-1, epsilon=1e-5, stash_type=1)


def _grouped_attention(form: Form, layer: int, x: str) -> str:
    s = form.sizes
    grown = ("past_sequence_length", "total_sequence_length")
    past, present = form.caches(layer, *grown, "kv_cache_dim")
    scope = f"/model/layers.{layer}/attn"
    packed = form.projected(x, f"{scope}/qkv_proj", (s.heads + 2 * s.shared) * s.size)
    inputs = (packed, "", "", *past, "seqlens_k", "total_seq_len", *_angles(form))
    return form.op(
        "GroupQueryAttention",
        inputs,
        f"{scope}/GroupQueryAttention",
        *present,
        domain=MICROSOFT,
        num_heads=s.heads,
        kv_num_heads=s.shared,
        scale=s.size**-0.5,
        do_rotary=1,
        rotary_interleaved=0,
        local_window_size=-1,
    )


def opset24(sizes: Sizes, *, seed: int = 0) -> Any:
    """In standard operations: ``RotaryEmbedding``, ``TensorScatter``, ``Attention``."""
    form = Form(sizes, seed)
    form.end("input_ids", ("batch_size", "sequence_length"))
    form.end("position_ids", ("batch_size", "sequence_length"))
    form.end("write_indices", ("batch_size",))
    form.end("nonpad_kv_seqlen", ("batch_size",))
    _network(form, _standard_norm, _scattered_attention)
    return form.model(24)


def _standard_norm(form: Form, x: str, name: str) -> str:
    scale = form.weight(f"{name}.weight", (form.sizes.width,), 0.1, 1.0)
    return form.op("RMSNormalization", (x, scale), f"{name}/RMSNormalization", epsilon=1e-5)


def _scattered_attention(form: Form, layer: int, x: str) -> str:
    s, scope = form.sizes, f"/model/layers.{layer}/attn"
    past, present = form.caches(layer, "max_sequence_length", "max_sequence_length")
    counts = (s.heads, s.shared, s.shared)
    q, k, v = (_split(form, y, n) for y, n in zip(_qkv(form, layer, x), counts, strict=True))
    q, k = (
        form.op("RotaryEmbedding", (y, *_angles(form), "position_ids"), f"{y}/RotaryEmbedding")
        for y in (q, k)
    )
    k = form.op("TensorScatter", (past[0], k, "write_indices"), present[0], axis=2)
    v = form.op("TensorScatter", (past[1], v, "write_indices"), present[1], axis=2)
    inputs = (q, k, v, "", "", "", "nonpad_kv_seqlen")
    y = form.op("Attention", inputs, f"{scope}/Attention", is_causal=1, scale=s.size**-0.5)
    return _joined(form, y, layer)


def opset23(sizes: Sizes, *, seed: int = 0, masked: bool = True) -> Any:
    """In standard operations whose ``Attention`` joins the past with what is new.

    Where it is not ``masked``, nothing but causality hides keys.
    """
    form = Form(sizes, seed)
    form.end("input_ids", ("batch_size", "sequence_length"))
    form.end("position_ids", ("batch_size", "sequence_length"))
    mask = ""
    if masked:
        form.end("attention_mask", ("batch_size", "total_sequence_length"))
        seen = form.op("Cast", ("attention_mask",), "seen", to=TensorProto.BOOL)
        mask = form.op("Unsqueeze", (seen, form.constant("axes_1_2", (1, 2))), "mask")
    _network(form, _standard_norm, functools.partial(_past_attention, mask))
    return form.model(23)


def _past_attention(mask: str, form: Form, layer: int, x: str) -> str:
    s, scope = form.sizes, f"/model/layers.{layer}/attn"
    past, present = form.caches(layer, "past_sequence_length", "total_sequence_length")
    q, k, v = _qkv(form, layer, x)
    q, k = (
        form.op("RotaryEmbedding", (y, *_angles(form), "position_ids"), f"{y}/turn", num_heads=n)
        for y, n in ((q, s.heads), (k, s.shared))
    )
    heads = {"q_num_heads": s.heads, "kv_num_heads": s.shared, "scale": s.size**-0.5}
    inputs = (q, k, v, mask, *past)
    return form.op("Attention", inputs, f"{scope}/Attention", *present, is_causal=1, **heads)


FORMS: dict[str, Callable[..., onnx.ModelProto]] = {
    "optimum": optimum,
    "genai": genai,
    "opset23": opset23,
    "opset24": opset24,
}
"""The forms, by name."""
