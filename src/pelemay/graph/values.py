"""The types of values, and the constant tensors of a graph.

In: dtypes and shapes. Out: frozen types such as :class:`TensorType`, and :class:`Constant`,
the protocol of a tensor whose bytes may still lie in a file.

>>> from pelemay.graph.dtypes import DType
>>> str(TensorType(DType.FLOAT32, (1, "height", None)))
'float32[1, height, ?]'
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from pelemay.graph.dtypes import DType

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Dim = int | str | None
"""A known size, a symbol bound at the call, or nothing known."""

Shape = tuple[Dim, ...]


@dataclass(frozen=True, slots=True)
class TensorType:
    """A tensor's element type and shape; ``shape`` is None if not even the rank is known."""

    dtype: DType
    shape: Shape | None = None

    @property
    def nbytes(self) -> int | None:
        """Bytes of such a tensor; None where a dimension is not known."""
        if self.shape is None or not all(isinstance(d, int) for d in self.shape):
            return None
        return self.dtype.bytes_of(math.prod(d for d in self.shape if isinstance(d, int)))

    def __str__(self) -> str:
        if self.shape is None:
            return self.dtype.value
        return f"{self.dtype.value}[{', '.join('?' if d is None else str(d) for d in self.shape)}]"


@dataclass(frozen=True, slots=True)
class SparseTensorType:
    """A sparse tensor in coordinate form."""

    dtype: DType
    shape: Shape | None = None

    def __str__(self) -> str:
        return f"sparse({TensorType(self.dtype, self.shape)})"


@dataclass(frozen=True, slots=True)
class SequenceType:
    """A list of values of one type."""

    element: ValueType

    def __str__(self) -> str:
        return f"sequence({self.element})"


@dataclass(frozen=True, slots=True)
class OptionalType:
    """A value or nothing."""

    element: ValueType

    def __str__(self) -> str:
        return f"optional({self.element})"


@dataclass(frozen=True, slots=True)
class MapType:
    """A dictionary, as ai.onnx.ml's ZipMap makes them."""

    key: DType
    value: ValueType

    def __str__(self) -> str:
        return f"map({self.key.value}, {self.value})"


ValueType = TensorType | SparseTensorType | SequenceType | OptionalType | MapType


@runtime_checkable
class Constant(Protocol):
    """A tensor known before the run; reading it is what touches its bytes."""

    @property
    def dtype(self) -> DType:
        """Element type."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the dimensions."""

    @property
    def nbytes(self) -> int:
        """Bytes as stored."""

    def array(self) -> npt.NDArray[Any]:
        """The elements, read-only; in place where the stored form allows it."""


@dataclass(frozen=True, slots=True, eq=False)
class ArrayConstant:
    """A constant held in memory as a NumPy array.

    >>> import numpy as np
    >>> ArrayConstant.of(np.zeros((2, 3), np.float32)).shape
    (2, 3)
    """

    dtype: DType
    value: npt.NDArray[Any]

    @classmethod
    def of(cls, value: npt.ArrayLike, dtype: np.dtype[Any] | type | None = None) -> ArrayConstant:
        """Take ``value`` as a constant: a read-only view of it, not a copy."""
        import numpy as np

        view = np.asarray(value, dtype).view()
        view.flags.writeable = False
        return cls(DType.of_numpy(view.dtype), view)

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the dimensions."""
        return self.value.shape

    @property
    def nbytes(self) -> int:
        """Bytes as stored."""
        return self.dtype.bytes_of(self.value.size)

    def array(self) -> npt.NDArray[Any]:
        """The elements, read-only."""
        return self.value
