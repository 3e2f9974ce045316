"""Programs in the cache: made once, in a child, found again, and never mistaken for others."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx.parser
import pytest
from onnx import external_data_helper, numpy_helper

from pelemay import cache
from pelemay.backends.programs import ProgramRunnable
from pelemay.errors import GraphError, InputError, ModelError, PelemayError
from pelemay.importers import Model, load
from pelemay.program import Program
from pelemay.program.write import write_program

TEXT = """<ir_version: 8, opset_import: ["" : 17]>
small (float[n, 3] x) => (float[n, 3] y) { y = Mul(x, w) }"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PELEMAY_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("PELEMAY_CACHE_SIZE", raising=False)
    return cache.folder()


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are at rest at once, so that no test has to wait; one test is about just that."""
    monkeypatch.setattr(cache, "AT_REST_NS", 0)


def write(path: Path, factor: float, *, external: bool = False) -> Path:
    """A model that multiplies by a factor."""
    proto = onnx.parser.parse_model(TEXT)
    weights = np.full(3, factor, np.float32)
    proto.graph.initializer.append(numpy_helper.from_array(weights, "w"))
    if external:
        external_data_helper.set_external_data(proto.graph.initializer[0], "weights.bin")
        path.with_name("weights.bin").write_bytes(weights.tobytes())
        proto.graph.initializer[0].ClearField("raw_data")
    path.write_bytes(proto.SerializeToString())
    return path


def fill(path: Path, shapes: dict[str, tuple[int, ...]] | None = None, calls: Any = None) -> Path:
    """What the child process does, in this one."""
    from pelemay import pipeline

    def compile_to(model: Model, part: Path) -> None:
        if calls is not None:
            calls.append(path.name)
        pipeline.compile(model, part, shapes=shapes)

    return cache.fill(cache.Request(path, shapes or {}), load, compile_to)


def factor_of(program: Path) -> float:
    runnable = ProgramRunnable(program)
    shape = runnable.program.inputs[0][2]
    return float(runnable.run({"x": np.ones(shape, np.float32)})["y"].flat[0])


def refuse(*args: Any, **kwargs: Any) -> Any:
    pytest.fail("a child process was started")


def test_a_model_is_compiled_in_a_child_and_then_found(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = write(tmp_path / "m.onnx", 3)
    long_ago = model.stat().st_mtime - 1000
    os.utime(model, (long_ago, long_ago))
    first = cache.compiled(model)
    assert first.parent == folder
    assert factor_of(first) == 3
    fill(model)  # The child may not have noted a file whose inode changed just now.
    monkeypatch.setattr(cache.subprocess, "run", refuse)
    assert cache.compiled(model) == first


def test_compiling_loads_nothing_into_the_process_that_asks(tmp_path: Path) -> None:
    code = f"""
