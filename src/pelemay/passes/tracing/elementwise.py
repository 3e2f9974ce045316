"""Operations element by element, with NumPy's rules for types and shapes.

In: traced arrays, NumPy arrays and Python numbers, of which one at least is traced. Out: a traced
array.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pelemay.errors import UnsupportedError
from pelemay.graph import Attribute, DType, Kind

if TYPE_CHECKING:
    from pelemay.passes.tracing.array import Traced
    from pelemay.passes.tracing.recorder import Recorder

Shape = tuple[int, ...]

_NONE: Mapping[str, Attribute] = MappingProxyType({})


def recorder_of(*values: Any) -> Recorder:
    """The recorder of the first traced array among them."""
    return next(value.recorder for value in values if hasattr(value, "recorder"))  # type: ignore[no-any-return]


def common_dtype(*values: Any) -> np.dtype[Any]:
    """The type in which NumPy computes with them; a Python number takes that of the arrays.

    >>> common_dtype(np.zeros(2, np.float32), 0.5), common_dtype(np.zeros(2, np.int32), 0.5)
    (dtype('float32'), dtype('float64'))

    Raises
    ------
    UnsupportedError
        If NumPy has no such type.
    """
    arrays: set[np.dtype[Any]] = {
        np.dtype(value.dtype) for value in values if hasattr(value, "dtype")
    }
    numbers = [value for value in values if not hasattr(value, "dtype")]
    if not all(isinstance(value, (bool, int, float)) for value in numbers):
        raise UnsupportedError("only arrays and numbers can be computed with")
    if len(arrays) == 1:
        (own,) = arrays
        if all(_holds(own, value) for value in numbers):
            return own
    try:
        common: np.dtype[Any] = np.result_type(*arrays, *numbers)
    except TypeError as error:
        raise UnsupportedError(str(error)) from error
    return common


def _holds(own: np.dtype[Any], number: float) -> bool:
    kind = DType.of_numpy(own).kind
    if kind is Kind.FLOAT:
        return True
    return kind in (Kind.INT, Kind.UINT) and isinstance(number, int)


def converted(value: Any, dtype: npt.DTypeLike) -> Any:
    """A traced array or a NumPy array of that type."""
    if not hasattr(value, "recorder"):
        return np.asarray(value, dtype)
    return cast(value, dtype)


def cast(x: Traced, dtype: npt.DTypeLike) -> Traced:
    """By value; as in NumPy, what is beyond a small float becomes no number or infinite."""
    wanted = np.dtype(dtype)
    if x.dtype == wanted:
        return x
    to = DType.of_numpy(wanted)
    small = to.kind is Kind.FLOAT and to.bits <= 8
    attributes: dict[str, Attribute] = {"to": to, "saturate": 0} if small else {"to": to}
    return x.recorder.emit("Cast", [x], x.shape, wanted, attributes)


def bit_cast(x: Traced, dtype: npt.DTypeLike) -> Traced:
    """The same bits as another type of the same width."""
    wanted = np.dtype(dtype)
    return x.recorder.emit("BitCast", [x], x.shape, wanted, {"to": DType.of_numpy(wanted)})


def unary(op: str, x: Traced, dtype: npt.DTypeLike | None = None) -> Traced:
    """One operand; the result has its type if ``dtype`` does not say another."""
    return x.recorder.emit(op, [x], x.shape, x.dtype if dtype is None else dtype)


def binary(op: str, a: Any, b: Any, attributes: Mapping[str, Attribute] = _NONE) -> Traced:
    """Two operands of one type, which the result has too."""
    return _emit(op, [a, b], common_dtype(a, b), attributes=attributes)


def compare(op: str, a: Any, b: Any) -> Traced:
    """Two operands of one type; a bool."""
    return _emit(op, [a, b], common_dtype(a, b), np.bool_)


def divide(a: Any, b: Any) -> Traced:
    """True division: integers become float64, as in NumPy."""
    dtype = common_dtype(a, b)
    if DType.of_numpy(dtype).kind is not Kind.FLOAT:
        dtype = np.dtype(np.float64)
    return _emit("Div", [a, b], dtype)


def logical(op: str, a: Any, b: Any) -> Traced:
    """And, Or, Xor of bools, or of the bits of integers."""
    dtype = common_dtype(a, b)
    return _emit(op if dtype == np.bool_ else f"Bitwise{op}", [a, b], dtype)


def where(condition: Any, a: Any, b: Any) -> Traced:
    """``a`` where the condition holds, else ``b``."""
    dtype = common_dtype(a, b)
    operands = [converted(condition, np.bool_), converted(a, dtype), converted(b, dtype)]
    shape = _shape(operands)
    return recorder_of(condition, a, b).emit("Where", _slim(operands, shape), shape, dtype)


def _emit(
    op: str,
    values: Sequence[Any],
    dtype: np.dtype[Any],
    result: npt.DTypeLike | None = None,
    attributes: Mapping[str, Attribute] = _NONE,
) -> Traced:
    operands = [converted(value, dtype) for value in values]
    shape = _shape(operands)
    kind = dtype if result is None else result
    return recorder_of(*values).emit(op, _slim(operands, shape), shape, kind, attributes)


def _shape(operands: Sequence[Any]) -> Shape:
    return np.broadcast_shapes(*(operand.shape for operand in operands))


def _slim(operands: Sequence[Any], shape: Shape) -> list[Any]:
    """A NumPy array whose elements are all one and the same is not stored at full size."""
    slim = list(operands)
    for index, operand in enumerate(operands):
        if not isinstance(operand, np.ndarray) or operand.size < 2 or any(operand.strides):
            continue
        number = operand.reshape(-1)[0].reshape(())
        others = (o.shape for i, o in enumerate(slim) if i != index)
        if np.broadcast_shapes(*others) == shape:
            slim[index] = number
    return slim
