"""ONNX's numbers for element types.

>>> dtype_of(1), number_of(dtype_of(16))
(<DType.FLOAT32: 'float32'>, 16)
"""

from __future__ import annotations

from pelemay.errors import ModelError
from pelemay.graph import DType

_NAMES = {
    1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64",
    8: "string", 9: "bool", 10: "float16", 11: "float64", 12: "uint32", 13: "uint64",
    14: "complex64", 15: "complex128", 16: "bfloat16", 17: "float8_e4m3fn",
    18: "float8_e4m3fnuz", 19: "float8_e5m2", 20: "float8_e5m2fnuz", 21: "uint4", 22: "int4",
    23: "float4_e2m1fn", 24: "float8_e8m0fnu", 25: "uint2", 26: "int2",
    27: "float6_e2m3fn", 28: "float6_e3m2fn",
}  # fmt: skip
_DTYPES = {number: DType(name) for number, name in _NAMES.items()}
_NUMBERS = {dtype: number for number, dtype in _DTYPES.items()}


def dtype_of(number: int) -> DType:
    """The element type of a ``TensorProto.DataType``.

    Raises
    ------
    ModelError
        If ONNX 1.23 has no such number.
    """
    try:
        return _DTYPES[number]
    except KeyError:
        raise ModelError(
            f"element type {number} is not one that ONNX defines (1 to {max(_DTYPES)})"
        ) from None


def number_of(dtype: DType) -> int:
    """The ``TensorProto.DataType`` of an element type."""
    return _NUMBERS[dtype]
