"""Files that change under a stream, and processes that end or are copied while it reads."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pelemay.engine import Engine, open_program
from pelemay.errors import ExecutionError, ModelError
from pelemay.program.read import read_header
from support.blocks import Blocks
from support.scripts import ENDS, assert_ends, assert_forks
from support.streams import KIB, budgets, flip, streamed, write_network


@pytest.fixture(scope="module")
def plm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_network(tmp_path_factory.mktemp("stream"))


@pytest.fixture(scope="module")
def x() -> Any:
    return np.random.default_rng(6).standard_normal((1, 16, 7, 7)).astype(np.float32)


@pytest.fixture(scope="module")
def mapped(plm: Path, x: Any) -> Any:
    """What the network gives when its weights are mapped."""
    return Engine(open_program(plm), threads=2).run([x])[0]


@pytest.fixture
def own(plm: Path, tmp_path: Path) -> Path:
    """A file that may be damaged."""
    return Path(shutil.copy(plm, tmp_path / "own.plm"))


def runs(engine: Engine, x: Any) -> None:
    """Two runs: of the first, all may be there already."""
    engine.run([x])
    engine.run([x])


def test_damage_ends_the_run_and_repair_lets_it_go_on(own: Path, x: Any, mapped: Any) -> None:
    start, end = read_header(own).weights_offset, own.stat().st_size
    for share, threads in itertools.product((0.0, 0.3, 0.7, 1.0), (1, 2)):
        place = min(end - 1, int(start + share * (end - start)))
        flip(own, place)
        engine = streamed(own, threads=threads)
        for _ in range(3):
            with pytest.raises(ModelError, match="a checksum does not match"):
                engine.run([x])
        flip(own, place)
        again = streamed(own, threads=threads)
        np.testing.assert_array_equal(again.run([x])[0], mapped)


def test_a_change_while_it_is_in_use(own: Path, x: Any, mapped: Any) -> None:
    engine = streamed(own)
    np.testing.assert_array_equal(engine.run([x])[0], mapped)
    place = read_header(own).weights_offset + 300 * KIB
    time.sleep(0.02)
    flip(own, place)
    for _ in range(2):
        with pytest.raises(ExecutionError, match="the file was changed while it was in use"):
            engine.run([x])
    flip(own, place)
    for _ in range(2):
        np.testing.assert_array_equal(engine.run([x])[0], mapped)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_file_that_becomes_shorter(own: Path, x: Any, mapped: Any, share: float) -> None:
    data = own.read_bytes()
    engine = streamed(own)
    np.testing.assert_array_equal(engine.run([x])[0], mapped)
    os.truncate(own, int(len(data) * share))
    with pytest.raises(ExecutionError, match="the file was changed while it was in use"):
        runs(engine, x)
    own.write_bytes(data)
    np.testing.assert_array_equal(engine.run([x])[0], mapped)


def test_a_file_that_is_replaced_or_deleted_is_still_read(own: Path, x: Any, mapped: Any) -> None:
    engine = streamed(own)
    engine.run([x])
    other = own.with_name("other.plm")
    other.write_bytes(b"something else")
    other.replace(own)
    np.testing.assert_array_equal(engine.run([x])[0], mapped)
    own.unlink()
    np.testing.assert_array_equal(engine.run([x])[0], mapped)


def test_another_networks_weights_in_its_place(own: Path, x: Any, mapped: Any) -> None:
    """Written over in place, of the same size: what has been read stays, the rest is noticed."""
    engine = streamed(own)
    np.testing.assert_array_equal(engine.run([x])[0], mapped)
    start, size = read_header(own).weights_offset, own.stat().st_size
    with own.open("r+b") as file:
        file.seek(start)
        file.write(np.random.default_rng(1).bytes(size - start))
    with pytest.raises((ExecutionError, ModelError)):
        runs(engine, x)


@pytest.mark.parametrize("size", [0, 7, 255, 256, 300, 4096, -1])
def test_a_short_file_is_refused(own: Path, size: int) -> None:
    os.truncate(own, size if size >= 0 else own.stat().st_size - 1)
    with pytest.raises(ModelError):
        open_program(own, streamed=True)


def test_what_is_no_program_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("this is not a program" * 1000)
    with pytest.raises(ModelError, match=r"text: this is not a \.plm file"):
        open_program(tmp_path / "text", streamed=True)
    with pytest.raises(ModelError, match=r"nothing: No such file"):
        open_program(tmp_path / "nothing", streamed=True)
    with pytest.raises(ModelError, match="Invalid argument"):
        open_program(tmp_path, streamed=True)


def test_an_interrupt_is_heard_while_waiting(tmp_path: Path) -> None:
    """Blocks of 24 MiB of which hardly anything is used: the run waits for the disk."""
    made = Blocks([24 << 20, 24 << 20], [[0], [1]] * 400, most=64)
    path = made.write(tmp_path / "slow.plm")
    engine = streamed(path)
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        engine.run([])
    assert time.monotonic() - begin < 3
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        engine.run([])


def made(path: Path, budget: int) -> str:
    return f"""
        program = open_program({str(path)!r}, streamed=True)
        engine = Engine(program, threads=2, weights_bytes={budget})
        x = np.ones((1, 16, 7, 7), np.float32)
        """


def test_a_child_of_fork_runs_on(plm: Path) -> None:
    for budget in budgets(plm, 2):
        assert_forks(made(plm, budget))


CLOSED = "for _ in range(30): Engine(program, threads=1, weights_bytes=10 ** 7).run([x])"


@pytest.mark.parametrize("state", [*ENDS, "closed while reading"])
def test_the_interpreter_exits(plm: Path, state: str) -> None:
    assert_ends(made(plm, budgets(plm)[0]), ENDS.get(state, CLOSED))
