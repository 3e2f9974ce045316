"""Faults, made on purpose: each function makes one kind so many times, and counts what happened.

In: a folder to work in, and how often. Out: outcome to count. An outcome that is not allowed is an
``AssertionError``. Tests make each a few times; ``benchmarks/faults.py`` does the whole counts.
"""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np

from pelemay import cache
from pelemay.backends.reference import ReferenceBackend
from pelemay.compilation import compile_graph
from pelemay.engine import Engine, open_program
from pelemay.errors import ExecutionError, InputError, ModelError
from pelemay.importers import load
from pelemay.models.download import download
from pelemay.pipeline import compile
from pelemay.program.read import read_header, verify
from pelemay.program.write import write_program
from support.files import chain_file, chain_graph, chain_model
from support.run_tool import TOOL

HERE = Path(__file__).parent
Outcomes = Counter[str]
GONE = "the file was changed while it was in use"


def ones(path: Path) -> Any:
    return np.ones(open_program(path).inputs[0][2], np.float32)


def check(allowed: bool) -> None:
    assert allowed


def kill_at_random(
    tries: int, work: Callable[[], object], target: Path, is_whole: Callable[[Path], object]
) -> Outcomes:
    """Kill a child at random moments of its work: the target is whole then, or not there."""
    found: Outcomes = Counter()
    target.unlink(missing_ok=True)
    begin = time.perf_counter()
    assert in_child(work) == 0
    whole = time.perf_counter() - begin
    chance = random.Random(0)
    for _ in range(tries):
        target.unlink(missing_ok=True)
        code = in_child(work, chance.uniform(0, 1.2 * whole))
        if target.exists():
            is_whole(target)
        what = "ended" if code == 0 else "killed"
        found[f"{what}, {'the whole file' if target.exists() else 'no file'}"] += 1
        assert code in (0, -signal.SIGKILL)
    return found


def in_child(work: Callable[[], object], killed_after: float | None = None) -> int:
    """Do something in a child of fork(); how it ended."""
    child = os.fork()
    if not child:
        with suppress(BaseException):
            work()
            os._exit(0)
        os._exit(1)
    if killed_after is not None:
        time.sleep(killed_after)
        os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def kill_compile(folder: Path, tries: int) -> Outcomes:
    """kill -9 while a program is compiled and written."""
    graph, target = chain_graph(128), folder / "m.plm"
    return kill_at_random(
        tries, lambda: write_program(compile_graph(graph), target), target, verify
    )


def kill_cache(folder: Path, tries: int) -> Outcomes:
    """kill -9 while a program is put into the cache and noted there."""
    os.environ["PELEMAY_CACHE"] = str(folder / "cache")
    request = cache.Request(model_file(folder / "m.onnx"))

    def work() -> None:
        cache.fill(request, load, lambda model, to: write_program(compile_graph(model.graph), to))

    work()
    (target,) = cache.folder().glob("*.plm")
    found = kill_at_random(tries, work, target, verify)
    for note in cache.folder().glob("notes/*.json"):
        json.loads(note.read_text())
    return found


def model_file(path: Path) -> Path:
    """An ONNX file that has been at rest."""
    import onnx.parser

    text = (
        '<ir_version: 8, opset_import: ["" : 17]> g (float[4] x) => (float[4] y) { y = Relu (x) }'
    )
    path.write_bytes(onnx.parser.parse_model(text).SerializeToString())
    os.utime(path, (0, 0))
    return path


def kill_download(folder: Path, tries: int) -> Outcomes:
    """kill -9 while a file is fetched."""
    data = random.Random(0).randbytes(2 << 20)
    target = folder / "model.onnx"

    def is_whole(path: Path) -> None:
        assert path.read_bytes() == data

    with server(data) as url:
        return kill_at_random(tries, lambda: download([url], target), target, is_whole)


