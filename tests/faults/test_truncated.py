"""A mapped file that becomes shorter: an error, not the end of the process."""

from __future__ import annotations

import os
import signal
import subprocess
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from pelemay.backends.programs import ProgramRunnable
from pelemay.engine import Engine, open_program, verify_weights
from pelemay.errors import ExecutionError, ModelError
from pelemay.program.read import read_header
from support.files import chain_file, tail_file
from support.processes import python
from support.run_tool import TOOL

GONE = "the file was changed while it was in use"


@pytest.fixture
def plm(tmp_path: Path) -> Path:
    """A program with a few MiB of weights."""
    return chain_file(tmp_path / "m.plm")


def cut(path: Path) -> None:
    """Leave what lies before the weights."""
    os.truncate(path, read_header(path).weights_offset)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_run_fails_and_so_do_those_after_it(plm: Path, threads: int) -> None:
    engine = Engine(open_program(plm), threads=threads)
    x = np.ones(engine.program.inputs[0][2], np.float32)
    before = engine.run([x])
    assert np.isfinite(before[0]).all()
    cut(plm)
    for _ in range(2):
        with pytest.raises(ExecutionError, match=GONE):
            engine.run([x])
    with pytest.raises(ModelError, match="shorter or longer"):
        open_program(plm)


@pytest.mark.parametrize("nbytes", [1, 100_000])
def test_a_part_that_is_gone_is_enough(plm: Path, nbytes: int) -> None:
    """Of the last page, less than all: what is left of it is zeros without a fault."""
    engine = Engine(open_program(plm), threads=2)
    x = np.ones(engine.program.inputs[0][2], np.float32)
    os.truncate(plm, plm.stat().st_size - nbytes)
    with pytest.raises(ExecutionError, match=GONE):
        engine.run([x])


def test_checksums_and_other_engines_of_the_program(plm: Path) -> None:
    program = open_program(plm)
    engine = Engine(program)
    cut(plm)
    with pytest.raises(ExecutionError, match=GONE):
        verify_weights(program)
    with pytest.raises(ExecutionError, match=GONE):
        engine.run([np.ones(program.inputs[0][2], np.float32)])


def test_many_threads_while_it_is_cut(plm: Path) -> None:
    programs = [open_program(plm) for _ in range(3)]
    x = np.ones(programs[0].inputs[0][2], np.float32)
    engines = [Engine(program, threads=2) for program in programs for _ in range(2)]
    wanted = engines[0].run([x])[0]
    told: list[str] = []

    def run(engine: Engine) -> None:
        try:
            while True:
                assert np.array_equal(engine.run([x])[0], wanted)
        except ExecutionError as error:
            told.append(error.what)

    threads = [threading.Thread(target=run, args=(engine,)) for engine in engines]
    for thread in threads:
        thread.start()
    time.sleep(0.05)
    cut(plm)
    for thread in threads:
        thread.join(60)
    assert told == [GONE] * len(engines)


def test_the_handler_is_there_only_in_runs(plm: Path) -> None:
    engine = Engine(open_program(plm))
    came: list[int] = []
    before = signal.signal(signal.SIGBUS, lambda number, frame: came.append(number))
    try:
        engine.run([np.ones(engine.program.inputs[0][2], np.float32)])
        os.kill(os.getpid(), signal.SIGBUS)
        assert came == [signal.SIGBUS]
    finally:
        signal.signal(signal.SIGBUS, before)


FOREIGN = """
    import faulthandler, mmap, os, sys
    import numpy as np
    from pelemay.engine import native, open_program
    if sys.argv[2] == "first":
        faulthandler.enable()
    program = open_program(sys.argv[1])
    if sys.argv[2] == "last":
        faulthandler.enable()
    with open(sys.argv[3], "wb") as file:
        file.write(bytes(10000))
    file = open(sys.argv[3], "r+b")
    other = mmap.mmap(file.fileno(), 0)
    file.truncate(0)
    program.guarded(lambda: other[5000])
"""


@pytest.mark.parametrize("order", ["first", "last", "never"])
def test_faults_of_others_are_theirs(plm: Path, tmp_path: Path, order: str) -> None:
    done = python("-c", textwrap.dedent(FOREIGN), plm, order, tmp_path / "other")
    assert done.returncode == -signal.SIGBUS
    assert ("Fatal Python error: Bus error" in done.stderr) == (order != "never")


def test_beside_faulthandler_it_is_an_error_too(plm: Path) -> None:
    code = """
        import faulthandler, os, sys
        import numpy as np
        from pelemay.engine import Engine, open_program
        faulthandler.enable()
        engine = Engine(open_program(sys.argv[1]), threads=2)
        os.truncate(sys.argv[1], 8192)
        try:
            engine.run([np.ones(engine.program.inputs[0][2], np.float32)])
        except Exception as error:
            print(type(error).__name__)
    """
    done = python("-c", textwrap.dedent(code), plm)
    assert (done.returncode, done.stdout.strip()) == (0, "ExecutionError"), done.stderr


def test_the_tail_reads_constants_under_guard(tmp_path: Path) -> None:
    path = tail_file(tmp_path / "t.plm")
    runnable = ProgramRunnable(path)
    given = np.array([1, 0, 2], np.float32)
    value = runnable.run({"x": given}, ["y"])["y"]
    kept = value.copy()
    cut(path)
    with pytest.raises(ExecutionError, match=GONE):
        runnable.run({"x": given}, ["y"])
    del runnable
    assert np.array_equal(value, kept)


@pytest.mark.skipif(TOOL is None, reason="pelemay-run is not built")
def test_the_tool_says_so(plm: Path, tmp_path: Path) -> None:
    shape = open_program(plm).inputs[0][2]
    np.save(tmp_path / "x.npy", np.ones(shape, np.float32))
    command = [str(TOOL), plm.name, "--input=x.npy", "--output=y.npy", "--repeat=1000000"]
    running = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    while not list(tmp_path.glob("y.npy.*.tmp")):
        time.sleep(0.01)
    time.sleep(0.05)
    cut(plm)
    _, said = running.communicate(timeout=60)
    assert (running.returncode, said.strip()) == (1, f"pelemay-run: m.plm: {GONE}")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.plm", "x.npy"]
