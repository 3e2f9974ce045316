"""Random graphs in ONNX's own form, channels first, with small static shapes.

``graphs()`` is a Hypothesis strategy for graphs of convolutions, pools, products, normalizations,
arithmetic, reductions and everything that moves elements, with what passes look for in them:
operations that change nothing, constants that can be folded, shape arithmetic, the same expression
twice, activations in their expanded forms, branches whose condition is known.

>>> from support.graphs import graphs  # doctest: +SKIP
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

from pelemay.graph import Graph, Node, TensorType
from support.model import F32, Model, Sizes

MOST = 2048
"""Elements of a value."""


Step = Callable[[Model], Any]
"""Adds nodes; gives the new value or values, or None where nothing fits."""


def _image(m: Model) -> str | None:
    return m.pick(lambda shape: len(shape) == 4 and min(shape) > 0)


def unary(m: Model) -> Any:
    x = m.pick()
    plain = "Relu Sigmoid Tanh HardSwish HardSigmoid Softplus Abs Neg Erf Mish Gelu LeakyRelu Elu"
    return x and m.add(m.one_of(*plain.split()), x)


def clip(m: Model) -> Any:
    x = m.pick()
    low, high = m.constant(0.0, np.float32), m.constant(6.0, np.float32)
    bounds = m.one_of((low, high), (low,), ("", high), ())
    return x and m.add("Clip", x, *bounds)


def binary(m: Model) -> Any:
    x = m.pick()
    if x is None:
        return None
    shape = m.shape(x)
    others = [name for name in m.values if m.shape(name) == shape]
    return m.add(m.one_of("Add", "Sub", "Mul", "Max", "Min"), x, m.one_of(*others))


def with_constant(m: Model) -> Any:
    x = m.pick()
    if x is None:
        return None
    shape = m.shape(x)
    wanted = m.one_of(
        (), (1,), shape, shape[-1:], tuple(1 if i != 1 else n for i, n in enumerate(shape))
    )
    k = m.weights(*wanted)
    pair = m.one_of((x, k), (k, x))
    return m.add(m.one_of("Add", "Sub", "Mul"), *pair)


def neutral(m: Model) -> Any:
    x = m.pick()
    op, number = m.one_of(("Add", 0), ("Sub", 0), ("Mul", 1), ("Div", 1), ("Pow", 1))
    return x and m.add(op, x, m.constant(number, np.float32))


def many(m: Model) -> Any:
    x = m.pick()
    if x is None:
        return None
    others = [name for name in m.values if m.shape(name) == m.shape(x)]
    more = [m.one_of(*others) for _ in range(m.number(0, 2))]
    return m.add(m.one_of("Sum", "Mean", "Max", "Min"), x, *more)


def conv(m: Model) -> Any:
    x = _image(m)
    if x is None:
        return None
    _, channels, height, width = m.shape(x)
    group = m.one_of(*(g for g in (1, 1, 2, channels) if channels % g == 0))
    outputs = group * m.number(1, 3)
    kernel, pad = m.one_of(1, 2, 3), m.number(0, 1)
    if min(height, width) + 2 * pad < kernel:
        return None
    w = m.weights(outputs, channels // group, kernel, kernel)
    bias = (m.weights(outputs),) if m.number(0, 1) else ()
    attributes: dict[str, Any] = {
        "group": group,
        "pads": (pad,) * 4,
        "strides": (m.number(1, 2),) * 2,
    }
    if m.number(0, 3) == 0:
        attributes = {"group": group, "auto_pad": "SAME_UPPER"}
    return m.add("Conv", x, w, *bias, **attributes)


def conv_transpose(m: Model) -> Any:
    x = _image(m)
    if x is None or math.prod(m.shape(x)) > MOST // 8:
        return None
    stride = m.number(1, 2)
    w = m.weights(m.shape(x)[1], m.number(1, 3), 2, 2)
    return m.add("ConvTranspose", x, w, strides=(stride, stride))


def pool(m: Model) -> Any:
    x = m.pick(lambda shape: len(shape) == 4 and min(shape[2:]) >= 2)
    if x is None:
        return None
    window = {"kernel_shape": (2, 2), "strides": (m.number(1, 2),) * 2}
    if m.number(0, 1):
        window["pads"] = (0, 1, 1, 0)
    if m.one_of("MaxPool", "AveragePool") == "MaxPool":
        return m.add("MaxPool", x, **window, num_outputs=1)
    return m.add("AveragePool", x, **window, count_include_pad=m.number(0, 1))


def global_pool(m: Model) -> Any:
    x = _image(m)
    return x and m.add(m.one_of("GlobalAveragePool", "GlobalMaxPool"), x)


def batch_norm(m: Model) -> Any:
    x = _image(m)
    if x is None:
        return None
    channels = m.shape(x)[1]
    variance = m.constant(np.linspace(0.5, 2, channels), np.float32)
    rest = [m.weights(channels) for _ in range(3)]
    return m.add("BatchNormalization", x, *rest, variance)


def layer_norm(m: Model) -> Any:
    x = m.pick(lambda shape: len(shape) >= 2 and shape[-1] > 1)
    if x is None:
        return None
    scale, bias = (m.weights(m.shape(x)[-1]) for _ in range(2))
    return m.add("LayerNormalization", x, scale, bias, epsilon=0.1)


def instance_norm(m: Model) -> Any:
    x = m.pick(lambda shape: len(shape) == 4 and math.prod(shape[2:]) > 1)
    if x is None:
        return None
    scale, bias = (m.weights(m.shape(x)[1]) for _ in range(2))
    return m.add("InstanceNormalization", x, scale, bias, epsilon=0.1)


def dense(m: Model) -> Any:
    x = m.pick(lambda shape: len(shape) >= 2)
    if x is None:
        return None
    y = m.add("MatMul", x, m.weights(m.shape(x)[-1], m.number(1, 5)))
    return m.add("Add", y, m.weights(m.shape(y)[-1])) if m.number(0, 1) else y


def gemm(m: Model) -> Any:
    x = m.pick(lambda shape: len(shape) == 2)
    if x is None:
        return None
    turned, size = m.number(0, 1), m.number(1, 4)
    width = m.shape(x)[1]
    w = m.weights(*((size, width) if turned else (width, size)))
    bias = m.one_of((), (m.weights(size),), (m.weights(1, size),))
    return m.add("Gemm", x, w, *bias, transB=turned, alpha=m.one_of(1.0, 0.5))


def attention(m: Model) -> Any:
    """Scores of a value with itself, as transformers have them."""
    x = m.pick(lambda shape: len(shape) in (2, 3) and math.prod(shape) * max(shape) < MOST)
    if x is None:
        return None
    rank = len(m.shape(x))
    turned = m.add("Transpose", x, perm=(*range(rank - 2), rank - 1, rank - 2))
    scores = m.add("Mul", m.add("MatMul", x, turned), m.constant(0.5, np.float32))
    return m.add("MatMul", m.add("Softmax", scores, axis=-1), x)


def softmax(m: Model) -> Any:
    x = m.pick(lambda shape: len(shape) > 0)
    return x and m.add("Softmax", x, axis=m.number(-len(m.shape(x)), len(m.shape(x)) - 1))


def reduction(m: Model) -> Any:
    x = m.pick(lambda shape: len(shape) > 1)
    if x is None:
        return None
    axes = m.draw(st.sets(st.integers(0, len(m.shape(x)) - 1), min_size=1, max_size=2))
    op = m.one_of("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin")
    return m.add(op, x, m.ints(*sorted(axes)), keepdims=m.number(0, 1))


def transpose(m: Model) -> Any:
    x = m.pick(lambda shape: len(shape) > 1)
    if x is None:
        return None
    rank = len(m.shape(x))
    last, first = (0, *range(2, rank), 1), (0, rank - 1, *range(1, rank - 1))
    options = [last, first, tuple(m.draw(st.permutations(range(rank))))]
    return m.add("Transpose", x, perm=m.one_of(*options))


def reshape(m: Model) -> Any:
    x = m.pick()
    if x is None:
        return None
    shape = m.shape(x)
    count = math.prod(shape)
    options = [(count,), (-1, 1), (1, *shape), shape, (*shape[:1], -1) if shape else (1,)]
    options += [(n, count // n) for n in (2, 3, 4) if count % n == 0]
    return m.add("Reshape", x, m.ints(*m.one_of(*options)))


def reshape_by_shape(m: Model) -> Any:
    """Shape, Gather, Unsqueeze, Concat, Reshape: how PyTorch flattens."""
    x = m.pick(lambda shape: len(shape) > 1 and 0 not in shape)
    if x is None:
        return None
    first = m.add("Gather", m.add("Shape", x), m.constant(0, np.int64), axis=0)
    batch = m.add("Unsqueeze", first, m.ints(0))
    target = m.add("Concat", batch, m.ints(-1), axis=0)
    # The rule cannot see numbers that are computed, so the type is said here.
    y = m.add("Reshape", x, target)
    shape = m.shape(x)
    m.types[y] = TensorType(F32, (shape[0], math.prod(shape[1:])))
    return y


def view(m: Model) -> Any:
    x = m.pick(lambda shape: len(shape) > 0)
    if x is None:
        return None
    shape = m.shape(x)
    ones = [i for i, n in enumerate(shape) if n == 1]
    kind = m.one_of("Flatten", "Unsqueeze", "Squeeze")
    if kind == "Flatten":
        return m.add("Flatten", x, axis=m.number(0, len(shape)))
    if kind == "Squeeze" and ones:
        return m.add("Squeeze", x, m.ints(m.one_of(*ones)))
    return m.add("Unsqueeze", x, m.ints(m.number(0, len(shape)))) if len(shape) < 5 else None


def concat(m: Model) -> Any:
    x = m.pick(lambda shape: len(shape) > 0)
    if x is None:
        return None
    axis = m.number(0, len(m.shape(x)) - 1)
    rest = [n for i, n in enumerate(m.shape(x)) if i != axis]

    def fits(shape: Sizes) -> bool:
        same = [n for i, n in enumerate(shape) if i != axis]
        return len(shape) == len(rest) + 1 and same == rest

    parts = [m.pick(fits) for _ in range(m.number(0, 2))]
    return m.add("Concat", x, *(part for part in parts if part), axis=axis)


def split(m: Model) -> Any:
    x = m.pick(lambda shape: len(shape) > 0 and max(shape) > 1)
    if x is None:
        return None
    axis = m.one_of(*(i for i, n in enumerate(m.shape(x)) if n > 1))
    size = m.shape(x)[axis]
    first = m.number(1, size - 1)
    return m.add("Split", x, m.ints(first, size - first), axis=axis, count=2)


def slice_of(m: Model) -> Any:
    x = m.pick(lambda shape: len(shape) > 0)
    if x is None:
        return None
    axis = m.number(0, len(m.shape(x)) - 1)
    size = m.shape(x)[axis]
    start = m.number(0, max(size - 1, 0))
    start, end, step = m.one_of(
        (start, size, 1), (0, 1 << 40, 1), (0, size, 2), (size, -size - 1, -1)
    )
    return m.add("Slice", x, m.ints(start), m.ints(end), m.ints(axis), m.ints(step))


def pad(m: Model) -> Any:
    x = _image(m)
    if x is None:
        return None
    top, left = m.number(0, 1), m.number(0, 2)
    pads = m.ints(0, 0, top, left, 0, 0, m.number(0, 1), 0)
    value = m.one_of((), (m.constant(0.0, np.float32),), (m.constant(1.5, np.float32),))
    return m.add("Pad", x, pads, *value, mode="constant")


def gather(m: Model) -> Any:
    x = m.pick(lambda shape: len(shape) > 0 and 0 not in shape)
    if x is None:
        return None
    axis = m.number(0, len(m.shape(x)) - 1)
    last = m.shape(x)[axis] - 1
    indices = m.one_of(m.constant(last, np.int64), m.ints(0, -1))
    return m.add("Gather", x, indices, axis=axis)


def resize(m: Model) -> Any:
    x = _image(m)
    if x is None or math.prod(m.shape(x)) > MOST // 4:
        return None
    scales = m.constant(m.one_of((1, 1, 2, 2), (1, 1, 1, 1), (1, 1, 1, 2)), np.float32)
    mode = m.one_of("nearest", "linear")
    return m.add("Resize", x, "", scales, mode=mode, coordinate_transformation_mode="asymmetric")


def expand(m: Model) -> Any:
    x = m.pick(lambda shape: 0 < math.prod(shape) <= MOST // 2)
    return x and m.add("Expand", x, m.ints(*m.one_of((), (2, *(1 for _ in m.shape(x))))))


def nothing(m: Model) -> Any:
    """An operation that gives back what it was given."""
    x = m.pick()
    if x is None:
        return None
    kind = m.one_of("Identity", "Dropout", "Cast", "CastLike", "Tile", "Transpose")
    if kind == "Cast":
        return m.add("Cast", x, to=F32)
    if kind == "CastLike":
        return m.add("CastLike", x, x)
    if kind == "Tile":
        return m.add("Tile", x, m.ints(*(1 for _ in m.shape(x))))
    if kind == "Transpose":
        return m.add("Transpose", x, perm=tuple(range(len(m.shape(x)))))
    return m.add(kind, x)


def expanded_activation(m: Model) -> Any:
    x = m.pick()
    if x is None:
        return None
    kind = m.one_of("Swish", "Gelu", "HardSwish")
    if kind == "Swish":
        return m.add("Mul", x, m.add("Sigmoid", x))
    if kind == "HardSwish":
        return m.add("Mul", x, m.add("HardSigmoid", x, alpha=1 / 6))
    inner = m.add("Erf", m.add("Div", x, m.constant(math.sqrt(2), np.float32)))
    outer = m.add("Mul", x, m.add("Add", inner, m.constant(1, np.float32)))
    return m.add("Mul", outer, m.constant(0.5, np.float32))


def folded(m: Model) -> Any:
    """Arithmetic of constants, then of the result with a value."""
    x = m.pick(lambda shape: len(shape) > 0)
    if x is None:
        return None
    width = m.shape(x)[-1]
    k = m.add("Mul", m.weights(width), m.constant(m.one_of(1, 2), np.float32))
    return m.add("Add", x, m.add("Tanh", k))


def chosen(m: Model) -> Any:
    x = m.pick()
    if x is None:
        return None
    condition = m.add("Greater", x, m.constant(0.1, np.float32))
    return m.add("Where", condition, x, m.constant(-1.0, np.float32))


def branch(m: Model) -> Any:
    """An If whose condition is a constant, with branches over a value outside."""
    x = m.pick()
    if x is None:
        return None
    name = f"inner{len(m.nodes)}"
    graphs = {}
    for key, op in (("then_branch", "Relu"), ("else_branch", "Tanh")):
        nodes = (Node(op, (x,), (name,)), Node("Neg", (name,), (f"{name}r",)))
        graphs[key] = Graph(key, {}, {f"{name}r": m.kind(x)}, nodes)
    y = f"v{len(m.types)}"
    m.types[y] = m.kind(x)
    m.nodes.append(Node("If", (m.constant(bool(m.number(0, 1))),), (y,), graphs))
    return y


def again(m: Model) -> Any:
    """A node that is there already."""
    nodes = [n for n in m.nodes if len(n.outputs) == 1 and m.types[n.outputs[0]].dtype is F32]
    if not nodes:
        return None
    node = m.one_of(*nodes[-6:])
    name = f"v{len(m.types)}"
    m.types[name] = m.types[node.outputs[0]]
    m.nodes.append(Node(node.op, node.inputs, (name,), node.attributes))
    return name


IMAGE_STEPS: tuple[Step, ...] = (
    conv, conv, conv_transpose, pool, global_pool, batch_norm, instance_norm, pad, resize,
)  # fmt: skip
MOVES: tuple[Step, ...] = (
    transpose, reshape, reshape_by_shape, view, concat, split, slice_of, gather, expand, nothing,
)  # fmt: skip
OTHERS: tuple[Step, ...] = (
    unary, clip, binary, with_constant, neutral, many, layer_norm, dense, gemm, attention, softmax,
    reduction, expanded_activation, folded, chosen, branch, again,
)  # fmt: skip

STEPS = (*IMAGE_STEPS, *IMAGE_STEPS, *MOVES, *OTHERS)


@st.composite
def graphs(draw: Any, steps: tuple[Step, ...] = STEPS, max_nodes: int = 12) -> Graph:
    """Random graphs that the reference can run and that the checker accepts.

    Parameters
    ----------
    steps : tuple of callable
        What may be added; a step that stands in it twice is added more often.
    max_nodes : int
        So many steps at most; a step may add several nodes.
    """
    m = Model(draw)
    m.input(
        draw(st.integers(1, 2)), draw(st.integers(1, 4)), *draw(st.tuples(*[st.integers(3, 6)] * 2))
    )
    if draw(st.booleans()):
        m.input(*draw(st.lists(st.integers(1, 5), min_size=2, max_size=3)))
    for _ in range(draw(st.integers(1, max_nodes))):
        made = draw(st.sampled_from(steps))(m)
        for name in made if isinstance(made, tuple) else (made,):
            if name and math.prod(m.shape(name)) <= MOST:
                m.values.append(name)
    last = m.values[-1]
    more = draw(st.lists(st.sampled_from(m.values[len(m.inputs) :] or m.values), max_size=2))
    return m.graph(*dict.fromkeys((last, *more)))
