"""``pelemay-run``, the runner without Python: the same bits, refusals, hostile files, signals."""

from __future__ import annotations

import io
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pelemay.compilation import compile_graph
from pelemay.engine import Engine, native, open_program
from pelemay.importers import from_proto
from pelemay.program.image import image
from support.chain import chain
from support.run_tool import MODELS, TOOL, compiled, lay_out, load, refused, run, start
from support.texts import parsed

Array = Any

pytestmark = pytest.mark.skipif(
    TOOL is None or not TOOL.exists(), reason="pelemay-run is not built: run pip install -e ."
)


RUNNABLE = [name for name in MODELS if name not in ("host", "tail")]


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("name", RUNNABLE)
def test_the_same_bytes_as_from_python(name: str, threads: int, tmp_path: Path) -> None:
    inputs, outputs = lay_out(tmp_path, name)
    done = run("m.plm", *inputs, *outputs, "--threads", threads, cwd=tmp_path)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "")
    program = open_program(compiled(name))
    arrays = [load(tmp_path / f"{key}.npy", dtype) for key, dtype, _ in program.inputs]
    expected = Engine(program, threads=1).run(arrays)
    for (key, _, _), array in zip(program.outputs, expected, strict=True):
        buffer = io.BytesIO()
        np.save(buffer, array)
        assert (tmp_path / f"{key}_out.npy").read_bytes() == buffer.getvalue()
    assert not list(tmp_path.glob("*.tmp"))


