from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from pelemay.bench.inputs import encoding_of_model, make_feeds
from pelemay.bench.pre_check import ask, compare, compare_arrays, compare_digests
from pelemay.bench.results import Check
from pelemay.errors import UnsupportedError
from pelemay.graph.dtypes import DType


def _checks(spec: Any, tmp_path: Path, *fakes: str) -> dict[tuple[str, str], Check]:
    checks = []
    for part in ("outputs", "parameters"):
        replies = {
            f"fakes:{fake}": ask(
                spec(fake, outputs=str(tmp_path / f"{fake}.npz")), part=part, timeout_s=30
            )
            for fake in fakes
        }
        checks += compare("net", part, replies)
    assert {check.model for check in checks} == {"net"}
    return {(check.backend.removeprefix("fakes:"), check.part): check for check in checks}


def test_a_wrong_answer_is_found(spec: Any, tmp_path: Path) -> None:
    checks = _checks(spec, tmp_path, "Plain", "Sleepy", "Wrong", "Raising", "Missing")
    assert checks["Plain", "outputs"].status == checks["Sleepy", "outputs"].status == "ok"
    assert checks["Sleepy", "outputs"].deviation == 0.0
    wrong = checks["Wrong", "outputs"]
    assert wrong.status == "wrong"
    assert "unlike fakes:Plain: output 'y' differs by 0.1" in wrong.message
    assert wrong.deviation == pytest.approx(0.05)
    assert checks["Wrong", "parameters"].message == "unlike fakes:Plain: different: w"
    assert checks["Raising", "outputs"].status == "error"
    assert checks["Raising", "parameters"].status == "unsupported"
    assert checks["Missing", "outputs"].status == "unavailable"


def test_a_crash_is_told_for_its_part(spec: Any, tmp_path: Path) -> None:
    checks = _checks(spec, tmp_path, "Crashing")
    assert [check.status for check in checks.values()] == ["ok", "crashed"]


def test_other_names_excuse_a_backend(spec: Any, tmp_path: Path) -> None:
    checks = _checks(spec, tmp_path, "Renaming", "Plain", "Wrong")
    assert checks["Renaming", "parameters"].status == "ok"
    assert "not compared" in checks["Renaming", "parameters"].message
    assert checks["Plain", "parameters"].status == "ok"
    assert checks["Wrong", "parameters"].status == "wrong"


@given(st.floats(0.1, 1e6), st.floats(0, 1))
def test_tolerance_is_relative_to_the_value_and_to_the_largest(scale: float, share: float) -> None:
    expected = np.array([scale, scale * share])
    near = expected * 1.0009
    assert compare_arrays({"y": near}, {"y": expected})[0] == ""
    far = expected + np.array([0.0, 0.0012 * scale])
    assert compare_arrays({"y": far}, {"y": expected})[0] != ""


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"z": np.ones(2)}, "its outputs are ['z'], not ['y']"),
        ({"y": np.ones(3)}, "is float64[3], not float64[2]"),
        ({"y": np.ones(2, np.float32)}, "is float32[2], not float64[2]"),
        ({"y": np.array([1.0, np.nan])}, "differs"),
    ],
)
def test_differences_are_told(found: dict[str, Any], said: str) -> None:
    assert said in compare_arrays(found, {"y": np.ones(2)})[0]


def test_integers_are_equal_or_wrong() -> None:
    assert compare_arrays({"y": np.array([1, 2])}, {"y": np.array([1, 2])}) == ("", 0.0)
    assert compare_arrays({"y": np.array([1, 3])}, {"y": np.array([1, 2])})[0]


def test_many_names_are_cut_short() -> None:
    said = compare_digests({}, dict.fromkeys("abcde", "0"))
    assert said == "missing: a, b, c and 2 more"


def _value(dtype: str, *shape: Any) -> Any:
    return SimpleNamespace(name=dtype, dtype=DType(dtype), shape=shape)


def test_inputs_are_seeded_and_of_the_kind_asked_for() -> None:
    asked = [
        _value("float32", 2, "n"),
        _value("int64", 50),
        _value("bool", None),
        _value("float16"),
    ]
    first, again, other = (make_feeds(asked, seed) for seed in (1, 1, 2))
    assert first["float32"].shape == (2, 1)
    assert first["float16"].shape == ()
    assert all(first[name].dtype.name == name for name in first)
    assert set(first["int64"]) <= set(range(10))
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not np.array_equal(first["int64"], other["int64"])


def test_an_input_that_cannot_be_made_up() -> None:
    with pytest.raises(UnsupportedError, match="input 'string'"):
        make_feeds([_value("string", 1)], 0)


def test_the_encoding_is_that_of_the_largest_parameter(tmp_path: Path) -> None:
    typed = helper.make_tensor("large", TensorProto.FLOAT, [100], [0.5] * 100)
    raw = numpy_helper.from_array(np.ones(10, np.float32), "small")
    path = tmp_path / "net.onnx"
    graph = helper.make_graph([], "net", [], [], [raw, typed])
    path.write_bytes(helper.make_model(graph).SerializeToString())
    assert encoding_of_model(path) == "float_data"
    path.write_bytes(b"no model")
    assert encoding_of_model(path) == ""
