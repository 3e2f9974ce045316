"""What passes ask of a graph when they look for patterns: static shapes, small constants.

In: a graph and names of values. Out: Python numbers and tuples, or None where nothing is known.

>>> from pelemay.graph import ArrayConstant, DType, Graph, TensorType
>>> x = TensorType(DType.FLOAT32, (2, 3))
>>> g = Graph("g", {"x": x}, {"x": x}, (), {"half": ArrayConstant.of(0.5)})
>>> shape_of(g, "x"), scalar(g, "half"), scalar(g, "x")
((2, 3), 0.5, None)
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from pelemay.graph import Constant, DType, Graph, Kind, Node, TensorType
from pelemay.passes.derived import broadcast, reshaped
from pelemay.passes.rewrite import Rewriter


def tensor(graph: Graph, name: str) -> TensorType | None:
    """The tensor type of a value, if it is known and its shape is static."""
    found = graph.type_of(name) if name else None
    if isinstance(found, TensorType) and found.nbytes is not None:
        return found
    return None


def shape_of(graph: Graph, name: str) -> tuple[int, ...] | None:
    """The static shape of a value, if it is known."""
    found = tensor(graph, name)
    if found is None or found.shape is None:
        return None
    return tuple(size for size in found.shape if isinstance(size, int))


def rank_of(graph: Graph, name: str) -> int | None:
    """The rank of a value, if it is known."""
    found = graph.type_of(name) if name else None
    if not isinstance(found, TensorType) or found.shape is None:
        return None
    return len(found.shape)


def dtype_of(graph: Graph, name: str) -> DType | None:
    """The element type of a value, if it is known and a tensor's."""
    found = graph.type_of(name) if name else None
    return found.dtype if isinstance(found, TensorType) else None


def is_float32(graph: Graph, *names: str) -> bool:
    """Whether all values are known to be tensors of float32; ``""`` counts as one."""
    return all(dtype_of(graph, name) is DType.FLOAT32 for name in names if name)


def scalar(graph: Graph, name: str) -> float | None:
    """The only element of a constant of numbers."""
    constant = graph.constants.get(name)
    if constant is None or math.prod(constant.shape) != 1:
        return None
    if constant.dtype.kind in (Kind.COMPLEX, Kind.STRING):
        return None
    return float(constant.array().reshape(-1)[0])


def integers(graph: Graph, name: str) -> tuple[int, ...] | None:
    """All elements of a constant of whole numbers, flat."""
    constant = graph.constants.get(name)
    if constant is None or constant.dtype.kind not in (Kind.INT, Kind.UINT):
        return None
    return tuple(int(v) for v in constant.array().reshape(-1).tolist())


def operand(node: Node, index: int) -> str:
    """The name of an input; ``""`` where it is left out."""
    return node.inputs[index] if index < len(node.inputs) else ""


def is_standard(node: Node | None, *ops: str) -> bool:
    """Whether a node is one of these operations of the standard set, in the table's form."""
    return node is not None and node.op in ops and node.domain == "" and node.version == 0


def permutation(node: Node, rank: int) -> tuple[int, ...]:
    """The permutation of a Transpose of a value of that rank.

    >>> permutation(Node("Transpose", ("x",), ("y",)), 3)
    (2, 1, 0)
    """
    perm = node.attributes.get("perm")
    if not isinstance(perm, tuple):
        return tuple(reversed(range(rank)))
    return tuple(axis for axis in perm if isinstance(axis, int))


def with_scalar(graph: Graph, node: Node) -> tuple[str, float] | None:
    """A binary node's value and number, where one operand is a constant number.

    The number does not change the value's shape. Which side it stands on is not told: it suits
    operations that commute.
    """
    for value, number in (node.inputs[:2], node.inputs[1::-1]):
        found = scalar(graph, number)
        if found is not None and value not in graph.constants and _fits(graph, number, value):
            return value, found
    return None


def _fits(graph: Graph, number: str, value: str) -> bool:
    """Whether a constant of one element keeps the shape of the value that it meets."""
    rank = len(graph.constants[number].shape)
    return rank == 0 or rank <= (rank_of(graph, value) or 0)


def constant_for_axes(
    constant: Constant, shape: Sequence[int], axes: Sequence[int]
) -> Constant | None:
    """A constant that varies along ``axes`` only, with just these axes.

    Parameters
    ----------
    constant : Constant
        Met by a value in a broadcasting operation.
    shape : sequence of int
        The value's shape, which is the operation's too.
    axes : sequence of int
        In ascending order.

    Returns
    -------
    Constant or None
        Of shape ``[shape[axis] for axis in axes]``; None where the constant does not fit.

    Examples
    --------
    >>> from pelemay.graph import ArrayConstant
    >>> import numpy as np
    >>> constant_for_axes(ArrayConstant.of(np.zeros((4, 1))), (2, 4, 5), (1,)).shape
    (4,)
    >>> constant_for_axes(ArrayConstant.of(np.zeros((4, 5))), (2, 4, 5), (1,)) is None
    True
    """
    extra = len(shape) - len(constant.shape)
    if extra < 0:
        return None
    aligned = (1,) * extra + constant.shape
    if any(
        size != 1 and (axis not in axes or size != shape[axis]) for axis, size in enumerate(aligned)
    ):
        return None
    own = reshaped(constant, [aligned[axis] for axis in axes])
    return broadcast(own, [shape[axis] for axis in axes])


def followed(
    rewriter: Rewriter, index: int, op: str, shape: Sequence[int], axes: Sequence[int]
) -> tuple[int, Constant | None]:
    """The product or sum with a constant that alone reads what a node makes.

    Parameters
    ----------
    rewriter : Rewriter
        Of the graph.
    index : int
        The node's.
    op : str
        ``"Mul"`` or ``"Add"``.
    shape, axes
        The value's shape, and the axes along which the constant may vary.

    Returns
    -------
    (int, Constant or None)
        The index of the product or sum, and the constant with just those axes; the index of the
        node itself and None where nothing such follows.
    """
    graph = rewriter.graph
    own = graph.nodes[index].outputs[0]
    user = rewriter.only_user(own)
    if user is None or rewriter.changed(user) or not is_standard(graph.nodes[user], op):
        return index, None
    a, b = graph.nodes[user].inputs
    constant = graph.constants.get(b if a == own else a)
    found = None if constant is None else constant_for_axes(constant, shape, axes)
    return (index, None) if found is None else (user, found)
