"""What works element by element: arithmetic, comparison, logic, activations, choice.

In: nodes of the families "elementwise", "comparison" and "activation", and Where. Out: mostly one
instruction; its parameters are a code of ``native/kernels/*.def`` and the class it is computed in.

>>> class_of(DType.FLOAT16), class_of(DType.INT8), class_of(DType.BOOL)
('float32', 'int64', 'uint64')
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from pelemay.engine import native
from pelemay.graph import DType
from pelemay.graph.dtypes import Kind
from pelemay.program.program import MAX_OPERANDS
from pelemay.program.views import SMALL, copy, given, option

if TYPE_CHECKING:
    from pelemay.graph import Node
    from pelemay.program.lowering import Lowering
    from pelemay.program.operand import Operand

Lower = Callable[["Lowering", "Node"], None]

SLOW = (
    "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "Cosh", "FMod", "Mod", "Pow", "Sinh", "Tan",
)  # fmt: skip
"""Functions that are computed one element after the other, some 20 times slower than others."""


def class_of(dtype: DType) -> str:
    """The type in which elements are computed; halves in single precision."""
    if dtype.kind is Kind.FLOAT:
        return "float64" if dtype is DType.FLOAT64 else "float32"
    return "int64" if dtype.kind is Kind.INT else "uint64"


def _emit(
    l: Lowering,
    opcode: str,
    inputs: Sequence[Operand],
    y: Operand,
    params: Sequence[int | float],
    *,
    slow: bool = False,
) -> None:
    cost = y.size * (20 if slow else 1)
    if y.size:
        l.emit(opcode, inputs, [y], params, cost=cost, serial=cost < SMALL)


def emit_unary(
    l: Lowering, name: str, x: Operand, y: Operand, alpha: float = 0.0, beta: float = 0.0
) -> None:
    """A function of one element, by its name in ``unary.def``."""
    engine = native()
    code, kind = engine.UNARY.index(name), engine.CLASSES.index(class_of(x.dtype))
    _emit(l, "unary", [x], y, (code, kind, float(alpha), float(beta)), slow=name in SLOW)


def emit_activation(
    l: Lowering, name: str, x: Operand, y: Operand, alpha: float = 0.0, beta: float = 0.0
) -> None:
    """An activation, by its name in ``activations.def``; of integers in double precision."""
    engine = native()
    wide = class_of(x.dtype) if x.dtype.kind is Kind.FLOAT else "float64"
    code, kind = engine.ACTIVATIONS.index(name), engine.CLASSES.index(wide)
    _emit(l, "activation", [x], y, (code, kind, float(alpha), float(beta)))


def emit_binary(
    l: Lowering,
    name: str,
    inputs: Sequence[Operand],
    y: Operand,
    *,
    alpha: float = 0.0,
    wide: str = "",
) -> None:
    """A function of two elements, by its name in ``binary.def``, folded over more inputs."""
    engine = native()
    code = engine.BINARY.index(name)
    params = (code, engine.CLASSES.index(wide or class_of(inputs[0].dtype)), float(alpha))
    first, rest = inputs[:MAX_OPERANDS], inputs[MAX_OPERANDS:]
    _emit(l, "binary", first, y, params, slow=name in SLOW)
    while rest:
        more, rest = rest[: MAX_OPERANDS - 1], rest[MAX_OPERANDS - 1 :]
        _emit(l, "binary", [y, *more], y, params)


def _operands(l: Lowering, node: Node) -> tuple[list[Operand], Operand]:
    return [l.tensor(name) for name in node.inputs if name], l.tensor(node.outputs[0])


def _unary(l: Lowering, node: Node) -> None:
    (x,), y = _operands(l, node)
    emit_unary(l, node.op, x, y)


def _is_infinite(l: Lowering, node: Node) -> None:
    (x,), y = _operands(l, node)
    emit_unary(l, "IsInf", x, y, option(node, "detect_negative"), option(node, "detect_positive"))


def _binary(l: Lowering, node: Node) -> None:
    inputs, y = _operands(l, node)
    emit_binary(l, node.op, inputs, y)


def _fold(name: str) -> Lower:
    """An operation of any number of inputs."""

    def lower(l: Lowering, node: Node) -> None:
        inputs, y = _operands(l, node)
        if len(inputs) == 1:
            copy(l, inputs[0], y)
        else:
            emit_binary(l, name, inputs, y)

    return lower


def _mean(l: Lowering, node: Node) -> None:
    inputs, y = _operands(l, node)
    _fold("Add")(l, node)
    if len(inputs) > 1:
        emit_binary(l, "Div", [y, l.scalar(len(inputs), y.dtype)], y)


def _modulo(l: Lowering, node: Node) -> None:
    inputs, y = _operands(l, node)
    emit_binary(l, "FMod" if option(node, "fmod") else "Mod", inputs, y)


def _shift(l: Lowering, node: Node) -> None:
    inputs, y = _operands(l, node)
    left = node.attributes["direction"] == "LEFT"
    emit_binary(l, "ShiftLeft" if left else "ShiftRight", inputs, y)


def _power(l: Lowering, node: Node) -> None:
    (x, exponent), y = _operands(l, node)
    known = _number(l, node.inputs[1])
    times = {2.0: 2, 3.0: 3}.get(known) if known is not None else None
    if times and x.shape == y.shape:
        emit_binary(l, "Mul", [x] * times, y)
        return
    floats = exponent.dtype.kind is Kind.FLOAT
    real = floats and (x.dtype.kind is not Kind.FLOAT or exponent.dtype is DType.FLOAT64)
    emit_binary(l, "Pow", [x, exponent], y, wide="float64" if real else class_of(x.dtype))


def _number(l: Lowering, name: str) -> float | None:
    """The value of a constant of one element."""
    constant = l.constant(name) if name else None
    if constant is None or math.prod(constant.shape) != 1:
        return None
    return float(np.asarray(constant.array()).reshape(-1)[0])


def _gated(l: Lowering, node: Node) -> None:
    inputs, y = _operands(l, node)
    emit_binary(l, "SwiGLU", inputs, y, alpha=option(node, "alpha"))


def _activation(*attributes: str) -> Lower:
    """An activation whose alpha and beta are these attributes."""

    def lower(l: Lowering, node: Node) -> None:
        (x,), y = _operands(l, node)
        emit_activation(l, node.op, x, y, *(option(node, name) for name in attributes))

    return lower


def _relu(l: Lowering, node: Node) -> None:
    (x,), y = _operands(l, node)
    if x.dtype.kind is Kind.FLOAT:
        emit_activation(l, "Relu", x, y)
    else:
        emit_binary(l, "Max", [x, l.scalar(0, x.dtype)], y)


def _gelu(l: Lowering, node: Node) -> None:
    (x,), y = _operands(l, node)
    tanh = option(node, "approximate") == "tanh"
    emit_activation(l, "GeluTanh" if tanh else "Gelu", x, y)


def _clip(l: Lowering, node: Node) -> None:
    x, y = l.tensor(node.inputs[0]), l.tensor(node.outputs[0])
    low, high = given(node, 1), given(node, 2)
    least = _number(l, low) if low else -math.inf
    most = _number(l, high) if high else math.inf
    if least is not None and most is not None and x.dtype.kind is Kind.FLOAT:
        emit_activation(l, "Clip", x, y, least, most)
        return
    for name, limit in (("Max", low), ("Min", high)):
        if limit:
            emit_binary(l, name, [x, l.tensor(limit)], y)
            x = y
    copy(l, x, y)


def _where(l: Lowering, node: Node) -> None:
    inputs, y = _operands(l, node)
    _emit(l, "where", inputs, y, ())


UNARY = (
    "Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "BitwiseNot", "Ceil", "Cos", "Cosh",
    "Erf", "Exp", "Floor", "IsNaN", "Log", "Neg", "Not", "Reciprocal", "Round", "Sign", "Sin",
    "Sinh", "Sqrt", "Tan",
)  # fmt: skip
BINARY = (
    "Add", "And", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "Div", "Equal", "Greater",
    "GreaterOrEqual", "Less", "LessOrEqual", "Mul", "Or", "PRelu", "Sub", "Xor",
)  # fmt: skip

LOWERINGS: dict[tuple[str, str], Lower] = {
    **{("", op): _unary for op in UNARY},
    **{("", op): _binary for op in BINARY},
    ("", "BitShift"): _shift,
    ("", "Celu"): _activation("alpha"),
    ("", "Clip"): _clip,
    ("", "Elu"): _activation("alpha"),
    ("", "Gelu"): _gelu,
    ("", "HardSigmoid"): _activation("alpha", "beta"),
    ("", "HardSwish"): _activation(),
    ("", "IsInf"): _is_infinite,
    ("", "LeakyRelu"): _activation("alpha"),
    ("", "Max"): _fold("Max"),
    ("", "Mean"): _mean,
    ("", "Min"): _fold("Min"),
    ("", "Mish"): _activation(),
    ("", "Mod"): _modulo,
    ("", "Pow"): _power,
    ("", "Relu"): _relu,
    ("", "Selu"): _activation("alpha", "gamma"),
    ("", "Shrink"): _activation("bias", "lambd"),
    ("", "Sigmoid"): _activation(),
    ("", "Softplus"): _activation(),
    ("", "Softsign"): _activation(),
    ("", "Sum"): _fold("Add"),
    ("", "SwiGLU"): _gated,
    ("", "Swish"): _activation("alpha"),
    ("", "Tanh"): _activation(),
    ("", "ThresholdedRelu"): _activation("alpha"),
    ("", "Where"): _where,
}
