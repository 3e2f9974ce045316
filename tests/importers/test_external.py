"""External data: where it may lie, and how it is read."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from pelemay.errors import ModelError
from pelemay.importers import Model, from_proto, load

VALUES = np.arange(3000, dtype=np.float32).reshape(30, 100)


def external(array: np.ndarray, name: str = "w", **entries: object) -> TensorProto:
    proto = numpy_helper.from_array(array, name)
    proto.ClearField("raw_data")
    proto.data_location = TensorProto.EXTERNAL
    for key, value in entries.items():
        proto.external_data.add(key=key, value=str(value))
    return proto


def save(folder: Path, *tensors: TensorProto) -> Path:
    path = folder / "model.onnx"
    model = helper.make_model(helper.make_graph([], "g", [], [], tensors))
    path.write_bytes(model.SerializeToString())
    return path


def load_with(folder: Path, **entries: object) -> Model:
    return load(save(folder, external(VALUES, **entries)))


def test_offset_and_length(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/w.bin").write_bytes(b"head" + VALUES.tobytes() + b"tail")
    model = load_with(tmp_path, location="sub/w.bin", offset=4, length=VALUES.nbytes)
    np.testing.assert_array_equal(model.parameters["w"], VALUES)
    place = model.parameters.placement("w")
    assert (place.path, place.offset) == (tmp_path / "sub/w.bin", 4)
    assert (place.encoding, place.in_place) == ("external", True)
    assert not model.parameters["w"].flags.writeable


def test_what_onnx_saves(tmp_path):
    tensors = [numpy_helper.from_array(VALUES + i, f"w{i}") for i in range(3)]
    model = helper.make_model(helper.make_graph([], "g", [], [], tensors))
    path = tmp_path / "model.onnx"
    onnx.save(model, path, save_as_external_data=True, location="all.bin", size_threshold=0)
    parameters = load(path).parameters
    for index in range(3):
        np.testing.assert_array_equal(parameters[f"w{index}"], VALUES + index)
    bases = {id(parameters[name].base.base) for name in parameters}
    assert len(bases) == 1, "a file is mapped once"


def test_a_link_inside_the_folder(tmp_path):
    (tmp_path / "real.bin").write_bytes(VALUES.tobytes())
    (tmp_path / "link.bin").symlink_to("real.bin")
    model = load_with(tmp_path, location="link.bin")
    np.testing.assert_array_equal(model.parameters["w"], VALUES)


def test_far_behind_four_gigabytes(tmp_path):
    offset = 9 << 29
    with (tmp_path / "big.bin").open("wb") as file:
        file.truncate(5 << 30)
        file.seek(offset)
        file.write(VALUES.tobytes())
    model = load_with(tmp_path, location="big.bin", offset=offset, length=VALUES.nbytes)
    np.testing.assert_array_equal(model.parameters["w"], VALUES)


def test_external_data_of_attributes(tmp_path):
    (tmp_path / "w.bin").write_bytes(VALUES.tobytes())
    node = helper.make_node("Constant", [], ["y"], value=external(VALUES, location="w.bin"))
    info = helper.make_tensor_value_info("y", TensorProto.FLOAT, VALUES.shape)
    path = tmp_path / "model.onnx"
    model = helper.make_model(helper.make_graph([node], "g", [], [info]))
    path.write_bytes(model.SerializeToString())
    np.testing.assert_array_equal(load(path).graph.constants["y"].array(), VALUES)


def test_full_proto_has_everything(tmp_path):
    (tmp_path / "w.bin").write_bytes(VALUES.tobytes())
    full = load_with(tmp_path, location="w.bin").full_proto()
    np.testing.assert_array_equal(numpy_helper.to_array(full.graph.initializer[0]), VALUES)


@pytest.mark.parametrize(
    "location",
    ["", "../w.bin", "a/../../w.bin", "/etc/passwd", "C:\\w.bin", "C:w.bin", "\\\\host\\w.bin",
     "a\\..\\..\\w.bin", "w\0.bin", "..", ".", "sub"],
)  # fmt: skip
def test_paths_that_leave_the_folder_are_refused(tmp_path, location):
    folder = tmp_path / "model"
    (folder / "sub").mkdir(parents=True)
    (tmp_path / "w.bin").write_bytes(VALUES.tobytes())
    with pytest.raises(ModelError, match="tensor 'w'"):
        load_with(folder, location=location)


@pytest.mark.parametrize("target", ["../outside/w.bin", "loop.bin"])
def test_links_that_leave_the_folder_are_refused(tmp_path, target):
    for name in ("model", "outside"):
        (tmp_path / name).mkdir()
    (tmp_path / "outside/w.bin").write_bytes(VALUES.tobytes())
    (tmp_path / "model/loop.bin").symlink_to(target)
    with pytest.raises(ModelError, match="tensor 'w'"):
        load_with(tmp_path / "model", location="loop.bin")


def test_a_folder_that_is_a_link_out_is_refused(tmp_path):
    for name in ("model", "outside"):
        (tmp_path / name).mkdir()
    (tmp_path / "outside/w.bin").write_bytes(VALUES.tobytes())
    (tmp_path / "model/sub").symlink_to(tmp_path / "outside")
    with pytest.raises(ModelError, match="symbolic link"):
        load_with(tmp_path / "model", location="sub/w.bin")


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({}, "below the model's folder"),
        ({"location": "none.bin"}, "No such file"),
        ({"location": "w.bin", "offset": 1}, "needs bytes 1 to 12001"),
        ({"location": "w.bin", "offset": 2**63}, "needs bytes"),
        ({"location": "w.bin", "offset": -1}, "not a number"),
        ({"location": "w.bin", "offset": "1_0"}, "not a number"),
        ({"location": "w.bin", "offset": "9" * 5000}, "not a number"),
        ({"location": "w.bin", "length": 11_999}, "12000 are needed"),
        ({"location": "w.bin", "length": "a"}, "not a number"),
        ({"location": "pipe"}, "not a regular file"),
        ({"location": "empty.bin"}, "empty"),
    ],
)
def test_wrong_entries_are_refused(tmp_path, entries, message):
    (tmp_path / "w.bin").write_bytes(VALUES.tobytes())
    (tmp_path / "empty.bin").touch()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ModelError, match=message):
        load_with(tmp_path, **entries)


def test_external_and_inline_elements_are_refused(tmp_path):
    (tmp_path / "w.bin").write_bytes(VALUES.tobytes())
    proto = external(VALUES, location="w.bin")
    proto.raw_data = VALUES.tobytes()
    with pytest.raises(ModelError, match="both in the model and in another file"):
        load(save(tmp_path, proto))


def test_entries_that_are_not_utf8_are_refused(tmp_path, pb):
    entry = pb.message(13, pb.message(1, "location") + pb.message(2, b"w\xff"))
    data = pb.model(pb.graph(pb.tensor("w", 1, [1], entry + pb.number(14, 1))))
    with pytest.raises(ModelError, match="UTF-8"):
        from_proto(data, tmp_path)


def test_external_strings_are_refused(tmp_path):
    (tmp_path / "w.bin").write_bytes(b"abc")
    proto = external(VALUES, location="w.bin")
    proto.data_type = TensorProto.STRING
    with pytest.raises(ModelError, match="strings"):
        load(save(tmp_path, proto))


def test_a_model_in_memory_needs_a_folder(tmp_path):
    (tmp_path / "w.bin").write_bytes(VALUES.tobytes())
    data = save(tmp_path, external(VALUES, location="w.bin")).read_bytes()
    with pytest.raises(ModelError, match="needs a folder"):
        from_proto(data)
    np.testing.assert_array_equal(from_proto(data, tmp_path).parameters["w"], VALUES)
