"""Weights of 4 bits in front of a product become one operation that keeps them so.

In: ``MatMul`` or ``Gemm`` of a constant that ``DequantizeLinear`` widens by blocks along the sum.
Out: ``com.microsoft::MatMulNBits``, whose weights are put in its order when they are read.

>>> import numpy as np
>>> from pelemay.graph import ArrayConstant, DType, Graph, Node, TensorType
>>> w = ArrayConstant.of(np.zeros((32, 16), np.int8), DType.INT4.numpy)
>>> scale = ArrayConstant.of(np.ones((2, 16), np.float32))
>>> nodes = (
...     Node("DequantizeLinear", ("w", "s"), ("d",), {"axis": 0, "block_size": 16}),
...     Node("MatMul", ("x", "d"), ("y",)),
... )
>>> x, y = TensorType(DType.FLOAT32, (1, 32)), TensorType(DType.FLOAT32, (1, 16))
>>> g = keep_nbits(Graph("g", {"x": x}, {"y": y}, nodes, {"w": w, "s": scale}))
>>> [node.qualified for node in g.nodes if node.outputs == ("y",)]
['com.microsoft::MatMulNBits']
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pelemay.graph import Constant, DType, Graph, Node
from pelemay.graph.operations.microsoft import DOMAIN
from pelemay.passes.derived import derived
from pelemay.passes.matching import dtype_of, is_standard
from pelemay.passes.rewrite import Rewriter
from pelemay.passes.widen_half import HALF

Array = npt.NDArray[Any]

WORD_BITS = 32
"""What the bits of a block of a column are a multiple of."""

NARROW = (DType.INT4, DType.UINT4)


@dataclass(frozen=True)
class Sizes:
    """Of a product with narrow weights: columns, steps of the sum, steps of a block, bits."""

    columns: int
    steps: int
    block: int
    bits: int = 4

    @property
    def blocks(self) -> int:
        """Blocks of a column."""
        return -(-self.steps // self.block)

    @property
    def block_bytes(self) -> int:
        """Bytes of a block of a column."""
        return self.block * self.bits // 8


def sizes_of(graph: Graph, node: Node) -> Sizes | None:
    """Sizes of a ``MatMulNBits`` that has an instruction; None where it has none.

    Its weights are 2, 4 or 8 bits wide, all that belongs to them is constant, and the data is
    float32, or will be.
    """
    attributes: Any = node.attributes
    inputs = (*node.inputs, *[""] * 6)[:6]
    bits, block = attributes.get("bits", 4), attributes["block_size"]
    if bits not in (2, 4, 8) or block * bits % WORD_BITS or inputs[4]:
        return None
    if attributes.get("weight_prepacked"):
        return None
    weights = [graph.constants.get(name) for name in inputs[1:4] if name]
    if None in weights or dtype_of(graph, inputs[0]) not in (DType.FLOAT32, *HALF):
        return None
    found = Sizes(attributes["N"], attributes["K"], block, bits)
    sizes = [math.prod(weight.shape) for weight in weights if weight is not None]
    count = found.columns * found.blocks
    wanted = [count * found.block_bytes, count]
    if inputs[3]:
        zeros = weights[2]
        packed = found.columns * -(-found.blocks * bits // 8)
        wanted.append(packed if zeros is not None and zeros.dtype is DType.UINT8 else count)
    return found if sizes == wanted else None


def keep_nbits(graph: Graph) -> Graph:
    """Recognise products with weights of 4 bits.

    Requires types. Guarantees that what is read elsewhere is still made.
    """
    rewriter = Rewriter(graph)
    for index, node in enumerate(graph.nodes):
        made = _product(rewriter, node)
        if made is not None:
            rewriter.replace(index, *made)
    return rewriter.graph_after()


def _product(rewriter: Rewriter, node: Node) -> list[Node] | None:
    """The nodes for a product whose second operand is widened by blocks along the sum."""
    is_gemm = is_standard(node, "Gemm")
    if not (is_gemm or is_standard(node, "MatMul")) or not _is_plain(node):
        return None
    turned = bool(node.attributes.get("transB", 0))
    maker = rewriter.maker(node.inputs[1])
    if is_standard(maker, "Transpose") and maker is not None:
        perm: Any = maker.attributes.get("perm", (1, 0))
        if tuple(perm) != (1, 0):
            return None
        turned = not turned
        maker = rewriter.maker(maker.inputs[0])
    if maker is None or not is_standard(maker, "DequantizeLinear"):
        return None
    found = _Blocks.of(rewriter.graph, maker, turned)
    return None if found is None else _nodes(rewriter, node, found)


def _is_plain(node: Node) -> bool:
    values: Any = node.attributes
    return not values.get("transA", 0) and values.get("alpha", 1.0) == values.get("beta", 1.0) == 1


@dataclass(frozen=True)
class _Blocks:
    """A constant of 4 bits, its scales and zero points; ``turned`` if a row is a column."""

    weights: Constant
    scales: Constant
    zeros: Constant | None
    turned: bool
    sizes: Sizes

    @classmethod
    def of(cls, graph: Graph, node: Node, turned: bool) -> _Blocks | None:
        """What a node widens, if it does so by blocks along the sum."""
        parts = [graph.constants.get(name) for name in node.inputs]
        weights, scales, zeros = (*parts, None)[:3]
        axis: Any = node.attributes.get("axis", 1)
        block: Any = node.attributes.get("block_size", 0)
        if weights is None or scales is None or (zeros is None and len(node.inputs) > 2):
            return None
        if weights.dtype not in NARROW or len(weights.shape) != 2 or scales.dtype.bits > 32:
            return None
        sizes = Sizes(*(weights.shape if turned else weights.shape[::-1]), block)
        along = int(turned)
        wanted = (sizes.columns, sizes.blocks) if turned and block else None
        if block and not turned:
            wanted = (sizes.blocks, sizes.columns)
        if wanted is None or scales.shape != wanted or axis % 2 != along or block * 4 % WORD_BITS:
            return None
        return cls(weights, scales, zeros, turned, sizes)

    def packed(self) -> Constant:
        """Weights as ``MatMulNBits`` has them: (columns, blocks, bytes)."""
        sizes = self.sizes
        shape = (sizes.columns, sizes.blocks, sizes.block // 2)
        return derived("Pack", self._packed, self.weights, shape=shape, dtype=DType.UINT8)

    def _packed(self, weights: Array) -> Array:
        sizes = self.sizes
        filled = np.full((sizes.columns, sizes.blocks * sizes.block), 8, np.uint8)
        filled[:, : sizes.steps] = self._columns(weights)
        return (filled[:, 0::2] | filled[:, 1::2] << 4).reshape(sizes.columns, sizes.blocks, -1)

    def _columns(self, numbers: Array) -> Array:
        """Numbers with a row for each column, 0 to 15."""
        shift = 8 if self.weights.dtype is DType.INT4 else 0
        rows = numbers if self.turned else numbers.T
        return (rows.astype(np.int16) + shift).astype(np.uint8)

    def factors(self) -> Constant:
        """Scales (columns, blocks)."""
        shape = (self.sizes.columns, self.sizes.blocks)
        turn = self.turned
        return derived(
            "Turn",
            lambda s: (s if turn else s.T).astype(np.float32),
            self.scales,
            shape=shape,
            dtype=DType.FLOAT32,
        )

    def zero_points(self) -> Constant | None:
        """Zero points of two in a byte; None where they are the middle of the range."""
        sizes = self.sizes
        if self.zeros is None and self.weights.dtype is DType.INT4:
            return None
        shape = (sizes.columns, -(-sizes.blocks // 2))
        source = self.zeros or self.scales

        def made(zeros: Array) -> Array:
            filled = np.zeros((sizes.columns, 2 * shape[1]), np.uint8)
            if self.zeros is not None:
                filled[:, : sizes.blocks] = self._columns(zeros)
            return filled[:, 0::2] | filled[:, 1::2] << 4

        return derived("Pack", made, source, shape=shape, dtype=DType.UINT8)


def _nodes(rewriter: Rewriter, node: Node, found: _Blocks) -> list[Node] | None:
    if dtype_of(rewriter.graph, node.inputs[0]) is not DType.FLOAT32:
        return None
    base, sizes = node.outputs[0], found.sizes
    zeros = found.zero_points()
    names = [
        rewriter.constant(f"{base}::words", found.packed()),
        rewriter.constant(f"{base}::scales", found.factors()),
        rewriter.constant(f"{base}::zeros", zeros) if zeros is not None else "",
    ]
    added = node.inputs[2] if len(node.inputs) > 2 else ""
    attributes = {"K": sizes.steps, "N": sizes.columns, "block_size": sizes.block, "bits": 4}
    inputs = (node.inputs[0], *names)
    if not added:
        return [Node("MatMulNBits", inputs, node.outputs, attributes, DOMAIN, name=node.name)]
    product = rewriter.value(f"{base}::product", rewriter.graph.type_of(base))
    return [
        Node("MatMulNBits", inputs, (product,), attributes, DOMAIN, name=node.name),
        Node("Add", (product, added), node.outputs, name=node.name),
    ]
