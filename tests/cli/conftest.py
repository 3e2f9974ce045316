"""A small model file, and a way to call the command in this process."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx.parser
import pytest
from onnx import numpy_helper

from pelemay.cli import main

TEXT = """<ir_version: 8, opset_import: ["" : 17], producer_name: "tests">
small (float[1, 3] x) => (float[1, 2] y) { h = MatMul(x, w)
  y = Relu(h) }"""


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    proto = onnx.parser.parse_model(TEXT)
    weights = np.arange(6, dtype=np.float32).reshape(3, 2)
    proto.graph.initializer.append(numpy_helper.from_array(weights, "w"))
    path = tmp_path_factory.mktemp("cli") / "small.onnx"
    path.write_bytes(proto.SerializeToString())
    return path


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def pelemay(capsys: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    def call(*arguments: object) -> Answer:
        capsys.readouterr()
        try:
            code = main([str(a) for a in arguments])
        except SystemExit as stop:
            code = int(stop.code or 0)
        captured = capsys.readouterr()
        return Answer(code, captured.out, captured.err)

    return call
