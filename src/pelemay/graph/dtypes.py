"""Element types: their names, widths and NumPy counterparts.

In: a name such as ``"float32"``. Out: a :class:`DType`, one object per type, compared by identity.

>>> from pelemay.graph.dtypes import DType
>>> DType.INT4.bits, DType.INT4.bytes_of(3)
(4, 2)
>>> DType.of("bfloat16").kind.value
'float'
"""

from __future__ import annotations

import enum
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


class Kind(enum.Enum):
    """What the bits of an element mean."""

    FLOAT = "float"
    INT = "int"
    UINT = "uint"
    BOOL = "bool"
    COMPLEX = "complex"
    STRING = "string"


class DType(enum.Enum):
    """An element type; ``value`` is its name, NumPy's or ml_dtypes' where they have one."""

    FLOAT64 = "float64"
    FLOAT32 = "float32"
    FLOAT16 = "float16"
    BFLOAT16 = "bfloat16"
    FLOAT8_E4M3FN = "float8_e4m3fn"
    FLOAT8_E4M3FNUZ = "float8_e4m3fnuz"
    FLOAT8_E5M2 = "float8_e5m2"
    FLOAT8_E5M2FNUZ = "float8_e5m2fnuz"
    FLOAT8_E8M0FNU = "float8_e8m0fnu"
    FLOAT6_E2M3FN = "float6_e2m3fn"
    FLOAT6_E3M2FN = "float6_e3m2fn"
    FLOAT4_E2M1FN = "float4_e2m1fn"
    INT64 = "int64"
    INT32 = "int32"
    INT16 = "int16"
    INT8 = "int8"
    INT4 = "int4"
    INT2 = "int2"
    UINT64 = "uint64"
    UINT32 = "uint32"
    UINT16 = "uint16"
    UINT8 = "uint8"
    UINT4 = "uint4"
    UINT2 = "uint2"
    BOOL = "bool"
    COMPLEX64 = "complex64"
    COMPLEX128 = "complex128"
    STRING = "string"

    @classmethod
    def of(cls, name: str) -> DType:
        """The type of that name; ``ValueError`` if there is none."""
        return cls(name)

    @classmethod
    def of_numpy(cls, dtype: np.dtype[Any]) -> DType:
        """The type whose elements a NumPy array of ``dtype`` holds; object and str mean STRING."""
        return cls.STRING if dtype.kind in "OUST" else cls(dtype.name)

    @property
    def kind(self) -> Kind:
        """What the bits mean."""
        return _kind(self)

    @property
    def bits(self) -> int:
        """Bits of one element as stored in a file; 0 for strings."""
        return _bits(self)

    def bytes_of(self, count: int) -> int:
        """Bytes of ``count`` elements, those below one byte packed, rounded up to whole bytes."""
        return (self.bits * count + 7) // 8

    @property
    def numpy(self) -> np.dtype[Any]:
        """NumPy's dtype (object for strings); below one byte it takes one byte an element."""
        return _numpy(self)


@cache
def _kind(dtype: DType) -> Kind:
    name = dtype.value
    if name == "bfloat16":
        return Kind.FLOAT
    return next(kind for kind in Kind if name.startswith(kind.value))


@cache
def _bits(dtype: DType) -> int:
    if dtype is DType.STRING:
        return 0
    if dtype is DType.BOOL:
        return 8
    head = dtype.value.split("_")[0]
    return int("".join(c for c in head if c.isdigit()))


@cache
def _numpy(dtype: DType) -> np.dtype[Any]:
    import numpy as np

    if dtype is DType.STRING:
        return np.dtype(object)
    native = dtype.bits >= 8 and "_" not in dtype.value and dtype is not DType.BFLOAT16
    if native:
        found: np.dtype[Any] = np.dtype(dtype.value)
    else:
        import ml_dtypes

        found = np.dtype(getattr(ml_dtypes, dtype.value))
    return found
