"""``pelemay-run`` on a file of several plans: the one for the arrays that are given."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pelemay.graph import DType
from pelemay.program import Instruction, Program, Space, Tensor
from pelemay.program.plans import Plans
from pelemay.program.program import Field, Form
from pelemay.program.write import write_program
from support.run_tool import TOOL, refused, run

pytestmark = pytest.mark.skipif(TOOL is None, reason="pelemay-run is not built")


def copied(rows: int, sizes: int = 1) -> Program:
    """y = x for so many rows of 4; with sizes, for 2, 4, ... of them."""
    ends = ((Space.INPUT, "x"), (Space.OUTPUT, "y"))
    tensors = tuple(Tensor(DType.FLOAT32, (rows, 4), (4, 1), s, name=name) for s, name in ends)
    names = {"program_inputs": ["x"], "program_outputs": ["y"], "tail": None}
    call = Instruction("copy", (0,), (1,))
    forms = tuple(Form(Field.DIM, row, 0, (2, 2, 0)) for row in range(2 if sizes > 1 else 0))
    return Program(0, tensors, (call,), (0,), (1,), (), names, sizes, forms)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write_program(Plans.of([copied(6, 3), copied(5)]), tmp_path / "m.plm").path


@pytest.mark.parametrize("rows", [2, 4, 5, 6])
def test_the_plan_for_the_input_runs(file: Path, rows: int) -> None:
    x = np.arange(rows * 4, dtype=np.float32).reshape(rows, 4)
    np.save(file.with_name("x.npy"), x)
    done = run(file, "--input", "x.npy", "--output", "y.npy", cwd=file.parent)
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(np.load(file.with_name("y.npy")), x)


def test_without_one_it_says_which_there_are(file: Path) -> None:
    np.save(file.with_name("x.npy"), np.zeros((3, 4), np.float32))
    said = refused(file, "--input", "x.npy", "--output", "y.npy", cwd=file.parent)
    assert "it has x float32[6, 4], the largest of 3 sizes; x float32[5, 4]" in said


def test_they_are_listed(file: Path) -> None:
    done = run(file, "--info", "--verify")
    assert done.returncode == 0, done.stderr
    assert "plans    x float32[6, 4], the largest of 3 sizes, arena 0" in done.stdout