@pytest.mark.parametrize("isa", [*native().ISAS])
def test_each_instruction_set(isa: str, tmp_path: Path) -> None:
    inputs, outputs = lay_out(tmp_path, "convolution")
    done = run("m.plm", *inputs, *outputs, "--isa", isa, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    x = np.load(tmp_path / "x.npy")
    (expected,) = Engine(open_program(compiled("convolution")), isa=isa).run([x])
    np.testing.assert_array_equal(np.load(tmp_path / "y_out.npy"), expected)


def test_files_without_names_go_in_order(tmp_path: Path) -> None:
    lay_out(tmp_path, "two of each")
    b = ["--input", "b=b.npy", "--input", "a.npy"]
    done = run("m.plm", *b, "--output", "1.npy", "--output", "2.npy", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(np.load(tmp_path / "2.npy"), -np.load(tmp_path / "b.npy"))
    done = run("m.plm", *b, "--output", "q=3.npy", cwd=tmp_path)  # those that are wanted
    assert (tmp_path / "3.npy").read_bytes() == (tmp_path / "2.npy").read_bytes()


def test_a_name_may_have_an_equals_sign(tmp_path: Path) -> None:
    lay_out(tmp_path, "scalar")
    (tmp_path / "x.npy").rename(tmp_path / "k=v.npy")
    done = run("m.plm", "--input", "k=v.npy", "--output=y=a=b.npy", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "a=b.npy").exists()


def test_through_pipes_and_links(tmp_path: Path) -> None:
    """What is no plain file is written as it is; behind a link, the file is replaced."""
    lay_out(tmp_path, "convolution")
    (tmp_path / "there").mkdir()
    (tmp_path / "link.npy").symlink_to("there/y.npy")
    (tmp_path / "there/y.npy").write_text("old")
    data = (tmp_path / "x.npy").read_bytes()
    command = [str(TOOL), "m.plm", "--input=/dev/stdin", "--output=/dev/stdout"]
    done = subprocess.run(command, cwd=tmp_path, input=data, capture_output=True, check=True)
    run("m.plm", "--input=x.npy", "--output=link.npy", cwd=tmp_path)
    assert done.stdout == (tmp_path / "there/y.npy").read_bytes()
    assert (tmp_path / "link.npy").is_symlink()
    done = subprocess.run(
        [*command[:3], "--output=/dev/null"], cwd=tmp_path, input=data, check=True
    )
    assert Path("/dev/null").is_char_device()


def test_what_it_says_of_a_program(tmp_path: Path) -> None:
    inputs, _ = lay_out(tmp_path, "convolution")
    done = run("m.plm", "--info", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "input    x float32[1, 3, 17, 13]\noutput   y float32[1, 20, 9, 7]\n" in done.stdout
    done = run("m.plm", *inputs, "--time", "--repeat", 3, cwd=tmp_path)
    assert done.returncode == 0
    assert done.stderr.startswith("pelemay-run: prepared in ")
    assert re.search(
        r"ran in [\d.]+ ms first, .*pelemay-run: held at most [\d.]+ MiB\n$", done.stderr, re.S
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    inputs, _ = lay_out(tmp_path, "convolution")
    said = refused("m.plm", *inputs, "--output=/dev/full", cwd=tmp_path)
    assert said == "/dev/full: it cannot be written: No space left on device"
    with Path("/dev/full").open("w") as full:
        command = [str(TOOL), "m.plm", "--info"]
        done = subprocess.run(
            command, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == 1


def test_help_names_every_option() -> None:
    done = run("--help")
    assert done.returncode == 0
    for option in ("input", "output", "threads", "memory-limit", "isa", "repeat", "time", "info"):
        assert f"  --{option}" in done.stdout
    assert max(len(line) for line in done.stdout.splitlines()) <= 100
    assert run("--version").stdout == "pelemay-run 0.1.0\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no model is named"),
        (["m.plm"], "nothing to do"),
        (["m.plm", "n.plm", "--time"], "n.plm: there is one model, m.plm"),
        (["m.plm", "--faster"], "--faster: there is no such option"),
        (["m.plm", "--in=x.npy"], "--in=x.npy: there is no such option"),
        (["m.plm", "--time=3"], "--time=3: there is no such option"),
        (["m.plm", "--output"], "--output: a value is missing"),
        (["m.plm", "--time", "--threads", "0"], "--threads 0: a number from 1 to 64"),
        (["m.plm", "--time", "--threads", "65"], "--threads 65: a number from 1 to 64"),
        (["m.plm", "--time", "--threads", "2x"], "--threads 2x: a number from 1 to 64"),
        (["m.plm", "--time", "--repeat=-1"], "--repeat -1: a number"),
        (["m.plm", "--time", "--repeat=99999999999999999999999"], "a number from 1"),
        (
            ["m.plm", "--time", "--memory-limit=12 apples"],
            "--memory-limit 12 apples: a size such as",
        ),
        (["m.plm", "--time", "--memory-limit=MiB"], "--memory-limit MiB: a size such as"),
        (["m.plm", "--time", "--memory-limit=0"], "--memory-limit 0: a size such as"),
        (["m.plm", "--time", "--memory-limit="], "--memory-limit : a size such as"),
    ],
)
def test_wrong_usage(arguments: list[str], message: str) -> None:
    said = refused(*arguments, code=2)
    assert message in said
    assert said.endswith("; see pelemay-run --help")


A, B = "--input=a.npy", "--input=b.npy"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--input=x.npy"], "nothing was given for input 'b' (int64[4, 2]): --input b=FILE.npy"),
        (["--input=c=a.npy"], "c=a.npy: there is no input 'c'; allowed: a, b"),
        (["--output=r=a.npy"], "r=a.npy: there is no output 'r'; allowed: p, q"),
        (["--input=a=", B], "a=: a file is missing after the name"),
        (["--input=a=a.npy", "--input=a=b.npy"], "b.npy: input 'a' has a.npy already"),
        ([A, B, A], "a.npy: there is no more than that"),
        (["--input=b=none.npy", A], "none.npy: it cannot be read: No such file"),
        (["--input=b=.", A], ".: it cannot be read: Is a directory"),
        (["--input=m.plm", B], "m.plm: it is no .npy file"),
        ([B, A], "b.npy: it has int64[4, 2], which is not what input 'a' "),
        ([A, B, "--output=no/y.npy"], "no/y.npy: it cannot be written: No"),
        ([A, B, "--output=."], ".: it cannot be written: Is a directory"),
        ([A, B, "--output=y", "--output=y"], "y: two outputs cannot go"),
        ([A, B, "--isa=abacus"], "no instruction set 'abacus'; it has "),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(arguments: list[str], message: str, tmp_path: Path) -> None:
    lay_out(tmp_path, "two of each")
    assert message in refused("m.plm", *arguments, cwd=tmp_path)


@pytest.mark.parametrize(("name", "node"), [("host", "Identity"), ("tail", "NonZero")])
def test_what_needs_python_is_refused(name: str, node: str, tmp_path: Path) -> None:
    (tmp_path / "m.plm").write_bytes(compiled(name))
    said = refused("m.plm", "--input=none.npy", "--output=y.npy", cwd=tmp_path)
    assert "without Python" in said
    assert node in said


def test_damaged_programs_are_refused(tmp_path: Path) -> None:
    good = compiled("convolution")
    for name, data, message in [
        ("empty", b"", "shorter or longer"),
        ("short", good[:300], "shorter or longer"),
        ("other", b"hello" * 99, "not a .plm file"),
        ("head", good[:400] + bytes([good[400] ^ 1]) + good[401:], "damaged"),
    ]:
        (tmp_path / name).write_bytes(data)
        assert message in refused(tmp_path / name, "--time")
    assert "cannot be read: No such file" in refused(tmp_path / "none", "--time")


def test_damaged_weights_are_found(tmp_path: Path) -> None:
    data = bytearray(compiled("convolution"))
    path = tmp_path / "m.plm"
    path.write_bytes(data)
    assert run(path, "--verify").returncode == 0
    data[open_program(bytes(data)).weights_offset + 5] ^= 1
    path.write_bytes(data)
    said = refused(path, "--verify")
    assert "w" in said
    assert "damaged" in said


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((4, 6), ">f4"), "little-endian is allowed, for input 'a' (float32[4, 6])"),
        (np.asfortranarray(np.zeros((4, 6), "<f4")), "it is in Fortran order; C order is allowed"),
        (np.zeros((4, 6), "<f8"), "float64[4, 6], which is not what input 'a' (float32[4, 6])"),
        (np.zeros((6, 4), "<f4"), "it has float32[6, 4], which is not"),
        (np.zeros((4, 6, 1), "<f4"), "it has float32[4, 6, 1], which is not"),
        (np.zeros((), "<f4"), "it has float32[], which is not"),
        (np.zeros((4, 6), "<c8"), "its element type is not one of the engine's"),
        (np.zeros((4, 6), "<U3"), "its element type is not one of the engine's"),
        (np.zeros((4, 6), "<M8[s]"), "its element type is not one of the engine's"),
        (np.zeros((4,), [("a", "<f4")]), "its elements have fields"),
        (np.zeros((1,) * 9, "<f4"), "more than 8 dimensions"),
    ],
)  # fmt: skip
def test_arrays_that_do_not_fit(array: Array, message: str, tmp_path: Path) -> None:
    lay_out(tmp_path, "two of each")
    np.save(tmp_path / "a.npy", array)
    assert message in refused("m.plm", "--input=a.npy", "--input=b.npy", "--time", cwd=tmp_path)


