"""Parameters to safetensors; the oracle is safetensors' own package, reading the file back."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps
from onnx import helper, numpy_helper
from safetensors import safe_open

import pelemay
from pelemay.errors import InputError
from pelemay.importers import from_proto, load
from pelemay.serialization import CHUNK_BYTES, DTYPES, serialize

PLAIN = [np.dtype(name) for name in DTYPES if not hasattr(ml_dtypes, name)]


def written(parameters, **options) -> bytes:
    file = io.BytesIO()
    serialize(parameters, file, **options)
    return file.getvalue()


def head(number: int, size: int) -> bytes:
    """Tag and length of a protobuf field that holds bytes."""
    out = bytearray([number << 3 | 2])
    while size > 0x7F:
        out.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([*out, size])


def message(number: int, content: bytes) -> bytes:
    return head(number, len(content)) + content


def header(data: bytes) -> dict:
    return json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])


def assert_read_back(data: bytes, expected) -> None:
    found = safetensors.numpy.load(data)
    assert set(found) == set(expected)
    for name, array in expected.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        assert found[name].tobytes() == array.tobytes()


@given(
    st.dictionaries(
        st.text(min_size=1, max_size=20).filter(lambda name: name != "__metadata__"),
        st.sampled_from(PLAIN).flatmap(
            lambda dtype: nps.arrays(dtype, nps.array_shapes(min_dims=0, min_side=0, max_side=5))
        ),
        max_size=6,
    )
)
def test_any_arrays_come_back(arrays):
    assert_read_back(written(arrays), arrays)
    assert b"".join(serialize(arrays)) == written(arrays)


@pytest.mark.parametrize("name", [name for name in DTYPES if hasattr(ml_dtypes, name)])
def test_types_that_numpy_has_not_come_back(name):
    array = np.arange(200, dtype=np.uint8).view(getattr(ml_dtypes, name))
    ((key, found),) = safetensors.deserialize(written({"w": array}))
    assert (key, found["dtype"], found["shape"]) == ("w", DTYPES[name], [array.size])
    assert bytes(found["data"]) == array.tobytes()


def test_strided_large_and_foreign_arrays_come_back():
    count = CHUNK_BYTES
    arrays = {
        "transposed": np.arange(count, dtype=np.int32).reshape(64, -1).T,
        "every third": np.arange(count, dtype=np.int16)[::3],
        "reversed": np.arange(count, dtype=np.float64)[::-1],
        "big endian": np.arange(count, dtype=">i4"),
        "broadcast": np.broadcast_to(np.float32(3), (1000, 500)),
    }
    assert_read_back(
        written(arrays), {k: v.astype(v.dtype.newbyteorder("=")) for k, v in arrays.items()}
    )


def test_tensors_are_aligned():
    arrays = {f"{d}{n}": np.ones(n, d) for n in (1, 3) for d in ("i1", "f8", "f2", "i4")}
    data = written(arrays)
    start = 8 + int.from_bytes(data[:8], "little")
    assert start % 64 == 0
    for name, entry in header(data).items():
        if name != "__metadata__":
            assert entry["data_offsets"][0] % arrays[name].itemsize == 0


def model_proto() -> onnx.ModelProto:
    rng = np.random.default_rng(0)
    tensors = [
        numpy_helper.from_array(rng.standard_normal((300, 500)).astype(np.float32), "a/raw"),
        helper.make_tensor("typed", 1, [20_000], rng.standard_normal(20_000).tolist()),
        helper.make_tensor("ints", 7, [70_000], rng.integers(-(2**62), 2**62, 70_000).tolist()),
        helper.make_tensor("halfs", 10, [3, 70], rng.standard_normal(210).tolist()),
        numpy_helper.from_array(np.array([True, False]), "größe"),
        numpy_helper.from_array(np.float32(3), "scalar"),
        numpy_helper.from_array(np.zeros((0, 3), np.int8), "empty"),
    ]
    return helper.make_model(helper.make_graph([], "g", [], [], tensors))


@pytest.fixture
def path(tmp_path) -> Path:
    file = tmp_path / "model.onnx"
    file.write_bytes(model_proto().SerializeToString())
    return file


def test_a_model_comes_back_with_the_hash_of_its_source(path, tmp_path):
    out = tmp_path / "out.safetensors"
    serialize(load(path).parameters, out, metadata={"licence": "none"})
    expected = {t.name: numpy_helper.to_array(t) for t in model_proto().graph.initializer}
    assert_read_back(out.read_bytes(), expected)
    with safe_open(out, "np") as file:
        assert file.metadata() == {
            "format": "np",
            "pelemay_version": pelemay.__version__,
            "source_file": "model.onnx",
            "source_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "licence": "none",
        }
    assert out.stat().st_mode & 0o777 == path.stat().st_mode & 0o777


def test_file_objects_and_paths_get_the_same(path, tmp_path):
    out = tmp_path / "out.safetensors"
    parameters = load(path).parameters
    serialize(parameters, str(out))
    assert written(parameters) == out.read_bytes()
    with (tmp_path / "other").open("ab") as file:
        file.write(b"before")
        serialize(parameters, file)
    assert (tmp_path / "other").read_bytes() == b"before" + out.read_bytes()


def test_unpacked_numbers_come_back():
    array = np.arange(150_000, dtype=np.float32)
    spread = np.empty((array.size, 5), np.uint8)
    spread[:, 0] = 4 << 3 | 5
    spread[:, 1:] = array.view(np.uint8).reshape(-1, 4)
    tensor = onnx.TensorProto(name="w", data_type=1, dims=[array.size]).SerializeToString()
    graph = message(5, tensor + spread.tobytes())
    start = onnx.ModelProto(ir_version=8, opset_import=[helper.make_opsetid("", 17)])
    parameters = from_proto(start.SerializeToString() + message(7, graph)).parameters
    assert parameters.placement("w").in_place
    assert_read_back(written(parameters), {"w": array})


def test_buffers_are_views_of_the_model():
    data = model_proto().SerializeToString()
    buffers = serialize(from_proto(data).parameters)
    whole = np.frombuffer(data, np.uint8)
    shared = [np.shares_memory(np.frombuffer(b, np.uint8), whole) for b in buffers[1:] if len(b)]
    assert shared.count(True) == 4, "all but the two that are decoded"
    found = safetensors.numpy.load(b"".join(buffers))
    assert set(found) == {t.name for t in model_proto().graph.initializer}
    assert "source_sha256" not in header(buffers[0])["__metadata__"]


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array(["a"], object), "tensor 'w': .* strings"),
        (np.array(["a"]), "tensor 'w': .* strings"),
        (np.ones(2, np.complex128), "complex128.*astype"),
        (np.ones(2, ml_dtypes.int4), "int4.*astype"),
    ],
)
def test_types_that_safetensors_has_not_are_refused(array, message, tmp_path):
    with pytest.raises(InputError, match=message):
        serialize({"w": array}, tmp_path / "out")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("metadata", [{"format": "pt"}, {"a": 1}, {1: "a"}])
def test_metadata_must_be_new_strings(metadata):
    with pytest.raises(InputError, match="metadata"):
        serialize({}, None, metadata=metadata)


def test_a_tensor_cannot_be_called_metadata():
    with pytest.raises(InputError, match="__metadata__"):
        serialize({"__metadata__": np.ones(1)})


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "no space")])
def test_an_interruption_leaves_nothing_and_keeps_the_old_file(tmp_path, error, monkeypatch):
    out = tmp_path / "out"
    out.write_bytes(b"old")

    def interrupted(*arguments):
        raise error

    monkeypatch.setattr("pelemay.serialization._write_all", interrupted)
    with pytest.raises(type(error)):
        serialize({"w": np.ones(3)}, out)
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    assert out.read_bytes() == b"old"


def test_a_model_may_be_written_over_its_own_file(path):
    serialize(load(path).parameters, path)
    assert set(safetensors.numpy.load_file(path)) == {
        t.name for t in model_proto().graph.initializer
    }


def test_targets_that_are_no_files_are_refused(tmp_path):
    with pytest.raises(InputError, match="regular file"):
        serialize({}, tmp_path)


MEASURE = """
import sys, numpy as np
import onnx, hashlib, concurrent.futures.thread
from pathlib import Path
import pelemay.importers.convert
from pelemay import load, serialize

