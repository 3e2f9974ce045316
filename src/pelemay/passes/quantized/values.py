"""Real values that stand for integers: what is known of them while the pass walks a graph.

In: a graph, and calls of the rules. Out: for names of float32 values the integers, scale and zero
point that they come from; new nodes and constants, gathered in a rewriter.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pelemay.graph import Attribute, Constant, DType, Graph, Node, TensorType
from pelemay.graph.operations.fused import DOMAIN
from pelemay.graph.operations.quantized import BYTES, range_of
from pelemay.passes.derived import Dequantized
from pelemay.passes.matching import dtype_of, operand, scalar, shape_of
from pelemay.passes.rewrite import Rewriter


@dataclass(frozen=True)
class Grid:
    """The real numbers that integers of a type stand for: ``(integer - zero) * scale``."""

    dtype: DType
    scale: np.float32
    zero: int

    def units(self, real: float) -> int:
        """The integer nearest to a real number, within the type.

        >>> Grid(DType.UINT8, np.float32(0.5), 10).units(1.0)
        12
        """
        least, most = range_of(self.dtype)
        if math.isinf(real):
            return most if real > 0 else least
        return int(min(max(np.rint(np.float32(real) / self.scale) + self.zero, least), most))


@dataclass(frozen=True)
class Quantized:
    """A value of integers, or a constant of them, and what they stand for."""

    integers: str
    grid: Grid


@dataclass
class Walk:
    """What is known so far, and what is to change.

    Attributes
    ----------
    graph : Graph
        Before the pass.
    index : int
        Of the node whose turn it is.
    taken : set of int
        Nodes whose real result nothing reads any more.
    """

    graph: Graph
    index: int = 0
    taken: set[int] = field(default_factory=set)
    _known: dict[str, Quantized] = field(default_factory=dict)
    rewriter: Rewriter = field(init=False)

    def __post_init__(self) -> None:
        self.rewriter = Rewriter(self.graph)

    def know(self, name: str, integers: str, grid: Grid) -> None:
        """Say that a real value stands for these integers."""
        self._known[name] = Quantized(integers, grid)

    def read(self, name: str) -> Quantized | None:
        """The integers that a real value or constant stands for; None if it does for none."""
        found = self._known.get(name)
        constant = self.graph.constants.get(name)
        if found is None and isinstance(constant, Dequantized):
            grid = _grid_of(constant)
            if grid is not None:
                self.know(name, self.rewriter.constant(f"{name}::int", constant.integers), grid)
        return self._known.get(name)

    def grid(self, node: Node) -> Grid | None:
        """What QuantizeLinear makes, or DequantizeLinear reads; None if that is not on one grid."""
        integers = node.outputs[0] if node.op == "QuantizeLinear" else node.inputs[0]
        real = node.inputs[0] if node.op == "QuantizeLinear" else node.outputs[0]
        dtype, zero_name = dtype_of(self.graph, integers), operand(node, 2)
        scale, zero = scalar(self.graph, node.inputs[1]), scalar(self.graph, zero_name)
        if dtype not in BYTES or scale is None or (zero_name and zero is None):
            return None
        if dtype_of(self.graph, real) is not DType.FLOAT32 or shape_of(self.graph, real) is None:
            return None
        if node.attributes.get("block_size", 0) or node.attributes.get("precision"):
            return None
        return Grid(dtype, np.float32(scale), int(zero or 0))

    def value(self, real: str, grid: Grid) -> str:
        """A name for the integers that a real value will stand for."""
        kind = TensorType(grid.dtype, shape_of(self.graph, real))
        return self.rewriter.value(f"{real}::int", kind)

    def constant(self, label: str, value: Constant | npt.NDArray[np.generic] | np.generic) -> str:
        """A new constant, named after what is being made."""
        return self.rewriter.constant(f"{self.output}::{label}", value)

    @property
    def output(self) -> str:
        """The first output of the node whose turn it is."""
        return self.graph.nodes[self.index].outputs[0]

    def zero(self, grid: Grid) -> str:
        """The zero point as an input; none where it is 0."""
        return self.constant("zero", zero_of(grid)) if grid.zero else ""

    def given(self, grid: Grid) -> tuple[str, str]:
        """Scale and zero point as inputs."""
        return self.constant("scale", grid.scale), self.constant("zero", zero_of(grid))

    def node(
        self,
        op: str,
        inputs: Sequence[str],
        output: str,
        attributes: dict[str, Attribute] | None = None,
    ) -> Node:
        """A node of the dialect."""
        given = tuple(inputs)
        while given and not given[-1]:
            given = given[:-1]
        name = self.graph.nodes[self.index].name
        return Node(op, given, (output,), attributes or {}, domain=DOMAIN, name=name)

    def real(self, integers: str, grid: Grid, output: str) -> Node:
        """The node that makes a real value of integers."""
        return Node("DequantizeLinear", (integers, *self.given(grid)), (output,))

    def moved(self, node: Node, places: Sequence[int], found: Sequence[Quantized]) -> None:
        """Let a node that only moves elements move the integers; ``places`` are those it reads."""
        inputs = list(node.inputs)
        for place, source in zip(places, found, strict=True):
            inputs[place] = source.integers
        grid = found[0].grid
        outputs = [self.value(name, grid) if name else "" for name in node.outputs]
        nodes = [replace(node, inputs=tuple(inputs), outputs=tuple(outputs))]
        for name, integers in zip(node.outputs, outputs, strict=True):
            if name:
                nodes.append(self.real(integers, grid, name))
                self.know(name, integers, grid)
        self.rewriter.replace(self.index, *nodes)


def zero_of(grid: Grid) -> np.generic:
    """The zero point as a number of its type."""
    zero: np.generic = grid.dtype.numpy.type(grid.zero)
    return zero


def codes_of(grid: Grid) -> npt.NDArray[Any]:
    """All 256 integers, in the order of their bytes."""
    return np.arange(256, dtype=np.uint8).view(grid.dtype.numpy)


def _grid_of(constant: Dequantized) -> Grid | None:
    if constant.integers.dtype not in BYTES or not constant.is_uniform or constant.block_size:
        return None
    if constant.dtype is not DType.FLOAT32:
        return None
    zero = constant.zero_point
    at = 0 if zero is None else int(zero.array().reshape(-1)[0])
    return Grid(constant.integers.dtype, np.float32(constant.scale.array().reshape(-1)[0]), at)
