"""Graphs with static types, of the operations that planning treats in different ways.

``graphs()`` is a Hypothesis strategy for random ones; :class:`Builder` makes the others.

>>> from support.plans import Builder  # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

from pelemay.graph import ArrayConstant, DType, Graph, Node, TensorType

F32 = DType.FLOAT32


class Builder:
    """A graph in the making; every value has a static type."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.inputs: dict[str, TensorType] = {}
        self.types: dict[str, TensorType] = {}
        self.constants: dict[str, ArrayConstant] = {}

    def input(self, *shape: int, dtype: DType = F32) -> str:
        name = f"in{len(self.inputs)}"
        self.inputs[name] = TensorType(dtype, shape)
        return name

    def constant(self, value: Any) -> str:
        name = f"k{len(self.constants)}"
        self.constants[name] = ArrayConstant.of(value)
        return name

    def weights(self, *shape: int) -> str:
        values = np.random.default_rng(len(self.constants)).standard_normal(shape)
        return self.constant(values.astype(np.float32))

    def shape(self, name: str) -> tuple[int, ...]:
        kind = self.inputs.get(name) or self.types.get(name)
        if kind is None:
            return self.constants[name].shape
        return kind.shape  # type: ignore[return-value]

    def add(
        self,
        op: str,
        inputs: tuple[str, ...],
        *shapes: tuple[int, ...],
        domain: str = "",
        dtype: DType = F32,
        **attributes: Any,
    ) -> Any:
        names = tuple(f"v{len(self.types) + i}" for i in range(len(shapes)))
        self.types.update((n, TensorType(dtype, s)) for n, s in zip(names, shapes, strict=True))
        self.nodes.append(Node(op, inputs, names, attributes, domain))
        return names[0] if len(names) == 1 else names

    def graph(self, *outputs: str) -> Graph:
        kinds = {name: self.types[name] for name in outputs}
        rest = {name: kind for name, kind in self.types.items() if name not in kinds}
        return Graph("g", self.inputs, kinds, tuple(self.nodes), self.constants, rest)

    def relu(self, x: str) -> str:
        return self.add("Relu", (x,), self.shape(x))

    def conv(self, x: str, channels: int, kernel: int = 3, residual: str = "", **more: Any) -> str:
        """A convolution with channels last that keeps the image's size."""
        *front, width = self.shape(x)
        pad = kernel // 2
        w = self.weights(channels, width, kernel, kernel)
        inputs = (x, w, "", residual) if residual else (x, w)
        shape = (*front, channels)
        return self.add("Conv", inputs, shape, domain="pelemay", pads=(pad,) * 4, **more)

    def concat(self, *parts: str, axis: int = -1) -> str:
        shape = list(self.shape(parts[0]))
        shape[axis] = sum(self.shape(part)[axis] for part in parts)
        return self.add("Concat", parts, tuple(shape), axis=axis)

    def slice(self, x: str, axis: int, start: int, end: int, step: int = 1) -> str:
        shape = list(self.shape(x))
        shape[axis] = len(range(start, end, step))
        numbers = tuple(self.constant(np.array([v])) for v in (start, end, axis, step))
        return self.add("Slice", (x, *numbers), tuple(shape))

    def reshape(self, x: str, *shape: int) -> str:
        return self.add("Reshape", (x, self.constant(np.array(shape))), shape)

    def transpose(self, x: str, *perm: int) -> str:
        return self.add("Transpose", (x,), tuple(self.shape(x)[p] for p in perm), perm=perm)


def feeds_of(graph: Graph) -> dict[str, Any]:
    """Numbers for every input."""
    random = np.random.default_rng(7)
    return {
        name: random.standard_normal(kind.shape).astype(kind.dtype.numpy)  # type: ignore[union-attr]
        for name, kind in graph.inputs.items()
    }


Step = Callable[[Any, Builder, list[str]], Any]


def _any(draw: Any, names: list[str]) -> str:
    return draw(st.sampled_from(names[-8:]))


def _unary(draw: Any, b: Builder, names: list[str]) -> Any:
    x = _any(draw, names)
    return b.add(draw(st.sampled_from(["Relu", "Neg", "Softmax", "Identity"])), (x,), b.shape(x))


def _binary(draw: Any, b: Builder, names: list[str]) -> Any:
    x = _any(draw, names)
    others = [n for n in names if b.shape(n) == b.shape(x)]
    return b.add(draw(st.sampled_from(["Add", "Mul"])), (x, _any(draw, others)), b.shape(x))


