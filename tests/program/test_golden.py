"""Files that earlier versions wrote: they still open, are still whole, and give what they gave."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pelemay.backends.programs import ProgramRunnable
from pelemay.engine import native
from pelemay.program.layout import MAJOR, MINOR
from pelemay.program.read import read_program, verify
from support.networks import MAKERS

GOLDEN = Path(__file__).parent / "golden"
FOLDERS = sorted(path for path in GOLDEN.iterdir() if (path / "numbers.json").is_file())
FILES = [path for folder in FOLDERS for path in sorted(folder.glob("*.plm"))]
HOW = "golden files are made by 'python tests/program/golden/make.py', until the first release"


def name_of(path: Path) -> str:
    return str(path.relative_to(GOLDEN))


def test_this_version_has_golden_files() -> None:
    made = {path.stem for path in (GOLDEN / f"{MAJOR}.{MINOR}").glob("*.plm")}
    assert made == {make.__name__ for make in MAKERS}, HOW


@pytest.mark.parametrize("folder", FOLDERS, ids=name_of)
def test_numbers_are_only_appended_to(folder: Path) -> None:
    for kind, before in json.loads((folder / "numbers.json").read_text()).items():
        now = list(getattr(native(), kind.upper()))
        assert now[: len(before)] == before, f"{kind} have moved; {HOW}"


@pytest.mark.parametrize("path", FILES, ids=name_of)
@pytest.mark.filterwarnings("ignore:Casting complex values")
def test_a_golden_file_gives_what_it_gave(path: Path) -> None:
    verify(path)
    assert read_program(path).metadata["producer"].startswith("pelemay ")
    arrays = dict(np.load(path.with_suffix(".npz")))
    feeds = {n.removeprefix("in:"): x for n, x in arrays.items() if n.startswith("in:")}
    expected = {n.removeprefix("out:"): y for n, y in arrays.items() if n.startswith("out:")}
    found = ProgramRunnable(path, threads=2).run(feeds, list(expected))
    for name, value in expected.items():
        assert found[name].dtype == value.dtype
        # Another machine's vectors add in another order.
        np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-5)
