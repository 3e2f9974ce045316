"""Models as a whole: what they say of themselves, and what is refused."""

from __future__ import annotations

import hashlib
import os

import numpy as np
import onnx
import onnx.parser
import pytest
from onnx import TensorProto, helper, numpy_helper

from pelemay.errors import ModelError
from pelemay.graph import DType, TensorType
from pelemay.importers import from_proto, load

W = np.arange(6000, dtype=np.float32).reshape(60, 100)


def info(name: str, shape: list[int | str] | None = None) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape or ["N", 60])


def matmul(listed: bool = False) -> onnx.ModelProto:
    inputs = [info("x"), *([info("w", [60, 100])] if listed else [])]
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["p"]),
        helper.make_node("Add", ["p", "b"], ["y"]),
    ]
    tensors = [numpy_helper.from_array(W, "w"), numpy_helper.from_array(W[0], "b")]
    graph = helper.make_graph(nodes, "g", inputs, [info("y", ["N", 100])], tensors)
    model = helper.make_model(
        graph, producer_name="me", opset_imports=[helper.make_opsetid("", 17)]
    )
    model.metadata_props.add(key="a", value="b")
    return model


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "model.onnx"
    file.write_bytes(matmul(listed=True).SerializeToString())
    return file


def test_what_a_model_says(path):
    model = load(path)
    assert model.path == path
    assert [(v.name, v.dtype, v.shape) for v in model.inputs] == [("x", DType.FLOAT32, ("N", 60))]
    assert model.outputs[0].type == TensorType(DType.FLOAT32, ("N", 100))
    assert list(model.parameters) == ["w", "b"]
    assert model.nbytes == W.nbytes + 400
    assert (model.metadata.producer_name, model.metadata.opsets) == ("me", {"": 17})
    assert model.metadata.properties == {"a": "b"}


def test_parameters_lie_in_the_file(path):
    model = load(path)
    place = model.parameters.placement("w")
    assert path.read_bytes()[place.offset : place.offset + place.nbytes] == W.tobytes()
    assert (place.path, place.encoding, place.in_place) == (path, "raw_data", True)
    np.testing.assert_array_equal(model.parameters["w"], W)
    with pytest.raises(ValueError, match="read-only"):
        model.parameters["w"][0] = 1


def test_a_path_may_be_text(path):
    assert load(str(path)).parameters.nbytes == load(path).nbytes


def test_the_graph_has_inferred_types(path):
    graph = load(path).graph
    assert graph.type_of("p") == TensorType(DType.FLOAT32, ("N", 100))
    assert list(graph.inputs) == ["x"]
    np.testing.assert_array_equal(graph.constants["w"].array(), W)


def test_the_proto_has_no_payloads_and_the_full_one_has(path):
    model = load(path)
    assert model.proto.ByteSize() < 1500
    assert model.full_proto() == onnx.load(path)


def test_a_model_in_memory_is_the_same(path):
    model = from_proto(onnx.load(path))
    np.testing.assert_array_equal(model.parameters["w"], W)
    assert model.path is None
    assert model.full_proto() == onnx.load(path)


def test_a_graph_given_twice_is_merged():
    proto = matmul()
    extra = onnx.ModelProto()
    extra.graph.initializer.append(numpy_helper.from_array(2 * W, "w2"))
    data = proto.SerializeToString() + extra.SerializeToString()
    model = from_proto(data)
    assert list(model.parameters) == ["w", "b", "w2"]
    np.testing.assert_array_equal(model.parameters["w2"], 2 * W)