def _convolution(draw: Any, b: Builder, names: list[str]) -> Any:
    images = [n for n in names if len(b.shape(n)) == 4]
    x = _any(draw, images)
    shape = (*b.shape(x)[:3], draw(st.integers(1, 3)))
    fitting = ["", *(n for n in names if b.shape(n) == shape)]
    return b.conv(x, shape[-1], residual=draw(st.sampled_from(fitting[-5:])))


def _concatenation(draw: Any, b: Builder, names: list[str]) -> Any:
    x = _any(draw, names)
    axis = draw(st.integers(0, len(b.shape(x)) - 1))
    fitting = [n for n in names if _fits(b.shape(n), b.shape(x), axis)]
    parts = draw(st.lists(st.sampled_from(fitting[-6:]), min_size=1, max_size=3))
    return b.concat(x, *parts, axis=axis)


def _fits(a: tuple[int, ...], b: tuple[int, ...], axis: int) -> bool:
    return len(a) == len(b) and all(
        m == n for d, (m, n) in enumerate(zip(a, b, strict=True)) if d != axis
    )


def _part(draw: Any, b: Builder, names: list[str]) -> Any:
    x = _any(draw, names)
    axis = draw(st.integers(0, len(b.shape(x)) - 1))
    size = b.shape(x)[axis]
    start = draw(st.integers(0, size - 1))
    end = draw(st.integers(start + 1, size))
    return b.slice(x, axis, start, end, draw(st.integers(1, 2)))


def _pieces(draw: Any, b: Builder, names: list[str]) -> Any:
    x = _any(draw, names)
    axis = draw(st.integers(0, len(b.shape(x)) - 1))
    size = b.shape(x)[axis]
    first = draw(st.integers(1, size))
    sizes = [first, size - first] if first < size else [size]
    shapes = [(*b.shape(x)[:axis], s, *b.shape(x)[axis + 1 :]) for s in sizes]
    lengths = b.constant(np.array(sizes))
    return b.add("Split", (x, lengths), *shapes, axis=axis)


def _reshaped(draw: Any, b: Builder, names: list[str]) -> Any:
    x = _any(draw, names)
    shape = b.shape(x)
    count = int(np.prod(shape))
    options = [(count,), (1, *shape), (*shape, 1)]
    if len(shape) > 1:
        options.append((shape[0] * shape[1], *shape[2:]))
    options += [(n, count // n) for n in (2, 3, 4) if count % n == 0]
    return b.reshape(x, *draw(st.sampled_from(options)))


def _permuted(draw: Any, b: Builder, names: list[str]) -> Any:
    x = _any(draw, names)
    return b.transpose(x, *draw(st.permutations(range(len(b.shape(x))))))


def _reduced(draw: Any, b: Builder, names: list[str]) -> Any:
    x = _any(draw, names)
    shape = (*b.shape(x)[:-1], 1)
    return b.add("ReduceMean", (x, b.constant(np.array([-1]))), shape, keepdims=1)


def _gathered(draw: Any, b: Builder, names: list[str]) -> Any:
    """An operation that takes C order only."""
    x = _any(draw, names)
    shape = b.shape(x)
    index = draw(st.integers(0, shape[0] - 1))
    return b.add("Gather", (x, b.constant(np.array([index, 0]))), (2, *shape[1:]), axis=0)


STEPS: tuple[Step, ...] = (
    _unary,
    _binary,
    _convolution,
    _concatenation,
    _part,
    _pieces,
    _reshaped,
    _permuted,
    _reduced,
    _gathered,
)


@st.composite
def graphs(draw: Any) -> Graph:
    """A random graph of up to 14 nodes; every value that nobody reads is an output."""
    b = Builder()
    shape = (1, draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    names = [b.input(*shape), b.input(*shape)]
    for _ in range(draw(st.integers(1, 14))):
        step = draw(st.sampled_from(STEPS))
        kept = [n for n in names if np.prod(b.shape(n)) < 200]
        made = step(draw, b, kept)
        names.extend([made] if isinstance(made, str) else made)
    read = {name for node in b.nodes for name in node.inputs}
    last = [name for name in b.types if name not in read]
    extra = draw(st.lists(st.sampled_from(sorted(b.types)), max_size=2, unique=True))
    return b.graph(*dict.fromkeys([*last, *extra]))
