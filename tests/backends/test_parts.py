"""What has no size before the run: in parts that the engine runs, with the reference between them.

The oracle is onnxruntime on the whole model.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import onnxruntime
import pytest
from onnx import numpy_helper

from pelemay.backends.parts import Part, Store, work_of
from pelemay.backends.programs import ProgramRunnable
from pelemay.compilation import compile_graph
from pelemay.graph import Graph
from pelemay.importers import from_proto
from pelemay.program.image import image

HEAD = '<ir_version: 8, opset_import: ["" : 17]> '

SELECTED = """selected (float[40, 16] x) => (float[n, 16] y) <float zero = {0}> {
  g = MatMul(x, w)  s = ReduceMean <axes = [1], keepdims = 0> (g)  b = Greater(s, zero)
  c = Compress <axis = 0> (g, b)  d = MatMul(c, w)  e = Relu(d)  y = MatMul(e, w) }"""

TWICE = """twice (float[40, 16] x) => (float[n, 16] y) <float zero = {0}, float half = {0.5}> {
  s = ReduceMean <axes = [1], keepdims = 0> (x)  b = Greater(s, zero)
  c = Compress <axis = 0> (x, b)  d = MatMul(c, w)
  t = ReduceMean <axes = [1], keepdims = 0> (d)  more = Less(t, half)
  kept = Compress <axis = 0> (d, more)  e = MatMul(kept, w)  y = Tanh(e) }"""

DETECTOR = """detector (float[1, 6, 4] boxes, float[1, 1, 6] scores) => (float[n, 3] y)
  <int64 most = {4}, float iou = {0.5}, float least = {0.1}, int64[1] third = {2},
   int64[1] all = {-1}, int64[2] four = {-1, 4}> {
  found = NonMaxSuppression(boxes, scores, most, iou, least)
  index = Gather <axis = 1> (found, third)  rows = Reshape(index, all)
  flat = Reshape(boxes, four)  taken = Gather <axis = 0> (flat, rows)  y = MatMul(taken, head) }"""

LOOPED = """looped (float[4, 16] x, int64 n, bool go) => (float[4, 16] y) <float most = {9}> {
  y = Loop (n, go, x) <body = body (int64 i, bool c, float[4, 16] a) => (bool c2, float[4, 16] a2) {
    h = MatMul(a, w)  a2 = Tanh(h)  m = ReduceMax <keepdims = 0> (a2)  c2 = Less(m, most) }> }"""


def weights(name: str) -> dict[str, Any]:
    generator = np.random.default_rng(3)
    if name == "detector":
        return {"head": generator.standard_normal((4, 3)).astype(np.float32)}
    return {"w": generator.standard_normal((16, 16)).astype(np.float32) / 4}


def model_of(text: str) -> onnx.ModelProto:
    model = onnx.parser.parse_model(HEAD + text)
    for name, values in weights(model.graph.name).items():
        model.graph.initializer.append(numpy_helper.from_array(values, name))
    return model


def feeds_of(model: onnx.ModelProto, seed: int) -> dict[str, Any]:
    generator = np.random.default_rng(seed)
    found: dict[str, Any] = {}
    for value in model.graph.input:
        kind = value.type.tensor_type
        shape = [d.dim_value for d in kind.shape.dim]
        found[value.name] = generator.standard_normal(shape).astype(np.float32)
        if kind.elem_type == onnx.TensorProto.INT64:
            found[value.name] = np.array(6)
        if kind.elem_type == onnx.TensorProto.BOOL:
            found[value.name] = np.array(True)
    return found


def compiled(model: onnx.ModelProto, feeds: dict[str, Any]) -> ProgramRunnable:
    graph: Graph = from_proto(model).graph
    values = {n: v for n, v in feeds.items() if not v.ndim}
    shapes = {n: v.shape for n, v in feeds.items() if n not in values}
    return ProgramRunnable(image(compile_graph(graph, shapes, values)), threads=1)


Run = Callable[[dict[str, Any]], list[Any]]


@pytest.mark.parametrize(
    ("text", "programs"), [(SELECTED, 1), (TWICE, 2), (DETECTOR, 1), (LOOPED, 1)]
)
def test_parts_give_what_the_model_gives(text: str, programs: int) -> None:
    model = model_of(text)
    feeds = feeds_of(model, 0)
    runnable = compiled(model, feeds)
    runnable._host.store.worth = 1
    oracle = onnxruntime.InferenceSession(model.SerializeToString())
    for _ in range(5):
        found = runnable.run(feeds, [value.name for value in model.graph.output])
        for name, value in zip(found, oracle.run(None, feeds), strict=True):
            np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-5)
    store = runnable._host.store
    assert sum(program is not None for program, _ in store._programs.values()) == programs
    assert store.nbytes > 0


@pytest.mark.parametrize("text", [SELECTED, TWICE])
def test_other_sizes_are_other_programs(text: str) -> None:
    model = model_of(text)
    runnable = compiled(model, feeds_of(model, 0))
    runnable._host.store.worth = 1
    oracle = onnxruntime.InferenceSession(model.SerializeToString())
    shapes = set()
    for seed in (1, 2, 3, 1, 2, 3, 1, 2, 3):
        feeds = feeds_of(model, seed)
        y, (expected,) = runnable.run(feeds, ["y"])["y"], oracle.run(None, feeds)
        np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)
        shapes.add(y.shape)
    assert len(shapes) > 1


def test_programs_are_bounded_in_bytes() -> None:
    model = model_of(SELECTED)
    runnable = compiled(model, feeds_of(model, 0))
    store = runnable._host.store
    store.worth, store.limit = 1, 200_000
    for seed in (1, 2, 3, 4) * 3:
        runnable.run(feeds_of(model, seed), ["y"])
        assert store.nbytes <= store.limit


def test_within_a_memory_limit_nothing_is_compiled(tmp_path: Path) -> None:
    from pelemay import InferenceSession, pipeline

    onnx.save(model_of(SELECTED), tmp_path / "m.onnx")
    made = pipeline.compile(tmp_path / "m.onnx", tmp_path / "m.plm").file
    session = InferenceSession(made.path, memory_limit="1GiB")
    for _ in range(3):
        session.run(None, feeds_of(model_of(SELECTED), 0))
    assert session._prepared.runnable._host.store.limit == 0


@pytest.mark.parametrize(("at_once", "is_compiled"), [(40 * 16 * 3 * 16, True), (1 << 20, False)])
def test_much_work_is_compiled_at_once(at_once: int, is_compiled: bool) -> None:
    """Rows of the largest input, 40, times elements of all weights: three products of 16 x 16."""
    model = model_of(SELECTED)
    feeds = feeds_of(model, 0)
    graph = from_proto(model).graph
    part = Part(graph, Store(worth=1, at_once=at_once))
    assert part.about(feeds) == 40 * 16 * 3 * 16
    (expected,) = onnxruntime.InferenceSession(model.SerializeToString()).run(None, feeds)
    np.testing.assert_allclose(part.run(feeds)["y"], expected, rtol=1e-4, atol=1e-5)
    assert bool(part._store.nbytes) == is_compiled


def test_little_work_is_left_to_the_reference() -> None:
    graph = from_proto(model_of(SELECTED)).graph
    part = Part(graph, Store())
    assert work_of(graph) < part._store.worth
    for _ in range(3):
        part.run(feeds_of(model_of(SELECTED), 0))
    assert part._store.nbytes == 0


def test_a_failure_names_the_node() -> None:
    from pelemay.errors import PelemayError

    graph = from_proto(model_of(SELECTED)).graph
    part = Part(graph, Store(worth=1))
    for _ in range(3):
        with pytest.raises(PelemayError, match="MatMul"):
            part.run({"x": np.zeros((40, 9), np.float32)})
