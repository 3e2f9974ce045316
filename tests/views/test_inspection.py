"""What is said of a model: products, parameters, what the engine runs, what is odd."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import pytest
from onnx import numpy_helper

import pelemay
from pelemay.cli import main
from pelemay.errors import BackendUnavailableError, InputError
from pelemay.graph import DType, Graph, Node, TensorType
from pelemay.importers.model import from_proto
from pelemay.views import Inspection, inspect
from pelemay.views.macs import macs
from support.pictured import CHANNELS, IMAGE


@pytest.fixture(scope="module")
def inspection(model_file: Path) -> Inspection:
    return inspect(model_file)


def text_model(body: str, opset: int = 17, **weights: Any) -> pelemay.Model:
    proto = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : {opset}]> {body}')
    for name, value in weights.items():
        proto.graph.initializer.append(numpy_helper.from_array(value, name))
    return from_proto(proto)


def warnings(model: pelemay.Model) -> str:
    return "\n".join(inspect(model).findings["warnings"])


def test_layers_have_products_parameters_and_results(inspection: Inspection) -> None:
    layers = {layer["name"]: layer for layer in inspection.layers}
    inner = layers["/body/block/inner"]
    assert inner["macs"] == IMAGE * IMAGE * CHANNELS * CHANNELS * 9
    assert inner["parameters"] == CHANNELS * CHANNELS * 9
    assert inner["bytes"] == 4 * inner["parameters"]
    assert inner["result"] == f"float32[1, {CHANNELS}, {IMAGE}, {IMAGE}]"
    assert layers["/head/fc"]["macs"] == 2048 * 100
    assert inspection.findings["macs"] == sum(layer["macs"] for layer in inspection.layers)
    assert "million multiply-accumulates" in inspection.finding
    assert "the engine runs all of them itself" in inspection.finding


@pytest.mark.parametrize(
    ("op", "shapes", "result", "attributes", "expected"),
    [
        ("Conv", [(2, 6, 8, 8), (4, 3, 3, 3)], (2, 4, 6, 6), {"group": 2}, 2 * 4 * 36 * 27),
        ("ConvTranspose", [(1, 6, 8, 8), (6, 4, 2, 2)], (1, 4, 16, 16), {}, 6 * 64 * 16),
        ("QLinearConv", [(1, 3, 8, 8), (), (), (4, 3, 1, 1)], (1, 4, 8, 8), {}, 4 * 64 * 3),
        ("MatMul", [(5, 2, 3), (3, 7)], (5, 2, 7), {}, 5 * 2 * 7 * 3),
        ("Gemm", [(3, 2), (3, 7)], (2, 7), {"transA": 1}, 2 * 7 * 3),
        ("LSTM", [(9, 2, 3), (1, 20, 3), (1, 20, 5)], (9, 1, 2, 5), {}, 18 * (60 + 100)),
        ("Einsum", [(2, 3), (3, 4)], (2, 4), {"equation": "ij, jk -> ik"}, 24),
        ("Relu", [(2, 3)], (2, 3), {}, 0),
        ("MatMul", [(None, 3), (3, 7)], (None, 7), {}, 0),
    ],
)
def test_products_are_counted(
    op: str, shapes: Sequence[Any], result: Any, attributes: dict[str, Any], expected: int
) -> None:
    inputs = {f"x{i}": TensorType(DType.FLOAT32, shape) for i, shape in enumerate(shapes)}
    node = Node(op, tuple(inputs), ("y",), attributes)
    graph = Graph("g", inputs, {"y": TensorType(DType.FLOAT32, result)}, (node,))
    assert macs(graph, node) == expected


def test_old_forms_and_open_sizes_are_told_of() -> None:
    told = warnings(text_model("g (float[n, 3] x) => (float[n, 3] y) { y = Relu(x) }", 7))
    assert "operator set 7 is old" in told
    assert "the size of 'x' is open" in told


def test_what_the_engine_does_not_run_is_told_of() -> None:
    told = warnings(
        text_model('g (string[2] x) => (bool[2] y) { y = RegexFullMatch<pattern="a">(x) }', 20)
    )
    assert "RegexFullMatch" in told


def test_wide_large_and_unused_weights_are_told_of() -> None:
    model = text_model(
        "g (double[2] x) => (double[2] y) { y = Add(x, w) }",
        w=np.ones(2),
        idle=np.ones((3 << 20,), np.float64),
    )
    told = warnings(model)
    assert "float64 takes twice the memory" in told
    assert "'idle' alone takes 25.2 MB, 100%" in told
    assert "nothing reads 'idle'" in told


def test_nothing_is_odd_about_a_plain_network(inspection: Inspection) -> None:
    assert inspection.findings["warnings"] == []


def test_shapes_are_given(model_file: Path) -> None:
    model = text_model(
        "g (float[n, 3] x) => (float[n, 2] y) { y = MatMul(x, w) }", w=np.ones((3, 2), np.float32)
    )
    assert inspect(model, {"x": (5, 3)}).layers[0]["macs"] == 30
    with pytest.raises(InputError):
        inspect(model, {"x": (5, 4)})


def test_the_command_prints_and_writes(
    model_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", str(model_file), "--layers"]) == 0
    said = capsys.readouterr().out
    for text in ("/head/flat", "multiply-accumulates", "native nodes", "589,824"):
        assert text in said
    page = tmp_path / "net.html"
    assert main(["inspect", str(model_file), "--html", str(page), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["page"] == str(page)
    assert len(found["layers"]) == 7
    assert page.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_a_program_is_not_drawn(
    model_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "net.plm"
    assert main(["compile", str(model_file), "-o", str(program)]) == 0
    assert main(["inspect", str(program), "--html", str(tmp_path / "net.html")]) == 1
    assert "no graph to draw" in capsys.readouterr().err


def test_a_notebook_shows_the_page(inspection: Inspection) -> None:
    assert (inspection._repr_html_() or "").startswith("<iframe srcdoc=")
    assert repr(inspection) == "<Inspection of net: 7 nodes>"


def test_without_the_layout_library_it_says_so(
    inspection: Inspection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "igraph", None)
    with pytest.raises(BackendUnavailableError, match=r"pelemay\[pages\]"):
        inspection.html()
    assert inspection._repr_html_() is None
