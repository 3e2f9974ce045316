"""An ONNX file, or its external data, that becomes shorter while it is in use: an error."""

from __future__ import annotations

import json
import os
import signal
import textwrap
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pelemay import load, pipeline
from pelemay.backends import get
from pelemay.errors import ExecutionError, PelemayError
from support.files import chain_file, chain_model
from support.processes import python

GONE = "the file was changed while it was in use"
CUTTING = Path(__file__).parent / "cutting"
WIDTH = 384
PAGE = os.sysconf("SC_PAGESIZE")

LOADED = "pelemay.importers.model:_model"
GRAPH = "pelemay.importers.convert:to_graph"
PLANNED = "pelemay.compilation:planned"
BLOCK = "pelemay.program.write:_write_block"
OPERATION = "pelemay.graph.evaluate:Table.run"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model with a few MiB of weights in it."""
    return chain_model(tmp_path / "m.onnx")


@pytest.fixture
def beside(tmp_path: Path) -> Path:
    """One whose weights lie in ``m.bin``."""
    return chain_model(tmp_path / "m.onnx", external="m.bin")


def pelemay(folder: Path, after: str, cut: str, *arguments: str) -> Any:
    """The command in ``folder``, whose file is cut to a page when that function has returned."""
    when = json.dumps({"path": str(folder / cut), "size": PAGE, "after": after})
    words = [word.replace("DIR", str(folder)) for word in arguments]
    paths = os.pathsep.join([str(CUTTING), os.environ.get("PYTHONPATH", "")])
    cache = str(folder / "cache")
    return python("-m", "pelemay.cli", *words, CUT=when, PYTHONPATH=paths, PELEMAY_CACHE=cache)


RUN = ("run", "DIR/m.onnx", "--random", "--output", "DIR/y.npy", "--backend")
COMPILE = ("compile", "DIR/m.onnx", "-o", "DIR/m.plm")
COMMANDS = [
    (LOADED, "m.onnx", ("inspect", "DIR/m.onnx")),
    (GRAPH, "m.bin", ("inspect", "DIR/m.onnx", "--json")),
    (GRAPH, "m.onnx", ("plan", "DIR/m.onnx")),
    (PLANNED, "m.bin", ("plan", "DIR/m.onnx", "--json")),
    (LOADED, "m.onnx", COMPILE),
    (PLANNED, "m.bin", COMPILE),
    (BLOCK, "m.onnx", COMPILE),
    (BLOCK, "m.bin", COMPILE),
    (LOADED, "m.onnx", (*RUN, "reference")),
    (OPERATION, "m.bin", (*RUN, "reference")),
    (OPERATION, "m.bin", (*RUN, "naive")),
    (BLOCK, "m.onnx", (*RUN, "native")),
]


@pytest.mark.parametrize(("after", "cut", "command"), COMMANDS)
def test_a_command_fails_and_leaves_nothing(
    tmp_path: Path, after: str, cut: str, command: tuple[str, ...]
) -> None:
    chain_model(tmp_path / "m.onnx", external="m.bin" if cut == "m.bin" else None)
    before = sorted(tmp_path.iterdir())
    done = pelemay(tmp_path, after, cut, *command)
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    assert f"{tmp_path / cut}: {GONE}. load it again" in done.stderr
    assert sorted(set(tmp_path.iterdir()) - {tmp_path / "cache"}) == before
    assert not list(tmp_path.glob("cache/programs/*.plm"))


def test_bench_says_which_scenario_failed(model: Path) -> None:
    words = (
        "bench",
        "DIR/m.onnx",
        "--jobs",
        "run",
        "--backends",
        "reference",
        "--time",
        "0",
        "--warmup",
        "0",
    )
    done = pelemay(model.parent, OPERATION, "m.onnx", *words)
    assert done.returncode == 1
    assert GONE in done.stdout + done.stderr


def test_quantize_writes_nothing(model: Path) -> None:
    pytest.importorskip("onnxruntime.quantization")
    words = ("quantize", "DIR/m.onnx", "-o", "DIR/q.onnx", "--dynamic")
    done = pelemay(model.parent, "pelemay.cli.quantize:_quantize", "m.onnx", *words)
    assert (done.returncode, done.stdout) == (1, "")
    assert GONE in done.stderr
    assert [path.name for path in model.parent.iterdir()] == ["m.onnx"]


VIEW = """
    import os, sys
    import pelemay
    model = pelemay.load(sys.argv[1])
    weight = model.parameters["w3"]
    if sys.argv[3] == "alone":
        del model
    os.truncate(sys.argv[2], 4096)
    print(weight.sum())
"""


@pytest.mark.parametrize("kept", ["alone", "beside its model"])
@pytest.mark.parametrize("cut", ["m.onnx", "m.bin"])
def test_a_view_that_is_held(tmp_path: Path, cut: str, kept: str) -> None:
    chain_model(tmp_path / "m.onnx", external="m.bin" if cut == "m.bin" else None)
    done = python("-c", textwrap.dedent(VIEW), tmp_path / "m.onnx", tmp_path / cut, kept)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.strip().splitlines()[-1].startswith("pelemay.errors.ExecutionError: ")
    assert f"{tmp_path / cut}: {GONE}" in done.stderr


TEMPORARY = """
    import os, sys
    import pelemay
    def cut_and(path, weight):
        os.truncate(path, 4096)
        return float(weight[0, 0])
    cut_and(sys.argv[1], pelemay.load(sys.argv[1]).parameters["w3"])
