"""An array that stands for a value of a graph: what is done to it becomes nodes.

In: a name, a shape, a type. Out: what meanings use of an array: shape, operators, slices. Asking
for its elements is an error; they are not known before the run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from pelemay.errors import UnsupportedError
from pelemay.passes.tracing import elementwise
from pelemay.passes.tracing.slicing import sliced

if TYPE_CHECKING:
    import numpy.typing as npt

    from pelemay.passes.tracing.recorder import Recorder


@dataclass(frozen=True, eq=False)
class Traced:
    """A value of the graph that is being written.

    Attributes
    ----------
    recorder : Recorder
        Takes the nodes.
    name : str
        The value's name.
    shape : tuple of int
        Its static shape.
    dtype : numpy.dtype
        Its element type.
    """

    recorder: Recorder
    name: str
    shape: tuple[int, ...]
    dtype: npt.DTypeLike

    __array_ufunc__ = None

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape, dtype=np.int64))

    def __getitem__(self, index: Any) -> Traced:
        return sliced(self, index)

    def view(self, dtype: npt.DTypeLike) -> Traced:
        """The same bits as another type of the same width."""
        return elementwise.bit_cast(self, dtype)

    def _unknown(self, *_: Any, **__: Any) -> NoReturn:
        raise UnsupportedError(f"the elements of '{self.name}' are not known before the run")

    __array__ = __bool__ = __int__ = __float__ = __index__ = _unknown
    __iter__ = __len__ = __contains__ = _unknown

    def __add__(self, other: Any) -> Any:
        return elementwise.binary("Add", self, other)

    def __radd__(self, other: Any) -> Any:
        return elementwise.binary("Add", other, self)

    def __sub__(self, other: Any) -> Any:
        return elementwise.binary("Sub", self, other)

    def __rsub__(self, other: Any) -> Any:
        return elementwise.binary("Sub", other, self)

    def __mul__(self, other: Any) -> Any:
        return elementwise.binary("Mul", self, other)

    def __rmul__(self, other: Any) -> Any:
        return elementwise.binary("Mul", other, self)

    def __truediv__(self, other: Any) -> Any:
        return elementwise.divide(self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return elementwise.divide(other, self)

    def __mod__(self, other: Any) -> Any:
        return elementwise.binary("Mod", self, other)

    def __pow__(self, other: Any) -> Any:
        return elementwise.binary("Pow", self, other)

    def __and__(self, other: Any) -> Any:
        return elementwise.logical("And", self, other)

    __rand__ = __and__

    def __or__(self, other: Any) -> Any:
        return elementwise.logical("Or", self, other)

    __ror__ = __or__

    def __xor__(self, other: Any) -> Any:
        return elementwise.logical("Xor", self, other)

    __rxor__ = __xor__

    def __neg__(self) -> Traced:
        return elementwise.unary("Neg", self)

    def __abs__(self) -> Traced:
        return elementwise.unary("Abs", self)

    def __invert__(self) -> Traced:
        return elementwise.unary("Not" if self.dtype == np.bool_ else "BitwiseNot", self)

    def __eq__(self, other: object) -> Any:
        return elementwise.compare("Equal", self, other)

    def __ne__(self, other: object) -> Any:
        return ~elementwise.compare("Equal", self, other)

    def __lt__(self, other: Any) -> Any:
        return elementwise.compare("Less", self, other)

    def __le__(self, other: Any) -> Any:
        return elementwise.compare("LessOrEqual", self, other)

    def __gt__(self, other: Any) -> Any:
        return elementwise.compare("Greater", self, other)

    def __ge__(self, other: Any) -> Any:
        return elementwise.compare("GreaterOrEqual", self, other)

    __hash__ = None  # type: ignore[assignment]