@contextmanager
def server(data: bytes) -> Iterator[str]:
    """A web server that gives these bytes."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            with suppress(OSError):
                self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            return

        def handle(self) -> None:
            with suppress(OSError):
                super().handle()

    with HTTPServer(("127.0.0.1", 0), Handler) as serving:
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{serving.server_port}/model"
        finally:
            serving.shutdown()
            thread.join()


def full_disk(folder: Path, tries: int) -> Outcomes:
    """A file system that is full at one place or another of a file that is compiled."""
    found: Outcomes = Counter()
    program = compile_graph(chain_graph(128))
    whole = chain_file(folder / "whole.plm", 128).stat().st_size
    for number in range(tries):
        size = 4096 * (1 + number * (whole // 4096) // max(1, tries - 1))
        with tmpfs(folder / "small", size) as place:
            try:
                write_program(program, place / "m.plm")
                verify(place / "m.plm")
                found["written"] += 1
            except InputError as error:
                told = str(error) if not list(place.iterdir()) else "something is left"
                check(told.endswith("No space left on device"))
                found["refused, nothing left"] += 1
    return found


@contextmanager
def tmpfs(place: Path, nbytes: int) -> Iterator[Path]:
    place.mkdir(exist_ok=True)
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={nbytes}", "tmpfs", str(place)], check=True
    )
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def truncate(folder: Path, tries: int) -> Outcomes:
    """A mapped program becomes shorter at some moment of its runs."""
    found: Outcomes = Counter()
    whole = chain_file(folder / "whole.plm")
    x = ones(whole)
    weights = read_header(whole).weights_offset
    chance = random.Random(0)
    wanted = Engine(open_program(whole), threads=2).run([x])[0]
    for number in range(tries):
        path = Path(shutil.copy(whole, folder / "m.plm"))
        engine = Engine(open_program(path), threads=1 + number % 3)
        size = chance.randrange(weights, whole.stat().st_size - 4096)
        cutting = threading.Timer(chance.uniform(0, 0.01), os.truncate, (path, size))
        cutting.start()
        try:
            while True:
                assert np.array_equal(engine.run([x])[0], wanted)
        except ExecutionError as error:
            check(error.what == GONE)
            found["error"] += 1
        cutting.join()
    return found


def truncate_model(folder: Path, tries: int) -> Outcomes:
    """A mapped ONNX file, or its external data, becomes shorter while it is run or compiled."""
    found: Outcomes = Counter()
    chance = random.Random(0)
    wanted = None
    for number in range(tries):
        external = "m.bin" if number % 2 else None
        model = load(chain_model(folder / "m.onnx", 128, external=external))
        data = folder / (external or "m.onnx")
        runnable = ReferenceBackend().prepare(folder / "m.onnx")
        x = {"x0": np.ones((1, 128), np.float32)}
        wanted = runnable.run(x)["x4"] if wanted is None else wanted
        size = chance.randrange(1, data.stat().st_size)
        cutting = threading.Timer(chance.uniform(0, 0.03), os.truncate, (data, size))
        cutting.start()
        try:
            while True:
                if number % 3:
                    assert np.array_equal(runnable.run(x)["x4"], wanted)
                else:
                    compile(model, folder / "m.plm")
                    (folder / "m.plm").unlink()
        except ExecutionError as error:
            check(error.what == GONE and not list(folder.glob("*.p*")))
            found[f"error of {'a run' if number % 3 else 'compiling'}"] += 1
        cutting.join()
    return found


def truncate_tool(folder: Path, tries: int) -> Outcomes:
    """The same to ``pelemay-run``."""
    found: Outcomes = Counter()
    whole = chain_file(folder / "whole.plm")
    np.save(folder / "x.npy", ones(whole))
    for _ in range(tries):
        path = Path(shutil.copy(whole, folder / "m.plm"))
        command = [str(TOOL), path.name, "--input=x.npy", "--output=y.npy", "--repeat=9999999"]
        running = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True)
        while not list(folder.glob("y.npy.*.tmp")):
            time.sleep(0.005)
        os.truncate(path, read_header(whole).weights_offset)
        _, said = running.communicate(timeout=60)
        assert (running.returncode, said.strip()) == (1, f"pelemay-run: m.plm: {GONE}")
        assert not list(folder.glob("y.npy*"))
        found["error"] += 1
    return found


def every_call(folder: Path, kind: str, step: int) -> Outcomes:
    """Each call that allocates, or that reads weights, fails once, in opening and running."""
    made = folder / "failing.so"
    compiler = shutil.which("cc") or shutil.which("gcc") or "cc"
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-O1", "-o", str(made), str(HERE / "failing.c"), "-ldl"],
        check=True,
    )
    path = chain_file(folder / "m.plm", 128)
    command = [sys.executable, str(HERE / "every_call.py"), kind, str(path), str(step)]
    environment = {**os.environ, "LD_PRELOAD": str(made), "PYTHONMALLOC": "malloc"}
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, check=False, timeout=3000
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return Counter(json.loads(done.stdout))


def memory(folder: Path, step: int) -> Outcomes:
    """Each allocation of opening and running in Python fails once."""
    return every_call(folder, "memory", step)


def reads(folder: Path, step: int) -> Outcomes:
    """Each read of a program's file fails once."""
    return every_call(folder, "reads", step)


def address_space(folder: Path, tries: int) -> Outcomes:
    """``pelemay-run`` within every address space from nothing to enough."""
    return limited(folder, tries, resource.RLIMIT_AS, 16 << 20)


def descriptors(folder: Path, tries: int) -> Outcomes:
    """``pelemay-run`` with few file descriptors."""
    return limited(folder, tries, resource.RLIMIT_NOFILE, tries)


def limited(folder: Path, tries: int, kind: int, most: int) -> Outcomes:
    found: Outcomes = Counter()
    path = chain_file(folder / "m.plm", 128)
    np.save(folder / "x.npy", ones(path))
    for number in range(tries):
        limit = most * (number + 1) // tries
        output = folder / "y.npy"
        for more in ((), ("--memory-limit=64MiB",)):
            output.unlink(missing_ok=True)
            command = [str(TOOL), path.name, "--input=x.npy", "--output=y.npy", *more]
            done = subprocess.run(
                command, cwd=folder, capture_output=True, text=True, check=False, timeout=60,
                preexec_fn=lambda: resource.setrlimit(kind, (limit, limit)),  # noqa: B023
            )  # fmt: skip
            assert output.exists() == (done.returncode == 0)
            found[told(done)] += 1
    assert not list(folder.glob("*.tmp"))
    return found


