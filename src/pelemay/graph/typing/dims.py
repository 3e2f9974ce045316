"""Arithmetic of sizes of which some are only named, or not known at all.

In: sizes and shapes, where a name stands for a size bound at the call and None for any size. Out:
the same.

>>> broadcast([("n", 1), (4,)])
('n', 4)
>>> product(("n", 1)), product((2, 3)), product(("n", 2))
('n', 6, None)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

from pelemay.errors import GraphError
from pelemay.graph.dtypes import DType
from pelemay.graph.values import Dim, Shape, TensorType


def tensor(dtype: DType | None, shape: Iterable[Dim] | None) -> TensorType | None:
    """A tensor's type; None if not even the element type is known."""
    if dtype is None:
        return None
    return TensorType(dtype, None if shape is None else tuple(shape))


def known(dims: Iterable[Dim] | None) -> tuple[int, ...] | None:
    """The sizes, if all of them are numbers.

    >>> known((2, 3)), known((2, "n"))
    ((2, 3), None)
    """
    if dims is None:
        return None
    sizes = tuple(dims)
    numbers = tuple(d for d in sizes if isinstance(d, int))
    return numbers if len(numbers) == len(sizes) else None


def computed(function: Callable[..., int], *dims: Dim) -> Dim:
    """A function of sizes; None if one of them is no number.

    >>> computed(max, 2, 3), computed(max, 2, "n")
    (3, None)
    """
    sizes = known(dims)
    return None if sizes is None else function(*sizes)


def product(dims: Iterable[Dim]) -> Dim:
    """How many elements that many along each axis are."""
    left = [d for d in dims if d != 1]
    if 0 in left:
        return 0
    if len(left) == 1:
        return left[0]
    sizes = known(left)
    return None if sizes is None else math.prod(sizes)


def total(dims: Iterable[Dim]) -> Dim:
    """The sum of sizes."""
    left = [d for d in dims if d != 0]
    if len(left) == 1:
        return left[0]
    sizes = known(left)
    return None if sizes is None else sum(sizes)


def same(a: Dim, b: Dim) -> Dim:
    """What is known of a size of which two things are known.

    Raises
    ------
    GraphError
        If they are different numbers.
    """
    if isinstance(a, int) and isinstance(b, int) and a != b:
        raise GraphError(f"sizes {a} and {b} should be the same")
    if isinstance(b, int) or a is None:
        return b
    return a


def broadcast(shapes: Sequence[Shape | None]) -> Shape | None:
    """The shape that arrays of these shapes broadcast to; None if a rank is not known.

    Raises
    ------
    GraphError
        If they do not broadcast.
    """
    given = [shape for shape in shapes if shape is not None]
    if len(given) < len(shapes):
        return None
    if len(given) == 1 or (given and all(shape == given[0] for shape in given)):
        return given[0]
    rank = max(map(len, given), default=0)
    padded = [(1,) * (rank - len(shape)) + shape for shape in given]
    return tuple(_broadcast_axis(axis) for axis in zip(*padded, strict=True))


def _broadcast_axis(dims: tuple[Dim, ...]) -> Dim:
    rest = {d for d in dims if d != 1}
    sizes = {d for d in rest if isinstance(d, int)}
    if len(sizes) > 1:
        found = " and ".join(map(str, sorted(sizes)))
        raise GraphError(f"sizes {found} do not broadcast")
    if sizes:
        return sizes.pop()
    if not rest:
        return 1
    return rest.pop() if len(rest) == 1 else None


def joined(a: Shape | None, b: Shape | None) -> Shape | None:
    """What both shapes have in common: the shape of a value that has either.

    >>> joined((2, 3), (2, 4)), joined((2,), (2, 4))
    ((2, None), None)
    """
    if a is None or b is None or len(a) != len(b):
        return None
    return tuple(x if x == y else None for x, y in zip(a, b, strict=True))


def refined(found: Shape | None, declared: Shape | None) -> Shape | None:
    """What was found, and where that says nothing, what was declared.

    A number wins over a name, and what was found over what was declared.
    """
    if found is None:
        return declared
    if declared is None or len(declared) != len(found):
        return found
    return tuple(
        d if f is None or (isinstance(d, int) and not isinstance(f, int)) else f
        for f, d in zip(found, declared, strict=True)
    )
