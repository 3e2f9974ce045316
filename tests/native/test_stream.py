"""Weights through a window: the bits of a mapped run, in the memory that was given."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pelemay.compilation import compile_graph
from pelemay.engine import Engine, constant_of, native, open_program, verify_weights
from pelemay.errors import ExecutionError, InputError, ModelError
from pelemay.graph import ArrayConstant, DType, Graph, Node, TensorType
from pelemay.program import Program
from pelemay.program.read import read_header
from pelemay.program.write import write_program
from support import large_pages
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


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_bits_of_a_mapped_run(plm: Path, x: Any, mapped: Any, threads: int) -> None:
    for budget in budgets(plm):
        engine = streamed(plm, budget, threads)
        for _ in range(4):
            np.testing.assert_array_equal(engine.run([x])[0], mapped)


def test_what_a_budget_gives(plm: Path) -> None:
    program = open_program(plm, streamed=True)
    need = program.stream_need()
    assert need["least"] <= 132 * KIB < program.weights_bytes <= need["most"] + 64 * KIB
    assert (need["read"], need["window"]) == (0, 0)
    reads = []
    for budget in budgets(plm, 9):
        given = program.stream_need(budget)
        assert given["memory"] == given["window"] + given["resident"] <= budget
        assert given["overhead"] < 64 * KIB
        reads.append(given["read"])
    assert reads == sorted(reads, reverse=True)
    assert reads[0] >= program.weights_bytes - 132 * KIB
    assert reads[-1] == 0


def test_too_small_a_budget_is_refused(plm: Path) -> None:
    program = open_program(plm, streamed=True)
    least = program.stream_need()["least"]
    with pytest.raises(InputError, match=rf"less than one instruction.* the least is {least};"):
        Engine(program, weights_bytes=least - 1)
    with pytest.raises(InputError, match="less than one instruction"):
        Engine(program, weights_bytes=-1)
    with pytest.raises(InputError, match="opened with streamed=True"):
        Engine(open_program(plm), weights_bytes=least)
    with pytest.raises(InputError, match="a streamed program needs weights_bytes"):
        Engine(program)


@large_pages.on_request
def test_it_lies_in_large_pages(tmp_path: Path) -> None:
    """As far as it fills some: a disk reads faster into few long ranges than into many pages."""
    plm = write_network(tmp_path, channels=384)
    engine = streamed(plm, 5 << 20)
    x = np.zeros((1, 16, 7, 7), np.float32)
    before, held = large_pages.asked_for(), native().memory()["anonymous"]
    engine.run([x])
    assert large_pages.asked_for() - before == 4 << 20
    assert native().memory()["anonymous"] - held <= 6 << 20
    del engine
    assert large_pages.asked_for() == before


def test_nothing_is_mapped(plm: Path, x: Any) -> None:
    engine = streamed(plm)
    engine.run([x])
    assert str(plm) not in Path("/proc/self/maps").read_text()


def test_memory_does_not_grow(plm: Path, x: Any) -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1])

    def work() -> None:
        for _ in range(20):
            engine = streamed(plm)
            engine.run([x])
            engine.run([x])

    work()
    before = resident()
    work()
    assert resident() - before <= 8


def test_constants_and_checksums_without_a_map(plm: Path) -> None:
    streamed_program, whole = open_program(plm, streamed=True), open_program(plm)
    verify_weights(streamed_program)
    found = 0
    for number in range(400):
        try:
            wanted = constant_of(whole, number)
        except ModelError:
            continue
        np.testing.assert_array_equal(constant_of(streamed_program, number), wanted)
        found += 1
    assert found > 10


def test_many_engines_at_once(plm: Path, x: Any, mapped: Any) -> None:
    engines = [streamed(plm, budget) for budget in budgets(plm, 3) * 6]
    same: list[bool] = []

    def work(engine: Engine) -> None:
        same.extend(np.array_equal(engine.run([x])[0], mapped) for _ in range(3))

    threads = [threading.Thread(target=work, args=(engine,)) for engine in engines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert same == [True] * 3 * len(engines)


def test_two_threads_share_an_engine(plm: Path, x: Any, mapped: Any) -> None:
    engine = streamed(plm)
    same: list[bool] = []

    def work() -> None:
        same.extend(np.array_equal(engine.run([x])[0], mapped) for _ in range(10))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert same == [True] * 20


def embedding(path: Path, *, rows: int = 6000, width: int = 300) -> Path:
    """A gather from a table of 7 MB, then a product."""
    random = np.random.default_rng(8)
    nodes = (Node("Gather", ("table", "i"), ("e",)), Node("MatMul", ("e", "w"), ("y",)))
    constants = {
        "table": ArrayConstant.of(random.standard_normal((rows, width), np.float32)),
        "w": ArrayConstant.of(random.standard_normal((width, 40), np.float32)),
    }
    i = TensorType(DType.INT64, (1, 12))
    program = compile_graph(Graph("embedding", {"i": i}, {"y": None}, nodes, constants))
    return write_program(program, path).path


INDICES = np.int64([[0, 1, 5999, -1, -6000, 17, 17, 3000, 4095, 4096, 5998, 2]])


def test_a_table_is_read_by_rows(tmp_path: Path) -> None:
    path = embedding(tmp_path / "e.plm")
    expected = Engine(open_program(path)).run([INDICES])[0]
    need = open_program(path, streamed=True).stream_need()
    assert need["least"] < 300 * KIB < 7000 * KIB < need["most"]
    for budget in (need["least"], need["least"] + 200 * KIB, need["most"] - 1, need["most"]):
        for threads in (1, 3):
            engine = streamed(path, budget, threads)
            for _ in range(3):
                np.testing.assert_array_equal(engine.run([INDICES])[0], expected)
            np.testing.assert_array_equal(engine.run([INDICES[:, ::-1]])[0], expected[:, ::-1])


@pytest.mark.parametrize(
    ("width", "pages"), [(256, 1), (300, 2), (768, 2), (1024, 1), (1025, 2), (1536, 2)]
)
def test_a_row_takes_the_pages_that_it_can_lie_on(tmp_path: Path, width: int, pages: int) -> None:
    path = embedding(tmp_path / "e.plm", width=width)
    program = open_program(path, streamed=True)
    need = program.stream_need(program.stream_need()["least"])
    assert need["memory"] - need["window"] - need["resident"] == 12 * pages * 4096
    begins = np.arange(6000) * width * 4  # Large blocks begin with a page.
    touched = (begins + width * 4 - 1) // 4096 - begins // 4096 + 1
    assert touched.max() == pages


def test_rows_of_a_table_take_no_more_than_they_are_said_to(tmp_path: Path) -> None:
    path = embedding(tmp_path / "e.plm", rows=60_000)
    engine = streamed(path, threads=1)
    engine.run([INDICES])

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1])

    before = resident()
    for seed in range(100):
        engine.run([np.random.default_rng(seed).integers(0, 60_000, (1, 12))])
    assert resident() - before <= 40


def test_faults_of_a_table(tmp_path: Path) -> None:
    path = embedding(tmp_path / "e.plm")
    engine = streamed(path)
    expected = engine.run([INDICES])[0]
    with pytest.raises(ExecutionError, match="out of range"):
        engine.run([INDICES + 1])
    np.testing.assert_array_equal(engine.run([INDICES])[0], expected)
    place = read_header(path).weights_offset + 1000
    time.sleep(0.02)
    flip(path, place)
    with pytest.raises(ExecutionError, match="the file was changed"):
        engine.run([INDICES])
    with pytest.raises(ModelError, match="a checksum does not match"):
        streamed(path).run([INDICES])
    flip(path, place)
    np.testing.assert_array_equal(streamed(path).run([INDICES])[0], expected)


def test_a_program_without_instructions_ends(tmp_path: Path) -> None:
    path = tmp_path / "empty.plm"
    write_program(Program(0, (), (), (), (), metadata={}), path)
    engine = Engine(open_program(path, streamed=True), threads=2, weights_bytes=0)
    assert engine.run([]) == engine.run([]) == []
