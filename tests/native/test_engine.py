"""What the engine promises whatever it computes: checks, threads, signals, forks, exits."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from pelemay.engine import Engine, native, open_program
from pelemay.errors import InputError, ModelError
from pelemay.graph import DType
from pelemay.program.encode import encode
from pelemay.program.program import Program, Space, Tensor
from support.chain import PLAIN, chain
from support.ops import run_op
from support.scripts import ENDS, assert_ends, assert_forks

TASKS = Path("/proc/self/task")


def expected(x: np.ndarray, steps: int) -> np.ndarray:
    y = x.astype(np.float64)
    for _ in range(steps):
        e = np.exp(y - y.max(-1, keepdims=True))
        y = e / e.sum(-1, keepdims=True)
    return y


@pytest.mark.parametrize("threads", [1, 2, 3, 7])
def test_many_instructions_in_step(threads: int) -> None:
    x = np.random.default_rng(0).normal(size=(33, 17)).astype(np.float32)
    engine = Engine(open_program(chain(x.shape, 40)), threads=threads)
    for _ in range(50):
        (y,) = engine.run([x])
        np.testing.assert_allclose(y, expected(x, 40), rtol=1e-5)


@pytest.mark.skipif(not TASKS.is_dir(), reason="/proc says which threads there are")
@pytest.mark.parametrize("serial", [True, False])
def test_threads_are_made_for_what_needs_them(serial: bool) -> None:
    x = np.ones((3, 5), np.float32)
    gc.collect()
    before = len(list(TASKS.iterdir()))
    engine = Engine(open_program(chain(x.shape, 4, serial=serial)), threads=3)
    engine.run([x])
    assert len(list(TASKS.iterdir())) - before == (0 if serial else 2)


def test_sessions_in_many_threads_at_once() -> None:
    rng = np.random.default_rng(1)
    inputs = [rng.normal(size=(64, 50)).astype(np.float32) for _ in range(6)]
    shared = Engine(open_program(chain((64, 50), 10)), threads=2)
    wrong: list[str] = []

    def work(number: int) -> None:
        own = Engine(open_program(chain((64, 50), 10)), threads=1 + number % 3)
        for _ in range(30):
            for engine in (own, shared):
                (y,) = engine.run([inputs[number]])
                if not np.allclose(y, expected(inputs[number], 10), rtol=1e-5):
                    wrong.append(f"thread {number}")

    threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def long_engine() -> tuple[Engine, np.ndarray]:
    """An engine whose run takes some seconds."""
    x = np.ones((1000, 1000), np.float32)
    return Engine(open_program(chain(x.shape, 4000)), threads=2), x


def test_other_threads_run_while_the_engine_does() -> None:
    x = np.ones((500, 500), np.float32)
    engine = Engine(open_program(chain(x.shape, 400)), threads=1)
    ticks: list[float] = []
    done = threading.Event()

    def tick() -> None:
        while not done.is_set():
            ticks.append(time.monotonic())
            time.sleep(0.001)

    thread = threading.Thread(target=tick)
    thread.start()
    begin = time.monotonic()
    engine.run([x])
    end = time.monotonic()
    done.set()
    thread.join()
    assert sum(begin < t < end for t in ticks) >= 3


def test_an_interrupt_ends_a_long_run() -> None:
    engine, x = long_engine()
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        engine.run([x])
    assert time.monotonic() - begin < 5
    small = np.ones((1000, 1000), np.float32)
    assert len(Engine(open_program(chain(small.shape, 2)), threads=2).run([small])) == 1


MADE = """
from support.chain import chain
engine = Engine(open_program(chain((20, 30), 8)), threads=3)
x = np.ones((20, 30), np.float32)
"""


def test_a_child_of_fork_runs_on() -> None:
    assert_forks(MADE)


@pytest.mark.parametrize("state", ENDS)
def test_the_interpreter_exits(state: str) -> None:
    assert_ends(MADE, ENDS[state])


def test_memory_does_not_grow() -> None:
    x = np.ones((200, 100), np.float32)

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1])

    def work() -> None:
        for _ in range(100):
            Engine(open_program(chain(x.shape, 4)), threads=2).run([x])

    work()
    growth = []
    for _ in range(3):
        before = resident()
        work()
        growth.append(resident() - before)
    # What leaks does so every time; a collection of other tests' garbage moves pages once.
    assert min(growth) <= 8, growth


def test_an_instruction_set_that_is_not_there_is_refused() -> None:
    with pytest.raises(InputError, match="no instruction set 'mmx'"):
        Engine(open_program(chain((2, 2), 1)), isa="mmx")


@pytest.mark.parametrize("isa", native().ISAS)
def test_each_instruction_set_is_used(isa: str) -> None:
    assert Engine(open_program(chain((2, 2), 1)), isa=isa).isa == isa


@pytest.mark.parametrize("cut", [0, 7, 100, 255, 300])
def test_a_short_file_is_refused(cut: int) -> None:
    with pytest.raises(ModelError):
        open_program(chain((2, 3), 2)[:cut])


def test_a_damaged_table_is_refused() -> None:
    data = bytearray(chain((2, 3), 2))
    data[300] ^= 1
    with pytest.raises(ModelError, match="checksum"):
        open_program(bytes(data))


def test_arrays_of_other_sizes_are_refused() -> None:
    runner = native().Runner(open_program(chain((2, 3), 2)), 1)
    x, y = np.ones((2, 3), np.float32), np.ones((2, 3), np.float32)
    with pytest.raises(ValueError, match="has 20 bytes, 24 are needed"):
        runner.run([np.ones(5, np.float32)], [y])
    with pytest.raises(ValueError, match="2 arrays given, 1 needed"):
        runner.run([x, x], [y])
    y.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        runner.run([x], [y])


def test_an_operand_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ModelError, match="instruction 0"):
        run_op("softmax", [np.ones((2, 3), np.float32)], [((3, 2), np.float32)], (PLAIN, 1))


@pytest.mark.parametrize(
    ("shape", "strides"),
    [
        ((0, 1 << 31, 1 << 31, 1 << 31), (0, 0, 0, 1)),
        ((1 << 31, 0, 1 << 31, 1 << 31), (0, 0, 0, 1)),
        ((1 << 31, 1 << 31, 1 << 31, 0), (0, 0, 0, 1)),
        ((0, 1 << 31), (1, 1 << 45)),
        ((3, 0), (1 << 46, 1)),
    ],
)
def test_sizes_beside_a_size_of_0_must_be_possible(
    shape: tuple[int, ...], strides: tuple[int, ...]
) -> None:
    tensor = Tensor(DType.FLOAT32, shape, strides, Space.ARENA)
    with pytest.raises(ModelError, match="a tensor's type, shape or place is not possible"):
        open_program(encode(Program(0, (tensor,), (), (), ())))


def test_nothing_of_a_large_shape_is_nothing() -> None:
    x = np.empty((0, 1 << 15, 1 << 15), np.float32)
    (y,) = run_op("softmax", [x], [(x.shape, x.dtype)], (PLAIN, 1))
    assert y.shape == x.shape


def test_the_core_needs_only_what_it_may() -> None:
    """No malloc, stdio or abort in vm/ and kernels/: the symbols that they take from outside."""
    root = Path(__file__).parents[2]
    libraries = sorted(root.glob("build/*/native/libcore.a"))
    assert libraries, "the engine was built elsewhere: run pip install -e ."
    listed = subprocess.run(
        ["nm", "-u", str(libraries[-1])], capture_output=True, text=True, check=True
    ).stdout
    names = {line.split()[1] for line in listed.splitlines() if line.strip().startswith("U ")}
    foreign = {name for name in names if not name.startswith("pm_")}
    assert foreign <= ALLOWED, sorted(foreign - ALLOWED)


MATHS = """acos acosh asin asinh atan atanh ceil copysign cos cosh erf exp expm1 fabs floor fmax
fmin fmod ldexp log log1p log2 lrint nearbyint nextafter pow rint round sin sincos sinh sqrt tan
tanh trunc"""
ALLOWED = {"memcpy", "memmove", "memset", "memcmp", "_GLOBAL_OFFSET_TABLE_"} | {
    name + suffix for name in MATHS.split() for suffix in ("", "f")
}
"""Functions of libc and libm that a microcontroller has too."""
