"""``InferenceSession`` answers as onnxruntime's does: one changed import line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx.parser
import pytest

import pelemay
import pelemay.pipeline
from pelemay.errors import InputError, ModelError

onnxruntime = pytest.importorskip("onnxruntime")

TEXT = """<ir_version: 8, opset_import: ["" : 17], producer_name: "tests",
  domain: "org.example", model_version: 3, doc_string: "what it is",
  metadata_props: ["author": "somebody"]>
scaled (float[batch, 3] x, int64[2] k, float[1] bias = {2})
  => (float[batch, 3] y, double[2] d, int64[1] n)
{
  y = Add(x, bias)
  d = Cast<to = 11>(k)
  n = Shape<start = 0, end = 1>(x)
}"""


@pytest.fixture(scope="module")
def model() -> bytes:
    return onnx.parser.parse_model(TEXT).SerializeToString()


@pytest.fixture(scope="module")
def pair(model: bytes) -> tuple[Any, Any]:
    theirs = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return pelemay.InferenceSession(model, providers=["CPUExecutionProvider"]), theirs


FEEDS = {"x": np.float32([[1, 2, 3], [4, 5, 6]]), "k": np.int64([7, 8])}


def test_run_gives_the_same(pair: tuple[Any, Any]) -> None:
    ours, theirs = pair
    for got, want in zip(ours.run(None, FEEDS), theirs.run(None, FEEDS), strict=True):
        assert got.dtype == want.dtype
        np.testing.assert_array_equal(got, want)


def test_outputs_come_in_the_order_asked_for(pair: tuple[Any, Any]) -> None:
    ours, theirs = pair
    for got, want in zip(ours.run(["n", "y"], FEEDS), theirs.run(["n", "y"], FEEDS), strict=True):
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("method", ["get_inputs", "get_outputs", "get_overridable_initializers"])
def test_arguments_are_described_alike(pair: tuple[Any, Any], method: str) -> None:
    ours, theirs = ([(a.name, a.type, a.shape) for a in getattr(s, method)()] for s in pair)
    assert ours == theirs


def test_an_initializer_that_is_also_an_input_can_be_fed(pair: tuple[Any, Any]) -> None:
    feeds = {**FEEDS, "bias": np.float32([100])}
    ours, theirs = (s.run(["y"], feeds)[0] for s in pair)
    np.testing.assert_array_equal(ours, theirs)


def test_metadata_is_the_same(pair: tuple[Any, Any]) -> None:
    ours, theirs = (s.get_modelmeta() for s in pair)
    for name in ("producer_name", "graph_name", "domain", "description", "version",
                 "graph_description", "custom_metadata_map"):  # fmt: skip
        assert getattr(ours, name) == getattr(theirs, name), name
    assert pair[0].get_providers() == pair[1].get_providers()


def test_options_are_taken(model: bytes) -> None:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    assert pelemay.InferenceSession(model, options).backend == "native"
    own = pelemay.SessionOptions(intra_op_num_threads=1)
    assert pelemay.InferenceSession(model, own, backend="onnxruntime").backend == "onnxruntime"


@pytest.mark.parametrize(
    ("feeds", "outputs", "message"),
    [
        ({"x": FEEDS["x"]}, None, "input 'k' is missing"),
        ({**FEEDS, "z": FEEDS["x"]}, None, "no input 'z'"),
        (
            {**FEEDS, "x": np.float64([[1, 2, 3]])},
            None,
            "is float32, but the array given is float64",
        ),
        ({**FEEDS, "x": np.float32([[1, 2]])}, None, r"float32\[batch, 3\].*\[1, 2\]"),
        ({**FEEDS, "x": np.float32([1, 2, 3])}, None, "float32"),
        (FEEDS, ["nothing"], "no output 'nothing'"),
    ],
)
def test_what_does_not_fit_is_refused(
    model: bytes, feeds: dict[str, Any], outputs: list[str] | None, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        pelemay.InferenceSession(model).run(outputs, feeds)


def test_lists_are_taken_as_arrays(model: bytes) -> None:
    (y,) = pelemay.InferenceSession(model).run(["y"], {"x": [[1, 2, 3]], "k": [1, 2]})
    np.testing.assert_array_equal(y, np.float32([[3, 4, 5]]))


def test_a_broken_model_is_a_model_error() -> None:
    with pytest.raises(ModelError):
        pelemay.InferenceSession(b"this is not a model")
    with pytest.raises(ModelError, match="no-such"):
        pelemay.InferenceSession("no-such.onnx")


def test_a_program_takes_no_feed_for_what_is_compiled_in(model: bytes, tmp_path: Path) -> None:
    source, program = tmp_path / "m.onnx", tmp_path / "m.plm"
    source.write_bytes(model)
    pelemay.pipeline.compile(source, program, shapes={"x": (2, 3)})
    session = pelemay.InferenceSession(program)
    assert session.get_overridable_initializers() == []
    with pytest.raises(InputError, match="there is no input 'bias'"):
        session.run(None, {**FEEDS, "bias": np.float32([5])})


RUN_OF_A_PROGRAM = """
import sys
import numpy as np
before = set(sys.modules)
from pelemay import InferenceSession
feeds = {"x": np.ones((2, 3), np.float32), "k": np.ones(2, np.int64)}
InferenceSession(sys.argv[1]).run(None, feeds)
print(*set(sys.modules) - before)
"""


def test_a_run_of_a_program_loads_little(model: bytes, tmp_path: Path) -> None:
    source, program = tmp_path / "m.onnx", tmp_path / "m.plm"
    source.write_bytes(model)
    pelemay.pipeline.compile(source, program, shapes={"x": (2, 3)})
    command = [sys.executable, "-c", RUN_OF_A_PROGRAM, program]
    loaded = set(subprocess.check_output(command, text=True).split())
    compiler = {f"pelemay.{room}" for room in ("importers", "passes", "plan", "program")}
    assert "pelemay.engine" in loaded
    assert not loaded & {"onnx", "ml_dtypes", "pathlib", "urllib.parse", *compiler}