import sys
from pelemay import cache
cache.compiled({str(write(tmp_path / "m.onnx", 2))!r})
print(sorted({{"onnx", "numpy", "ml_dtypes", "rich", "pooch"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def test_what_the_child_says_is_raised_here(tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"\x08\x01broken")
    with pytest.raises(ModelError, match=r"broken\.onnx"):
        cache.compiled(tmp_path / "broken.onnx")
    with pytest.raises(InputError, match="there is no input 'z'"):
        cache.compiled(write(tmp_path / "m.onnx", 2), shapes={"z": (1,)})


def test_any_path_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("-o.onnx", "a b.onnx", "--shape=x.onnx"):
        write(tmp_path / name, 2)
        assert factor_of(cache.compiled(name)) == 2
    with pytest.raises(ModelError, match=r"^no-such-file\.onnx: "):
        cache.compiled("no-such-file.onnx")


def test_a_child_that_dies_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "_python_path", lambda: "/nowhere")
    monkeypatch.setattr(cache.sys, "executable", "/bin/false")
    with pytest.raises(PelemayError, match=r"m.onnx: compiling ended with code 1"):
        cache.compiled(write(tmp_path / "m.onnx", 2))


def test_the_name_is_that_of_content_shapes_and_compiler(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = write(tmp_path / "m.onnx", 2)
    copy = Path(shutil.copy(model, tmp_path / "copy.onnx"))
    calls: list[str] = []
    first = fill(model, calls=calls)
    assert fill(copy, calls=calls) == first
    assert calls == ["m.onnx"]
    assert fill(model, {"x": (4, 3)}) != first
    assert fill(write(tmp_path / "other.onnx", 5)) != first
    monkeypatch.setattr(cache, "compiler", lambda: "another")
    assert fill(model) != first


@pytest.mark.parametrize("external", [False, True])
def test_a_model_that_was_changed_is_compiled_again(tmp_path: Path, external: bool) -> None:
    model = write(tmp_path / "m.onnx", 2, external=external)
    changed = model.with_name("weights.bin") if external else model
    assert factor_of(fill(model)) == 2
    times = changed.stat()
    write(model, 7, external=external)
    os.utime(changed, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert changed.stat().st_size == times.st_size
    assert cache._noted(cache.Request(model)) is None
    assert factor_of(fill(model)) == 7


def test_a_file_written_just_now_is_not_believed_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "AT_REST_NS", 3600 * 10**9)
    model = write(tmp_path / "m.onnx", 2)
    program = fill(model)
    assert program.is_file()
    assert cache._noted(cache.Request(model)) is None
    monkeypatch.setattr(cache, "AT_REST_NS", 0)
    assert fill(model) == program
    assert cache._noted(cache.Request(model)) == program


@pytest.mark.parametrize("rest", [0, 3600 * 10**9])
def test_a_file_that_changes_meanwhile_is_refused(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, rest: int
) -> None:
    """Before it is hashed, or after; with other times, or with the same ones."""
    monkeypatch.setattr(cache, "AT_REST_NS", rest)
    if rest:
        monkeypatch.setattr(cache, "_fingerprint", lambda status: [status.st_size])
    for moment in ("while it is loaded", "while it is compiled"):
        model = write(tmp_path / "m.onnx", 2)

        def load_(path: Path, moment: str = moment) -> Model:
            found = load(path)
            if moment == "while it is loaded":
                write(path, 3)
            return found

        def compile_to(loaded: Model, part: Path, model: Path = model) -> None:
            write(model, 4)
            part.write_bytes(b"")

        with pytest.raises(ModelError, match="was changed while it was compiled"):
            cache.fill(cache.Request(model), load_, compile_to)
        assert list(folder.glob("*.plm")) == []


def test_two_processes_at_once(tmp_path: Path, folder: Path) -> None:
    model = write(tmp_path / "m.onnx", 2)
    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(lambda _: cache.compiled(model), range(4)))
    assert len(found) == 1
    assert factor_of(found.pop()) == 2
    assert [path.suffix for path in folder.iterdir() if path.is_file()] == [".plm"]


def test_a_failed_compilation_leaves_nothing(tmp_path: Path, folder: Path) -> None:
    def fail(model: Model, part: Path) -> None:
        part.write_bytes(b"half")
        raise GraphError("no")

    with pytest.raises(GraphError):
        cache.fill(cache.Request(write(tmp_path / "m.onnx", 2)), load, fail)
    assert [path for path in folder.rglob("*") if path.is_file()] == []


def filled(folder: Path, *sizes: int) -> list[Path]:
    """Programs of these sizes, the first used longest ago."""
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for index, size in enumerate(sizes):
        path = folder / f"{index}.plm"
        path.write_bytes(bytes(size))
        os.utime(path, (1000 + index, 1000 + index))
        made.append(path)
    return made


@pytest.mark.parametrize(
    ("limit", "left"), [(600, "012"), (599, "12"), (300, "2"), (299, ""), (0, "")]
)
def test_the_least_recently_used_goes_first(folder: Path, limit: int, left: str) -> None:
    filled(folder, 100, 200, 300)
    removed = cache.prune(limit)
    assert "".join(sorted(path.stem for path in folder.glob("*.plm"))) == left
    assert removed == 600 - sum(entry.nbytes for entry in cache.entries())


def test_use_counts_as_use(tmp_path: Path, folder: Path) -> None:
    model = write(tmp_path / "m.onnx", 2)
    program = fill(model)
    os.utime(program, (1, 1))
    filled(folder, 100)
    cache.compiled(model)
    assert cache.entries()[0].path == program


def test_what_was_made_just_now_stays(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PELEMAY_CACHE_SIZE", "1K")
    others = filled(folder, 100, 200)
    program = fill(write(tmp_path / "m.onnx", 2))
    assert program.stat().st_size > 1024
    assert program.is_file()
    assert [path for path in others if path.exists()] == []


def test_left_overs_are_swept(tmp_path: Path, folder: Path) -> None:
    note = cache.Request(write(tmp_path / "m.onnx", 2)).note
    program = fill(tmp_path / "m.onnx")
    old, new = folder / ".old.part", folder / ".new.part"
    for path in (old, new):
        path.write_bytes(b"x")
    os.utime(old, (1, 1))
    assert note.exists()
    program.unlink()
    cache.prune(1 << 30)
    assert (old.exists(), new.exists(), note.exists()) == (False, True, False)
    assert json.dumps(cache._noted(cache.Request(tmp_path / "m.onnx"))) == "null"


def test_clear_removes_all(tmp_path: Path, folder: Path) -> None:
    nbytes = fill(write(tmp_path / "m.onnx", 2)).stat().st_size
    assert cache.clear() == nbytes
    assert [path for path in folder.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("text", "nbytes"),
    [("0", 0), ("4096", 4096), ("500M", 500 << 20), ("1.5 GiB", 3 << 29), ("2kb", 2048)],
)
def test_sizes(text: str, nbytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PELEMAY_CACHE_SIZE", text)
    assert cache.limit_bytes() == nbytes


def test_a_size_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PELEMAY_CACHE_SIZE", "much")
    with pytest.raises(InputError, match="PELEMAY_CACHE_SIZE: 'much' is no size"):
        cache.limit_bytes()


def test_a_folder_that_cannot_be_made_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("PELEMAY_CACHE", str(tmp_path / "file"))
    with pytest.raises(InputError, match="set PELEMAY_CACHE to a folder that you may write to"):
        cache.compiled(write(tmp_path / "m.onnx", 2))


def test_the_folder_follows_the_system(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("PELEMAY_CACHE")
    monkeypatch.setattr(cache.platform, "system", lambda: "Linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.folder() == tmp_path / "pelemay" / "programs"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache.folder() == tmp_path / ".cache" / "pelemay" / "programs"


def test_a_damaged_entry_is_listed_as_that(folder: Path, capsys: Any) -> None:
    from pelemay.cli import main

    filled(folder, 100)
    write_program(Program(0, (), (), (), (), (), {"sources": [{"name": "a"}]}), folder / "a.plm")
    assert main(["cache", "list"]) == 0
    text = capsys.readouterr().out
    assert "damaged: this is not a .plm file" in text
    assert main(["cache", "list", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {row["model"] for row in found["programs"]} >= {"a"}


def test_a_link_in_the_place_of_a_lock_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / "x.lock").symlink_to(victim)
    with (
        pytest.raises(InputError, match="the lock cannot be opened"),
        cache._locked(tmp_path / "x.lock"),
    ):
        pass
    assert victim.read_text() == "mine"


def test_pipes_in_the_cache_are_not_waited_for(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("PELEMAY_CACHE", str(tmp_path))
    request = cache.Request(tmp_path / "m.onnx")
    request.note.parent.mkdir(parents=True)
    os.mkfifo(request.note)
    assert cache._noted(request) is None
    os.mkfifo(tmp_path / "x.lock")
    with cache._locked(tmp_path / "x.lock"):
        pass


def test_a_folder_of_others_is_not_used(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("PELEMAY_CACHE", str(tmp_path))
    cache._make(cache.folder())
    cache.folder().chmod(0o777)
    with pytest.raises(InputError, match="anybody may write to it"):
        cache._make(cache.folder() / "notes")
    cache.folder().chmod(0o755)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    if os.getuid():
        with pytest.raises(InputError, match="another user's"):
            cache._make(cache.folder() / "notes")


def test_a_note_does_not_lead_out_of_the_cache(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("PELEMAY_CACHE", str(tmp_path / "cache"))
    request = cache.Request(tmp_path / "m.onnx")
    request.note.parent.mkdir(parents=True)
    (tmp_path / "other.plm").write_bytes(b"?")
    request.note.write_text(json.dumps({"program": "../../other.plm", "files": []}))
    assert cache._noted(request) is None
