"""Files of several plans: weights once, each plan checked, the one for the shapes chosen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from pelemay import InferenceSession, pipeline
from pelemay.backends.plans import PlansRunnable
from pelemay.cases import Case, cases_of
from pelemay.engine import Engine, at_size, open_program, plans_of
from pelemay.errors import InputError, ModelError, PelemayError
from pelemay.graph import DType
from pelemay.program import Block, Instruction, Program, Space, Tensor
from pelemay.program.image import image
from pelemay.program.plans import Plans
from pelemay.program.program import Field, Form
from pelemay.program.read import read_plans, read_program, verify
from pelemay.program.write import write_program

ROWS = (2, 4, 6)


def copies(*forms: Form, rows: int = 6, sizes: int = 3) -> Program:
    """Copies rows of 4 elements from the input to the output, for 2, 4 or 6 of them."""
    tensors = tuple(
        Tensor(DType.FLOAT32, (rows, 4), (4, 1), space, name=name)
        for space, name in ((Space.INPUT, "x"), (Space.OUTPUT, "y"))
    )
    names = {"program_inputs": ["x"], "program_outputs": ["y"], "shapes": {"x": [rows, 4]}}
    call = Instruction("copy", (0,), (1,))
    return Program(0, tensors, (call,), (0,), (1,), (), names, sizes, forms)


def of_rows(*terms: int) -> tuple[Form, ...]:
    return tuple(Form(Field.DIM, row, 0, (terms[0], terms[1], terms[2])) for row in range(2))


def plan_of(program: Program) -> Any:
    return plans_of(open_program(image(program)))[0]


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """y = x @ w with a batch and columns that are open."""
    w = np.random.default_rng(0).standard_normal((300, 64)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", "rows", 300])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", "rows", 64])],
        [numpy_helper.from_array(w, "w")],
    )
    opset = [helper.make_opsetid("", 17)]
    path = tmp_path_factory.mktemp("plans") / "network.onnx"
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)
    return path


def expected(network: Path, x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    (w,) = onnx.load(network).graph.initializer
    product: np.ndarray[Any, Any] = x @ numpy_helper.to_array(w)
    return product


CASES = cases_of([("dim", "batch=1,3"), ("dim", "rows=5"), None, ("shape", "x=2x7x300")])
SHAPES = ((1, 5), (3, 5), (2, 7))


@pytest.fixture(scope="module")
def compiled(network: Path) -> Path:
    return pipeline.compile(network, network.with_suffix(".plm"), cases=CASES).file.path


# What the test's own process holds counts: the limit is far above it, and yet one.
@pytest.mark.parametrize("limit", [None, "8GiB"])
def test_the_plan_for_the_shapes_runs(network: Path, compiled: Path, limit: str | None) -> None:
    session = InferenceSession(compiled, memory_limit=limit)
    for batch, rows in (*SHAPES, SHAPES[0]):
        x = np.random.default_rng(rows).standard_normal((batch, rows, 300)).astype(np.float32)
        (y,) = session.run(None, {"x": x})
        np.testing.assert_allclose(y, expected(network, x), rtol=1e-4, atol=1e-4)


def test_other_shapes_are_refused_with_those_that_are_there(compiled: Path) -> None:
    session = InferenceSession(compiled)
    with pytest.raises(InputError, match=r"for x \[4, 4, 300\]; it has x \[1, 5, 300\]; x \[3, 5"):
        session.run(None, {"x": np.zeros((4, 4, 300), np.float32)})
    with pytest.raises(InputError, match="input 'x' is missing"):
        session._prepared.runnable.run({})


def test_weights_are_stored_once(network: Path, compiled: Path, tmp_path: Path) -> None:
    one = pipeline.compile(network, tmp_path / "one.plm", cases=CASES[:1]).file
    assert compiled.stat().st_size - one.nbytes < 20_000 < one.nbytes
    verify(compiled)
    first, *others = read_plans(compiled)
    assert read_program(compiled) == first
    assert [p.blocks == first.blocks for p in others] == [True, True]


def test_all_plans_run_in_one_memory(compiled: Path) -> None:
    runnable = PlansRunnable(open_program(compiled), threads=1)
    for batch, rows in SHAPES:
        runnable.run({"x": np.zeros((batch, rows, 300), np.float32)})
    engines = {id(runnable.runnable(number, 0).engine) for number in range(3)}
    assert len(engines) == 1
    programs = [runnable.runnable(number, 0).program for number in range(3)]
    assert runnable.nbytes >= max(p.arena_bytes + p.scratch_bytes(1) for p in programs)


def test_blocks_of_one_size_are_told_apart_by_their_bytes() -> None:
    def with_block(value: int) -> Program:
        def pieces() -> Iterator[Any]:
            yield np.full(16, value, np.float32)

        weights = Tensor(DType.FLOAT32, (16,), (1,), Space.WEIGHTS)
        out = Tensor(DType.FLOAT32, (16,), (1,), Space.OUTPUT)
        call = Instruction("copy", (0,), (1,))
        names = {"program_inputs": [], "program_outputs": ["y"]}
        block = Block("w", 0, 64, pieces=pieces)
        return Program(0, (weights, out), (call,), (), (1,), (block,), names)

    plans = Plans.of([with_block(value) for value in (1, 2, 1)])
    assert len(plans.blocks) == 2
    file = open_program(image(plans))
    assert [Engine(plan).run([])[0][0] for plan in plans_of(file)] == [1, 2, 1]


@pytest.mark.parametrize("rows", ROWS)
def test_a_plan_at_each_of_its_sizes(rows: int) -> None:
    plan = plan_of(copies(*of_rows(2, 2, 0)))
    number = plan.find_size([(rows, 4)])
    assert number == ROWS.index(rows)
    x = np.arange(rows * 4, dtype=np.float32).reshape(rows, 4)
    (y,) = Engine(at_size(plan, number)).run([x])
    assert y.tolist() == x.tolist()


@pytest.mark.parametrize("shape", [(3, 4), (8, 4), (0, 4), (2, 5), (2,), (2, 4, 1), (1 << 40, 4)])
def test_other_shapes_are_no_size_of_the_plan(shape: tuple[int, ...]) -> None:
    assert plan_of(copies(*of_rows(2, 2, 0))).find_size([shape]) is None


@pytest.mark.parametrize(
    "form",
    [
        Form(Field.DIM, 0, 0, (7, 0, 0)),  # more than the input of the caller has
        Form(Field.DIM, 1, 0, (-1, 0, 0)),
        Form(Field.DIM, 1, 0, (1 << 32, 0, 0)),
        Form(Field.STRIDE, 1, 0, (0, 0, 0)),  # two elements in one place
        Form(Field.STRIDE, 0, 1, (1 << 40, 0, 0)),
        Form(Field.OFFSET, 0, 0, (4, 0, 0)),
        Form(Field.OFFSET, 1, 0, (1 << 46, 1 << 46, 1 << 46)),
    ],
)
def test_forms_that_make_no_program_are_refused(form: Form) -> None:
    plan = plan_of(copies(form))
    refused = 0
    for number in range(3):
        try:
            sized = at_size(plan, number)
        except ModelError:
            refused += 1
        else:
            # What is left is consistent in itself, and safe to run.
            Engine(sized).run([np.zeros(shape, np.float32) for _, _, shape in sized.inputs])
    assert refused or form.field is Field.DIM


@pytest.mark.parametrize(
    "form",
    [
        Form(Field.DIM, 9, 0, (1, 0, 0)),
        Form(Field.STRIDE, 0, 8, (1, 0, 0)),
        Form(Field.OFFSET, 0, 0, ((1 << 46) + 1, 0, 0)),
    ],
)
def test_forms_of_no_number_are_refused_when_the_plan_is_opened(form: Form) -> None:
    with pytest.raises(ModelError, match="a table of the file lies outside of it"):
        plan_of(copies(form))


def test_forms_and_sizes_are_read_back(tmp_path: Path) -> None:
    program = copies(*of_rows(2, 2, 0), Form(Field.OFFSET, 0, 0, (0, 0, 0)))
    (again,) = read_plans(write_program(program, tmp_path / "m.plm").path)
    assert replace(again, metadata={}) == replace(program, metadata={})


def test_a_session_runs_all_sizes_of_a_plan(tmp_path: Path) -> None:
    path = write_program(copies(*of_rows(2, 2, 0)), tmp_path / "m.plm").path
    runnable = PlansRunnable(open_program(path))
    for rows in (2, 6, 4, 2):
        x = np.full((rows, 4), rows, np.float32)
        assert runnable.run({"x": x})["y"].tolist() == x.tolist()


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([("dim", f"{name}=1..4") for name in "abc"], "a, b, c are ranges; two sizes can be"),
        ([("dim", "batch=4..1")], "is not a name and a size"),
        ([("dim", "batch")], "is not a name and a size"),
        ([("dim", "batch=rows+1")], "follows rows, which has no number"),
    ],
)
def test_sizes_that_say_nothing_are_refused(items: list[Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        cases_of(items)


def test_a_size_may_follow_another() -> None:
    (case,) = cases_of([("dim", "past=0..4:2"), ("dim", "past + new=past+1")])
    assert [case.sizes(n) for n in range(case.count)] == [
        {"past": past, "past + new": past + 1} for past in (0, 2, 4)
    ]


def test_a_name_that_no_size_has_is_refused(network: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no input has a size named 'seq'"):
        pipeline.compile(network, tmp_path / "m.plm", cases=[Case(dims={"seq": 4})])


def test_values_are_part_of_the_plan(tmp_path: Path, plm: Callable[..., Path]) -> None:
    programs = [
        replace(copies(rows=rows, sizes=1), metadata=dict(metadata(rows))) for rows in (2, 4)
    ]
    session = PlansRunnable(
        open_program(write_program(Plans.of(programs), tmp_path / "m.plm").path)
    )
    x = np.ones((4, 4), np.float32)
    assert session.run({"x": x, "n": np.array([4])})["y"].shape == (4, 4)
    with pytest.raises(PelemayError, match="no plan of the file"):
        session.run({"x": x, "n": np.array([2])})


def metadata(rows: int) -> dict[str, Any]:
    found = copies(rows=rows).metadata
    return {**found, "values": {"n": [rows]}}
