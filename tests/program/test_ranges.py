"""Ranges: one program for all sizes, equal to the program of each; cut where they part.

The oracle is onnxruntime on the model's own file, at each size of the range.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import onnxruntime
import pytest
from onnx import numpy_helper

from pelemay import InferenceSession, pipeline
from pelemay.cases import Case, cases_of
from pelemay.compilation import compile_graph
from pelemay.engine import Engine, at_size, open_program, plans_of
from pelemay.errors import InputError, MemoryLimitError, UnsupportedError
from pelemay.graph import DType
from pelemay.importers import load
from pelemay.program import Instruction, Program, Space, Tensor
from pelemay.program.forms import Family
from pelemay.program.image import image
from pelemay.program.read import read_plans
from pelemay.ranges import sampled
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

WIDE = """wide (float[1, seq, 64] x) => (float[1, seq, 64] y) {
  a = MatMul(x, w1)  b = Relu(a)  c = MatMul(b, w2)  d = Add(c, x)
  e = MatMul(d, w1)  f = Relu(e)  g = MatMul(f, w2)  y = Add(g, d) }"""

WEIGHTS = {
    "wide": {"w1": (64, 256), "w2": (256, 64)},
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
            values = (generator.standard_normal(shape) / math.sqrt(math.prod(shape[1:]))).astype(
                np.float32
            )
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


def compiled(path: Path, folder: Path, dims: list[str], plans: int) -> tuple[Any, Any]:
    """The case that the sizes make, and its file: all of them, in at most so many plans."""
    (case,) = cases_of([("dim", dim) for dim in dims])
    made = pipeline.compile(path, folder / "m.plm", cases=[case])
    assert sum(program.sizes for program in made.programs) == case.count
    assert len(made.programs) <= plans
    return case, made


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
    case, made = compiled(path, tmp_path, dims, plans)
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
    with pytest.raises(UnsupportedError, match="70 sizes need more than 64 plans: some of"):
        pipeline.lowered(load(tmp_path / "m.onnx"), cases_of([("dim", "n=1..70")])[0])


def ran(path: Path, plm: Path, case: Case, numbers: Sequence[int]) -> None:
    """The file's answers are those of the model, for some of the sizes of a case."""
    session, oracle = InferenceSession(plm), onnxruntime.InferenceSession(path)
    for number in numbers:
        feeds = feeds_of(path, case.sizes(number))
        for ours, theirs in zip(session.run(None, feeds), oracle.run(None, feeds), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("text", "dims", "plans"),
    [
        (ENCODER, ["batch=1..4", "seq=1..6"], 4),
        (IMAGE, ["batch=1..3", "height=12..30:2", "width=8"], 4),
        (IMAGE, ["batch=1", "height=16..64:16", "width=12..20:4"], 1),
        (MASKED, ["n=9..12"], 1),
    ],
)
def test_two_sizes_that_are_independent(
    model_of: Callable[[str], Path], tmp_path: Path, text: str, dims: list[str], plans: int
) -> None:
    path = model_of(text)
    case, made = compiled(path, tmp_path, dims, plans)
    read = [(p.sizes, p.across, p.forms) for p in read_plans(made.file.path)]
    assert read == [(p.sizes, p.across, p.forms) for p in made.programs]
    ran(path, made.file.path, case, range(case.count))


def test_a_pair_is_the_program_that_is_compiled_for_it(model_of: Callable[[str], Path]) -> None:
    graph = load(model_of(ENCODER)).graph
    (case,) = cases_of([("dim", "batch=2..5"), ("dim", "seq=4..6")])
    (program,) = pipeline.lowered(load(model_of(ENCODER)), case)
    assert (program.sizes, program.across) == (12, 3)
    plan = plans_of(open_program(image(program)))[0]
    for number in range(12):
        x = feeds_of(model_of(ENCODER), case.sizes(number))["x"]
        assert plan.find_size([x.shape]) == number
        alone = open_program(image(compile_graph(graph, {"x": x.shape})))
        sized = at_size(plan, number)
        np.testing.assert_array_equal(Engine(sized).run([x])[0], Engine(alone).run([x])[0])


