"""What a backend says about a model that it cannot run, and what naive import costs."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from pelemay import backends
from pelemay.errors import ExecutionError, InputError, ModelError, UnsupportedError

FLOAT = TensorProto.FLOAT
UNKNOWN = helper.make_node("Frobnicate", ["x"], ["y"], domain="mine")


def get(name):
    if reason := backends.available()[name]:
        pytest.skip(reason)
    return backends.get(name)


@pytest.fixture
def save(tmp_path):
    def write(nodes, shape, constants=(), domains=()):
        graph = helper.make_graph(
            nodes,
            "refused",
            [helper.make_tensor_value_info("x", FLOAT, shape)],
            [onnx.ValueInfoProto(name="y")],
            list(constants),
        )
        opsets = [helper.make_opsetid("", 17), *(helper.make_opsetid(d, 1) for d in domains)]
        model = helper.make_model(graph, opset_imports=opsets)
        model.ir_version = 8
        path = tmp_path / "model.onnx"
        path.write_bytes(model.SerializeToString())
        return path

    return write


def test_xla_names_the_node_whose_shape_depends_on_data(save):
    path = save([helper.make_node("NonZero", ["x"], ["y"], name="find")], [3, 3])
    with pytest.raises(UnsupportedError, match=r"NonZero 'find'.*every shape.*backend='reference'"):
        get("xla").prepare(path)


def test_xla_refuses_random_numbers(save):
    path = save([helper.make_node("RandomNormalLike", ["x"], ["y"], name="noise")], [3])
    with pytest.raises(UnsupportedError, match="'noise': it draws random numbers"):
        get("xla").prepare(path)


def test_xla_names_an_operation_that_is_not_in_the_table(save):
    path = save([UNKNOWN], [3], domains=["mine"])
    with pytest.raises(UnsupportedError, match="mine::Frobnicate"):
        get("xla").prepare(path)


@pytest.mark.parametrize("name", ["onnxruntime", "openvino", "onnx"])
def test_an_unknown_operation_is_refused(save, name):
    path = save([UNKNOWN], [3], domains=["mine"])
    with pytest.raises(UnsupportedError, match="Frobnicate"):
        get(name).prepare(path)


def test_openvino_sends_nothing_to_its_makers(save):
    pytest.importorskip("openvino")
    path = save([UNKNOWN], [3], domains=["mine"])
    code = f"""
import os, sys
from pathlib import Path
from pelemay import backends
from pelemay.errors import UnsupportedError
forks = []
os.register_at_fork(before=lambda: forks.append(1))
try:
    backends.get("openvino").prepare(Path({str(path)!r}))
except UnsupportedError:
    pass
assert not forks and not sys.modules["openvino_telemetry"]
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", ["torch", "reference", "naive"])
def test_an_unknown_operation_is_refused_when_it_runs(save, name):
    path = save([UNKNOWN], [3], domains=["mine"])
    with pytest.raises(UnsupportedError, match="Frobnicate"):
        get(name).prepare(path).run({"x": np.zeros(3, np.float32)})


def test_torch_runs_on_the_host_what_it_lacks(save):
    nodes = [
        helper.make_node("Cast", ["x"], ["small"], to=TensorProto.UINT16),
        helper.make_node("Max", ["small", "small"], ["top"]),
        helper.make_node("Cast", ["top"], ["back"], to=FLOAT),
        helper.make_node("NonZero", ["back"], ["y"]),
    ]
    got = get("torch").prepare(save(nodes, [3])).run({"x": np.array([0, 70, 1], np.float32)})
    np.testing.assert_array_equal(got["y"], [[1, 2]])


@pytest.mark.parametrize("name", backends.names())
def test_a_broken_file_is_a_model_error(tmp_path, name):
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"this is no model")
    with pytest.raises(ModelError, match=r"broken\.onnx"):
        get(name).prepare(path)
    with pytest.raises(ModelError, match=r"missing\.onnx"):
        get(name).prepare(tmp_path / "missing.onnx")


def test_onnx_says_that_a_parameter_has_a_type_that_is_none(save):
    tensor = TensorProto(name="w", data_type=85, dims=[1], raw_data=b"1234")
    path = save([helper.make_node("Add", ["x", "w"], ["y"])], [1], [tensor])
    with pytest.raises(ModelError, match="cannot read a parameter"):
        get("onnx").parameters(path)


@pytest.mark.parametrize("name", ["onnxruntime", "openvino", "torch", "xla", "reference"])
def test_a_wrong_shape_is_told(save, name):
    w = numpy_helper.from_array(np.ones((4, 2), np.float32), "w")
    runnable = get(name).prepare(save([helper.make_node("MatMul", ["x", "w"], ["y"])], [3, 4], [w]))
    with pytest.raises((ExecutionError, InputError)):
        runnable.run({"x": np.zeros((3, 5), np.float32)})


def test_xla_says_which_threads_it_cannot_have(save, caplog, monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda process: {0, 1, 2}, raising=False)
    path = save([helper.make_node("Relu", ["x"], ["y"])], [3])
    backend = get("xla")
    backend.prepare(path, threads=3)
    assert not caplog.messages
    backend.prepare(path, threads=12345)
    assert "threads=12345 is not obeyed" in caplog.text


def _traced_import(path):
    backend = get("naive")
    backend.parameters(path)
    tracemalloc.start()
    try:
        parameters = backend.parameters(path)
        return tracemalloc.get_traced_memory()[1], parameters["w"]
    finally:
        tracemalloc.stop()


def test_naive_makes_an_object_of_each_float_but_none_of_raw_data(save):
    values = np.random.default_rng(0).standard_normal(50_000).astype(np.float32)
    node = helper.make_node("Add", ["x", "w"], ["y"])
    as_floats = helper.make_tensor("w", FLOAT, [50_000], values.tolist())
    floats_bytes, floats = _traced_import(save([node], [50_000], [as_floats]))
    raw_bytes, raw = _traced_import(save([node], [50_000], [numpy_helper.from_array(values, "w")]))
    # A float is 24 bytes and its place in a list 8; in the file it is 4.
    assert floats_bytes > 50_000 * (24 + 8 + 4)
    assert raw_bytes < 50_000 * (4 + 4)
    np.testing.assert_array_equal(floats, values)
    np.testing.assert_array_equal(raw, values)
