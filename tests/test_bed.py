"""A few models of the test bed, made and judged as ``benchmarks/bed`` does it.

The whole bed takes packages that the tests do not have, and an hour.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

BED = Path(__file__).parents[1] / "benchmarks" / "bed"

CHOSEN = (
    ("tiny", "tiny_resnet8.torchscript"),
    ("tiny", "tiny_autoencoder.torchscript"),
    ("sequences", "lstm_tagger.torchscript"),
    ("sequences", "wavenet_like.torchscript"),
    ("sequences", "transformer_encoder.torchscript"),
    ("graphs", "gcn.torchscript"),
    ("detection", "yolov10_like.torchscript"),
    ("classical", "gradient_boosting_classifier.sklearn"),
    ("classical", "random_forest_large.sklearn"),
    ("classical", "hist_gradient_boosting_classifier.sklearn"),
)
NEEDS = {"classical": ("sklearn", "skl2onnx")}


@pytest.fixture(scope="module", autouse=True)
def _bed_is_found() -> Iterator[None]:
    """Its modules are those of a script: they are imported by their plain names."""
    before = set(sys.modules)
    sys.path.insert(0, str(BED))
    yield
    sys.path.remove(str(BED))
    for name in set(sys.modules) - before:
        if str(BED) in (getattr(sys.modules[name], "__file__", None) or ""):
            del sys.modules[name]


@pytest.mark.parametrize(("source", "name"), CHOSEN, ids=[name for _, name in CHOSEN])
@pytest.mark.filterwarnings("ignore")
def test_agrees_with_onnxruntime(source: str, name: str, tmp_path: Path) -> None:
    for package in ("onnxruntime", *NEEDS.get(source, ("torch",))):
        pytest.importorskip(package)
    from pelemay import InferenceSession

    judging = import_module("judging")
    (entry,) = (e for e in import_module(source).entries() if e.name == name)
    path = tmp_path / f"{name}.onnx"
    feeds = entry.write(path)
    expected = judging.oracle(path).run(None, feeds)
    session = InferenceSession(path, threads=1)
    found = session.run(None, feeds)
    assert max(map(judging.difference, found, expected)) <= entry.tolerance
    assert any(_says_something(y) for y in expected), "the same everywhere: it tests little"


def _says_something(y: Any) -> bool:
    """Whether an output is not the same everywhere; classifiers give a dictionary for each row."""
    if isinstance(y, list):
        y = np.array([list(row.values()) for row in y])
    return y.dtype.kind == "f" and bool(np.ptp(y))


def gap(ours: Any, theirs: Any) -> float:
    return float(import_module("judging").difference(ours, theirs))


def test_differences_are_seen() -> None:
    y = np.array([1.0, -4.0], np.float32)
    assert gap(y, y) == 0
    assert gap(y + np.float32(0.4), y) == pytest.approx(0.1)
    assert gap(np.array([np.nan, -4.0], np.float32), y) == np.inf
    assert gap(y[:1], y) == np.inf
    assert gap(y.astype(np.int64), y) == np.inf
    assert gap(np.array([1, 2]), np.array([1, 3])) == 1
    assert gap([{"a": 1.0}], [{"b": 1.0}]) == np.inf
    assert gap([{"a": 1.0}], [{"a": 2.0}]) == pytest.approx(0.5)
