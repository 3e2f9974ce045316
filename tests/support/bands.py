"""Chains at any height of their bands, and random graphs of operations that go by rows.

``images()`` and ``sequences()`` are Hypothesis strategies; :func:`cut_plan` cuts a graph at given
places, whatever a limit would choose.

>>> from support.bands import images  # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

from pelemay.errors import ExecutionError
from pelemay.graph import Graph
from pelemay.graph.operations.windows import window_of
from pelemay.plan import Plan, plan_graph
from pelemay.plan.bands.choose import Band, Cut, Cutter
from pelemay.plan.bands.contract import plan_cut
from pelemay.plan.choose import choose
from pelemay.plan.facts import Facts
from support.plans import Builder

MOST = 3000
"""Elements of a value."""


def cut_plan(graph: Graph, grain: int, places: Sequence[int] = ()) -> Plan:
    """The plan of chains that are as long as they can be, but end at ``places`` of the order."""
    facts = Facts.of(graph)
    cutter = Cutter(choose(facts))
    count = len(cutter.order)
    edges = [0, *sorted({p for p in places if 0 < p < count}), count]
    bands, at = [], 0
    while at < count:
        limit = next(edge for edge in edges if edge > at)
        ends = (end for end in range(limit, at, -1) if cutter.chain(at, end) is not None)
        end = next(ends, 0)
        if end:
            chain = cutter.chain(at, end)
            assert chain is not None
            bands.append(Band(chain, cutter.banding(at, end, grain), grain))
        at = end or at + 1
    if not bands:
        return plan_graph(graph)
    return plan_cut(facts, cutter.order, Cut(tuple(bands), 0, 0.0))


@dataclass
class Draft:
    """A graph in the making, and the values that may be read next."""

    draw: Any
    b: Builder
    names: list[str]

    def number(self, low: int, high: int) -> int:
        return self.draw(st.integers(low, high))

    def one(self, *choices: Any) -> Any:
        return self.draw(st.sampled_from(choices))

    @property
    def x(self) -> str:
        """A recent value."""
        return self.one(*self.names[-3:])

    def like(self, shape: tuple[int, ...]) -> str:
        """A value of that shape, or nothing."""
        fitting = [n for n in self.names if self.b.shape(n) == shape]
        return self.one("", *fitting[-4:])


Step = Callable[[Draft], str | None]
ACTIVATIONS = ("", "", "Relu", "HardSwish", "Sigmoid")


def _spatial(d: Draft, shape: tuple[int, ...], **most: int) -> tuple[dict[str, Any], Any] | None:
    """A window's attributes and its geometry; None where it does not fit."""
    kernel = (d.number(1, most["kernel"]), d.number(1, 3))
    low = most.get("low", -1)
    given = {
        "strides": (d.number(1, 3), d.number(1, 2)),
        "dilations": (d.number(1, 2), 1),
        "pads": tuple(d.number(low, most["pad"]) for _ in range(4)),
    }
    extra = {"ceil_mode": d.number(0, 1)} if most.get("ceil") else {}
    try:
        window = window_of(shape[1:3], kernel, **given, **extra)
    except ExecutionError:
        return None
    if min(window.outputs) < 1:
        return None
    return {**given, **extra, "kernel_shape": kernel}, window


