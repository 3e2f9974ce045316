"""compile, check, inspect and cache: what they print of compiled programs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx.parser
import pytest

from pelemay.errors import InputError

Call = Callable[..., Any]

FALLING_BACK = """<ir_version: 8, opset_import: ["" : 20]>
words (string[2] s, float[n] x) => (bool[2] y, float[n] z) {
  y = RegexFullMatch <pattern = "a+"> (s)
  z = Relu(x) }"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PELEMAY_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def words(tmp_path: Path) -> Path:
    path = tmp_path / "words.onnx"
    path.write_bytes(onnx.parser.parse_model(FALLING_BACK).SerializeToString())
    return path


def test_compile_says_what_it_made(pelemay: Call, model: Path, tmp_path: Path) -> None:
    answer = pelemay("compile", model, "-o", tmp_path / "a.plm")
    assert answer.code == 0, answer.err
    for text in ("float32[1, 3]", "weights, mapped", "arena", "(100%)"):
        assert text in answer.out
    assert (tmp_path / "a.plm").is_file()


def test_compile_as_json(pelemay: Call, model: Path, tmp_path: Path) -> None:
    found = pelemay("compile", model, "-o", tmp_path / "a.plm", "--json").json
    assert found["file_bytes"] == (tmp_path / "a.plm").stat().st_size
    assert found["fallbacks"] == []
    assert found["nodes"] == found["native_nodes"] > 0
    assert found["inputs"] == {"x": "float32[1, 3]"}


