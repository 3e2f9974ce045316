"""Elementwise operations: they keep the order of their operands.

In: nodes with one output whose shape is the broadcast of their inputs', and quantization. Out: the
same in the order in which most bytes are held already; the other operands are brought to it.
"""

from __future__ import annotations

from pelemay.graph import Node
from pelemay.passes.layout.forms import Forms, natural

UNARY = (
    *("Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "BitwiseNot", "Cast", "Ceil"),
    *("Celu", "Cos", "Cosh", "Elu", "Erf", "Exp", "Floor", "Gelu", "HardSigmoid", "HardSwish"),
    *("Identity", "IsInf", "IsNaN", "LeakyRelu", "Log", "Mish", "Neg", "Not", "Reciprocal"),
    *("Relu", "Round", "Selu", "Shrink", "Sigmoid", "Sign", "Sin", "Sinh", "Softplus"),
    *("Softsign", "Sqrt", "Swish", "Tan", "Tanh", "ThresholdedRelu"),
)
BROADCAST = (
    *("Add", "And", "BitShift", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "Clip", "Div", "Equal"),
    *("Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Max", "Mean", "Min", "Mod", "Mul"),
    *("Or", "PRelu", "Pow", "Sub", "Sum", "SwiGLU", "Where", "Xor"),
)


def elementwise(forms: Forms, node: Node) -> bool:
    """One output, of the broadcast shape of all inputs."""
    rank = len(forms.shape(node.outputs[0]))
    names = [name for name in node.inputs if name]
    whole = [
        name
        for name in names
        if len(forms.shape(name)) == rank and name not in forms.graph.constants
    ]
    perms = [perm for name in whole for perm in forms.perms(name)] or [natural(rank)]
    perm = forms.cheapest(whole, perms)
    inputs = [forms.broadcast(name, perm, short=bool(whole)) for name in node.inputs]
    forms.add(node, inputs, [perm])
    return True


def quantization(forms: Forms, node: Node) -> bool:
    """Between integers and real numbers; scales may differ along an axis, but not by blocks."""
    if node.attributes.get("block_size", 0):
        return False
    x, *parameters = node.inputs
    perm = forms.perm(x)
    axis = node.attributes.get("axis", 1)
    assert isinstance(axis, int)
    attributes = dict(node.attributes)
    if parameters and len(forms.shape(parameters[0])) == 1 and perm:
        attributes["axis"] = perm.index(axis % len(perm)) if -len(perm) <= axis < len(perm) else 0
    inputs = (forms.read(x, perm), *map(forms.plain, parameters))
    forms.add(node, inputs, [perm, (), ()][: len(node.outputs)], attributes)
    return True


RULES = {
    **dict.fromkeys((*UNARY, *BROADCAST), elementwise),
    **dict.fromkeys(("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"), quantization),
}
