"""Convolutions and products of quantized data with quantized weights.

In: ``pelemay::Conv`` or ``pelemay::MatMul`` over real values that stand for integers, perhaps a
constant added to each channel, and the grid that the result goes to. Out: ``QConv`` or ``QMatMul``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pelemay.graph import ArrayConstant, Attribute, Constant, DType, Node
from pelemay.graph.operations.fused import DOMAIN
from pelemay.graph.operations.quantized import BYTES, range_of
from pelemay.passes.derived import Dequantized
from pelemay.passes.matching import (
    constant_for_axes,
    dtype_of,
    is_float32,
    is_standard,
    operand,
    shape_of,
)
from pelemay.passes.quantized.values import Grid, Quantized, Walk

Bounds = tuple[float, float]

OPS = {"Conv": "QConv", "MatMul": "QMatMul"}

KEPT = ("strides", "dilations", "pads", "group", "trans_b")
"""Attributes that the operation on integers has too."""


SAME = 1e-5
"""Scales that differ by no more are one scale, rounded in different ways."""


@dataclass(frozen=True)
class Product:
    """A product, and what is added to each of its channels."""

    index: int
    bias: Constant | None


@dataclass(frozen=True)
class Weights:
    """The second operand: integers, a scale or one for each channel, and zero points."""

    integers: str
    scale: npt.NDArray[Any]
    zero: str


def product_of(walk: Walk, name: str) -> Product | None:
    """The product that makes a value which one node reads, perhaps with a constant added."""
    graph = walk.graph
    index = walk.rewriter.makers.get(name)
    if index is None:
        return None
    node = graph.nodes[index]
    if is_standard(node, "Add"):
        for own, other in (node.inputs, node.inputs[::-1]):
            found = product_of(walk, own) if walk.rewriter.only_user(own) is not None else None
            added = graph.constants.get(other)
            if found is not None and found.bias is None and added is not None:
                bias = _for_channels(walk, added, name)
                return None if bias is None else Product(found.index, bias)
        return None
    if node.domain != DOMAIN or node.op not in OPS or not is_float32(graph, name):
        return None
    if operand(node, 3) or node.attributes.get("activation") or node.attributes.get("trans_a"):
        return None
    bias_name = operand(node, 2)
    if bias_name and bias_name not in graph.constants:
        return None
    return Product(index, graph.constants[bias_name] if bias_name else None)


def _for_channels(walk: Walk, constant: Constant, name: str) -> Constant | None:
    shape = shape_of(walk.graph, name)
    return None if shape is None else constant_for_axes(constant, shape, (len(shape) - 1,))


def integer_product(
    walk: Walk, product: Product, output: str, target: Grid | None, bounds: Bounds
) -> Node | None:
    """The node on integers, whose result goes to a grid, or is real where there is none."""
    node = walk.graph.nodes[product.index]
    x = walk.read(node.inputs[0])
    weights = None if x is None else _weights(walk, node)
    if x is None or weights is None:
        return None
    alpha = np.float32(node.attributes.get("alpha", 1.0))  # type: ignore[arg-type]
    unit = np.asarray(x.grid.scale * weights.scale * alpha, np.float32)
    attributes: dict[str, Attribute] = {
        key: node.attributes[key] for key in KEPT if key in node.attributes
    }
    attributes["to"] = DType.FLOAT32 if target is None else target.dtype
    inputs = [x.integers, weights.integers, "", "", walk.zero(x.grid), weights.zero]
    if target is None:
        inputs[2] = walk.constant("multiplier", unit)
        real = "" if product.bias is None else walk.constant("bias", product.bias)
        return walk.node(OPS[node.op], (*inputs, "", real), output, attributes)
    sums = None if product.bias is None else _in_units(product.bias, unit)
    if product.bias is not None and sums is None:
        return None
    inputs[2] = walk.constant("multiplier", np.asarray(unit / target.scale, np.float32))
    inputs[3] = "" if sums is None else walk.constant("bias", sums)
    attributes |= held(target, bounds)
    return walk.node(OPS[node.op], (*inputs, walk.zero(target)), output, attributes)


def held(target: Grid, bounds: Bounds) -> dict[str, int]:
    """The bounds that say more than the type, in units of the result.

    >>> held(Grid(DType.UINT8, np.float32(0.1), 10), (0.0, math.inf))
    {'low': 10}
    """
    least, most = range_of(target.dtype)
    low, high = map(target.units, bounds)
    found = {"low": low} if low > least else {}
    return found | ({"high": high} if high < most else {})


def _weights(walk: Walk, node: Node) -> Weights | None:
    """Constant weights, or for a product also data that has one scale."""
    name = node.inputs[1]
    constant = walk.graph.constants.get(name)
    if isinstance(constant, Dequantized):
        return _constant_weights(walk, node, constant)
    found = walk.read(name) if node.op == "MatMul" else None
    if found is None:
        return None
    return Weights(found.integers, np.asarray(found.grid.scale), walk.zero(found.grid))


def _constant_weights(walk: Walk, node: Node, constant: Dequantized) -> Weights | None:
    rank = len(constant.shape)
    if node.op == "Conv":
        axis = 0
    else:
        axis = rank - 2 if node.attributes.get("trans_b") else rank - 1
    fits = constant.is_uniform or (constant.axis == axis and (node.op == "Conv" or rank == 2))
    if constant.block_size or constant.integers.dtype not in BYTES or not fits:
        return None
    if constant.dtype is not DType.FLOAT32:
        return None
    zeros = None if constant.zero_point is None else constant.zero_point.array()
    zero = walk.constant("weights_zero", _one_or_all(zeros)) if np.any(zeros) else ""
    integers = walk.rewriter.constant(f"{node.inputs[1]}::int", constant.integers)
    return Weights(integers, _one_or_all(constant.scale.array()), zero)


def _one_or_all(values: Any) -> npt.NDArray[Any]:
    """A vector, or where it has one element that, without dimensions."""
    array = np.asarray(values)
    return array.reshape(()) if array.size == 1 else array.reshape(-1)


def _in_units(bias: Constant, unit: npt.NDArray[Any]) -> Constant | None:
    """A bias in units of the sum; None where that is beyond int32."""
    if isinstance(bias, Dequantized) and bias.integers.dtype is DType.INT32:
        scale = bias.scale.array().reshape(-1)
        zero = bias.zero_point
        plain = zero is None or not zero.array().any()
        if plain and np.allclose(scale, unit.reshape(-1), rtol=SAME, atol=0):
            return bias.integers
    sums = np.rint(bias.array().astype(np.float64) / unit)
    if not np.all(np.abs(sums) < 2.0**31):
        return None
    return ArrayConstant.of(sums.astype(np.int32))


def real_products(walk: Walk) -> None:
    """Products whose result stays real: integers in, float32 out."""
    for index, node in enumerate(walk.graph.nodes):
        if index in walk.taken or node.domain != DOMAIN or node.op not in OPS:
            continue
        walk.index = index
        found = product_of(walk, node.outputs[0])
        pays = isinstance(walk.graph.constants.get(node.inputs[1]), Dequantized)
        if found is None or not (pays or dtype_of(walk.graph, node.inputs[1]) is not None):
            continue
        made = integer_product(walk, found, node.outputs[0], None, (-math.inf, math.inf))
        if made is not None:
            walk.rewriter.replace(index, made)


__all__ = ["Bounds", "Product", "Quantized", "held", "integer_product", "product_of"]
