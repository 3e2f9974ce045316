"""The command line, as a user meets it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pelemay.cli import COMMANDS
from support.suites import fixed_suite

Call = Callable[..., Any]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_examples(pelemay: Call, command: str) -> None:
    answer = pelemay(command, "--help")
    assert answer.code == 0
    assert f"examples:\n  pelemay {command}" in answer.out


def test_help_loads_neither_numpy_nor_rich() -> None:
    code = """
import sys
from pelemay.cli import main
try:
    main(["--help"])
except SystemExit:
    pass
heavy = {"numpy", "onnx", "rich", "pooch", "PIL", "memray", "asyncio"} & set(sys.modules)
sys.exit(f"loaded: {heavy}" if heavy else 0)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "exit codes" in done.stdout


def test_a_run_under_a_limit_loads_what_it_needs(
    pelemay: Call, model: Path, tmp_path: Path
) -> None:
    """Each of these takes 1 MiB or more of what was allowed for the network."""
    program, x = tmp_path / "small.plm", tmp_path / "x.npy"
    np.save(x, np.ones((1, 3), np.float32))
    assert pelemay("compile", model, "-o", program).code == 0
    code = f"""
import sys
from pelemay.cli import main
code = main(["run", {str(program)!r}, "--input", {str(x)!r}, "--memory-limit", "64MiB"])
heavy = {{"onnx", "rich", "pooch", "PIL", "ml_dtypes", "numpy.random"}} & set(sys.modules)
sys.exit(f"loaded: {{heavy}}" if heavy else code)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "float32[1, 2]" in done.stdout


def test_wrong_usage_is_exit_code_2(pelemay: Call) -> None:
    assert pelemay("no-such-command").code == 2
    assert pelemay().code == 2
    assert pelemay("run").code == 2


def test_run_on_arrays(pelemay: Call, model: Path, tmp_path: Path) -> None:
    x = np.float32([[1, -2, 3]])
    np.save(tmp_path / "x.npy", x)
    answer = pelemay(
        "run", model, "--input", f"x={tmp_path / 'x.npy'}", "--output", tmp_path / "y.npy"
    )
    assert answer.code == 0, answer.err
    expected = np.maximum(x @ np.arange(6, dtype=np.float32).reshape(3, 2), 0)
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), expected)
    assert [f.name for f in tmp_path.iterdir() if f.name.startswith(".")] == []


def test_run_on_npz_writes_npz(pelemay: Call, model: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "in.npz", x=np.ones((1, 3), np.float32))
    answer = pelemay("run", model, "--input", tmp_path / "in.npz", "--output", tmp_path / "o.npz")
    assert answer.code == 0, answer.err
    np.testing.assert_array_equal(np.load(tmp_path / "o.npz")["y"], np.float32([[6, 9]]))


def test_run_json(pelemay: Call, model: Path) -> None:
    answer = pelemay("run", model, "--random", "--json")
    assert answer.code == 0, answer.err
    assert np.shape(answer.json["outputs"]["y"]) == (1, 2)
    assert answer.json["backend"] == "native"


def test_log_ops_names_each_operation(pelemay: Call, model: Path) -> None:
    records = pelemay("run", model, "--random", "--log-ops", "--json").json["operations"]
    assert [r["operation"] for r in records] == ["MatMul", "Relu"]
    assert all(r["time_ns"] > 0 and r["output_bytes"] == 8 for r in records)
    assert "MatMul" in pelemay("run", model, "--random", "--log-ops").out


def test_log_ops_with_a_backend_that_has_none(pelemay: Call, model: Path) -> None:
    pytest.importorskip("onnxruntime")
    answer = pelemay("run", model, "--random", "--log-ops", "--backend", "onnxruntime")
    assert answer.code == 1
    assert "onnxruntime" in answer.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "nothing was given for 'x' (float32[1, 3])"),
        (("--input", "no-such.npy"), "no-such.npy"),
        (("--input", "y=no-such.npy"), "there is no input 'y'; allowed: x"),
        (("--random", "--output", "y.txt"), ".npy or .npz"),
        (("--random", "--backend", "onnxrutime"), "onnxruntime"),
        (("--random", "--threads", "0"), "at least 1"),
    ],
)
def test_run_says_what_is_wrong(
    pelemay: Call, model: Path, arguments: tuple[str, ...], message: str
) -> None:
    answer = pelemay("run", model, *arguments)
    assert answer.code == 1
    assert message in answer.err
    assert "Traceback" not in answer.err


def test_run_refuses_a_pickle(pelemay: Call, model: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "bad.npy", np.array([object()]), allow_pickle=True)
    answer = pelemay("run", model, "--input", tmp_path / "bad.npy")
    assert answer.code == 1
    assert "plain arrays" in answer.err


@pytest.mark.parametrize("text", ["no-such.onnx", "resnet999"])
def test_a_missing_model_is_named(pelemay: Call, text: str) -> None:
    answer = pelemay("inspect", text)
    assert answer.code == 1
    assert f"{text}: there is no such file" in answer.err


def test_a_broken_model_is_one_line(pelemay: Call, tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"\x0a\xff\xff\xff")
    answer = pelemay("inspect", broken)
    assert answer.code == 1
    assert answer.err.startswith(f"pelemay: {broken}")
    assert answer.err.count("\n") == 1


def test_inspect(pelemay: Call, model: Path) -> None:
    found = pelemay("inspect", model, "--json", "--parameters").json
    assert found["inputs"] == {"x": "float32[1, 3]"}
    assert found["parameter_bytes"] == 24
    assert found["parameter_list"][0]["shape"] == [3, 2]
    assert [o["operation"] for o in found["operations"]] == ["MatMul", "Relu"]
    assert all(o["runs_on"] == "operation table" for o in found["operations"])
    assert "MatMul" in pelemay("inspect", model).out


def test_inspect_text_parses(pelemay: Call, model: Path) -> None:
    import pelemay as package
    from pelemay.graph.text import from_text

    text = pelemay("inspect", model, "--text").out
    graph = from_text(text, package.load(model).graph.constants)
    assert [node.op for node in graph.nodes] == ["MatMul", "Relu"]


def test_models_list(pelemay: Call) -> None:
    rows = pelemay("models", "list", "--json").json
    names = [row["name"] for row in rows]
    assert names[:3] == ["cats_v_dogs", "cat_dog_breeds", "resnet101-v1-7"]
    assert "resnet101-v1-7" in pelemay("models", "list").out


def test_models_list_tells_a_stand_in_from_an_original(
    pelemay: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PELEMAY_CACHE", str(tmp_path))
    assert pelemay("models", "get", "--stand-in", "squeezenet1.1-7").code == 0
    found = {row["name"]: row["here"] for row in pelemay("models", "list", "--json").json}
    assert found["squeezenet1.1-7"] == "stand-in"
    assert found["vit_tiny"] is None


def test_a_stand_in_is_told_of_once_and_plainly(
    pelemay: Call,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("PELEMAY_CACHE", str(tmp_path))
    monkeypatch.setenv("PELEMAY_OFFLINE", "1")
    asked = pelemay("models", "get", "--stand-in", "squeezenet1.1-7").err
    assert asked.splitlines() == [
        "pelemay: squeezenet1.1-7 is a stand-in: the same architecture, random weights"
    ]
    assert not caplog.records
    in_vain = pelemay("models", "get", "squeezenet1.1-7").err
    assert "is a stand-in" not in in_vain
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_models_path_of_what_is_not_there(
    pelemay: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PELEMAY_CACHE", str(tmp_path))
    answer = pelemay("models", "path", "squeezenet1.1-7")
    assert (answer.code, answer.out) == (1, "")
    assert "pelemay models get squeezenet1.1-7" in answer.err


def test_doctor(pelemay: Call) -> None:
    found = pelemay("doctor", "--json").json
    assert found["backends"]["reference"]["available"] is True
    assert found["packages"]["numpy"] == np.__version__
    assert "reference" in pelemay("doctor").out


def test_output_into_a_closed_pipe_is_quiet(model: Path) -> None:
    done = subprocess.run(
        f"{sys.executable} -m pelemay inspect {model} --json | head -c 1",
        shell=True, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr


def test_interrupt_is_130_and_leaves_nothing(model: Path, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "pelemay", "bench", str(model), "--backends", "reference",
         "--time", "60", "--save", "cut", "--results", str(tmp_path)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    time.sleep(4)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert "interrupted" in err
    assert list(tmp_path.iterdir()) == []
    children = subprocess.run(
        ["ps", "-o", "pid=", "-s", str(process.pid)], capture_output=True, text=True, check=False
    )
    assert children.stdout.strip() == ""


def test_bench_prints_json(pelemay: Call, model: Path, tmp_path: Path) -> None:
    answer = pelemay(
        "bench", model, "--backends", "reference,onnx", "--jobs", "import", "--warmup", "0",
        "--time", "0.1", "--memory-time", "0.1", "--json", "--html", tmp_path / "report.html",
    )  # fmt: skip
    assert answer.code == 0, answer.err
    suite = json.loads(answer.out)
    labels = {r["scenario"]["backend"] for r in suite["results"]}
    assert labels == {"reference", "onnx"}
    assert all(result["timeline"]["at_us"] for result in suite["results"])
    assert "Memory over time" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize(
    "arguments",
    [("--save", "x", "--results", "FILE/in"), ("--svg", "FILE/in.svg"), ("--html", "FILE/in.html")],
)
def test_bench_refuses_places_before_it_measures(
    pelemay: Call, model: Path, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    (tmp_path / "file").write_text("")
    places = [a.replace("FILE", str(tmp_path / "file")) for a in arguments]
    answer = pelemay("bench", model, "--backends", "reference", *places)
    assert (answer.code, answer.out) == (1, "")
    assert answer.err.startswith(f"pelemay: {tmp_path / 'file'}")
    assert "cannot be written" in answer.err


def test_report_shows_saved_figures_and_what_changed(pelemay: Call, tmp_path: Path) -> None:
    suite = fixed_suite()
    files = [suite.save(tmp_path / f"{tag}.json", tag) for tag in ("before", "after")]
    alone = pelemay("report", files[0])
    assert alone.code == 0
    assert "7,200x less" in " ".join(alone.out.split())
    both = pelemay("report", *files)
    assert "No difference from before is seen" in both.out
    changes = json.loads(pelemay("report", *files, "--json").out)[0]["changes"]
    assert {change["verdict"] for change in changes} == {"no difference seen", "not tested"}
    page = tmp_path / "report.html"
    written = pelemay("report", *files, "--html", page)
    assert (written.code, written.out) == (0, "")
    assert "Since before" in page.read_text()
    missing = pelemay("report", tmp_path / "nothing.json")
    assert (missing.code, missing.out) == (1, "")
