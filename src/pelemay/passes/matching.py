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


def channel_vector(constant: Constant, shape: Sequence[int], axis: int) -> bool:
    """Whether a constant broadcasts to ``shape`` and differs along no axis but ``axis``.

    >>> from pelemay.graph import ArrayConstant
    >>> import numpy as np
    >>> channel_vector(ArrayConstant.of(np.zeros((4, 1))), (2, 4, 5), 1)
    True
    """
    rank = len(shape)
    if len(constant.shape) > rank:
        return False
    aligned = (1,) * (rank - len(constant.shape)) + constant.shape
    return all(size == 1 or (i == axis and size == shape[i]) for i, size in enumerate(aligned))