def test_large_constants_of_nodes_and_of_subgraphs_are_cut_out():
    inner = helper.make_graph(
        [helper.make_node("Add", ["x", "k"], ["r"])],
        "then", [], [info("r")], [numpy_helper.from_array(W[:1, :60].repeat(30, 0), "k")],
    )  # fmt: skip
    other = helper.make_graph(
        [helper.make_node("Constant", [], ["q"], value=numpy_helper.from_array(W, "q"))],
        "else", [], [info("q")],
    )  # fmt: skip
    nodes = [
        helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(W, "c")),
        helper.make_node("If", ["cond"], ["y"], then_branch=inner, else_branch=other),
    ]
    cond = helper.make_tensor_value_info("cond", TensorProto.BOOL, [])
    proto = helper.make_model(helper.make_graph(nodes, "g", [info("x"), cond], [info("y")]))
    model = from_proto(proto)
    assert model.proto.ByteSize() < 2000
    np.testing.assert_array_equal(model.graph.constants["c"].array(), W)
    branches = {g.name: g for node in model.graph.nodes for g in node.graphs}
    np.testing.assert_array_equal(branches["else"].constants["q"].array(), W)
    assert branches["then"].constants["k"].shape == (30, 60)


def test_large_constants_of_functions_are_found_after_inlining():
    body = [
        helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(W, "c")),
        helper.make_node("MatMul", ["a", "c"], ["b"]),
    ]
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("me", 1)]
    function = helper.make_function("me", "F", ["a"], ["b"], body, opsets[:1])
    call = helper.make_node("F", ["x"], ["y"], domain="me")
    graph = helper.make_graph([call], "g", [info("x")], [info("y", ["N", 100])])
    model = from_proto(helper.make_model(graph, functions=[function], opset_imports=opsets))
    assert model.proto.ByteSize() < 1000
    (constant,) = model.graph.constants.values()
    np.testing.assert_array_equal(constant.array(), W)


def sparse(shape: list[int], indices: np.ndarray, values: np.ndarray) -> onnx.ModelProto:
    tensor = helper.make_sparse_tensor(
        numpy_helper.from_array(values, "s"), numpy_helper.from_array(indices, "i"), shape
    )
    return helper.make_model(helper.make_graph([], "g", [], [], sparse_initializer=[tensor]))


@pytest.mark.parametrize("indices", [[1, 7, 11], [[0, 1], [1, 3], [2, 3]]])
def test_sparse_initializers_are_dense_when_read(indices):
    values = np.array([5, 6, 7], np.int32)
    model = from_proto(sparse([3, 4], np.array(indices, np.int64), values))
    dense = np.zeros(12, np.int32)
    dense[[1, 7, 11]] = values
    np.testing.assert_array_equal(model.parameters["s"], dense.reshape(3, 4))
    assert model.parameters.placement("s").encoding == "sparse"
    assert not model.parameters.placement("s").in_place


@pytest.mark.parametrize(
    ("shape", "indices", "message"),
    [
        ([3, 4], [1, 2], "indices have shape"),
        ([3, 4], [[0, 1, 2]] * 3, "indices have shape"),
        ([2**40], [1, 2, 3], "dense form would take"),
        ([2**20, 5], [1, 2, 3], "dense form would take"),
        ([3, -4], [1, 2, 3], "negative"),
        ([3, 4], [1, 2, 12], "outside"),
        ([3, 4], [-1, 2, 3], "outside"),
        ([3, 4], [[0, 0], [0, 4], [1, 0]], "outside"),
        ([3, 4], [1, 1, 2], "ascend"),
        ([3, 4], [2, 1, 3], "ascend"),
    ],
)
def test_wrong_sparse_initializers_are_refused(shape, indices, message):
    proto = sparse(shape, np.array(indices, np.int64), np.ones(3, np.float32))
    with pytest.raises(ModelError, match=message):
        from_proto(proto).parameters["s"]


def text(body: str) -> bytes:
    head = '<ir_version: 8, opset_import: ["" : 17]>\n'
    return onnx.parser.parse_model(head + body).SerializeToString()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("g (float[2] x) => (float[2] y) { y = Relu(z) z = Relu(y) }", "cycle"),
        ("g (float[2] x) => (float[2] y) { y = Relu(z) }", "nothing makes"),
        ("g (float[2] x) => (float[2] y) { y = Relu(x) y = Relu(x) }", "exists already"),
        ("g (float[2] x) => (float[2] y) { z = Relu(x) }", "output 'y'"),
        ("g (float[2] x, float[2] x) => (float[2] y) { y = Relu(x) }", "two inputs"),
        ("g (float[2] x) => (float[2] y, float y) { y = Relu(x) }", "two outputs"),
        ("g (float x) => (float y) <float w = {1}, float w = {2}> { y = Add(x, w) }", "two init"),
    ],
)
def test_contradicting_names_are_refused_at_load(body, message):
    with pytest.raises(ModelError, match=message):
        from_proto(text(body))