def with_head(text: bytes, version: int = 1, length: int | None = None, data: bytes = b"") -> bytes:
    size = len(text) if length is None else length
    prefix = b"\x93NUMPY" + bytes([version, 0]) + size.to_bytes(2 if version == 1 else 4, "little")
    return prefix + text + data


GOOD = b"{'descr': '<f4', 'fortran_order': False, 'shape': (), }\n"


@pytest.mark.parametrize(
    "data",
    [
        with_head(GOOD, data=b"1234"),
        with_head(GOOD, version=2, data=b"1234"),
        with_head(GOOD, version=3, data=b"1234"),
        with_head(b'{"shape":(),"descr":"<f4","fortran_order":False}', data=b"1234"),
        with_head(GOOD.strip() + b" " * 3000, data=b"1234"),
    ],
)
def test_heads_of_all_versions(data: bytes, tmp_path: Path) -> None:
    lay_out(tmp_path, "scalar")
    (tmp_path / "x.npy").write_bytes(data)
    done = run("m.plm", "--input=x.npy", "--output=y.npy", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert np.load(tmp_path / "y.npy") == -np.frombuffer(b"1234", "<f4")[0]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "it is no .npy file"),
        (b"\x93NUMPY", "it is no .npy file"),
        (with_head(GOOD, version=4), "it is no .npy file"),
        (with_head(GOOD, version=2, length=1 << 31), "it is no .npy file"),
        (with_head(GOOD, length=0), "it is no .npy file"),
        (with_head(GOOD, length=200), "it ends within its head"),
        (with_head(GOOD, data=b"123"), "it has 3 bytes of data, and its head says 4"),
        (with_head(GOOD, data=b"12345"), "there is more behind its data"),
        (with_head(GOOD.replace(b"()", b"(1,)"), data=b"1234"), "it has float32[1]"),
        (with_head(GOOD.replace(b"()", b"(1)")), "its head is damaged"),
        (with_head(GOOD.replace(b"()", b"(-1,)")), "its head is damaged"),
        (with_head(GOOD.replace(b"()", b"(99999999999999999999999,)")), "its head is damaged"),
        (with_head(GOOD.replace(b"()", b"((),)")), "its head is damaged"),
        (with_head(GOOD.replace(b"False", b"None")), "its head is damaged"),
        (with_head(GOOD.replace(b"'shape': (), ", b"")), "its head is damaged"),
        (with_head(GOOD.replace(b"'shape'", b"'descr'")), "its"),
        (with_head(GOOD.replace(b"}", b"'extra': 1}")), "a key that is not known"),
        (with_head(b"__import__('os').system('true')\n"), "its head is damaged"),
    ],
)
def test_heads_that_are_wrong(data: bytes, message: str, tmp_path: Path) -> None:
    lay_out(tmp_path, "scalar")
    (tmp_path / "x.npy").write_bytes(data)
    assert message in refused("m.plm", "--input=x.npy", "--output=y.npy", cwd=tmp_path)