def _conv(d: Draft) -> str | None:
    x = d.x
    shape = d.b.shape(x)
    found = _spatial(d, shape, kernel=5, pad=5)
    if found is None:
        return None
    attributes, window = found
    attributes.pop("kernel_shape")
    channels = shape[3]
    kind = d.one("dense", "depthwise", "grouped")
    group = channels if kind == "depthwise" else 2 if kind == "grouped" and channels % 2 == 0 else 1
    outputs = channels if kind == "depthwise" else group * d.number(1, 4)
    w = d.b.weights(outputs, channels // group, *window.kernel)
    made = (1, *window.outputs, outputs)
    bias = d.b.weights(outputs) if d.number(0, 1) else ""
    inputs = (x, w, bias, d.like(made))
    more = {"activation": d.one(*ACTIVATIONS), "residual_position": d.one("before", "after")}
    return d.b.add("Conv", inputs, made, domain="pelemay", group=group, **attributes, **more)


def _same_conv(d: Draft) -> str:
    """One whose result may be added to what it was made of."""
    x = d.x
    return d.b.conv(x, d.number(1, 4) * 2, kernel=d.one(1, 3, 5))


def _conv_transpose(d: Draft) -> str | None:
    x = d.x
    shape = d.b.shape(x)
    kernel = (d.number(1, 4), d.number(1, 3))
    strides, dilations = (d.number(1, 3), d.number(1, 2)), (d.number(1, 2), 1)
    pads = tuple(d.number(0, 2) for _ in range(4))
    more = tuple(d.number(0, max(s, t) - 1) for s, t in zip(strides, dilations, strict=True))
    sizes = [
        (shape[i + 1] - 1) * strides[i]
        + (kernel[i] - 1) * dilations[i]
        + 1
        + more[i]
        - pads[i]
        - pads[i + 2]
        for i in range(2)
    ]
    if min(sizes) < 1:
        return None
    channels = d.number(1, 4)
    w = d.b.weights(shape[3], channels, *kernel)
    made = (1, *sizes, channels)
    return d.b.add(
        "ConvTranspose",
        (x, w, d.b.weights(channels), d.like(made)),
        made,
        domain="pelemay",
        strides=strides,
        dilations=dilations,
        pads=pads,
        output_padding=more,
        activation=d.one(*ACTIVATIONS),
    )


def _pool(d: Draft) -> str | None:
    x, op = d.x, d.one("MaxPool", "AveragePool", "LpPool")
    shape = d.b.shape(x)
    found = _spatial(d, shape, kernel=4, pad=1, low=0, ceil=True)
    if found is None:
        return None
    attributes, window = found
    pads, kernel = attributes["pads"], window.kernel
    # A window that sees nothing but padding has no largest element.
    if any(pads[i] >= kernel[i % 2] for i in range(4)):
        return None
    made = (1, *window.outputs, shape[3])
    more = {"count_include_pad": d.number(0, 1)} if op == "AveragePool" else {}
    return d.b.add(op, (x,), made, domain="pelemay", **attributes, **more)


def _resize(d: Draft) -> str | None:
    x = d.x
    shape = d.b.shape(x)
    sizes = (1, *(max(1, d.number(n // 2, 2 * n + 1)) for n in shape[1:3]), shape[3])
    mode = d.one("nearest", "linear", "cubic")
    how = d.one("half_pixel", "align_corners", "asymmetric")
    inputs = (x, "", "", d.b.constant(np.array(sizes)))
    return d.b.add("Resize", inputs, sizes, mode=mode, coordinate_transformation_mode=how)


def _unary(d: Draft) -> str:
    x = d.x
    return d.b.add(d.one("Relu", "Sigmoid", "Neg", "HardSwish"), (x,), d.b.shape(x))


def _binary(d: Draft) -> str:
    x = d.x
    shape = d.b.shape(x)
    other = d.like(shape)
    if not other or other == x:
        front = [(), (1,), (shape[1], *(1,) * (len(shape) - 3)), shape[1:-1]]
        ends = [(*f, shape[-1]) for f in front] + [(*front[2], 1)]
        other = d.b.weights(*d.one(*ends))
    operands = (x, other) if d.number(0, 1) else (other, x)
    return d.b.add(d.one("Add", "Mul"), operands, shape)


def _skip(d: Draft) -> str | None:
    """A sum of two values of one shape, made at any time."""
    x = d.one(*d.names)
    same = [n for n in d.names if n != x and d.b.shape(n) == d.b.shape(x)]
    return d.b.add("Add", (x, d.one(*same)), d.b.shape(x)) if same else None


def _concat(d: Draft) -> str:
    x = d.x
    front = d.b.shape(x)[:-1]
    fitting = [n for n in d.names if d.b.shape(n)[:-1] == front]
    others = [d.one(*fitting[-4:]) for _ in range(d.number(1, 2))]
    return d.b.concat(x, *others)


def _slice(d: Draft) -> str:
    x = d.x
    size = d.b.shape(x)[-1]
    start = d.number(0, size - 1)
    return d.b.slice(x, len(d.b.shape(x)) - 1, start, d.number(start + 1, size))


def _split(d: Draft) -> str | None:
    x = d.x
    shape = d.b.shape(x)
    if shape[-1] < 2:
        return None
    first = d.number(1, shape[-1] - 1)
    sizes = (first, shape[-1] - first)
    lengths = d.b.constant(np.array(sizes))
    parts = d.b.add("Split", (x, lengths), *((*shape[:-1], s) for s in sizes), axis=-1)
    d.names.append(parts[0])
    return parts[1]


def _excite(d: Draft) -> str:
    """Squeeze and excite: every channel times something made of all of them."""
    x = d.x
    shape = d.b.shape(x)
    mean = _global(d, x)
    scale = d.b.conv(mean, shape[-1], kernel=1, activation="Sigmoid")
    return d.b.add("Mul", (x, scale), shape)


def _global(d: Draft, x: str) -> str:
    shape = d.b.shape(x)
    axes = d.b.constant(np.array([1, 2]))
    op = d.one("ReduceMean", "ReduceMax")
    return d.b.add(op, (x, axes), (1, 1, 1, shape[-1]), keepdims=1)


IMAGE_STEPS: tuple[Step, ...] = (
    *(_conv, _conv, _conv, _same_conv, _same_conv, _conv_transpose, _pool, _pool, _resize),
    *(_unary, _binary, _skip, _skip, _concat, _slice, _split, _excite),
)


def _matmul(d: Draft) -> str:
    x = d.x
    shape = d.b.shape(x)
    width = d.number(1, 5) * 2
    made = (*shape[:-1], width)
    bias = d.b.weights(width) if d.number(0, 1) else ""
    inputs = (x, d.b.weights(shape[-1], width), bias, d.like(made))
    return d.b.add("MatMul", inputs, made, domain="pelemay", activation=d.one("", "Relu", "Gelu"))


def _norm(d: Draft) -> str:
    x = d.x
    shape = d.b.shape(x)
    inputs = (x, d.b.weights(shape[-1]), d.b.weights(shape[-1]))
    return d.b.add("LayerNormalization", inputs, shape, axis=-1)


def _token_unary(d: Draft) -> str:
    x = d.x
    return d.b.add(d.one("Gelu", "Relu", "Tanh", "Softmax"), (x,), d.b.shape(x))


def _attention(d: Draft) -> str | None:
    x = d.x
    shape = d.b.shape(x)
    if shape[-1] % 2:
        return None
    q, k, v = (
        d.b.add("MatMul", (x, d.b.weights(shape[-1], shape[-1])), shape, domain="pelemay")
        for _ in range(3)
    )
    return d.b.add("Attention", (q, k, v), shape, q_num_heads=2, kv_num_heads=2)


def _joined(d: Draft) -> str:
    """Some tokens more, before or behind."""
    x = d.x
    extra = d.b.weights(1, d.number(1, 2), d.b.shape(x)[-1])
    return d.b.concat(*((x, extra) if d.number(0, 1) else (extra, x)), axis=1)


TOKEN_STEPS: tuple[Step, ...] = (
    *(_matmul, _matmul, _norm, _token_unary, _binary, _skip, _skip, _attention, _concat),
    *(_slice, _split, _joined),
)


def _grown(d: Draft, steps: Sequence[Step], count: int) -> None:
    for _ in range(count):
        made = d.one(*steps)(d)
        if made is not None and np.prod(d.b.shape(made)) <= MOST:
            d.names.append(made)


def _outputs(d: Draft) -> Graph:
    read = {name for node in d.b.nodes for name in node.inputs}
    last = [name for name in d.b.types if name not in read]
    extra = d.draw(st.lists(st.sampled_from(sorted(d.b.types)), max_size=1))
    return d.b.graph(*dict.fromkeys([*last, *extra]))


@st.composite
def images(draw: Any) -> Graph:
    """Operations over an image with channels last; all that nobody reads are outputs."""
    b = Builder()
    shape = (draw(st.integers(1, 12)), draw(st.integers(1, 5)), draw(st.integers(1, 6)))
    if draw(st.booleans()):
        x = b.transpose(b.input(1, shape[2], *shape[:2]), 0, 2, 3, 1)
    else:
        x = b.input(1, *shape)
    d = Draft(draw, b, [x])
    d.names.append(_same_conv(d))
    _grown(d, IMAGE_STEPS, draw(st.integers(1, 10)))
    if draw(st.booleans()):
        _global(d, d.x)
    if draw(st.booleans()):
        b.transpose(d.x, 0, 3, 1, 2)
    return _outputs(d)


@st.composite
def sequences(draw: Any) -> Graph:
    """Operations over tokens, which may be made of an image."""
    b = Builder()
    if draw(st.booleans()):
        shape = (1, draw(st.integers(1, 3)), draw(st.integers(1, 4)), 2 * draw(st.integers(1, 4)))
        x = b.conv(b.input(*shape), shape[3])
        x = b.reshape(x, 1, shape[1] * shape[2], shape[3])
    else:
        sizes = (draw(st.integers(2, 9)), 2 * draw(st.integers(1, 4)))
        turned = draw(st.booleans())
        x = b.transpose(b.input(1, *sizes[::-1]), 0, 2, 1) if turned else b.input(1, *sizes)
    d = Draft(draw, b, [x])
    d.names.append(_matmul(d))
    _grown(d, TOKEN_STEPS, draw(st.integers(1, 10)))
    if draw(st.booleans()):
        b.transpose(d.x, 0, 2, 1)
    return _outputs(d)
