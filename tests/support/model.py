"""A graph in the making: what the steps of :mod:`support.graphs` add nodes to.

>>> from support.model import Model  # doctest: +SKIP
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

from pelemay.graph import ArrayConstant, DType, Graph, Node, TensorType
from pelemay.graph.typing import Site, rules

F32 = DType.FLOAT32
Draw = Callable[[Any], Any]
Sizes = tuple[int, ...]


class Model:
    """A graph in the making. Values that steps read are tensors of float32."""

    def __init__(self, draw: Draw) -> None:
        self.draw = draw
        self.nodes: list[Node] = []
        self.inputs: dict[str, TensorType] = {}
        self.types: dict[str, TensorType] = {}
        self.constants: dict[str, ArrayConstant] = {}
        self.values: list[str] = []

    def input(self, *shape: int) -> str:
        name = f"in{len(self.inputs)}"
        self.inputs[name] = TensorType(F32, shape)
        self.values.append(name)
        return name

    def constant(self, value: Any, dtype: Any = None) -> str:
        name = f"k{len(self.constants)}"
        self.constants[name] = ArrayConstant.of(np.asarray(value, dtype))
        return name

    def ints(self, *values: int) -> str:
        return self.constant(values, np.int64)

    def weights(self, *shape: int) -> str:
        """Normal numbers, small enough that chains of products stay finite."""
        numbers = np.random.default_rng(len(self.constants)).standard_normal(shape)
        return self.constant(numbers / math.sqrt(max(math.prod(shape[1:]), 1)), np.float32)

    def kind(self, name: str) -> TensorType:
        if name in self.constants:
            return TensorType(self.constants[name].dtype, self.constants[name].shape)
        return self.inputs.get(name) or self.types[name]

    def shape(self, name: str) -> Sizes:
        return tuple(self.kind(name).shape or ())  # type: ignore[arg-type]

    def add(self, op: str, *inputs: str, count: int = 1, **attributes: Any) -> Any:
        """A node, whose outputs' types its rule tells; the name of its output, or names."""
        names = tuple(f"v{len(self.types) + i}" for i in range(count))
        node = Node(op, inputs, names, attributes)
        kinds = tuple(self.kind(name) if name else None for name in inputs)
        site = Site(node, kinds, lambda name: self._numbers(name))
        found = rules()[op](site)
        self.types.update(zip(names, found, strict=False))  # type: ignore[arg-type]
        self.nodes.append(node)
        return names[0] if count == 1 else names

    def _numbers(self, name: str) -> Any:
        return self.constants[name].array() if name in self.constants else None

    def pick(self, fits: Callable[[Sizes], bool] = lambda shape: True) -> str | None:
        """A value whose shape fits, a late one more often."""
        found = [name for name in self.values if fits(self.shape(name))]
        return self.draw(st.sampled_from(found[-6:])) if found else None

    def one_of(self, *options: Any) -> Any:
        return self.draw(st.sampled_from(options))

    def number(self, low: int, high: int) -> int:
        return int(self.draw(st.integers(low, high)))

    def graph(self, *outputs: str) -> Graph:
        kinds = {name: self.kind(name) for name in outputs}
        return Graph("random", self.inputs, kinds, tuple(self.nodes), self.constants)
