"""Types of the quantized operations that onnxruntime adds.

In: a :class:`Site`. Out: the types of its outputs.
"""

from __future__ import annotations

from dataclasses import replace

from pelemay.graph.dtypes import DType
from pelemay.graph.ir import Node
from pelemay.graph.typing.dims import broadcast, tensor
from pelemay.graph.typing.linear import gemm, product_shape
from pelemay.graph.typing.shape import concat
from pelemay.graph.typing.site import Rule, Site, Types
from pelemay.graph.typing.windows import global_pool, pool, qlinear_conv
from pelemay.graph.values import TensorType, ValueType


def same(site: Site) -> Types:
    """The type of the first input."""
    return (site.type(0),)


def together(site: Site) -> Types:
    """The shapes of both arrays broadcast."""
    return (tensor(site.dtype(0), broadcast([site.shape(0), site.shape(3)])),)


def chosen(site: Site) -> Types:
    """The shapes of the condition and both arrays broadcast."""
    return (tensor(site.dtype(1), broadcast([site.shape(i) for i in (0, 1, 4)])),)


def dequantize(site: Site) -> Types:
    """The data's shape in the type of the scale."""
    return (tensor(site.dtype(1), site.shape(0)),)


def quantized(site: Site) -> Types:
    """The data's shape in the type of the zero point."""
    return (tensor(site.dtype(2) if site.has(2) else DType.UINT8, site.shape(0)),)


def product(site: Site) -> Types:
    """A real product of 0 and 1."""
    return (tensor(DType.FLOAT32, product_shape(site.shape(0), site.shape(1))),)


def qgemm(site: Site) -> Types:
    """A product of 0 and 3; real where it has no scale."""
    found = gemm(replace(site, types=(site.type(0), site.type(3))))[0]
    shape = found.shape if isinstance(found, TensorType) else None
    return (tensor(site.dtype(0) if site.has(7) else DType.FLOAT32, shape),)


def _turned(kind: ValueType | None, *, last: bool) -> ValueType | None:
    """A type with its channels at the place where the other layout has them."""
    if not isinstance(kind, TensorType) or kind.shape is None or len(kind.shape) < 2:
        return kind
    first, *rest = kind.shape
    moved = (first, *rest[1:], rest[0]) if last else (first, rest[-1], *rest[:-1])
    return replace(kind, shape=moved)


def _in_layout(site: Site, rule: Rule) -> Types:
    """The first result of a rule that knows channels first."""
    if not site.attribute("channels_last"):
        return rule(site)[:1]
    seen = replace(site, types=(_turned(site.type(0), last=False), *site.types[1:]))
    return (_turned(rule(seen)[0], last=True),)


def average_pool(site: Site) -> Types:
    """Windows of the data; the operation has no dilations."""
    node = replace(site.node, attributes={**site.node.attributes, "dilations": ()})
    return _in_layout(replace(site, node=node), pool)


def global_average_pool(site: Site) -> Types:
    """One element for each channel."""
    return _in_layout(site, global_pool)


def convolution(site: Site) -> Types:
    """A convolution in either layout."""
    return _in_layout(site, qlinear_conv)


def parts(site: Site) -> Types:
    """The arrays joined; each is followed by its scale and zero point."""
    types = tuple(site.types[2::3])
    node = Node("Concat", site.node.inputs[2::3], site.node.outputs, site.node.attributes)
    return concat(replace(site, node=node, types=types))


def mean(site: Site) -> Types:
    """Without the axes, or with 1 in their place."""
    shape = site.shape(0)
    if shape is None:
        return (tensor(site.dtype(0), None),)
    gone = {axis % len(shape) for axis in site.attribute("axes")}
    if site.attribute("keepdims"):
        return (tensor(site.dtype(0), [1 if i in gone else n for i, n in enumerate(shape)]),)
    return (tensor(site.dtype(0), [n for i, n in enumerate(shape) if i not in gone]),)


RULES: dict[str, Rule] = {
    f"com.microsoft::{name}": rule
    for name, rule in {
        "DequantizeLinear": dequantize,
        "DynamicQuantizeMatMul": product,
        "MatMulIntegerToFloat": product,
        "QGemm": qgemm,
        "QLinearAdd": together,
        "QLinearAveragePool": average_pool,
        "QLinearConcat": parts,
        "QLinearConv": convolution,
        "QLinearGlobalAveragePool": global_average_pool,
        "QLinearLeakyRelu": same,
        "QLinearMul": together,
        "QLinearReduceMean": mean,
        "QLinearSigmoid": same,
        "QLinearSoftmax": same,
        "QLinearWhere": chosen,
        "QuantizeLinear": quantized,
    }.items()
}
