"""quantize: what it writes and says, and what is refused without leaving anything behind."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

pytest.importorskip("onnxruntime")

Call = Callable[..., Any]

CLASSIFIER = """<ir_version: 8, opset_import: ["" : 12]>
classes (float[N, 3, 16, 16] x) => (float[N, 12] y) {
  a = Conv <pads = [1, 1, 1, 1]> (x, w)
  b = Relu(a)
  c = GlobalAveragePool(b)
  d = Flatten(c)
  y = Gemm <transB = 1> (d, v) }"""


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PELEMAY_CACHE", str(tmp_path / "cache"))
    proto = onnx.parser.parse_model(CLASSIFIER)
    random = np.random.default_rng(0)
    for name, shape in (("w", (64, 3, 3, 3)), ("v", (12, 64))):
        values = random.normal(0, 1, shape).astype(np.float32)
        proto.graph.initializer.append(numpy_helper.from_array(values, name))
    path = tmp_path / "classes.onnx"
    path.write_bytes(proto.SerializeToString())
    return path


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    path = tmp_path / "samples.npz"
    np.savez(path, x=np.random.default_rng(1).normal(0, 1, (10, 3, 16, 16)).astype(np.float32))
    return path


def operations(path: Path) -> set[str]:
    return {node.op_type for node in onnx.load(path).graph.node}


def beside(path: Path) -> list[str]:
    return sorted(p.name for p in path.parent.iterdir() if p.name.startswith("."))


@pytest.mark.parametrize(
    ("options", "made"),
    [
        ([], "DequantizeLinear"),
        (["--per-channel", "--activation-type", "int8"], "DequantizeLinear"),
        (["--format", "qoperator", "--method", "percentile"], "QLinearConv"),
    ],
)
def test_calibrated(
    pelemay: Call, model: Path, samples: Path, tmp_path: Path, options: list[str], made: str
) -> None:
    target = tmp_path / "q.onnx"
    found = pelemay(
        "quantize", model, "-o", target, "--calibrate", samples, *options, "--json"
    ).json
    assert (found["calibrated_with"], found["accuracy"]["samples"]) == (8, 2)
    assert found["file_bytes"] == target.stat().st_size
    assert made in operations(target)
    assert 0 < found["accuracy"]["outputs"]["y"]["largest"] < 0.1
    assert found["accuracy"]["top_1"] == {"agreed": 2, "of": 2}
    assert beside(target) == []


def test_dynamic_is_said_for_people(pelemay: Call, model: Path, tmp_path: Path) -> None:
    target = tmp_path / "q.onnx"
    out = pelemay("quantize", model, "-o", target, "--dynamic", "--exclude", "none").out
    assert "MatMulInteger" in operations(target)
    for text in ("of the original", "error of y", "16 random inputs", "same class first"):
        assert text in " ".join(out.split())


def test_a_folder_of_pictures_and_arrays(pelemay: Call, model: Path, tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    folder, random = tmp_path / "pictures", np.random.default_rng(2)
    folder.mkdir()
    for number in range(4):
        pixels = random.integers(0, 256, (20, 24, 3), dtype=np.uint8)
        image.fromarray(pixels).save(folder / f"{number}.png")
    np.save(folder / "more.npy", random.normal(0, 1, (2, 3, 16, 16)).astype(np.float32))
    (folder / "README.txt").write_text("not a picture")
    target = tmp_path / "q.onnx"
    found = pelemay("quantize", model, "-o", target, "--calibrate", folder, "--json").json
    assert (found["calibrated_with"], found["accuracy"]["samples"]) == (5, 1)


def test_what_is_missing_is_said(pelemay: Call, model: Path, tmp_path: Path) -> None:
    target = tmp_path / "q.onnx"
    answer = pelemay("quantize", model, "-o", target)
    assert answer.code == 1
    assert "--calibrate" in answer.err
    (tmp_path / "empty").mkdir()
    answer = pelemay("quantize", model, "-o", target, "--calibrate", tmp_path / "empty")
    assert answer.code == 1
    assert "no file here is a picture or an array" in answer.err
    assert pelemay("quantize", model, "-o", tmp_path / "no" / "q.onnx", "--dynamic").code == 1
    assert not target.exists()


def test_without_onnxruntime(
    pelemay: Call, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime.quantization", None)
    answer = pelemay("quantize", model, "-o", tmp_path / "q.onnx", "--dynamic")
    assert answer.code == 1
    assert "pip install 'pelemay[onnxruntime]'" in answer.err


@pytest.mark.parametrize("way", ["--calibrate", "--dynamic"])
def test_weights_beside_a_large_model(
    pelemay: Call,
    model: Path,
    samples: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    way: str,
) -> None:
    monkeypatch.setattr("pelemay.cli.quantize.MOST_BYTES", 0)
    source, target = tmp_path / "large.onnx", tmp_path / "q.onnx"
    newer = onnx.version_converter.convert_version(onnx.load(model), 13)
    onnx.save(newer, source, save_as_external_data=True, location="large.bin")
    given = (way, samples) if way == "--calibrate" else (way,)
    found = pelemay("quantize", source, "-o", target, *given, "--json").json
    data = tmp_path / "q.onnx.data"
    assert found["file_bytes"] == target.stat().st_size + data.stat().st_size
    assert data.stat().st_mode == target.stat().st_mode
    weights = tmp_path / "large.bin"
    assert found["original_bytes"] == source.stat().st_size + weights.stat().st_size
    assert 0 < found["accuracy"]["outputs"]["y"]["largest"] < 0.1
    assert beside(target) == []
    refused = pelemay("quantize", model, "-o", tmp_path / "r.onnx", *given)
    assert "operator set 12 is too old for a model of more than 2 GB" in refused.err


def test_nothing_half_written(
    pelemay: Call, model: Path, samples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnxruntime.quantization as tool

    def fails(source: Any, target: Any, *rest: Any, **options: Any) -> None:
        Path(target).write_bytes(b"half")
        raise ValueError("no ranges")

    monkeypatch.setattr(tool, "quantize_static", fails)
    target = tmp_path / "q.onnx"
    answer = pelemay("quantize", model, "-o", target, "--calibrate", samples)
    assert answer.code == 1
    assert "onnxruntime's tool cannot quantize it: no ranges" in answer.err
    assert not target.exists()
    assert beside(target) == []
