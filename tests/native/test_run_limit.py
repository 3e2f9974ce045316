"""``pelemay-run --memory-limit``: the whole process, as the kernel counts, or a refusal at once."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx.helper
import pytest

from pelemay.bench.cgroups import Controller, Group, find_controller
from pelemay.compilation import compile_graph
from pelemay.engine import open_program
from pelemay.errors import UnsupportedError
from pelemay.importers import from_proto
from pelemay.program.image import image
from support import large_pages
from support.run_tool import TOOL, lay_out, refused, run, start

MIB = 1 << 20
UNITS = {"KiB": 1 << 10, "MiB": MIB, "GiB": 1 << 30}

pytestmark = [
    pytest.mark.skipif(TOOL is None or not TOOL.exists(), reason="pelemay-run is not built"),
    pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="only Linux tells"),
]


@cache
def products(count: int = 12, size: int = 512) -> bytes:
    """A program of matrix products, each with a mebibyte of weights."""
    rng = np.random.default_rng(0)
    tensor = onnx.TensorProto.FLOAT
    names = ["x", *(f"v{i}" for i in range(count - 1)), "y"]
    nodes, weights = [], []
    for i in range(count):
        array = (rng.normal(size=(size, size)) / np.sqrt(size)).astype(np.float32)
        weights.append(onnx.numpy_helper.from_array(array, f"w{i}"))
        nodes.append(onnx.helper.make_node("MatMul", [names[i], f"w{i}"], [names[i + 1]]))
    ends = [onnx.helper.make_tensor_value_info(n, tensor, (64, size)) for n in ("x", "y")]
    graph = onnx.helper.make_graph(nodes, "products", ends[:1], ends[1:], weights)
    opsets = [onnx.helper.make_opsetid("", 21)]
    model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=10)
    return image(compile_graph(from_proto(model).graph))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program, an input, and what a run without a limit gives."""
    folder = tmp_path_factory.mktemp("products")
    (folder / "m.plm").write_bytes(products())
    x = np.random.default_rng(1).normal(size=(64, 512)).astype(np.float32)
    np.save(folder / "x.npy", x)
    done = run("m.plm", "--input=x.npy", "--output=expected.npy", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


def bytes_of(text: str) -> int:
    number, unit = text.split()
    return int(float(number) * UNITS[unit])


def least_of(folder: Path, threads: int = 1, model: str = "m.plm") -> str:
    """The least limit that works, as the tool says."""
    arguments = ["--time", "--input=x.npy", "--memory-limit=100KiB", f"--threads={threads}"]
    said = refused(model, *arguments, cwd=folder)
    found = re.search(r"the least that works is ([\d.]+ [KMG]iB) with (\d+) thread", said)
    assert found, said
    assert int(found[2]) == threads
    return found[1]


def held_at_most(done: subprocess.CompletedProcess[str]) -> int:
    found = re.search(r"held at most ([\d.]+ [KMG]iB)", done.stderr)
    assert done.returncode == 0, done.stderr
    assert found, done.stderr
    return bytes_of(found[1])


def limited(folder: Path, limit: object, *more: object) -> subprocess.CompletedProcess[str]:
    out = folder / f"{os.getpid()}.npy"
    out.unlink(missing_ok=True)
    arguments = [
        "--input=x.npy",
        f"--output={out.name}",
        f"--memory-limit={limit}",
        "--time",
        *more,
    ]
    done = run("m.plm", *arguments, cwd=folder)
    if done.returncode == 0:
        assert out.read_bytes() == (folder / "expected.npy").read_bytes()
    return done


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("more", [0, 0.7, 2.1, 6.3])
def test_it_holds_no_more_and_gives_the_same_bits(more: float, threads: int, folder: Path) -> None:
    limit = bytes_of(least_of(folder, threads)) + int(more * MIB) + 8192  # the text is rounded
    done = limited(folder, limit, f"--threads={threads}", "--repeat=3")
    assert held_at_most(done) <= limit


@large_pages.on_request
def test_weights_lie_in_large_pages(folder: Path) -> None:
    """As far as they fill some, and nothing else does: a disk reads faster into few long ranges."""
    limit = bytes_of(least_of(folder)) + 5 * MIB
    more = [f"--memory-limit={limit}", "--threads=1", "--repeat=1000000000", "--output=y.npy"]
    with start(folder, "m.plm", "--input=x.npy", *more) as process:
        deadline = time.monotonic() + 20
        found = 0
        while not found and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
            found = large_pages.asked_for(process.pid)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
    assert found in (4 * MIB, 6 * MIB)


def test_less_is_refused_before_anything_is_read(folder: Path) -> None:
    least = bytes_of(least_of(folder))
    arguments = ["m.plm", "--input=no such file", "--output=y.npy", "--threads=1"]
    said = refused(*arguments, f"--memory-limit={least - (32 << 10)}", cwd=folder)
    assert "m.plm: --memory-limit leaves " in said
    for part in (
        "the tool and the file's head",
        "arena",
        "scratch",
        "inputs and outputs",
        "weights",
    ):
        assert re.search(rf"{part} [\d.]+ ([KMG]iB|bytes)", said), part


def test_where_there_is_room_the_file_is_mapped(folder: Path) -> None:
    done = limited(folder, "1GiB", "--repeat=2")
    assert held_at_most(done) > 12 * MIB


def test_threads_are_fewer_where_more_do_not_fit(folder: Path) -> None:
    least = bytes_of(least_of(folder, 1)) + 8192
    environment = {**os.environ, "PELEMAY_MEMORY_LIMIT": f"{least}"}
    done = run("m.plm", "--input=x.npy", "--time", cwd=folder, env=environment)
    assert held_at_most(done) <= least
    said = refused(
        "m.plm", "--input=x.npy", "--time", "--threads=9", "--memory-limit=1 MiB", cwd=folder
    )
    assert "with 9 threads" in said


@pytest.mark.parametrize(
    ("text", "said"),
    [("1.5MiB", "1.50 MiB"), ("1500000", "1.44 MiB"), ("1MB", "976.57 KiB"),
     ("0.001GiB", "1.03 MiB"),
     ("700 KiB", "700.00 KiB"), ("77KB", "75.20 KiB"), ("512B", "512 bytes")],
)  # fmt: skip
def test_sizes(text: str, said: str, folder: Path) -> None:
    assert f"leaves {said}, " in refused(
        "m.plm", "--input=x.npy", "--time", f"--memory-limit={text}", cwd=folder
    )


def test_what_is_said_of_the_least(folder: Path) -> None:
    done = run("m.plm", "--info", cwd=folder)
    found = re.search(r"^least +([\d.]+ MiB)$", done.stdout, re.MULTILINE)
    assert found, done.stdout
    assert abs(bytes_of(found[1]) - bytes_of(least_of(folder))) < 64 << 10


def test_programs_without_weights(tmp_path: Path) -> None:
    inputs, outputs = lay_out(tmp_path, "two of each")
    for limit, code in [("4MiB", 0), ("200KiB", 1)]:
        done = run("m.plm", *inputs, *outputs, f"--memory-limit={limit}", cwd=tmp_path)
        assert done.returncode == code, done.stderr


def test_runs_do_not_grow(folder: Path) -> None:
    least = bytes_of(least_of(folder, 2)) + 8192
    few = held_at_most(limited(folder, least, "--threads=2", "--repeat=10"))
    many = held_at_most(limited(folder, least, "--threads=2", "--repeat=110"))
    assert many - few <= 64 << 10


def test_interrupted_while_weights_are_read(folder: Path) -> None:
    limit = f"--memory-limit={bytes_of(least_of(folder, 2)) + 8192}"
    given = ["--input=x.npy", "--output=stopped.npy", "--repeat=1000000", "--threads=2", limit]
    process = start(folder, "m.plm", *given)
    deadline = time.monotonic() + 20
    while not list(folder.glob("stopped.npy.*.tmp")) and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=20)
    assert (process.returncode, said) == (130, "pelemay-run: interrupted\n")
    assert not list(folder.glob("stopped.npy*"))


