"""Hooks around operations, and the log that is built on them."""

from __future__ import annotations

import dataclasses
import logging

import numpy as np
import pytest

from pelemay import backends
from pelemay.backends import decorate, logged
from pelemay.errors import InputError, UnsupportedError


@pytest.fixture(params=["reference", "naive", "torch"])
def backend(request):
    if reason := backends.available()[request.param]:
        pytest.skip(reason)
    return backends.get(request.param)


def run(backend, case):
    return backend.prepare(case.path).run(case.feeds)


def test_hooks_see_every_operation_and_change_nothing(backend, small_models):
    case = small_models["mlp"]
    before, after = [], []
    got = run(decorate(backend, before=before.append, after=after.append), case)
    ops = [node.op_type for node in case.model.graph.node]
    assert [record.node.op for record in before] == ops
    assert [record.node.op for record in after] == ops
    assert all(record.outputs is None and record.time_ns is None for record in before)
    assert all(record.time_ns > 0 for record in after)
    assert [len(record.inputs) for record in after] == [2, 2, 1, 2, 1, 1]
    np.testing.assert_allclose(np.asarray(after[-2].outputs[0]), case.want["y"], rtol=1e-5)
    np.testing.assert_allclose(got["y"], case.want["y"], rtol=1e-5)
    with pytest.raises(dataclasses.FrozenInstanceError):
        after[0].time_ns = 0


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("Conv", 3),
        ("Conv*", 4),
        ("convolution", 4),
        ("pooling", 3),
        (lambda node: "w5" in node.inputs, 1),
        ("*", 13),
    ],
)
def test_operations_are_chosen(small_models, where, expected):
    seen = []
    run(
        decorate(backends.get("reference"), after=seen.append, where=where),
        small_models["conv_net"],
    )
    assert len(seen) == expected


def test_a_word_that_is_no_group_is_refused():
    with pytest.raises(InputError, match="did you mean 'pooling'"):
        decorate(backends.get("reference"), where="poolings")


def test_around_runs_instead_of_the_operation(backend, small_models):
    case = small_models["mlp"]

    def doubled(call, record):
        (y,) = call()
        return (y + y,)

    got = run(decorate(backend, around=doubled, where="Softmax"), case)
    np.testing.assert_allclose(got["y"], 2 * case.want["y"], rtol=1e-5)


def test_around_may_change_the_inputs(backend, small_models):
    case = small_models["mlp"]

    def without_bias(call, record):
        return call(record.inputs[0], record.inputs[1] * 0)

    nodes = []
    got = run(decorate(backend, around=without_bias, after=nodes.append, where="Add"), case)
    x, w1, w2 = case.feeds["x"], *(_initializer(case, name) for name in ("w1", "w2"))
    z = 1 / (1 + np.exp(-(x @ w1))) @ w2
    want = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(got["y"], want, rtol=1e-4)
    assert len(nodes) == 1


def _initializer(case, name):
    import onnx

    found = {tensor.name: tensor for tensor in case.model.graph.initializer}
    return onnx.numpy_helper.to_array(found[name])


def test_decorated_backends_are_decorated_again(backend, small_models):
    case = small_models["mlp"]
    order = []
    inner = decorate(backend, before=lambda record: order.append("inner"), where="Softmax")
    outer = decorate(inner, before=lambda record: order.append("outer"), where="Softmax")
    run(outer, case)
    assert order == ["outer", "inner"]
    order.clear()
    run(inner, case)
    assert order == ["inner"]


def test_operations_in_sub_graphs_are_seen(backend, small_models):
    seen = []
    run(decorate(backend, after=seen.append), small_models["loop"])
    ops = [record.node.op for record in seen]
    assert ops.count("Mul") == 4
    assert ops[-1] == "Loop"


@pytest.mark.parametrize("name", ["xla", "onnxruntime", "openvino", "onnx"])
def test_a_backend_that_runs_the_model_as_a_whole_is_refused(name):
    if reason := backends.available()[name]:
        pytest.skip(reason)
    with pytest.raises(UnsupportedError, match=f"'{name}' runs a model as a whole"):
        decorate(backends.get(name))


def test_the_rest_of_a_backend_stays(small_models):
    case = small_models["mlp"]
    backend = decorate(backends.get("naive"))
    backend.import_runtime()
    assert backend.name == "naive"
    plain = backends.get("naive").parameters(case.path)
    parameters = backend.parameters(case.path)
    assert plain.keys() == parameters.keys()
    assert b"".join(backend.serialize(parameters)) == b"".join(backend.serialize(plain))


def test_the_log_tells_shapes_types_time_and_bytes(backend, small_models):
    case = small_models["mlp"]
    entries = []
    run(logged(backend, entries.append), case)
    first, last = entries[0], entries[-1]
    assert (first.operation, first.inputs) == ("MatMul", ("float32[3, 20]", "float32[20, 40]"))
    assert (first.outputs, first.output_bytes) == (("float32[3, 40]",), 480)
    assert (last.operation, last.outputs, last.output_bytes) == ("ArgMax", ("int64[3]",), 24)
    assert all(entry.time_ns > 0 for entry in entries)
    assert "MatMul 'h' (float32[3, 20], float32[20, 40]) -> (float32[3, 40]): " in str(first)
    assert str(first).endswith(" ms, 480 bytes")


def test_the_log_goes_to_the_logger_by_default(small_models, caplog):
    with caplog.at_level(logging.INFO, "pelemay.backends.log"):
        run(logged(backends.get("reference"), where="Softmax"), small_models["mlp"])
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("Softmax 'y' (float32[3, 7]) -> ")


def test_an_input_that_is_left_out_is_shown_as_such(small_models):
    entries = []
    run(logged(backends.get("reference"), entries.append, where="Loop"), small_models["while_loop"])
    assert entries[0].inputs == ("-", "bool[]", "float32[4]")