@pytest.fixture(scope="module")
def scalar_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scalar")
    lay_out(folder, "scalar")
    return folder


@settings(max_examples=150)
@given(
    st.one_of(
        st.binary(max_size=200),
        st.builds(
            lambda at, piece, version: with_head(
                GOOD[: at % len(GOOD)] + piece + GOOD[at % len(GOOD) :], version, data=b"1234"
            ),
            st.integers(0, 100),
            st.binary(max_size=20)
            | st.sampled_from([b"(", b")", b"'", b"{", b",", b"9" * 30, b"\\"]),
            st.integers(1, 3),
        ),
        st.builds(
            lambda at, bit: bytes(
                b ^ (bit if i == at else 0) for i, b in enumerate(with_head(GOOD, data=b"1234"))
            ),
            st.integers(0, 70),
            st.integers(1, 255),
        ),
    )
)
def test_hostile_heads_are_refused_or_read_as_numpy_does(scalar_folder: Path, data: bytes) -> None:
    (scalar_folder / "h.npy").write_bytes(data)
    (scalar_folder / "y.npy").unlink(missing_ok=True)
    done = run("m.plm", "--input=h.npy", "--output=y.npy", cwd=scalar_folder)
    assert done.returncode in (0, 1), done.stderr
    assert (scalar_folder / "y.npy").exists() == (done.returncode == 0)
    if done.returncode == 0:
        expected = np.load(io.BytesIO(data))
        np.testing.assert_array_equal(np.load(scalar_folder / "y.npy"), -expected)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_interrupted_in_a_run(number: signal.Signals, code: int, tmp_path: Path) -> None:
    x = np.ones((1000, 1000), np.float32)
    (tmp_path / "m.plm").write_bytes(chain(x.shape, 4000))
    np.save(tmp_path / "x.npy", x)
    (tmp_path / "y.npy").write_text("what was there before")
    files = sorted(tmp_path.iterdir())
    process = start(tmp_path, "m.plm", "--input=x.npy", "--output=y.npy", "--repeat=1000")
    deadline = time.monotonic() + 20
    while not list(tmp_path.glob("y.npy.*.tmp")) and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.1)
    process.send_signal(number)
    _, said = process.communicate(timeout=20)
    assert (process.returncode, said) == (code, "pelemay-run: interrupted\n")
    assert sorted(tmp_path.iterdir()) == files
    assert (tmp_path / "y.npy").read_text() == "what was there before"


def test_interrupted_while_it_waits_for_its_input(tmp_path: Path) -> None:
    lay_out(tmp_path, "scalar")
    command = [str(TOOL), "m.plm", "--input=/dev/stdin", "--output=y.npy"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=tmp_path, stdin=pipe, stderr=pipe, text=True) as process:
        deadline = time.monotonic() + 20
        while not list(tmp_path.glob("*.tmp")) and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=20)
    assert (process.returncode, said) == (130, "pelemay-run: interrupted\n")
    assert not list(tmp_path.glob("y.npy*"))


def test_an_error_in_the_run_leaves_no_output(tmp_path: Path) -> None:
    text = "g (float[4] x, int64[2] i) => (float[2] y) { y = Gather <axis=0> (x, i) }"
    (tmp_path / "m.plm").write_bytes(image(compile_graph(from_proto(parsed(text)).graph)))
    np.save(tmp_path / "x.npy", np.ones(4, np.float32))
    np.save(tmp_path / "i.npy", np.array([1, 99]))
    arguments = ["m.plm", "--input=x.npy", "--input=i.npy", "--output=y.npy"]
    assert "out of range" in refused(*arguments, cwd=tmp_path)


def anonymous_bytes(process: subprocess.Popen[str]) -> int:
    lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Anonymous:"))


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="only Linux tells")
def test_runs_leave_nothing_behind(tmp_path: Path) -> None:
    """Memory of its own is flat to the page over hundreds of runs."""
    inputs, outputs = lay_out(tmp_path, "convolution")
    process = start(tmp_path, "m.plm", *inputs, *outputs, "--repeat=1000000000")
    deadline = time.monotonic() + 20
    while not list(tmp_path.glob("*.tmp")) and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.5)
    before = anonymous_bytes(process)
    time.sleep(1)
    after = anonymous_bytes(process)
    process.terminate()
    process.communicate(timeout=20)
    assert after == before