def test_compile_writes_beside_you(
    pelemay: Call, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert pelemay("compile", model).code == 0
    assert (tmp_path / "small.plm").is_file()


def test_a_program_runs_as_a_model(pelemay: Call, model: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.float32([[1, -2, 3]]))
    pelemay("compile", model, "-o", tmp_path / "a.plm")
    outputs = []
    for which in (model, tmp_path / "a.plm"):
        answer = pelemay(
            "run", which, "--input", tmp_path / "x.npy", "--output", tmp_path / "y.npy"
        )
        assert answer.code == 0, answer.err
        outputs.append(np.load(tmp_path / "y.npy"))
    np.testing.assert_array_equal(outputs[0], outputs[1])


def test_fallbacks_are_listed_with_reasons(pelemay: Call, words: Path, tmp_path: Path) -> None:
    answer = pelemay("compile", words, "-o", tmp_path / "a.plm", "--shape", "x=5")
    assert answer.code == 0, answer.err
    assert "RegexFullMatch 'y'" in answer.out
    assert "compiled for x" in answer.out
    assert "1 of 2 (50%)" in answer.out
    inspected = pelemay("inspect", words, "--native", "--json").json["native"]
    assert [entry["node"] for entry in inspected["fallbacks"]] == ["RegexFullMatch 'y'"]
    assert "because" in pelemay("inspect", words, "--native").out


def test_no_fallback_refuses(pelemay: Call, words: Path, tmp_path: Path) -> None:
    answer = pelemay("compile", words, "-o", tmp_path / "a.plm", "--no-fallback")
    assert answer.code == 1
    assert "1 node has no instruction: RegexFullMatch 'y'" in answer.err
    assert not (tmp_path / "a.plm").exists()


@pytest.mark.parametrize(
    ("option", "text", "message"),
    [
        ("--shape", "x", "--shape: 'x' is not a name and a shape. write x=1x3x224x224"),
        ("--shape", "x=1xa", "is not a name and a shape"),
        ("--value", "x=[", "--value: 'x=[' is not a name and a value. write shape=[1,128]"),
        ("--shape", "z=1", "there is no input 'z'"),
        ("--value", "x=[1,2]", "input 'x' is float32[1, 3], which a shape of (2,) does not fit"),
    ],
)
def test_wrong_bindings_are_said(
    pelemay: Call, model: Path, tmp_path: Path, option: str, text: str, message: str
) -> None:
    answer = pelemay("compile", model, "-o", tmp_path / "a.plm", option, text)
    assert answer.code == 1
    assert message in answer.err


def test_a_name_may_hold_an_equals_sign() -> None:
    from pelemay.cases import shapes_of
    from pelemay.cli.compile import values_of

    assert shapes_of(["a=b=2x3"]) == {"a=b": (2, 3)}
    assert values_of(["a=[1]", 'b={"c": "=="}']) == {"a": [1], "b": {"c": "=="}}
    with pytest.raises(InputError):
        shapes_of(["=2x3"])


def test_check_says_that_it_is_fine(pelemay: Call, model: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.plm"
    pelemay("compile", model, "-o", path)
    answer = pelemay("check", path)
    assert answer.code == 0, answer.err
    assert "SHA-256" in answer.out
    found = pelemay("check", path, "--json").json
    assert (found["format"], found["file_bytes"]) == ("1.0", path.stat().st_size)


def test_check_says_what_is_damaged(pelemay: Call, model: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.plm"
    pelemay("compile", model, "-o", path)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    answer = pelemay("check", path)
    assert answer.code == 1
    assert answer.out == ""
    assert f"{path}: weights are damaged: 'w" in answer.err


def test_inspect_a_program(pelemay: Call, model: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.plm"
    pelemay("compile", model, "-o", path)
    shown = pelemay("inspect", path)
    assert shown.code == 0, shown.err
    assert "matmul" in shown.out
    listed = pelemay("inspect", path, "--text").out.splitlines()
    assert listed[0].lstrip().startswith("0 float32[1,2] @o0+0 = matmul(float32[1,3] @i0+0, ")
    found = pelemay("inspect", path, "--json", "--parameters").json
    assert found["opcodes"]["matmul"] == 1
    assert sum(block["bytes"] for block in found["block_list"]) <= found["weights_bytes"]


def test_cache(pelemay: Call, model: Path, cache: Path) -> None:
    assert pelemay("cache", "path").out.strip() == str(cache / "programs")
    assert pelemay("cache", "list", "--json").json["programs"] == []
    assert pelemay("run", model, "--random", "--backend", "native").code == 0
    listed = pelemay("cache", "list")
    assert "small.onnx" in listed.out
    assert "just now" in listed.out
    cleared = pelemay("cache", "clear")
    assert (cleared.code, "freed" in cleared.out) == (0, True)
    assert pelemay("cache", "list", "--json").json["bytes"] == 0


@pytest.mark.skipif(sys.platform == "win32", reason="sets a limit on the size of files")
def test_a_disk_that_is_full_leaves_nothing(model: Path, tmp_path: Path) -> None:
    code = """
import resource, sys
from pelemay.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
sys.exit(main(["compile", sys.argv[1], "-o", sys.argv[2]]))
"""
    target = tmp_path / "out" / "a.plm"
    target.parent.mkdir()
    command = [sys.executable, "-c", code, str(model), str(target)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr == f"pelemay: {target}: cannot be written: File too large\n"
    assert list(target.parent.iterdir()) == []


def test_a_run_says_that_it_compiles_first(model: Path, cache: Path) -> None:
    command = [sys.executable, "-m", "pelemay", "run", str(model), "--random"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert f"pelemay: {model}: compiling, once, into {cache / 'programs'}" in done.stderr


def test_a_file_of_several_plans_is_shown(pelemay: Call, tmp_path: Path) -> None:
    text = """<ir_version: 8, opset_import: ["" : 20]>
        g (float[n, m] x) => (float[n, m] y) { y = Relu(x) }"""
    (tmp_path / "m.onnx").write_bytes(onnx.parser.parse_model(text).SerializeToString())
    made = ["--dim", "n=1,2", "--dim", "m=3", "--and", "--shape", "x=4x5"]
    answer = pelemay("compile", tmp_path / "m.onnx", "-o", tmp_path / "m.plm", *made)
    for shown in (answer, *(pelemay(c, tmp_path / "m.plm") for c in ("inspect", "check"))):
        assert shown.code == 0, shown.err
        for shape in ("x [1, 3]", "x [2, 3]", "x [4, 5]"):
            assert shape in shown.out
    found = pelemay("inspect", tmp_path / "m.plm", "--json").json
    assert [plan["for"] for plan in found["plans"]] == ["x [1, 3]", "x [2, 3]", "x [4, 5]"]


def test_a_language_model_is_compiled_for_a_context(pelemay: Call, tmp_path: Path) -> None:
    from pelemay.models.standins.decoders import Sizes, genai

    path, program = tmp_path / "decoder.onnx", tmp_path / "decoder.plm"
    path.write_bytes(genai(Sizes(layers=1)).SerializeToString())
    options = ("--context", "64", "--prompt", "8", "-o", program)
    found = pelemay("compile", path, *options, "--json").json
    assert ["[1, 8]" in plan["for"] for plan in found["plans"]] == [True, False]
    assert pelemay("check", program).code == 0
    answer = pelemay("compile", path, *options, "--dim", "batch_size=2")
    assert answer.code != 0
    assert "leave out --shape, --dim and --value" in answer.err