def told(done: subprocess.CompletedProcess[str]) -> str:
    """What became of a tool that may not even have been loaded."""
    if done.returncode == 0:
        return "right answer"
    if done.returncode == 1 and done.stderr.startswith("pelemay-run: "):
        return "error"
    assert done.stderr.startswith("Fatal glibc error") or not done.stderr, done.stderr
    assert done.returncode in (-signal.SIGKILL, -signal.SIGSEGV, 127), done.returncode
    return "not started by the system"


def flipped(folder: Path, tries: int) -> Outcomes:
    """One bit of a program's file is another."""
    found: Outcomes = Counter()
    whole = chain_file(folder / "whole.plm", 128)
    data, weights, x = whole.read_bytes(), read_header(whole).weights_offset, ones(whole)
    path = folder / "m.plm"
    chance = random.Random(0)
    for _ in range(tries):
        bit = chance.randrange(8 * len(data))
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        part = "weights" if bit // 8 >= weights else "tables"
        found[f"{part}: {flip_seen(path, x)}"] += 1
        try:
            verify(path)
        except ModelError:
            continue
        raise AssertionError(f"bit {bit} is not missed")
    return found


def flip_seen(path: Path, x: Any) -> str:
    """Who sees it without reading the whole file: opening, or a run that streams."""
    try:
        program = open_program(path, streamed=True)
    except ModelError:
        return "seen when opened"
    try:
        Engine(program, weights_bytes=program.stream_need()["least"]).run([x])
    except ModelError:
        return "seen by a run that streams"
    return "seen by 'check' only"


def interrupted(folder: Path, tries: int) -> Outcomes:
    """Signals every millisecond, with a handler, during runs that map and that stream."""
    path = chain_file(folder / "m.plm", 128)
    x, came = ones(path), [0]
    program = open_program(path, streamed=True)
    budget = program.stream_need()["least"]
    engines = (
        Engine(open_program(path), threads=2),
        Engine(program, threads=2, weights_bytes=budget),
    )
    wanted = engines[0].run([x])[0]

    def count(*_: object) -> None:
        came[0] += 1

    before = signal.signal(signal.SIGALRM, count)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    try:
        for number in range(tries):
            assert np.array_equal(engines[number % 2].run([x])[0], wanted)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert came[0] or tries < 100
    return Counter({"right answer": tries})


def forks(folder: Path, tries: int) -> Outcomes:
    """Children of fork() run on while threads of the parent run."""
    path = chain_file(folder / "m.plm", 128)
    x = ones(path)
    engines = [Engine(open_program(path), threads=2) for _ in range(2)]
    wanted = engines[0].run([x])[0]
    over = threading.Event()

    def run() -> None:
        while not over.is_set():
            assert np.array_equal(engines[1].run([x])[0], wanted)

    def child() -> None:
        assert np.array_equal(engines[0].run([x])[0], wanted)

    thread = threading.Thread(target=run)
    thread.start()
    codes = [in_child(child) for _ in range(tries)]
    over.set()
    thread.join()
    assert not any(codes)
    return Counter({"right answer": tries})


SHUTDOWN = """
import sys, threading, time
import numpy as np
from pelemay.engine import Engine, open_program
engine = Engine(open_program(sys.argv[1]), threads=2)
x = np.ones(engine.program.inputs[0][2], np.float32)
def run():
    while True:
        engine.run([x])
for _ in range(2):
    threading.Thread(target=run, daemon=True).start()
time.sleep(float(sys.argv[2]))
"""


def shutdown(folder: Path, tries: int) -> Outcomes:
    """The interpreter ends while daemon threads run."""
    path = chain_file(folder / "m.plm", 128)
    chance = random.Random(0)
    for _ in range(tries):
        command = [sys.executable, "-c", SHUTDOWN, str(path), str(chance.uniform(0, 0.05))]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
    return Counter({"clean end": tries})


def clock(folder: Path, tries: int) -> Outcomes:
    """Times of files and of the system jump by years while the cache is used."""
    os.environ["PELEMAY_CACHE"] = str(folder / "cache")
    model, chance, now = model_file(folder / "m.onnx"), random.Random(0), time.time_ns

    def write(read: Any, to: Path) -> None:
        write_program(compile_graph(read.graph), to)

    paths = set()
    try:
        for _ in range(tries):
            jump = chance.randrange(-20, 20) * 365 * 86400
            time.time_ns = lambda: now() + jump * 10**9  # noqa: B023
            os.utime(model, (max(0, now() // 10**9 + jump),) * 2)
            paths.add(cache.fill(cache.Request(model), load, write))
            noted = cache._noted(cache.Request(model))
            assert noted is None or noted in paths
    finally:
        time.time_ns = now
    assert len(paths) == 1
    return Counter({"the right program": tries})
