"""Functions of the Array API standard that move elements and compute nothing, as nodes.

In: traced arrays. Out: a traced array.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pelemay.errors import UnsupportedError
from pelemay.passes.tracing.elementwise import common_dtype, converted, recorder_of
from pelemay.passes.tracing.slicing import reshaped

if TYPE_CHECKING:
    from pelemay.passes.tracing.array import Traced


def axis_of(axis: int, rank: int) -> int:
    """An axis counted from the front.

    Raises
    ------
    IndexError
        If there is no such axis.
    """
    if not -rank <= axis < rank:
        raise IndexError(f"axis {axis} is not one of {rank}")
    return axis % rank


def stack(arrays: Sequence[Any], *, axis: int = 0) -> Traced:
    """Arrays of one shape along a new axis."""
    at = axis_of(axis, len(arrays[0].shape) + 1)
    return _concat([_expand_dims(x, axis=at) for x in arrays], axis=at)


def _reshape(x: Traced, shape: int | Sequence[int]) -> Traced:
    sizes = [int(n) for n in ((shape,) if isinstance(shape, int) else shape)]
    if -1 in sizes:
        known = math.prod(n for n in sizes if n != -1)
        sizes[sizes.index(-1)] = x.size // max(known, 1)
    if math.prod(sizes) != x.size:
        raise ValueError(f"an array of shape {x.shape} cannot have the shape {tuple(sizes)}")
    return reshaped(x, tuple(sizes))


def _permuted(x: Traced, axes: Sequence[int]) -> Traced:
    order = tuple(axis_of(int(axis), x.ndim) for axis in axes)
    if order == tuple(range(x.ndim)):
        return x
    shape = [x.shape[axis] for axis in order]
    return x.recorder.emit("Transpose", [x], shape, x.dtype, {"perm": order})


def _transposed(x: Traced) -> Traced:
    return _permuted(x, (*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))


def _moved(x: Traced, source: int | Sequence[int], destination: int | Sequence[int]) -> Traced:
    take, put = (
        [axis_of(a, x.ndim) for a in ((axes,) if isinstance(axes, int) else axes)]
        for axes in (source, destination)
    )
    order = [axis for axis in range(x.ndim) if axis not in take]
    for to, axis in sorted(zip(put, take, strict=True)):
        order.insert(to, axis)
    return _permuted(x, order)


def _expand_dims(x: Any, *, axis: int = 0) -> Any:
    at = axis_of(axis, x.ndim + 1)
    shape = (*x.shape[:at], 1, *x.shape[at:])
    return reshaped(x, shape) if hasattr(x, "recorder") else np.reshape(x, shape)


def _squeeze(x: Traced, axis: int | Sequence[int]) -> Traced:
    gone = [axis_of(a, x.ndim) for a in ((axis,) if isinstance(axis, int) else axis)]
    if any(x.shape[a] != 1 for a in gone):
        raise ValueError(f"not all axes {gone} of the shape {x.shape} have the size 1")
    return reshaped(x, tuple(n for a, n in enumerate(x.shape) if a not in gone))


def _flip(x: Traced, *, axis: int | None = None) -> Traced:
    flipped = range(x.ndim) if axis is None else (axis_of(axis, x.ndim),)
    return x[tuple(slice(None, None, -1 if a in flipped else 1) for a in range(x.ndim))]


def _concat(arrays: Sequence[Any], *, axis: int | None = 0) -> Traced:
    if axis is None:
        raise UnsupportedError("arrays made flat and joined have no steps")
    dtype, at = common_dtype(*arrays), axis_of(axis, arrays[0].ndim)
    parts = [part for x in arrays if 0 not in (part := converted(x, dtype)).shape]
    if not parts:
        raise UnsupportedError("nothing but empty arrays to join")
    if len(parts) == 1 and hasattr(parts[0], "recorder"):
        return parts[0]  # type: ignore[no-any-return]
    shape = list(parts[0].shape)
    shape[at] = sum(part.shape[at] for part in parts)
    if any((*p.shape[:at], *p.shape[at + 1 :]) != (*shape[:at], *shape[at + 1 :]) for p in parts):
        raise ValueError(f"arrays of shapes {[p.shape for p in parts]} cannot be joined")
    return recorder_of(*arrays).emit("Concat", parts, shape, dtype, {"axis": at})


def _broadcast(x: Traced, shape: Sequence[int]) -> Traced:
    wanted = tuple(map(int, shape))
    if np.broadcast_shapes(x.shape, wanted) != wanted:
        raise ValueError(f"an array of shape {x.shape} cannot be broadcast to {wanted}")
    if wanted == x.shape:
        return x
    return x.recorder.emit("Expand", [x, x.recorder.integers(wanted)], wanted, x.dtype)


def _repeat(x: Traced, repeats: int, *, axis: int | None = None) -> Traced:
    """Each element ``repeats`` times, one after the other."""
    if axis is None or not isinstance(repeats, int):
        raise UnsupportedError("elements of a flat array repeated, or by number, have no steps")
    at = axis_of(axis, x.ndim)
    before, size, behind = x.shape[:at], x.shape[at], x.shape[at + 1 :]
    wide = _broadcast(reshaped(x, (*before, size, 1, *behind)), (*before, size, repeats, *behind))
    return reshaped(wide, (*before, size * repeats, *behind))


def _take(x: Any, indices: Any, *, axis: int | None = None) -> Traced:
    if axis is None:
        raise UnsupportedError("elements of a flat array have no steps")
    at = axis_of(axis, x.ndim)
    shape = (*x.shape[:at], *indices.shape, *x.shape[at + 1 :])
    return recorder_of(x, indices).emit("Gather", [x, indices], shape, x.dtype, {"axis": at})


def _take_along(x: Any, indices: Any, *, axis: int = -1) -> Traced:
    at = axis_of(axis, x.ndim)
    sizes = [(n, m) for i, (n, m) in enumerate(zip(x.shape, indices.shape, strict=True)) if i != at]
    if any(n != m for n, m in sizes):
        raise UnsupportedError("indices that are broadcast have no steps")
    return recorder_of(x, indices).emit(
        "GatherElements", [x, indices], indices.shape, x.dtype, {"axis": at}
    )


def _triangle(upper: int, x: Traced, *, k: int = 0) -> Traced:
    return x.recorder.emit(
        "Trilu", [x, np.asarray(k, np.int64)], x.shape, x.dtype, {"upper": upper}
    )


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "broadcast_to": _broadcast,
    "concat": _concat,
    "expand_dims": _expand_dims,
    "flip": _flip,
    "matrix_transpose": _transposed,
    "moveaxis": _moved,
    "permute_dims": _permuted,
    "repeat": _repeat,
    "reshape": _reshape,
    "squeeze": _squeeze,
    "stack": stack,
    "take": _take,
    "take_along_axis": _take_along,
    "tril": lambda x, **options: _triangle(0, x, **options),
    "triu": lambda x, **options: _triangle(1, x, **options),
}