def test_a_file_that_changes_is_noticed(folder: Path, tmp_path: Path) -> None:
    for name in ("m.plm", "x.npy"):
        shutil.copy(folder / name, tmp_path)
    limit = f"--memory-limit={bytes_of(least_of(tmp_path)) + 8192}"
    process = start(
        tmp_path,
        "m.plm",
        "--input=x.npy",
        "--output=y.npy",
        "--repeat=100000",
        "--threads=1",
        limit,
    )
    deadline = time.monotonic() + 20
    while not list(tmp_path.glob("*.tmp")) and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.3)
    with (tmp_path / "m.plm").open("r+b") as file:
        file.truncate(open_program(products()).weights_offset + 4096)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 1
    assert said.startswith("pelemay-run: m.plm: ")
    assert not list(tmp_path.glob("y.npy*"))


def cold_tool(folder: Path) -> Path:
    """A copy of the tool that is not in the page cache: who runs it is charged for its pages."""
    assert TOOL is not None
    path = folder / "cold-run"
    shutil.copy(TOOL, path)
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return path


@pytest.fixture(scope="module")
def controller() -> Controller:
    try:
        return find_controller()
    except UnsupportedError as error:
        pytest.skip(str(error))


def in_group(group: Group, tool: Path, folder: Path, *arguments: object) -> Any:
    command = [*group.launcher, str(tool), "m.plm", *(str(a) for a in arguments)]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, timeout=120
    )


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("more", [0, 6])
def test_in_a_cgroup_of_that_size(
    more: int, threads: int, controller: Controller, folder: Path
) -> None:
    """The kernel charges no more, and kills nothing.

    How much of a program's file is read ahead at its start is the disk's to say, and may be more
    than the least group has room for: there the tool has been read before.
    """
    assert TOOL is not None
    limit = (bytes_of(least_of(folder, threads)) // 4096 + 2) * 4096 + more * MIB
    given = [f"--memory-limit={limit}", f"--threads={threads}", "--repeat=20"]
    output = f"{os.getpid()}_group.npy"
    with controller.group(limit) as group:
        tool = cold_tool(folder) if more else TOOL
        done = in_group(group, tool, folder, "--input=x.npy", f"--output={output}", *given)
        charged = group.charged_bytes()
    assert done.returncode == 0, done.stderr
    assert charged is None or charged <= limit
    assert (folder / output).read_bytes() == (folder / "expected.npy").read_bytes()


def test_as_much_as_the_cgroup_leaves(controller: Controller, folder: Path) -> None:
    assert TOOL is not None
    least = bytes_of(least_of(folder, 1))
    given = ["--input=x.npy", "--time", "--memory-limit=auto"]
    with controller.group(((least >> 20) + 3) * MIB) as group:
        done = in_group(group, TOOL, folder, *given)
    assert held_at_most(done) <= least + 3 * MIB
    with controller.group(2 * MIB) as group:
        done = in_group(group, TOOL, folder, *given)
    assert done.returncode == 1
    assert done.stderr.startswith("pelemay-run: m.plm: the memory cgroup leaves ")
