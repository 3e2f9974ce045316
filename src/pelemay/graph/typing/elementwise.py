"""Types of what works element by element: arithmetic, activations, comparisons, casts.

In: a :class:`Site`. Out: the types of its outputs.
"""

from __future__ import annotations

from pelemay.graph.dtypes import DType
from pelemay.graph.typing.dims import broadcast, tensor
from pelemay.graph.typing.site import Rule, Site, Types


def like_first(site: Site) -> Types:
    """The type of the first input."""
    return (site.type(0),)


def _broadcast(site: Site, dtype: DType | None) -> Types:
    given = [i for i in range(len(site.node.inputs)) if site.has(i)]
    return (tensor(dtype, broadcast([site.shape(i) for i in given])),)


def arithmetic(site: Site) -> Types:
    """The broadcast shape, and the element type of the first input whose type is known."""
    dtypes = (site.dtype(i) for i in range(len(site.node.inputs)))
    return _broadcast(site, next(filter(None, dtypes), None))


def power(site: Site) -> Types:
    """The broadcast shape, and the base's element type."""
    return _broadcast(site, site.dtype(0))


def comparison(site: Site) -> Types:
    """Booleans of the broadcast shape."""
    return _broadcast(site, DType.BOOL)


def dialect_qbinary(site: Site) -> Types:
    """The broadcast shape of both arrays, in the type of the last zero point."""
    return (tensor(site.dtype(7), broadcast([site.shape(0), site.shape(3)])),)


def dialect_qtable(site: Site) -> Types:
    """The shape of what is looked up, and the table's element type."""
    return (tensor(site.dtype(1), site.shape(0)),)


def dialect_qsoftmax(site: Site) -> Types:
    """The shape of the data, in the type of the last zero point."""
    return (tensor(site.dtype(3), site.shape(0)),)


def choice(site: Site) -> Types:
    """The broadcast shape of the condition and both branches."""
    return _broadcast(site, site.dtype(1) or site.dtype(2))


def boolean(site: Site) -> Types:
    """Booleans of the first input's shape."""
    return (tensor(DType.BOOL, site.shape(0)),)


def cast(site: Site) -> Types:
    """The first input's shape and the element type that is asked for."""
    return (tensor(site.attribute("to"), site.shape(0)),)


def cast_like(site: Site) -> Types:
    """The first input's shape and the second's element type."""
    return (tensor(site.dtype(1), site.shape(0)),)


def dropout(site: Site) -> Types:
    """The data, and a mask of its shape."""
    return site.type(0), tensor(DType.BOOL, site.shape(0))


_UNARY = (
    "Abs Neg Reciprocal Sqrt Exp Log Ceil Floor Round Sign Sin Cos Tan Asin Acos Atan Sinh Cosh"
    " Asinh Acosh Atanh BitwiseNot Erf Relu LeakyRelu ThresholdedRelu Clip Elu Celu Selu Sigmoid"
    " HardSigmoid HardSwish Softplus Softsign Mish Swish Gelu Tanh Shrink Softmax LogSoftmax"
    " Hardmax Identity Trilu CumSum CumProd ReverseSequence ScatterElements ScatterND"
    " LRN LpNormalization MeanVarianceNormalization"
    " InstanceNormalization GroupNormalization"
)

_BINARY = (
    "Add Sub Mul Div Mod Sum Mean Max Min BitShift BitwiseAnd BitwiseOr BitwiseXor PRelu SwiGLU"
)

_COMPARISONS = "Equal Greater GreaterOrEqual Less LessOrEqual And Or Xor"

RULES: dict[str, Rule] = {
    **dict.fromkeys(_UNARY.split(), like_first),
    **dict.fromkeys(_BINARY.split(), arithmetic),
    **dict.fromkeys(_COMPARISONS.split(), comparison),
    "BitCast": cast,
    "Cast": cast,
    "CastLike": cast_like,
    "Dropout": dropout,
    "IsInf": boolean,
    "IsNaN": boolean,
    "Not": boolean,
    "Pow": power,
    "Where": choice,
    "pelemay::QBinary": dialect_qbinary,
    "pelemay::QSoftmax": dialect_qsoftmax,
    "pelemay::QTable": dialect_qtable,
    **dict.fromkeys(
        (f"pelemay::{op}" for op in ("InstanceNormalization", "GroupNormalization", "LRN")),
        like_first,
    ),
}
