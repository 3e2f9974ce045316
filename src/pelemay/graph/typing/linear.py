"""Types of matrix products, normalizations and reductions.

In: a :class:`Site`. Out: the types of its outputs.
"""

from __future__ import annotations

from pelemay.errors import GraphError
from pelemay.graph.dtypes import DType, Kind
from pelemay.graph.operations.common import axes_of, axis_of
from pelemay.graph.operations.linear import terms_of
from pelemay.graph.typing.dims import broadcast, computed, same, tensor
from pelemay.graph.typing.shape import counted
from pelemay.graph.typing.site import Rule, Site, Types, int64
from pelemay.graph.values import Dim, Shape


def product_shape(a: Shape | None, b: Shape | None) -> Shape | None:
    """The shape of NumPy's ``matmul``.

    >>> product_shape((5, 2, 3), (3, 4)), product_shape((3,), (3, 4))
    ((5, 2, 4), (4,))

    Raises
    ------
    GraphError
        If the shapes do not fit each other.
    """
    if a is None or b is None:
        return None
    if not a or not b:
        raise GraphError("a product of matrices takes no numbers without axes")
    left = a if len(a) > 1 else (1, *a)
    right = b if len(b) > 1 else (*b, 1)
    try:
        same(left[-1], right[-2])
        batch = broadcast([left[:-2], right[:-2]]) or ()
    except GraphError as error:
        raise GraphError(f"matrices of shapes {a} and {b} have no product") from error
    rows = left[-2:-1] if len(a) > 1 else ()
    columns = right[-1:] if len(b) > 1 else ()
    return (*batch, *rows, *columns)


def matmul(site: Site) -> Types:
    """The product of 0 and 1."""
    return (tensor(site.dtype(0), product_shape(site.shape(0), site.shape(1))),)


def matmul_integer(site: Site) -> Types:
    """The same in int32."""
    return (tensor(DType.INT32, product_shape(site.shape(0), site.shape(1))),)


def qlinear_matmul(site: Site) -> Types:
    """A quantized product of 0 and 3; its type is that of the last zero point."""
    return (tensor(site.dtype(7), product_shape(site.shape(0), site.shape(3))),)


def _turned(shape: Shape | None, turn: object) -> Shape | None:
    return (*shape[:-2], shape[-1], shape[-2]) if shape and turn and len(shape) > 1 else shape


def gemm(site: Site) -> Types:
    """The product of matrices of which each may be transposed first."""
    a = _turned(site.shape(0), site.attribute("transA"))
    b = _turned(site.shape(1), site.attribute("transB"))
    dims = product_shape(a, b)
    return (tensor(site.dtype(0), (None, None) if dims is None else dims),)


def fused_matmul(site: Site) -> Types:
    """The dialect's product: the flags transpose the last two axes."""
    a = _turned(site.shape(0), site.attribute("trans_a"))
    b = _turned(site.shape(1), site.attribute("trans_b"))
    return (tensor(site.dtype(0), product_shape(a, b)),)


def dialect_qmatmul(site: Site) -> Types:
    """The dialect's product of integers; its type is asked for."""
    b = _turned(site.shape(1), site.attribute("trans_b"))
    return (tensor(site.attribute("to"), product_shape(site.shape(0), b)),)


def einsum(site: Site) -> Types:
    """Sizes by label; an ellipsis broadcasts."""
    count = len(site.node.inputs)
    shapes = [shape for i in range(count) if (shape := site.shape(i)) is not None]
    if len(shapes) < count:
        return (tensor(site.dtype(0), None),)
    terms, output = terms_of(site.attribute("equation"), [len(shape) for shape in shapes])
    sizes: dict[str, list[Shape | None]] = {}
    for term, shape in zip(terms, shapes, strict=True):
        for label, dim in zip(term, shape, strict=True):
            sizes.setdefault(label, []).append((dim,))
    dims = [(broadcast(sizes[label]) or (None,))[0] for label in output]
    return (tensor(site.dtype(0), dims),)