def test_a_sample_of_many_sizes_is_compiled(model_of: Callable[[str], Path]) -> None:
    """And yet where sizes part is found, and sizes that were not compiled are right."""
    path = model_of(ENCODER)
    (case,) = cases_of([("dim", "batch=1"), ("dim", "seq=1..400")])
    programs = pipeline.lowered(load(path), case)
    compiled = [program.metadata.get("compiled", 1) for program in programs]
    assert [program.sizes for program in programs] == [399, 1]
    assert 30 < sum(compiled) < 80
    graph, plan = load(path).graph, plans_of(open_program(image(programs[0])))[0]
    for seq in (23, 77, 111, 222, 333):
        x = feeds_of(path, {"batch": 1, "seq": seq})["x"]
        alone = Engine(open_program(image(compile_graph(graph, {"x": x.shape}))))
        sized = Engine(at_size(plan, plan.find_size([x.shape])))
        np.testing.assert_array_equal(sized.run([x])[0], alone.run([x])[0])


@pytest.mark.parametrize(
    ("sizes", "others", "found"),
    [
        (range(20, 0, -1), set(), range(20)),
        (range(600, 0, -1), {96, 4096}, [600 - size for size in (600, 300, 97, 96, 95, 64, 2, 1)]),
    ],
)
def test_which_sizes_are_compiled(sizes: range, others: set[int], found: Sequence[int]) -> None:
    assert set(found) <= sampled(sizes, frozenset(others))


def test_a_range_within_an_arena(model_of: Callable[[str], Path], tmp_path: Path) -> None:
    """In bands: as many plans as there are numbers of bands, each with the rows of its sizes."""
    path = model_of(WIDE)
    (case,) = cases_of([("dim", "seq=150..320:10")])
    whole = max(p.arena_bytes for p in pipeline.lowered(load(path), case))
    target = Target(arena_bytes=whole // 2)
    made = pipeline.compile(path, tmp_path / "m.plm", cases=[case], target=target)
    assert max(program.arena_bytes for program in made.programs) <= whole // 2
    assert 1 < len(made.programs) < case.count
    assert len(made.programs[0].instructions) > len(
        pipeline.lowered(load(path), case)[0].instructions
    )
    ran(path, made.file.path, case, range(case.count))


def test_a_range_within_a_budget(model_of: Callable[[str], Path], tmp_path: Path) -> None:
    path = model_of(WIDE)
    (case,) = cases_of([("dim", "seq=150..320:10")])
    with pytest.raises(MemoryLimitError) as caught:
        pipeline.lowered(load(path), case, target=Target(budget_bytes=1 << 16))
    budget = int((caught.value.least_bytes or 0) * 1.5)
    target = Target(budget_bytes=budget)
    made = pipeline.compile(path, tmp_path / "m.plm", cases=[case], target=target)
    file = open_program(made.file.path, streamed=True)
    head = made.file.path.stat().st_size - file.weights_bytes
    for plan in plans_of(file):
        for number in range(plan.sizes):
            sized = at_size(plan, number)
            need = sized.stream_need()
            ends = sum(4 * math.prod(shape) for _, _, shape in (*sized.inputs, *sized.outputs))
            fixed = sized.arena_bytes + sized.scratch_bytes(2) + ends + need["overhead"]
            assert fixed + need["least"] + head <= budget
    ran(path, made.file.path, case, range(0, case.count, 3))


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
    taken = [family.add(with_rows(n), (), (at + 1, 0)) for at, n in enumerate(rows[1:])]
    assert family.compiled == count
    assert taken == [True] * (count - 1) + [False] * (len(rows) - count)
    if not all(taken):
        assert family.reason == "a number of 'c' does not grow evenly"
    forms = family.program((count, 1), {}).forms
    assert {form.terms for form in forms} == ({terms} if terms else set())
