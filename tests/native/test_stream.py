"""Weights through a window: the bits of a mapped run, in the memory that was given."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pelemay.compilation import compile_graph
from pelemay.engine import Engine, constant_of, open_program, verify_weights
from pelemay.errors import ExecutionError, InputError, ModelError
from pelemay.graph import ArrayConstant, DType, Graph, Node, TensorType
from pelemay.program.image import image
from pelemay.program.read import read_header
from pelemay.program.write import write_program
from pelemay.target import Target
from support.blocks import Blocks

KIB = 1 << 10


def network(*, channels: int = 192) -> Graph:
    """Convolutions and products of 16 KiB to 1.3 MiB, one of them used twice."""
    random = np.random.default_rng(5)

    def weights(*shape: int) -> ArrayConstant:
        scale = np.sqrt(2 / np.prod(shape[1:]))
        return ArrayConstant.of((random.standard_normal(shape) * scale).astype(np.float32))

    c = channels
    pads = {"pads": (1, 1, 1, 1)}
    nodes = (
        Node("Conv", ("x", "w1", "b1"), ("a",), pads),
        Node("Relu", ("a",), ("b",)),
        Node("Conv", ("b", "w2", "b1"), ("c",), pads),
        Node("Add", ("c", "b"), ("d",)),
        Node("Conv", ("d", "w3"), ("e",)),
        Node("Conv", ("e", "w3"), ("f",)),
        Node("Conv", ("f", "w4", "b1"), ("g",), {"group": c, **pads}),
        Node("GlobalAveragePool", ("g",), ("p",)),
        Node("Flatten", ("p",), ("h",)),
        Node("Gemm", ("h", "fc", "fb"), ("y",), {"transB": 1}),
    )
    constants = {
        "w1": weights(c, 16, 3, 3),
        "b1": weights(c),
        "w2": weights(c, c, 3, 3),
        "w3": weights(c, c, 1, 1),
        "w4": weights(c, 1, 3, 3),
        "fc": weights(1000, c),
        "fb": weights(1000),
    }
    x = TensorType(DType.FLOAT32, (1, 16, 7, 7))
    return Graph("network", {"x": x}, {"y": None}, nodes, constants)


@pytest.fixture(scope="module")
def plm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The network in a file, in blocks of 128 KiB."""
    program = compile_graph(network(), target=Target(block_bytes=128 * KIB))
    return write_program(program, tmp_path_factory.mktemp("stream") / "network.plm").path


@pytest.fixture(scope="module")
def x() -> Any:
    return np.random.default_rng(6).standard_normal((1, 16, 7, 7)).astype(np.float32)


@pytest.fixture(scope="module")
def mapped(plm: Path, x: Any) -> Any:
    """What the network gives when its weights are mapped."""
    return Engine(open_program(plm), threads=2).run([x])[0]


def streamed(path: Path, budget: int | None = None, threads: int = 2) -> Engine:
    """An engine with that budget, or the least that works."""
    program = open_program(path, streamed=True)
    least = program.stream_need()["least"]
    return Engine(program, threads=threads, weights_bytes=least if budget is None else budget)


def budgets(path: Path, count: int = 5) -> list[int]:
    """From the least to more than all."""
    need = open_program(path, streamed=True).stream_need()
    return [int(b) for b in np.linspace(need["least"], need["most"], count)] + [need["most"] * 2]


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


# Files that change.


@pytest.fixture
def own(plm: Path, tmp_path: Path) -> Path:
    """A file that may be damaged."""
    return Path(shutil.copy(plm, tmp_path / "own.plm"))


def runs(engine: Engine, x: Any) -> None:
    """Two runs: of the first, all may be there already."""
    engine.run([x])
    engine.run([x])


def flip(path: Path, place: int) -> None:
    with path.open("r+b") as file:
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes([byte ^ 1]))


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


SCRIPT = """
import os, sys
import numpy as np
from pelemay.engine import Engine, open_program
program = open_program({path!r}, streamed=True)
engine = Engine(program, threads=2, weights_bytes={budget})
x = np.ones((1, 16, 7, 7), np.float32)
first = engine.run([x])[0]
"""


def run_script(path: Path, budget: int, body: str) -> subprocess.CompletedProcess[str]:
    code = SCRIPT.format(path=str(path), budget=budget) + textwrap.dedent(body)
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )


def test_a_child_of_fork_runs_on(plm: Path) -> None:
    for budget in budgets(plm, 2):
        done = run_script(
            plm,
            budget,
            """
            child = os.fork()
            same = all((engine.run([x])[0] == first).all() for _ in range(3))
            if child == 0:
                del engine
                os._exit(0 if same else 3)
            _, status = os.waitpid(child, 0)
            again = os.fork()
            if again == 0:
                del engine
                os._exit(0)
            os.waitpid(again, 0)
            same = same and bool((engine.run([x])[0] == first).all())
            print("parent", same, "child", os.waitstatus_to_exitcode(status))
            """,
        )
        assert (done.returncode, done.stdout) == (0, "parent True child 0\n"), done.stderr


@pytest.mark.parametrize(
    "body",
    [
        "",
        "keep = [engine]; keep.append(keep)",
        "import threading; threading.Thread(target=lambda: [engine.run([x]) for _ in range(200)],"
        " daemon=True).start()",
        "import atexit; atexit.register(engine.run, [x])",
        "for _ in range(30): Engine(program, threads=1, weights_bytes=10 ** 7).run([x])",
    ],
    ids=["idle", "cycle", "running", "at exit", "closed while reading"],
)
def test_the_interpreter_exits(plm: Path, body: str) -> None:
    done = run_script(plm, budgets(plm)[0], body)
    assert (done.returncode, done.stderr) == (0, "")


