"""The table of element types against the onnx and ml_dtypes packages, which know them too."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from pelemay.graph import DType, Kind

ONNX_CODES = [code for code in TensorProto.DataType.values() if code != TensorProto.UNDEFINED]
NUMERIC = [dtype for dtype in DType if dtype is not DType.STRING]


@pytest.mark.parametrize("code", ONNX_CODES, ids=TensorProto.DataType.Name)
def test_every_type_of_onnx_is_here(code: int) -> None:
    theirs = helper.tensor_dtype_to_np_dtype(code)
    ours = DType.of_numpy(theirs)
    assert ours.numpy == theirs
    plain = TensorProto.DataType.Name(code).lower().replace("_", "")
    renamed = {
        "float": "float32",
        "double": "float64",
        "float8e8m0": "float8e8m0fnu",
        "float4e2m1": "float4e2m1fn",
        "float6e2m3": "float6e2m3fn",
        "float6e3m2": "float6e3m2fn",
    }
    assert ours.value.replace("_", "") == renamed.get(plain, plain)


@pytest.mark.parametrize("dtype", NUMERIC)
def test_bits_and_kind(dtype: DType) -> None:
    if dtype.kind is Kind.FLOAT:
        assert dtype.bits == ml_dtypes.finfo(dtype.numpy).bits
    elif dtype.kind in (Kind.INT, Kind.UINT):
        info = ml_dtypes.iinfo(dtype.numpy)
        assert (dtype.bits, dtype.kind is Kind.INT) == (info.bits, info.min < 0)
    else:
        assert dtype.bits == dtype.numpy.itemsize * 8
        assert dtype.numpy.kind == {Kind.BOOL: "b", Kind.COMPLEX: "c"}[dtype.kind]


@pytest.mark.parametrize("dtype", NUMERIC)
def test_names_and_numpy_dtypes_lead_back(dtype: DType) -> None:
    assert DType.of(dtype.value) is dtype
    assert DType.of_numpy(dtype.numpy) is dtype
    assert DType.of_numpy(dtype.numpy.newbyteorder()) is dtype
    assert dtype.numpy.itemsize == max(1, dtype.bits // 8)


@pytest.mark.parametrize("dtype", NUMERIC)
@pytest.mark.parametrize("count", [0, 1, 3, 8])
def test_bytes_are_what_onnx_stores(dtype: DType, count: int) -> None:
    proto = onnx.numpy_helper.from_array(np.zeros(count, dtype.numpy))
    assert dtype.bytes_of(count) == len(proto.raw_data)


def test_strings() -> None:
    assert (DType.STRING.bits, DType.STRING.kind) == (0, Kind.STRING)
    assert DType.STRING.numpy == np.dtype(object)
    for dtype in ("U3", "S3", object, np.dtypes.StringDType()):
        assert DType.of_numpy(np.dtype(dtype)) is DType.STRING


@pytest.mark.parametrize("name", ["float33", "FLOAT32", "datetime64[ns]", ""])
def test_no_such_type(name: str) -> None:
    with pytest.raises(ValueError):
        DType.of(name)