def det(site: Site) -> Types:
    """Without the matrix's axes."""
    shape = site.shape(0)
    return (tensor(site.dtype(0), None if shape is None else shape[:-2]),)


def batch_normalization(site: Site) -> Types:
    """The data, and in training the running mean and variance."""
    mean, variance = (tensor(site.dtype(3), site.shape(i)) for i in (3, 4))
    return site.type(0), mean, variance


def layer_normalization(site: Site) -> Types:
    """The data, the means and the reciprocals of the deviations, with the axes kept as 1."""
    x, shape = site.dtype(0), site.shape(0)
    stash = site.attribute("stash_type") or DType.FLOAT32
    statistics = stash if x is None or stash.bits > x.bits else x
    if statistics.kind is Kind.FLOAT and statistics.bits < 32:
        statistics = DType.FLOAT32
    kept = None
    if shape is not None:
        axis = axis_of(site.attribute("axis"), len(shape))
        kept = (*shape[:axis], *(1,) * (len(shape) - axis))
    return site.type(0), tensor(statistics, kept), tensor(statistics, kept)


def rms_normalization(site: Site) -> Types:
    """The data's shape, in the scale's type."""
    return (tensor(site.dtype(1) or site.dtype(0), site.shape(0)),)


def reduce(site: Site) -> Types:
    """Without the axes, or with 1 in their place."""
    shape, keep = site.shape(0), site.attribute("keepdims")
    if shape is None:
        return (tensor(site.dtype(0), None),)
    axes: tuple[int, ...] | None = ()
    if site.has(1):
        axes = site.ints(1)
        if axes is None:
            return (tensor(site.dtype(0), _reduced_somewhere(site, shape)),)
    if not axes:
        axes = () if site.attribute("noop_with_empty_axes") else tuple(range(len(shape)))
    return (tensor(site.dtype(0), reduced(shape, axes_of(axes, len(shape)), keep)),)


def reduced(shape: Shape, axes: tuple[int, ...], keep: object) -> Shape:
    """The shape with 1 at these axes, or without them.

    >>> reduced((2, 3), (1,), True), reduced((2, 3), (1,), False)
    ((2, 1), (2,))
    """
    return tuple(1 if i in axes else d for i, d in enumerate(shape) if keep or i not in axes)


def _reduced_somewhere(site: Site, shape: Shape) -> Shape | None:
    """What is known of the shape where the axes are not."""
    count = counted(site, 1)
    if site.attribute("keepdims"):
        return (None,) * len(shape)
    if not count:
        return None
    return (None,) * (len(shape) - len(count))


def position(site: Site) -> Types:
    """Indices, without the axis or with 1 in its place."""
    shape = site.shape(0)
    if shape is None:
        return (int64(None),)
    axis = axis_of(site.attribute("axis"), len(shape))
    return (int64(reduced(shape, (axis,), site.attribute("keepdims"))),)


def top_k(site: Site) -> Types:
    """The k elements along the axis, and their indices."""
    shape = site.shape(0)
    if shape is None:
        return tensor(site.dtype(0), None), int64(None)
    axis = axis_of(site.attribute("axis"), len(shape))
    kept: Dim = computed(min, site.number(1), shape[axis])
    dims = (*shape[:axis], kept, *shape[axis + 1 :])
    return tensor(site.dtype(0), dims), int64(dims)


_REDUCTIONS = "Sum Prod Mean L1 L2 SumSquare LogSum LogSumExp Max Min"

RULES: dict[str, Rule] = {
    **{f"Reduce{name}": reduce for name in _REDUCTIONS.split()},
    "ArgMax": position,
    "ArgMin": position,
    "BatchNormalization": batch_normalization,
    "Det": det,
    "Einsum": einsum,
    "Gemm": gemm,
    "LayerNormalization": layer_normalization,
    "MatMul": matmul,
    "MatMulInteger": matmul_integer,
    "QLinearMatMul": qlinear_matmul,
    "RMSNormalization": rms_normalization,
    "TopK": top_k,
    "pelemay::MatMul": fused_matmul,
    "pelemay::QMatMul": dialect_qmatmul,
}
