"""Every element type in every encoding; the oracle is onnx.numpy_helper, reading the same bytes."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps
from onnx import TensorProto, helper, numpy_helper

from pelemay.errors import ModelError
from pelemay.graph import Constant
from pelemay.importers import Parameters, from_proto
from pelemay.importers.tensors import constant_of_proto

NUMBERS = sorted(set(TensorProto.DataType.values()) - {TensorProto.UNDEFINED, TensorProto.STRING})
WIRES = {"float_data": (4, "<f4"), "double_data": (10, "<f8")}
VARINTS = {"int32_data": 5, "int64_data": 7, "uint64_data": 11}


def sample(number: int, count: int, seed: int = 0) -> np.ndarray:
    """Random bits as elements of a type; NaN and infinities among them."""
    dtype = helper.tensor_dtype_to_np_dtype(number)
    rng = np.random.default_rng(seed)
    if number == TensorProto.BOOL:
        return rng.integers(0, 2, count).astype(bool)
    bits = np.frombuffer(rng.bytes(count * dtype.itemsize), np.uint8)
    width = onnx_bits(dtype)
    return (bits & ((1 << width) - 1) if width < 8 else bits.copy()).view(dtype)


def onnx_bits(dtype: np.dtype) -> int:
    digits = "".join(c for c in dtype.name.split("_")[0] if c.isdigit())
    return int(digits) if digits else 8


def typed(array: np.ndarray, number: int, name: str = "w") -> TensorProto:
    """The same elements in the field of their type."""
    proto = numpy_helper.from_array(array, name)
    raw = proto.raw_data
    proto.ClearField("raw_data")
    field = helper.tensor_dtype_to_field(number)
    if field in WIRES:
        words = np.frombuffer(raw, WIRES[field][1])
    elif onnx_bits(array.dtype) == 6:
        words = array.view(np.uint8)
    else:
        words = np.frombuffer(raw, words_of(array, number))
    getattr(proto, field).extend(words.tolist())
    return proto


def words_of(array: np.ndarray, number: int) -> str:
    if onnx_bits(array.dtype) < 8 or number == TensorProto.BOOL:
        return "u1"
    kind = array.dtype.kind if array.dtype.kind in "iu" else "u"
    return f"<{kind}{array.dtype.itemsize}"


def unpacked(proto: TensorProto, pb) -> bytes:
    """The same tensor, each number with its own tag."""
    field = helper.tensor_dtype_to_field(proto.data_type)
    values = getattr(proto, field)
    if field in WIRES:
        number, dtype = WIRES[field]
        wire = 5 if dtype == "<f4" else 1
        payload = b"".join(pb.key(number, wire) + np.array(v, dtype).tobytes() for v in values)
    else:
        payload = b"".join(pb.number(VARINTS[field], v) for v in values)
    return pb.tensor(proto.name, proto.data_type, proto.dims, payload)


def parameters_of(tensor: bytes, pb) -> Parameters:
    return from_proto(pb.model(pb.graph(tensor))).parameters


def assert_same(found: np.ndarray, expected: np.ndarray) -> None:
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    assert not found.flags.writeable
    if onnx_bits(expected.dtype) < 8:
        found, expected = found.astype(np.float32), expected.astype(np.float32)
    assert found.tobytes() == expected.tobytes()


@pytest.mark.parametrize("count", [0, 1, 3, 7, 3001])
@pytest.mark.parametrize("number", NUMBERS, ids=TensorProto.DataType.Name)
class TestEveryElementType:
    def test_raw(self, number, count, pb):
        proto = numpy_helper.from_array(sample(number, count), "w")
        parameters = parameters_of(proto.SerializeToString(), pb)
        assert_same(parameters["w"], numpy_helper.to_array(proto))
        narrow = onnx_bits(parameters["w"].dtype) < 8
        assert parameters.placement("w").in_place == (not narrow)

    def test_typed_field(self, number, count, pb):
        proto = typed(sample(number, count), number)
        parameters = parameters_of(proto.SerializeToString(), pb)
        assert_same(parameters["w"], numpy_helper.to_array(proto))

    def test_unpacked_field(self, number, count, pb):
        proto = typed(sample(number, count), number)
        parameters = parameters_of(unpacked(proto, pb), pb)
        assert_same(parameters["w"], numpy_helper.to_array(proto))

    def test_windows_are_the_array(self, number, count, pb):
        for tensor in (
            numpy_helper.from_array(sample(number, count), "w").SerializeToString(),
            typed(sample(number, count), number).SerializeToString(),
            unpacked(typed(sample(number, count), number), pb),
        ):
            parameters = parameters_of(tensor, pb)
            whole = parameters["w"]
            pieces = list(parameters.windows("w"))
            joined = np.concatenate([np.empty(0, whole.dtype), *pieces])
            assert joined.tobytes() == np.ascontiguousarray(whole).tobytes()

    def test_inline_tensor_is_a_constant(self, number, count):
        proto = numpy_helper.from_array(sample(number, count), "w")
        constant = constant_of_proto(proto)
        assert isinstance(constant, Constant)
        assert constant.nbytes == len(proto.raw_data)
        assert_same(constant.array(), numpy_helper.to_array(proto))


@given(
    nps.arrays(
        st.sampled_from([np.int8, np.int16, np.int32, np.int64, np.uint32, np.uint64, np.float16]),
        nps.array_shapes(max_dims=4, max_side=9),
    ),
    st.booleans(),
)
def test_any_array_comes_back(pb, array, packed):
    proto = typed(array, helper.np_dtype_to_tensor_dtype(array.dtype))
    data = proto.SerializeToString() if packed else unpacked(proto, pb)
    assert_same(parameters_of(data, pb)["w"], array)


@given(nps.arrays(np.float32, nps.array_shapes(max_dims=3, max_side=12)), st.data())
def test_packed_and_unpacked_parts_are_joined(pb, array, data):
    flat = array.reshape(-1)
    cuts = sorted(data.draw(st.lists(st.integers(0, flat.size), max_size=4)))
    payload = b""
    for start, stop in zip([0, *cuts], [*cuts, flat.size], strict=True):
        part = flat[start:stop]
        if data.draw(st.booleans()):
            payload += pb.message(4, part.tobytes())
        else:
            payload += b"".join(pb.key(4, 5) + value.tobytes() for value in part)
    tensor = pb.tensor("w", TensorProto.FLOAT, array.shape, payload)
    assert_same(parameters_of(tensor, pb)["w"], array)


@given(st.lists(st.text(), max_size=40), st.booleans())
def test_strings_come_back(pb, values, long):
    values = [*values, "x" * 600] if long else values
    payload = b"".join(pb.message(6, value) for value in values)
    found = parameters_of(pb.tensor("w", TensorProto.STRING, [len(values)], payload), pb)["w"]
    assert found.dtype == object
    assert found.tolist() == values


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_unpacked_numbers_are_a_view_with_strides(pb, dtype):
    array = np.arange(5000, dtype=dtype).reshape(50, 100)
    proto = typed(array, helper.np_dtype_to_tensor_dtype(array.dtype))
    parameters = parameters_of(unpacked(proto, pb), pb)
    assert parameters["w"].strides[-1] == array.itemsize + 1
    assert parameters.placement("w").in_place
    np.testing.assert_array_equal(parameters["w"], array)


def test_views_lie_where_the_placement_says(pb):
    array = np.arange(999, dtype=np.float32)
    data = pb.model(pb.graph(typed(array, TensorProto.FLOAT).SerializeToString()))
    parameters = from_proto(data).parameters
    place = parameters.placement("w")
    assert (place.encoding, place.nbytes, place.path) == ("float_data", 3996, None)
    assert data[place.offset : place.offset + place.nbytes] == array.tobytes()
    assert np.shares_memory(parameters["w"], np.frombuffer(data, np.uint8))


@pytest.mark.parametrize("count", [3, 500])
def test_the_last_raw_data_holds(pb, count):
    first, last = (np.full(count, v, np.int16).tobytes() for v in (1, 2))
    payload = pb.message(9, first) + pb.message(9, last)
    parameters = parameters_of(pb.tensor("w", TensorProto.INT16, [count], payload), pb)
    assert (parameters["w"] == 2).all()


def test_a_tensor_attribute_given_twice_is_merged(pb):
    floats = [np.full(1000, v, np.float32).tobytes() for v in (1, 2)]
    parts = [pb.tensor("", 1, [2000], pb.message(4, floats[0])), pb.message(4, floats[1])]
    attribute = pb.message(1, "value") + b"".join(pb.message(5, part) for part in parts)
    node = pb.message(2, "y") + pb.message(4, "Constant")
    node += pb.message(5, attribute + pb.number(20, 4))
    data = pb.model(pb.graph(more=pb.message(1, node)))
    expected = numpy_helper.to_array(onnx.ModelProto.FromString(data).graph.node[0].attribute[0].t)
    model = from_proto(data)
    assert model.proto.ByteSize() < 1000
    np.testing.assert_array_equal(model.graph.constants["y"].array(), expected)
    assert expected.shape == (2000,)


def test_unknown_fields_are_skipped(pb):
    array = np.arange(400, dtype=np.float32)
    extra = pb.message(200, b"later") + pb.number(201, 7)
    tensor = pb.tensor("w", 1, [400], extra + pb.message(9, array.tobytes())) + extra
    np.testing.assert_array_equal(parameters_of(tensor, pb)["w"], array)


def test_bool_in_int32_data_is_true_or_false(pb):
    tensor = pb.tensor("w", TensorProto.BOOL, [3], pb.message(5, bytes([0, 1, 7])))
    assert parameters_of(tensor, pb)["w"].tolist() == [False, True, True]


def test_a_large_tensor_of_narrow_numbers(pb):
    array = np.tile(np.array([-8, -1, 0, 7], ml_dtypes.int4), 5000)
    proto = numpy_helper.from_array(array, "w")
    parameters = parameters_of(proto.SerializeToString(), pb)
    assert parameters.nbytes == 10_000
    assert_same(parameters["w"], array)


REFUSED = {
    "no such type": (99, [1], (9, b"\0"), "element type 99"),
    "undefined type": (0, [1], (9, b"\0"), "element type 0"),
    "negative size": (1, [-1], (9, b"\0\0\0\0"), "negative"),
    "too many dimensions": (1, [1] * 65, (9, b"\0\0\0\0"), "65 dimensions"),
    "more than any memory": (1, [2**62, 2**62], (9, b"\0" * 4), "any memory"),
    "more than any memory, by zero": (1, [0, 2**62, 2**62], (9, b""), "any memory"),
    "ten gigabytes": (1, [2_500_000_000], (9, b"\0" * 400), "10000000000"),
    "ten gigabytes, packed": (1, [2_500_000_000], (4, b"\0" * 400), "100 numbers"),
    "ten billion, varints": (6, [10_000_000_000], (5, b"\0" * 400), "need 10000000000"),
    "ten billion strings": (8, [10_000_000_000], (6, b"a"), "need 10000000000"),
    "raw too short": (1, [2], (9, b"\0" * 7), "7 bytes"),
    "raw too long": (1, [2], (9, b"\0" * 9), "9 bytes"),
    "no elements": (1, [2], (12, b"doc"), "no elements"),
    "scalar without an element": (1, [], (12, b"doc"), "no elements"),
    "floats in int64_data": (1, [2], (7, b"\1\1"), "int64_data"),
    "integers in float_data": (7, [1], (4, b"\0" * 4), "float_data"),
    "strings in raw_data": (8, [1], (9, b"a"), "raw_data"),
    "half a float": (1, [1], (4, b"\0" * 5), "multiple of 4"),
    "too few varints for sure": (7, [9], (7, b"\1" * 8), "need 9"),
    "a segment": (1, [1], (3, b""), "segments"),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_contradictions_are_refused_at_load(pb, case):
    dtype, dims, (field, content), message = case
    with pytest.raises(ModelError, match=message):
        parameters_of(pb.tensor("w", dtype, dims, pb.message(field, content)), pb)


def test_elements_in_two_fields_are_refused(pb):
    payload = pb.message(4, b"\0" * 4) + pb.message(9, b"\0" * 4)
    with pytest.raises(ModelError, match="more than one field"):
        parameters_of(pb.tensor("w", 1, [1], payload), pb)


@pytest.mark.parametrize("count", [5, 7])
def test_a_wrong_count_of_varints_is_refused_when_read(pb, count):
    content = b"\x80\x01" * count
    parameters = parameters_of(pb.tensor("w", 7, [6], pb.message(7, content)), pb)
    with pytest.raises(ModelError, match=r"tensor 'w'.*int64_data has"):
        parameters["w"]


def test_too_many_scattered_parts_are_refused(pb):
    payload = (pb.message(4, b"\0" * 4) + pb.message(12, "")) * 5000
    with pytest.raises(ModelError, match="more than 4096 places"):
        parameters_of(pb.tensor("w", 1, [5000], payload), pb)
