"""How far a run is, as another process sees it while it lasts."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from pelemay import progress
from pelemay.engine import Engine, native, open_program
from support.chain import chain
from support.run_tool import TOOL, run, start

STEPS = 400


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(progress.VARIABLE, str(tmp_path / "top"))
    return tmp_path / "top"


def seen(folder: Path) -> list[progress.Progress]:
    return progress.read(str(folder), os.getpid())


def test_a_run_is_seen_while_it_lasts(folder: Path) -> None:
    x = np.ones((300, 300), np.float32)
    engine = Engine(open_program(chain(x.shape, STEPS)), threads=2)
    assert seen(folder) == []
    steps: list[int] = []
    names: set[str | None] = set()
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            for found in seen(folder):
                steps.append(found.done)
                names.add(found.operation)
            time.sleep(0.001)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        engine.run([x])
    finally:
        done.set()
        thread.join()
    assert steps == sorted(steps)
    assert any(0 < step < STEPS for step in steps)
    assert any(name and name.startswith("softmax") for name in names)
    (after,) = seen(folder)
    assert (after.done, after.operation, len(after.names)) == (STEPS, None, STEPS)
    assert after.began_ns < after.times_ns[0] <= after.times_ns[-1] < time.monotonic_ns()
    assert len(after.slowest(3)) == 3
    engine.run([x])
    assert seen(folder)[0].began_ns > after.times_ns[-1]


def test_the_result_and_the_profile_are_as_without(folder: Path) -> None:
    x = np.random.default_rng(0).normal(size=(7, 5)).astype(np.float32)
    shown = Engine(open_program(chain(x.shape, 9)))
    os.environ.pop(progress.VARIABLE)
    plain = Engine(open_program(chain(x.shape, 9)))
    assert np.array_equal(shown.run([x])[0], plain.run([x])[0])
    assert len(shown.profile([x])) == 9


def test_files_go_with_the_engine(folder: Path) -> None:
    engine = Engine(open_program(chain((3, 3), 2)))
    other = Engine(open_program(chain((3, 3), 3)))
    assert len(list(folder.iterdir())) == 4
    del engine
    gc.collect()
    assert len(list(folder.iterdir())) == 2
    other.run([np.ones((3, 3), np.float32)])
    assert [len(found.names) for found in seen(folder)] == [3]


def test_a_folder_that_cannot_be_made_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(progress.VARIABLE, str(tmp_path / "file" / "in"))
    engine = Engine(open_program(chain((3, 3), 2)))
    engine.run([np.ones((3, 3), np.float32)])


def test_broken_files_are_left_out(folder: Path) -> None:
    engine = Engine(open_program(chain((3, 3), 2)))
    engine.run([np.ones((3, 3), np.float32)])
    (folder / f"{os.getpid()}-99.json").write_text("{")
    (folder / f"{os.getpid()}-98.json").write_text(json.dumps({"instructions": ["a"]}))
    assert len(seen(folder)) == 1


def test_memory_to_show_in_is_checked() -> None:
    program = open_program(chain((3, 3), 2))
    runner = native().Runner(program, 1, None, None)
    with pytest.raises(ValueError, match="aligned"):
        runner.show(memoryview(bytearray(33))[1:])
    with pytest.raises(BufferError):
        runner.show(b"12345678")
    small = bytearray(16)
    runner.show(small)
    with pytest.raises(ValueError, match="already"):
        runner.show(bytearray(64))
    x, y = np.ones((3, 3), np.float32), np.empty((3, 3), np.float32)
    runner.run([x], [y])
    assert small == bytearray(16)


def test_nothing_is_loaded_for_it_without_the_variable() -> None:
    code = "import pelemay.engine, sys; print('pelemay.progress' in sys.modules)"
    environment = {k: v for k, v in os.environ.items() if k != progress.VARIABLE}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"


tool = pytest.mark.skipif(TOOL is None, reason="pelemay-run is not built")


def lay_out(place: Path, name: str, steps: int = STEPS) -> tuple[str, str]:
    (place / "m.plm").write_bytes(chain((200, 200), steps, name))
    np.save(place / "x.npy", np.ones((200, 200), np.float32))
    return "m.plm", "--input=input=x.npy"


@tool
def test_the_tool_shows_its_runs_in_the_same_way(folder: Path, tmp_path: Path) -> None:
    words = lay_out(tmp_path, 'a "b" \\ \n\N{GREEK SMALL LETTER ALPHA}')
    process = start(tmp_path, *words, "--repeat=1000000", "--threads=2")
    seen_while: list[progress.Progress] = []
    until = time.monotonic() + 60
    while not seen_while and time.monotonic() < until:
        looks = progress.read(str(folder), process.pid)
        seen_while = [found for found in looks if 0 < found.done < STEPS]
    process.terminate()
    process.communicate(timeout=60)
    (found,) = seen_while
    assert len(found.names) == STEPS
    assert found.operation == f'softmax  a "b" \\ ?\N{GREEK SMALL LETTER ALPHA} {found.done}'
    assert found.began_ns < found.since_ns < time.monotonic_ns()
    assert list(folder.iterdir()) == []


@tool
@pytest.mark.parametrize("limit", [(), ("--memory-limit=auto",)])
def test_the_results_of_the_tool_are_as_without(
    folder: Path, tmp_path: Path, limit: tuple[str, ...]
) -> None:
    words = (*lay_out(tmp_path, "step", 3), "--output=y.npy", *limit)
    assert run(*words, cwd=tmp_path).returncode == 0
    shown = (tmp_path / "y.npy").read_bytes()
    os.environ.pop(progress.VARIABLE)
    assert run(*words, cwd=tmp_path).returncode == 0
    assert (tmp_path / "y.npy").read_bytes() == shown
    assert list(folder.iterdir()) == []


@tool
def test_the_tool_runs_where_it_cannot_show(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    words = lay_out(tmp_path, "step", 3)
    for place in (tmp_path / "file", tmp_path / "file" / "in", tmp_path / ("x" * 250) / "y", ""):
        monkeypatch.setenv(progress.VARIABLE, str(place))
        assert run(*words, "--time", cwd=tmp_path).returncode == 0
