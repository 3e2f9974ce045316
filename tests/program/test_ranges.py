"""Ranges: one program for all sizes, equal to the program of each; cut where they part.

The oracle is onnxruntime on the model's own file, at each size of the range.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import onnxruntime
import pytest
from onnx import numpy_helper

from pelemay import InferenceSession, pipeline
from pelemay.cases import cases_of
from pelemay.compilation import compile_graph
from pelemay.engine import Engine, at_size, open_program, plans_of
from pelemay.errors import InputError, UnsupportedError
from pelemay.graph import DType
from pelemay.importers import load
from pelemay.program import Instruction, Program, Space, Tensor
from pelemay.program.forms import Family
from pelemay.program.image import image
from pelemay.target import Target

Array = Any
Feeds = Mapping[str, Array]

HEAD = '<ir_version: 8, opset_import: ["" : 17]> '

ENCODER = """encoder (float[batch, seq, 16] x) => (float[batch, seq, 16] y)
  <int64[4] split = {0, 0, 2, 8}, int64[3] joined = {0, 0, 16}, float scale = {0.35}> {
  q = MatMul(x, wq)  k = MatMul(x, wk)  v = MatMul(x, wv)
  q1 = Reshape(q, split)  k1 = Reshape(k, split)  v1 = Reshape(v, split)
  q2 = Transpose <perm = [0, 2, 1, 3]> (q1)  k2 = Transpose <perm = [0, 2, 3, 1]> (k1)
  v2 = Transpose <perm = [0, 2, 1, 3]> (v1)
  s = MatMul(q2, k2)  scaled = Mul(s, scale)  p = Softmax <axis = -1> (scaled)
  o = MatMul(p, v2)  o1 = Transpose <perm = [0, 2, 1, 3]> (o)  o2 = Reshape(o1, joined)
  y = Add(o2, x) }"""

MASKED = """masked (float[n, 8] x) => (float[n, n] y) <int64 zero = {0}, int64 one = {1},
  int64[1] first = {0}, int64[1] second = {1}, float low = {-1000}, float high = {0}> {
  shape = Shape(x)  n = Gather(shape, zero)  at = Range(zero, n, one)
  rows = Unsqueeze(at, second)  columns = Unsqueeze(at, first)
  later = Less(rows, columns)  mask = Where(later, low, high)
  t = Transpose(x)  s = MatMul(x, t)  m = Add(s, mask)  y = Softmax <axis = -1> (m) }"""

CACHE = """cache (float[1, 4] x, float[past, 4] keys) => (float[1, 4] y, float[total, 4] all) {
  all = Concat <axis = 0> (keys, x)  t = Transpose(all)  s = MatMul(x, t)
  p = Softmax <axis = -1> (s)
  y = MatMul(p, all) }"""

IMAGE = """image (float[batch, 3, height, width] x) => (float[batch, 5] y) {
  a = Conv <pads = [1, 1, 1, 1], strides = [2, 2]> (x, w1)  b = Relu(a)
  c = Conv <pads = [1, 1, 1, 1], strides = [2, 2]> (b, w2)  d = GlobalAveragePool(c)
  y = Flatten(d) }"""

WEIGHTS = {
    "encoder": {"wq": (16, 16), "wk": (16, 16), "wv": (16, 16)},
    "image": {"w1": (8, 3, 3, 3), "w2": (5, 8, 3, 3)},
}


@pytest.fixture(scope="module")
def model_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    folder = tmp_path_factory.mktemp("ranges")

    def make(text: str) -> Path:
        proto = onnx.parser.parse_model(HEAD + text)
        generator = np.random.default_rng(0)
        for name, shape in WEIGHTS.get(proto.graph.name, {}).items():
            values = generator.standard_normal(shape).astype(np.float32) / 4
            proto.graph.initializer.append(numpy_helper.from_array(values, name))
        path = folder / f"{proto.graph.name}.onnx"
        onnx.save(proto, path)
        return path

    return make


def feeds_of(path: Path, sizes: Mapping[str, int]) -> dict[str, Array]:
    generator = np.random.default_rng(sum(sizes.values()))
    found = {}
    for value in onnx.load(path).graph.input:
        dims = value.type.tensor_type.shape.dim
        shape = [sizes.get(d.dim_param, 1) if d.dim_param else d.dim_value for d in dims]
        found[value.name] = generator.standard_normal(shape).astype(np.float32)
    return found


@pytest.mark.parametrize(
    ("text", "dims", "plans"),
    [
        (ENCODER, ["batch=1", "seq=1..12"], 2),
        (ENCODER, ["batch=1..5", "seq=3"], 2),
        (MASKED, ["n=1..10"], 3),
        (CACHE, ["past=0..9"], 3),
        (IMAGE, ["batch=1", "height=16..64:16", "width=height"], 1),
        (IMAGE, ["batch=2", "height=9..30", "width=12"], 4),
    ],
)
def test_every_size_of_a_range(
    model_of: Callable[[str], Path], tmp_path: Path, text: str, dims: list[str], plans: int
) -> None:
    path = model_of(text)
    (case,) = cases_of([("dim", dim) for dim in dims])
    made = pipeline.compile(path, tmp_path / "m.plm", cases=[case])
    assert sum(program.sizes for program in made.programs) == case.count
    assert len(made.programs) <= plans
    session, oracle = InferenceSession(made.file.path), onnxruntime.InferenceSession(path)
    order = np.random.default_rng(0).permutation(case.count)
    for number in order:
        feeds = feeds_of(path, case.sizes(int(number)))
        for ours, theirs in zip(session.run(None, feeds), oracle.run(None, feeds), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_a_size_is_the_program_that_is_compiled_for_it(model_of: Callable[[str], Path]) -> None:
    graph = load(model_of(ENCODER)).graph
    (case,) = cases_of([("dim", "batch=1"), ("dim", "seq=4..9")])
    (program,) = pipeline.lowered(load(model_of(ENCODER)), case)
    plan = plans_of(open_program(image(program)))[0]
    for number, seq in enumerate(range(4, 10)):
        x = feeds_of(model_of(ENCODER), {"seq": seq})["x"]
        alone = open_program(image(compile_graph(graph, {"x": x.shape})))
        sized = at_size(plan, number)
        assert sized.arena_bytes == plan.arena_bytes >= alone.arena_bytes
        np.testing.assert_array_equal(Engine(sized).run([x])[0], Engine(alone).run([x])[0])


def test_sizes_outside_are_refused(model_of: Callable[[str], Path], tmp_path: Path) -> None:
    cases = cases_of([("dim", "past=2..9:2")])
    made = pipeline.compile(model_of(CACHE), tmp_path / "m.plm", cases=cases)
    session = InferenceSession(made.file.path)
    x = np.zeros((1, 4), np.float32)
    for past in (0, 3, 10):
        with pytest.raises(InputError, match=r"it has keys \[past, 4\], past 2\.\.8 in steps"):
            session.run(None, {"x": x, "keys": np.zeros((past, 4), np.float32)})


def test_prompt_and_steps_in_one_file(model_of: Callable[[str], Path], tmp_path: Path) -> None:
    """A decoder: no length is compiled for at the call."""
    cases = cases_of([("dim", "past=0"), None, ("dim", "past=1..20")])
    path = model_of(CACHE)
    made = pipeline.compile(path, tmp_path / "m.plm", cases=cases)
    session, oracle = InferenceSession(made.file.path), onnxruntime.InferenceSession(path)
    keys = {"ours": np.zeros((0, 4), np.float32)}
    keys["theirs"] = keys["ours"]
    for step in range(21):
        x = np.full((1, 4), np.sin(step), np.float32)
        y, keys["ours"] = session.run(None, {"x": x, "keys": keys["ours"]})
        z, keys["theirs"] = oracle.run(None, {"x": x, "keys": keys["theirs"]})
        np.testing.assert_allclose(y, z, rtol=1e-5, atol=1e-6)


def test_what_the_reference_runs_makes_a_plan_for_each_size(tmp_path: Path) -> None:
    text = "g (float[n, 2] x) => (float[n, 2] y, int64[2, m] z) { y = Relu(x)  z = NonZero(x) }"
    onnx.save(onnx.parser.parse_model(HEAD + text), tmp_path / "m.onnx")
    cases = cases_of([("dim", "n=1..4")])
    made = pipeline.compile(tmp_path / "m.onnx", tmp_path / "m.plm", cases=cases)
    assert [program.sizes for program in made.programs] == [1, 1, 1, 1]
    session = InferenceSession(made.file.path)
    for n in (4, 1, 3):
        y, z = session.run(None, {"x": np.ones((n, 2), np.float32)})
        assert (y.shape, z.shape) == ((n, 2), (2, 2 * n))


def test_a_range_that_falls_apart_is_refused(tmp_path: Path) -> None:
    text = "g (float[n, 2] x) => (int64[2, m] z) { z = NonZero(x) }"
    onnx.save(onnx.parser.parse_model(HEAD + text), tmp_path / "m.onnx")
    with pytest.raises(UnsupportedError, match="70 sizes need more than 64 plans: its values"):
        pipeline.lowered(load(tmp_path / "m.onnx"), cases_of([("dim", "n=1..70")])[0])


def test_a_range_takes_no_limit(model_of: Callable[[str], Path]) -> None:
    (case,) = cases_of([("dim", "past=1..3")])
    with pytest.raises(InputError, match="it takes neither a budget nor an arena"):
        pipeline.lowered(load(model_of(CACHE)), case, target=Target(budget_bytes=1 << 20))


def with_rows(rows: int) -> Program:
    """Copies so many rows."""
    tensors = tuple(Tensor(DType.FLOAT32, (rows,), (1,), s) for s in (Space.INPUT, Space.OUTPUT))
    return Program(0, tensors, (Instruction("copy", (0,), (1,), name="c"),), (0,), (1,))


@pytest.mark.parametrize(
    ("rows", "count", "terms"),
    [
        ((9, 7, 5, 3), 4, (3, 2, 0)),
        ((17, 10, 5, 2), 4, (2, 3, 2)),
        ((9, 7, 5, 4), 3, (5, 2, 0)),
        ((9, 7), 2, (7, 2, 0)),
        ((9,), 1, None),
    ],
)
def test_numbers_that_grow_evenly_are_one_form(
    rows: tuple[int, ...], count: int, terms: tuple[int, ...] | None
) -> None:
    family = Family(with_rows(rows[0]))
    taken = [family.add(with_rows(n), ()) for n in rows[1:]]
    assert family.count == count
    assert taken == [True] * (count - 1) + [False] * (len(rows) - count)
    if not all(taken):
        assert family.reason == "a number of 'c' does not grow evenly"
    forms = family.program({}).forms
    assert {form.terms for form in forms} == ({terms} if terms else set())
