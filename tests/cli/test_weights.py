"""compile with weights that are stored narrower: what it says, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx.parser
import pytest
from onnx import numpy_helper

from pelemay import cache
from pelemay.backends.programs import ProgramRunnable
from pelemay.cli.losses import Loss
from pelemay.program.read import read_metadata
from pelemay.target import Target

Call = Callable[..., Any]

CLASSIFIER = """<ir_version: 8, opset_import: ["" : 17]>
classes (float[1, 3, 8, 8] x) => (float[1, 12] y) {
  a = Conv <pads = [1, 1, 1, 1]> (x, w)
  b = Relu(a)
  c = GlobalAveragePool(b)
  d = Flatten(c)
  y = Gemm <transB = 1> (d, v) }"""

WORDS = """<ir_version: 8, opset_import: ["" : 20]>
words (string[2] s, float[2, 3] x) => (bool[2] y, float[2, 2] z) {
  y = RegexFullMatch <pattern = "a+"> (s)
  z = MatMul(x, w) }"""


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PELEMAY_CACHE", str(tmp_path / "cache"))


def written(text: str, path: Path, **weights: tuple[int, ...]) -> Path:
    proto = onnx.parser.parse_model(text)
    random = np.random.default_rng(0)
    for name, shape in weights.items():
        values = random.normal(0, 1, shape).astype(np.float32)
        proto.graph.initializer.append(numpy_helper.from_array(values, name))
    path.write_bytes(proto.SerializeToString())
    return path


@pytest.fixture
def classifier(tmp_path: Path) -> Path:
    return written(CLASSIFIER, tmp_path / "classes.onnx", w=(64, 3, 3, 3), v=(12, 64))


@pytest.mark.parametrize(("weights", "error"), [("f16", 1e-3), ("bf16", 1e-2), ("int8", 3e-2)])
def test_what_is_saved_and_lost_is_said(
    pelemay: Call, classifier: Path, tmp_path: Path, weights: str, error: float
) -> None:
    plm = tmp_path / "a.plm"
    found = pelemay("compile", classifier, "-o", plm, "--weights", weights, "--json").json
    plain = pelemay("compile", classifier, "-o", tmp_path / "b.plm", "--json").json
    assert (found["weights"], plain["weights"]) == (weights, "f32")
    assert found["f32_file_bytes"] == plain["file_bytes"] > found["file_bytes"]
    assert "accuracy" not in plain
    lost = found["accuracy"]
    assert (lost["samples"], lost["inputs"]) == (16, "random")
    assert 0 < lost["outputs"]["y"]["mean"] < lost["outputs"]["y"]["largest"] < error
    assert lost["top_1"]["of"] == 16
    assert lost["top_1"]["agreed"] >= 12
    assert sorted(p.name for p in tmp_path.iterdir() if p.name.startswith(".")) == []
    assert read_metadata(plm)["weights"] == weights
    assert pelemay("check", plm).code == 0
    again = pelemay("compile", classifier, "-o", plm, "--weights", weights, "--json").json
    assert again["accuracy"] == lost


def test_it_is_printed(pelemay: Call, classifier: Path, tmp_path: Path) -> None:
    plm = tmp_path / "a.plm"
    out = pelemay("compile", classifier, "-o", plm, "--weights", "int8").out
    for text in ("weights as int8", "error of y", "16 random inputs", "same class first"):
        assert text in " ".join(out.split())
    out = pelemay("compile", classifier, "-o", plm, "--weights", "int8", "--no-samples").out
    assert "weights as int8" in out
    assert "error of y" not in out


@pytest.mark.parametrize("shape", [(5, 3, 8, 8), (5, 1, 3, 8, 8)])
def test_samples_of_a_file(
    pelemay: Call, classifier: Path, tmp_path: Path, shape: tuple[int, ...]
) -> None:
    x = np.random.default_rng(3).normal(0, 1, shape).astype(np.float32)
    np.savez(tmp_path / "x.npz", x=x)
    np.save(tmp_path / "x.npy", x)
    common = ("compile", classifier, "-o", tmp_path / "a.plm", "--weights", "int8", "--json")
    answers = [
        pelemay(*common, "--samples", tmp_path / name).json["accuracy"]
        for name in ("x.npz", "x.npy")
    ]
    assert answers[0] == answers[1]
    assert (answers[0]["samples"], answers[0]["inputs"]) == (5, "given")
    # What is said is what a run gives.
    pelemay("compile", classifier, "-o", tmp_path / "b.plm")
    programs = [ProgramRunnable(tmp_path / name) for name in ("b.plm", "a.plm")]
    rows = x.reshape(5, 1, 3, 8, 8)
    plain, narrow = ([p.run({"x": row})["y"] for row in rows] for p in programs)
    errors = [np.abs(a - b) / np.abs(a).max() for a, b in zip(plain, narrow, strict=True)]
    lost = answers[0]["outputs"]["y"]
    assert lost["largest"] == pytest.approx(np.max(errors), rel=1e-4)
    assert lost["mean"] == pytest.approx(np.mean(errors), rel=1e-4)
    agreed = sum(a.argmax() == b.argmax() for a, b in zip(plain, narrow, strict=True))
    assert answers[0]["top_1"] == {"agreed": agreed, "of": 5}


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"z": np.zeros((1, 3, 8, 8))}, r"arrays for \['z'\]; the inputs are \['x'\]"),
        ({"x": np.zeros((1, 3, 8, 9))}, r"'x' is \[1, 3, 8, 9\]; a sample of it is \[1, 3, 8, 8\]"),
    ],
)
def test_samples_that_do_not_fit(
    pelemay: Call, classifier: Path, tmp_path: Path, arrays: Any, message: str
) -> None:
    import re

    np.savez(tmp_path / "x.npz", **arrays)
    answer = pelemay(
        "compile", classifier, "-o", tmp_path / "a.plm", "--weights", "f16",
        "--samples", tmp_path / "x.npz",
    )  # fmt: skip
    assert answer.code != 0
    assert re.search(message, answer.err)
    assert not (tmp_path / "a.plm").exists()


def test_inputs_that_cannot_be_made_up(pelemay: Call, tmp_path: Path) -> None:
    model = written(WORDS, tmp_path / "words.onnx", w=(3, 2))
    command = ("compile", model, "-o", tmp_path / "a.plm", "--weights", "f16")
    found = pelemay(*command, "--json").json
    assert "'s' (string[2]) cannot be made up" in found["accuracy"]["reason"]
    assert "not measured" in pelemay(*command).out


def test_an_unknown_type(pelemay: Call, classifier: Path, tmp_path: Path) -> None:
    answer = pelemay("compile", classifier, "-o", tmp_path / "a.plm", "--weights", "int4")
    assert answer.code != 0
    assert "invalid choice: 'int4'" in answer.err


def test_the_cache_keeps_each_type(classifier: Path) -> None:
    paths = [cache.compiled(classifier, target=Target(weights=w)) for w in ("f32", "int8", "int8")]
    assert paths[0] != paths[1] == paths[2]
    assert read_metadata(paths[1])["weights"] == "int8"


def test_losses_of_other_values() -> None:
    loss = Loss()
    nan = float("nan")
    loss.add(np.array([nan, np.inf, 2.0]), np.array([nan, np.inf, 1.0]))
    assert (loss.largest, loss.mean) == (0.5, pytest.approx(1 / 6))
    loss.add(np.array([1, 2]), np.array([1, 3]))
    assert (loss.largest, loss.mean, loss.samples) == (1.0, pytest.approx(1 / 3), 2)
    for other in (np.array([1.0, nan]), np.array([1.0])):
        gone = Loss()
        gone.add(np.array([1.0, 2.0]), other)
        assert gone.largest == np.inf
    nothing = Loss()
    nothing.add(np.zeros((0, 3)), np.zeros((0, 3)))
    nothing.add(np.array(3.0), np.array(3.0))
    assert (nothing.largest, nothing.samples) == (0.0, 2)