# Tables that are read by rows.


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


# The bookkeeping of the window.

SIZES = st.one_of(st.integers(1, 5000), st.integers(60 * KIB, 70 * KIB), st.integers(1, 300 * KIB))


@st.composite
def programs(draw: Any) -> Blocks:
    """Blocks and uses: of all kinds, and as bands make them, some blocks over and over."""
    sizes = draw(st.lists(SIZES, min_size=1, max_size=12))
    numbers = st.integers(0, len(sizes) - 1)
    sets = st.lists(numbers, min_size=1, max_size=4, unique=True)
    uses: list[list[int]] = []
    for _ in range(draw(st.integers(1, 5))):
        part = draw(st.lists(sets, min_size=1, max_size=5))
        uses += part * draw(st.integers(1, 5))
    return Blocks(sizes, uses, most=64)


class Checker:
    """Runs a plan on paper: which page of the file lies in which page of the memory."""

    def __init__(self, program: Any, made: Blocks, budget: int) -> None:
        plan = program.stream_plan(budget)
        self.memory, self.window, self.loads, self.small, self.steps = plan
        self.made, self.blocks = made, made.blocks()
        self.start = program.weights_offset
        self.held: dict[int, int] = {}
        self.done = self.loaded = 0

    def check_places(self) -> None:
        """Slots lie in the memory; what stays lies outside of the window, nothing over another."""
        taken = set()
        for offset, nbytes, slot, first, last, blocks, _, stays in self.loads:
            assert offset % 4096 == nbytes % 4096 == slot % 4096 == 0
            assert slot + nbytes <= (self.memory if stays else self.window)
            assert first <= last
            for number in blocks:
                assert offset <= self.start + self.blocks[number].offset
                assert self.end(number) <= offset + nbytes
            if stays:
                pages = set(range(slot, slot + nbytes, 4096))
                assert slot >= self.window
                assert not pages & taken
                taken |= pages
        end = max(taken, default=self.window - 4096) + 4096
        for number, place in self.small:
            assert place % 64 == 0
            assert place >= end
            end = place + self.made.sizes[number]
        assert end <= self.memory

    def end(self, number: int) -> int:
        return self.start + self.blocks[number].offset + self.made.sizes[number]

    def load(self, run: int) -> bool:
        """Make the next load, if its slot is free."""
        per_run = len(self.loads)
        index, of_run = self.loaded % per_run, self.loaded // per_run
        offset, nbytes, slot, _, _, _, after, stays = self.loads[index]
        free = after is None or self.done >= of_run * len(self.steps) + after + 1
        if of_run > run + 1 or not free:
            return False
        if not stays or of_run == 0:
            for at in range(0, nbytes, 4096):
                self.held[(slot + at) // 4096] = offset + at
        self.loaded += 1
        return True

    def step(self, run: int, number: int, *, eager: bool) -> None:
        """An instruction finds all pages of its blocks."""
        needs, places = self.steps[number]
        while self.loads and self.loaded < run * len(self.loads) + needs:
            assert self.load(run), "the reader waits for an instruction that waits for it"
        while eager and self.loads and self.load(run):
            pass
        in_small = dict(self.small)
        for block, place in zip(self.made.uses[number], places, strict=True):
            begin = place - self.made.start(number, block)
            if block in in_small:
                assert begin == in_small[block]
                continue
            offset = self.start + self.blocks[block].offset
            assert (begin - offset) % 4096 == 0
            for at in range(offset // 4096 * 4096, self.end(block), 4096):
                assert self.held.get((begin + at - offset) // 4096) == at
        self.done += 1


@given(programs(), st.floats(0, 1.1), st.randoms(use_true_random=False))
@settings(deadline=None)
def test_the_window_on_paper(
    tmp_path_factory: Any, made: Blocks, share: float, random: Any
) -> None:
    path = made.write(tmp_path_factory.mktemp("paper") / "p.plm")
    program = open_program(path, streamed=True)
    need = program.stream_need()
    budget = int(need["least"] + share * (need["most"] - need["least"]))
    checker = Checker(program, made, budget)
    assert checker.memory <= budget
    checker.check_places()
    for run in range(4):
        for number in range(len(made.uses)):
            checker.step(run, number, eager=random.random() < 0.5)


@given(programs(), st.floats(0, 1.1))
@settings(deadline=None, max_examples=40)
def test_what_comes_out_is_what_is_in_the_blocks(
    tmp_path_factory: Any, made: Blocks, share: float
) -> None:
    path = made.write(tmp_path_factory.mktemp("run") / "p.plm")
    need = open_program(path, streamed=True).stream_need()
    budget = int(need["least"] + share * (need["most"] - need["least"]))
    expected = made.expected()
    for threads in (1, 2):
        engine = streamed(path, budget, threads)
        for _ in range(3):
            np.testing.assert_array_equal(engine.run([])[0], expected)


def test_blocks_of_a_chain_of_bands_are_read_once() -> None:
    """Three chains, each over its own blocks again and again: room for one of them is enough."""
    chains = [[[3 * chain + i] for i in range(3)] * 20 for chain in range(3)]
    made = Blocks([80 * KIB] * 9, list(itertools.chain(*chains)), most=64)
    program = open_program(image(made.program()))
    page = 4096
    total = 9 * 80 * KIB
    assert program.stream_need(6 * 80 * KIB + page)["read"] == total
    assert program.stream_need(80 * KIB)["read"] > 10 * total
