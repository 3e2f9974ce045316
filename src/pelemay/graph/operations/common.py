"""What the meanings of many operations share: numbers from host inputs, axes, element types.

In: arrays of any Array API namespace. Out: Python numbers, :class:`DType`, converted arrays.

>>> import numpy as np
>>> ints(np.array([2, -1])), axes_of((-1, 0), 3)
((2, -1), (2, 0))
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

import numpy as np

from pelemay.errors import ExecutionError, UnsupportedError
from pelemay.graph.dtypes import DType, Kind

Array = Any
"""An array of the namespace ``xp`` that a meaning was given."""


def ints(x: Array) -> tuple[int, ...]:
    """All elements of a host input as Python integers.

    >>> ints(np.array([[1, 2]]))
    (1, 2)
    """
    return tuple(int(v) for v in np.asarray(x).reshape(-1).tolist())


def number(x: Array) -> Any:
    """The only element of a host input as a Python number.

    >>> number(np.array([3.5], np.float32))
    3.5
    """
    return np.asarray(x).reshape(-1)[0].item()


def axis_of(axis: int, rank: int) -> int:
    """An axis counted from the front.

    Raises
    ------
    ExecutionError
        If there is no such axis.
    """
    if not -rank <= axis < rank:
        raise ExecutionError(f"axis {axis} is outside [{-rank}, {rank - 1}]")
    return axis % rank


def axes_of(axes: Iterable[int], rank: int) -> tuple[int, ...]:
    """Axes counted from the front, in the order given.

    Raises
    ------
    ExecutionError
        If an axis is out of range or given twice.
    """
    found = tuple(axis_of(axis, rank) for axis in axes)
    if len(set(found)) != len(found):
        raise ExecutionError(f"axes {found} name one axis twice")
    return found


def dtype_of(x: Array) -> DType:
    """The element type of an array of any namespace.

    >>> dtype_of(np.zeros(2, np.int8)).value
    'int8'
    """
    if isinstance(x, (np.ndarray, np.generic)):
        return DType.of_numpy(x.dtype)
    return DType.of(str(x.dtype).rsplit(".", 1)[-1])


def dtype_in(xp: Any, dtype: DType) -> Any:
    """The namespace's own name for an element type.

    Raises
    ------
    UnsupportedError
        If the namespace has no such type and does not take NumPy's.
    """
    found = getattr(xp, dtype.value, None)
    if found is not None:
        return found
    if any(name in xp.__name__ for name in ("numpy", "jax")):
        return dtype.numpy
    raise UnsupportedError(f"{xp.__name__} has no element type {dtype.value}")


def cast(xp: Any, x: Array, dtype: DType) -> Array:
    """``x`` with elements of ``dtype``; ``x`` itself if it has them."""
    return x if dtype_of(x) is dtype else xp.astype(x, dtype_in(xp, dtype))


def cast_like(xp: Any, x: Array, like: Array) -> Array:
    """``x`` with the element type of ``like``."""
    return x if x.dtype == like.dtype else xp.astype(x, like.dtype)


def full_like(xp: Any, value: Any, like: Array) -> Array:
    """A 0-d array of ``value`` with the element type of ``like``."""
    return xp.asarray(value, dtype=like.dtype)


def as_int64(xp: Any, x: Array) -> Array:
    """``x`` as indices, of which ONNX knows only int64 ones as a result."""
    return xp.astype(x, xp.int64)


def part(x: Array, axis: int, start: int, stop: int, step: int = 1) -> Array:
    """The slice ``start:stop:step`` along ``axis``, which is counted from the front.

    >>> part(np.array([[1, 2, 3]]), 1, 0, 2)
    array([[1, 2]])
    """
    return x[(slice(None),) * axis + (slice(start, stop, step), ...)]


def along(xp: Any, vector: Array, axis: int, rank: int) -> Array:
    """A vector as an array of ``rank`` dimensions that lies along ``axis``."""
    return xp.reshape(vector, tuple(-1 if i == axis else 1 for i in range(rank)))


def is_float(x: Array) -> bool:
    """Whether the elements are real floating-point numbers, the narrow ones included."""
    return dtype_of(x).kind is Kind.FLOAT


def is_narrow(x: Array) -> bool:
    """Whether the elements are floating-point numbers of fewer than 32 bits.

    >>> is_narrow(np.zeros(2, np.float16)), is_narrow(np.zeros(2, np.float32))
    (True, False)
    """
    dtype = dtype_of(x)
    return dtype.kind is Kind.FLOAT and dtype.bits < 32


def widened(xp: Any, x: Array) -> Array:
    """``x`` in float32 if its elements are narrow floats, else ``x`` itself."""
    return xp.astype(x, xp.float32) if is_narrow(x) else x


def standard(
    xp: Any,
    op: str,
    *inputs: Array | None,
    outputs: int = 1,
    domain: str = "",
    **attributes: Any,
) -> Any:
    """An operation as a step of another's meaning; a tuple where ``outputs`` is not 1.

    A namespace that traces keeps the step as one node, so that passes and instructions know it;
    every other runs its meaning.

    >>> import array_api_compat.numpy as xp
    >>> standard(xp, "Gelu", xp.asarray([0.0]))
    array([0.])
    """
    from pelemay.graph.operations import find

    if hasattr(xp, "node"):
        return xp.node(op, *inputs, outputs=outputs, domain=domain, **attributes)
    row = find(op, domain)
    assert row is not None
    given = [np.asarray(x) if i in row.host and x is not None else x for i, x in enumerate(inputs)]
    found = row.meaning(xp, *given, **attributes)
    results = found if isinstance(found, tuple) else (found,)
    return results[0] if outputs == 1 else results[:outputs]


def in_float32(meaning: Callable[..., Any]) -> Callable[..., Any]:
    """Compute a meaning in float32 where its first input has narrow floats.

    Every narrow input is widened; float32 outputs are cast back to the first input's type.

    >>> import array_api_compat.numpy as xp
    >>> @in_float32
    ... def mean(xp, x):
    ...     return xp.mean(x)
    >>> mean(xp, xp.full(8, 60000.0, dtype=xp.float16)).dtype
    dtype('float16')
    """

    @wraps(meaning)
    def wide(xp: Any, *inputs: Any, **attributes: Any) -> Any:
        if not is_narrow(inputs[0]):
            return meaning(xp, *inputs, **attributes)
        dtype = inputs[0].dtype
        arrays = (widened(xp, x) if hasattr(x, "dtype") else x for x in inputs)
        result = meaning(xp, *arrays, **attributes)
        if isinstance(result, tuple):
            return tuple(_narrowed(xp, y, dtype) for y in result)
        return _narrowed(xp, result, dtype)

    return wide


def _narrowed(xp: Any, y: Any, dtype: Any) -> Any:
    return xp.astype(y, dtype) if y is not None and dtype_of(y) is DType.FLOAT32 else y