"""


def test_a_view_of_what_is_gone_when_it_was_read(model: Path) -> None:
    done = python("-c", textwrap.dedent(TEMPORARY), model)
    assert done.returncode == 1
    assert GONE in done.stderr


IN_A_THREAD = """
    import os, sys, threading
    import pelemay
    model = pelemay.load(sys.argv[1])
    weight = model.parameters["w3"]
    os.truncate(sys.argv[1], 4096)
    thread = threading.Thread(target=weight.sum)
    thread.start()
    thread.join()
    print("unreached")
"""


def test_a_view_that_another_thread_reads_is_told_to_the_main_one(model: Path) -> None:
    done = python("-c", textwrap.dedent(IN_A_THREAD), model)
    assert (done.returncode, done.stdout) == (1, "")
    assert GONE in done.stderr


def test_a_cut_within_the_last_page(model: Path) -> None:
    """The rest of that page is zeros without a fault."""
    runnable = get("reference").prepare(model)
    x = np.ones((1, WIDTH), np.float32)
    runnable.run({"x0": x})
    os.truncate(model, model.stat().st_size - 10)
    for _ in range(2):
        with pytest.raises(ExecutionError, match=GONE):
            runnable.run({"x0": x})


def test_what_the_zeros_lead_to_is_not_what_is_told(model: Path) -> None:
    held = load(model)
    weight = held.parameters["w3"]
    os.truncate(model, PAGE)
    with pytest.raises(ExecutionError, match=GONE), held.intact():
        raise ValueError(f"a size is {weight[0, 0]}")


def test_every_thread_is_told_and_the_main_one_is_not(model: Path) -> None:
    x = np.ones((1, WIDTH), np.float32)
    runnables = [get("reference").prepare(model) for _ in range(2)] * 2
    wanted = runnables[0].run({"x0": x})["x4"]
    told: list[str] = []
    began = threading.Barrier(len(runnables) + 1)

    def run(runnable: Any) -> None:
        began.wait()
        try:
            while True:
                assert np.array_equal(runnable.run({"x0": x})["x4"], wanted)
        except ExecutionError as error:
            told.append(error.what)

    threads = [threading.Thread(target=run, args=(runnable,)) for runnable in runnables]
    for thread in threads:
        thread.start()
    began.wait()
    os.truncate(model, PAGE)
    for thread in threads:
        thread.join(60)
    assert told == [GONE] * len(runnables)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_and_its_parent_are_told_each(model: Path) -> None:
    runnable = get("reference").prepare(model)
    x = np.ones((1, WIDTH), np.float32)
    runnable.run({"x0": x})
    os.truncate(model, PAGE)
    child = os.fork()
    if not child:
        try:
            runnable.run({"x0": x})
        except ExecutionError:
            os._exit(7)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    with pytest.raises(ExecutionError, match=GONE):
        runnable.run({"x0": x})


def test_a_compile_in_a_thread_leaves_nothing(beside: Path) -> None:
    told: list[str] = []
    data = beside.with_name("m.bin")

    def work() -> None:
        model = load(beside)
        try:
            pipeline.compile(
                model, beside.with_suffix(".plm"), progress=lambda *_: os.truncate(data, PAGE)
            )
        except PelemayError as error:
            told.append(str(error))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(60)
    assert len(told) == 1
    assert GONE in told[0] or "became shorter" in told[0]
    assert sorted(path.name for path in beside.parent.iterdir()) == ["m.bin", "m.onnx"]


MANY = """
    import os, sys
    import pelemay
    models = [pelemay.load(sys.argv[1]) for _ in range(300)]
    weights = [model.parameters["w3"] for model in models]
    del models[:150], weights[:150]
    os.truncate(sys.argv[1], 4096)
    told = 0
    for weight in weights:
        try:
            weight.sum()
        except pelemay.errors.ExecutionError:
            told += 1
    print(told)
"""


def test_hundreds_are_guarded_at_one_time(tmp_path: Path) -> None:
    done = python("-c", textwrap.dedent(MANY), chain_model(tmp_path / "m.onnx", 32))
    assert (done.returncode, done.stdout.strip()) == (0, "150"), done.stderr


NESTED = """
    import faulthandler, mmap, os, sys
    import numpy as np
    import pelemay
    from pelemay.engine import Engine, open_program
    model = pelemay.load(sys.argv[1])
    faulthandler.enable()
    engine = Engine(open_program(sys.argv[2]), threads=2)
    os.truncate(sys.argv[2], 8192)
    try:
        engine.run([np.ones(engine.program.inputs[0][2], np.float32)])
    except Exception as error:
        print(type(error).__name__, flush=True)
    with open(sys.argv[3], "wb+") as file:
        file.write(bytes(10000))
        file.flush()
        other = mmap.mmap(file.fileno(), 0)
        file.truncate(0)
    other[5000]
"""


def test_a_run_under_a_handler_that_came_later_and_then_a_fault_of_others(
    model: Path, tmp_path: Path
) -> None:
    program = chain_file(tmp_path / "m.plm")
    done = python("-c", textwrap.dedent(NESTED), model, program, tmp_path / "other")
    assert (done.returncode, done.stdout.strip()) == (-signal.SIGBUS, "ExecutionError")
    assert done.stderr.count("Fatal Python error: Bus error") == 1
