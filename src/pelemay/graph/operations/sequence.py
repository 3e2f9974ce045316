"""Sequences, which are Python lists, and optionals, of which the empty one is None.

In and out: lists of arrays; a list that came in is never changed.

>>> import array_api_compat.numpy as xp
>>> import numpy as np
>>> insert(xp, [np.array(1), np.array(3)], np.array(2), np.array(-1))
[array(1), array(2), array(3)]
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pelemay.errors import ExecutionError
from pelemay.graph.dtypes import DType
from pelemay.graph.operations.common import Array, axis_of, ints, number
from pelemay.graph.operations.shape import cut
from pelemay.graph.operations.table import Operation

Sequence = list[Any]


def construct(xp: Any, *inputs: Array) -> Sequence:
    return list(inputs)


def empty(xp: Any, *, dtype: DType | None = None) -> Sequence:
    return []


def insert(xp: Any, items: Sequence, value: Array, position: Array | None = None) -> Sequence:
    at = len(items) if position is None else int(number(position))
    if not -len(items) <= at <= len(items):
        raise ExecutionError(f"position {at} is outside a sequence of {len(items)}")
    return [*items[:at], value, *items[at:]]


def erase(xp: Any, items: Sequence, position: Array | None = None) -> Sequence:
    at = _position(items, -1 if position is None else int(number(position)))
    return items[:at] + items[at + 1 :]


def element_at(xp: Any, items: Sequence, position: Array) -> Array:
    return items[_position(items, int(number(position)))]


def _position(items: Sequence, position: int) -> int:
    if not -len(items) <= position < len(items):
        raise ExecutionError(f"position {position} is outside a sequence of {len(items)}")
    return position % len(items)


def length(xp: Any, items: Sequence) -> Array:
    return np.asarray(len(items), np.int64)


def split_to_sequence(
    xp: Any, x: Array, split: Array | None = None, *, axis: int = 0, keepdims: int = 1
) -> Sequence:
    """``x`` cut along ``axis`` into parts of one size, of the sizes given, or of size 1."""
    axis = axis_of(axis, x.ndim)
    size = x.shape[axis]
    if split is not None and np.ndim(split):
        lengths: tuple[int, ...] = ints(split)
    else:
        each = 1 if split is None else int(number(split))
        lengths = tuple(min(each, size - start) for start in range(0, size, each))
    parts = list(cut(x, axis, lengths))
    if split is None and not keepdims:
        return [xp.squeeze(piece, axis=axis) for piece in parts]
    return parts


def together(xp: Any, items: Sequence) -> tuple[Any, Sequence]:
    """The items of a sequence in one namespace: NumPy where all of them are on the host."""
    if all(isinstance(item, (np.ndarray, np.generic)) for item in items):
        import array_api_compat.numpy as host

        return host, items
    return xp, [xp.asarray(item) for item in items]


def concat_from_sequence(xp: Any, items: Sequence, *, axis: int, new_axis: int = 0) -> Array:
    space, arrays = together(xp, items)
    return space.stack(arrays, axis=axis) if new_axis else space.concat(arrays, axis=axis)


def optional(xp: Any, value: Any = None, *, type: Any = None) -> Any:
    return value


def optional_get_element(xp: Any, value: Any) -> Any:
    if value is None:
        raise ExecutionError("the optional is empty, so it has no element")
    return value


def optional_has_element(xp: Any, value: Any = None) -> Array:
    return np.asarray(value is not None)


ROWS = (
    Operation("SequenceConstruct", construct, "sequence"),
    Operation("SequenceEmpty", empty, "sequence"),
    Operation("SequenceInsert", insert, "sequence", host=(2,)),
    Operation("SequenceErase", erase, "sequence", host=(1,)),
    Operation("SequenceAt", element_at, "sequence", host=(1,)),
    Operation("SequenceLength", length, "sequence"),
    Operation("SplitToSequence", split_to_sequence, "sequence", host=(1,)),
    Operation("ConcatFromSequence", concat_from_sequence, "sequence"),
    Operation("Optional", optional, "sequence"),
    Operation("OptionalGetElement", optional_get_element, "sequence"),
    Operation("OptionalHasElement", optional_has_element, "sequence"),
)