def status(name):
    return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status")
                if line.startswith(name + ":"))

def libraries():
    # How many pages come with one that is touched depends on how they lie in the cache.
    rss, path = 0, ""
    for line in open("/proc/self/smaps"):
        first, *others = line.split()
        if first == "Rss:" and ".so" in path:
            rss += int(others[0]) * 1024
        elif not first.endswith(":"):
            path = others[-1]
    return rss

model = load(sys.argv[1])
Path("/proc/self/clear_refs").write_text("5")
before = status("VmHWM") - libraries()
if len(sys.argv) == 3:
    serialize(model.parameters, sys.argv[2])
else:
    buffers = serialize(model.parameters)
    assert sum(len(b) for b in buffers) > model.nbytes
print(status("VmHWM") - libraries() - before)
"""


def streamed_model(folder: Path) -> Path:
    """200 MB in two tensors, raw and in numbers of variable length; all zeros, so holes."""
    raw, count = 150_000_000, 50_000_000
    parts = [(onnx.TensorProto(name="raw", data_type=2, dims=[raw]), 9, raw)]
    parts += [(onnx.TensorProto(name="ints", data_type=6, dims=[count]), 5, count)]
    heads = []
    for proto, field, size in parts:
        inner = proto.SerializeToString() + head(field, size)
        heads.append((head(5, len(inner) + size) + inner, size))
    start = onnx.ModelProto(ir_version=8, opset_import=[helper.make_opsetid("", 17)])
    path = folder / "big.onnx"
    with path.open("wb") as file:
        whole = sum(len(inner) + size for inner, size in heads)
        file.write(start.SerializeToString() + head(7, whole))
        for inner, size in heads:
            file.write(inner)
            file.seek(size, 1)
        file.truncate()
    return path


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_writing_takes_less_than_two_mebibytes(tmp_path):
    path, out = streamed_model(tmp_path), tmp_path / "out.safetensors"
    command = [sys.executable, "-c", MEASURE, str(path), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 2 << 20
    assert out.stat().st_size > 350_000_000