def wrong(edit) -> bytes:
    proto = matmul()
    edit(proto)
    return proto.SerializeToString()


WRONG = {
    "a nameless initializer": (lambda m: m.graph.initializer[0].ClearField("name"), "no name"),
    "a nameless input": (lambda m: m.graph.input[0].ClearField("name"), "no name"),
    "a node without operation": (lambda m: m.graph.node[0].ClearField("op_type"), "its operation"),
    "no graph": (lambda m: m.ClearField("graph"), "no graph"),
    "an unknown type": (lambda m: setattr(m.graph.initializer[0], "data_type", 77), "type 77"),
    "an input of unknown type": (
        lambda m: setattr(m.graph.input[0].type.tensor_type, "elem_type", 77), "type 77",
    ),
    "a huge size": (lambda m: m.graph.initializer[0].dims.append(2**40), "need"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG.values(), ids=WRONG)
def test_wrong_models_are_refused_at_load(case):
    edit, message = case
    with pytest.raises(ModelError, match=message):
        from_proto(wrong(edit))


def test_fields_of_the_wrong_kind_are_refused(pb):
    node = pb.number(1, 5) + pb.message(2, "y") + pb.message(4, "Relu")
    with pytest.raises(ModelError, match=r"NodeProto\.input holds a value of the wrong kind"):
        from_proto(pb.model(pb.graph(more=pb.message(1, node))))
    attribute = pb.message(1, "a") + pb.number(20, 99)
    node = pb.message(2, "y") + pb.message(4, "Relu") + pb.message(5, attribute)
    with pytest.raises(ModelError, match=r"AttributeProto\.type"):
        from_proto(pb.model(pb.graph(more=pb.message(1, node))))
    with pytest.raises(ModelError, match="wire type 0"):
        from_proto(pb.model(pb.graph(more=pb.number(5, 5))))


def test_names_that_are_not_utf8_are_refused(pb):
    with pytest.raises(ModelError, match="UTF-8"):
        from_proto(pb.model(pb.graph(pb.tensor(b"\xff", 1, [1], pb.message(9, b"\0" * 4)))))


def test_deep_nesting_is_refused(pb):
    inner = pb.message(2, "g")
    for _ in range(3000):
        attribute = pb.message(1, "b") + pb.number(20, 5) + pb.message(6, inner)
        inner = pb.message(1, pb.message(4, "If") + pb.message(5, attribute))
    with pytest.raises(ModelError, match="nest deeper"):
        from_proto(pb.model(inner))


def test_no_file_can_pretend_to_be_in_the_table(pb):
    proto = numpy_helper.from_array(W, "w")
    proto.ClearField("raw_data")
    for secret in ("", "0" * 16, "location"):
        proto.external_data.add(key=secret, value="0")
    with pytest.raises(ModelError, match="no elements"):
        from_proto(pb.model(pb.graph(proto.SerializeToString())))


def test_what_remains_must_not_be_huge(monkeypatch):
    monkeypatch.setattr("pelemay.importers.scan.MAX_STRIPPED_BYTES", 1000)
    proto = matmul()
    assert from_proto(proto).nbytes > 1000
    proto.doc_string = "x" * 1000
    with pytest.raises(ModelError, match="larger than"):
        from_proto(proto)


@pytest.mark.parametrize("content", [b"", b"hello", b"<html></html>", b"\0" * 100, b"PK\3\4" * 9])
def test_files_that_are_no_models_are_refused(tmp_path, content):
    file = tmp_path / "x.onnx"
    file.write_bytes(content)
    with pytest.raises(ModelError, match=r"x\.onnx"):
        load(file)


def test_paths_that_are_no_files_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name in ("", "none.onnx", "pipe"):
        with pytest.raises(ModelError):
            load(tmp_path / name)
    with pytest.raises(ModelError):
        load("/dev/zero")
    with pytest.raises(ModelError):
        load("a\0b")


def test_a_model_outlives_its_file(path):
    model, data = load(path), path.read_bytes()
    path.unlink()
    np.testing.assert_array_equal(model.parameters["w"], W)
    path.write_bytes(b"another file in its place")
    assert model.parameters.source.sha256 == hashlib.sha256(data).hexdigest()
    assert np.concatenate(list(model.parameters.windows("w"))).tobytes() == W.tobytes()


def test_functions_that_unfold_without_end_are_refused():
    functions = "".join(
        f'<opset_import: ["" : 21, "own" : 1], domain: "own"> F{i} (a) => (b) {{'
        + "".join(f"v{j} = own.F{i - 1} ({f'v{j - 1}' if j else 'a'}) " for j in range(40))
        + "b = Relu (v39) }"
        for i in range(1, 5)
    )
    model = onnx.parser.parse_model(
        '<ir_version: 10, opset_import: ["" : 21, "own" : 1]> g (float[2] x) => (float[2] y) '
        '{ y = own.F4 (x) } <opset_import: ["" : 21], domain: "own"> F0 (a) => (b) { b = Relu (a) }'
        + functions
    )
    with pytest.raises(ModelError, match="has more than 1000000 nodes"):
        _ = from_proto(model).graph


def test_a_function_that_calls_itself_is_refused():
    model = onnx.parser.parse_model(
        '<ir_version: 10, opset_import: ["" : 21, "own" : 1]> g (float[2] x) => (float[2] y) '
        "{ y = own.F (x) } "
        '<opset_import: ["own" : 1], domain: "own"> F (a) => (b) { b = own.F (a) }'
    )
    with pytest.raises(ModelError, match="in a cycle"):
        _ = from_proto(model).graph


def test_rules_of_other_domains_are_not_asked():
    """ONNX's own rule for this one ends the process where its input has no type."""
    attributes = {
        "nodes_splits": onnx.helper.make_tensor("s", onnx.TensorProto.DOUBLE, [1], [0.5]),
        "leaf_weights": onnx.helper.make_tensor("w", onnx.TensorProto.DOUBLE, [1], [0.5]),
        "nodes_modes": onnx.helper.make_tensor("m", onnx.TensorProto.UINT8, [1], [0]),
        "n_targets": 1, "tree_roots": [0], "leaf_targetids": [0], "nodes_featureids": [0],
    }  # fmt: skip
    node = onnx.helper.make_node("TreeEnsemble", ["x"], ["y"], domain="ai.onnx.ml", **attributes)
    after = onnx.helper.make_node("Relu", ["z"], ["r"])
    z = onnx.helper.make_tensor_value_info("z", onnx.TensorProto.FLOAT, [3])
    graph = onnx.helper.make_graph(
        [node, after], "g", [onnx.ValueInfoProto(name="x"), z],
        [onnx.ValueInfoProto(name="y"), onnx.ValueInfoProto(name="r")],
    )  # fmt: skip
    opsets = [onnx.helper.make_opsetid("", 21), onnx.helper.make_opsetid("ai.onnx.ml", 5)]
    found = from_proto(onnx.helper.make_model(graph, opset_imports=opsets)).graph
    assert [node.op for node in found.nodes] == ["TreeEnsemble", "Relu"]
    assert str(found.outputs["r"]) == "float32[3]"


def test_too_many_nodes_are_refused(monkeypatch):
    monkeypatch.setattr("pelemay.importers.functions.MAX_NODES", 2)
    nodes = [helper.make_node("Relu", [f"v{i}"], [f"v{i + 1}"]) for i in range(3)]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("v0", "v3")]
    model = helper.make_model(helper.make_graph(nodes, "g", ends[:1], ends[1:]))
    with pytest.raises(ModelError, match="has more than 2 nodes"):
        _ = from_proto(model).graph
