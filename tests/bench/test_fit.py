from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pelemay.bench import cgroups
from pelemay.bench.cgroups import Controller, find_controller
from pelemay.bench.fit import MIB, evict, find_fit, smallest
from pelemay.errors import BenchmarkError, UnsupportedError

Spec = Callable[..., dict[str, Any]]


@given(st.integers(1, 500), st.integers(1, 500), st.integers(1, 500))
def test_finds_the_least_that_fits(least: int, guess: int, most: int) -> None:
    tried: list[int] = []

    def fits(number: int) -> bool:
        tried.append(number)
        return number >= least

    assert smallest(fits, guess, most) == (least if least <= most else None)
    assert len(tried) == len(set(tried))
    assert all(1 <= number <= most for number in tried)


def _controller() -> Controller:
    try:
        return find_controller()
    except UnsupportedError as error:
        pytest.skip(str(error))


def _left_over(root: Path = Path("/sys/fs/cgroup")) -> list[Path]:
    return list(root.rglob(f"pelemay-fit-{os.getpid()}-*"))


@pytest.fixture
def python_alone_mib(spec: Spec) -> int:
    """What the interpreter with a backend that does nothing fits in."""
    found = find_fit(spec("Plain", job="run"), _controller(), timeout_s=30)
    assert 5 * MIB <= found.limit_bytes <= 80 * MIB
    return found.limit_bytes // MIB


@pytest.mark.slow
def test_a_job_that_holds_50_mib_needs_that_and_the_interpreter(
    spec: Spec, python_alone_mib: int
) -> None:
    found = find_fit(spec("Allocating", job="run"), _controller(), timeout_s=30)
    assert 50 <= found.limit_bytes // MIB - python_alone_mib <= 54
    assert found.limit_bytes % MIB == 0
    assert found.latency_ns > 1e6
    assert found.charged_bytes is None or found.charged_bytes <= found.limit_bytes
    assert not _left_over()


def test_a_backend_that_keeps_limits_is_told_of_each(spec: Spec, tmp_path: Path) -> None:
    """The fake refuses what is below 60 MiB, and runs in less: the refusals decide."""
    found = find_fit(spec("Limited", job="run"), _controller(), timeout_s=30)
    assert found.limit_bytes == 60 * MIB
    assert not list(tmp_path.rglob("program"))


@pytest.mark.parametrize("fake", ["Killed", "Crashing"])
def test_a_job_that_fails_with_room_is_an_error(spec: Spec, fake: str) -> None:
    with pytest.raises(BenchmarkError, match="with all memory"):
        find_fit(spec(fake), _controller(), timeout_s=30)
    assert not _left_over()


def test_a_limit_is_enforced_and_the_group_removed() -> None:
    code = "x = bytearray(b'x') * (100 << 20)"
    with _controller().group(30 * MIB) as group:
        done = subprocess.run([*group.launcher, sys.executable, "-c", code], check=False)
    assert done.returncode in (-9, 137)
    assert not _left_over()


def test_a_group_is_removed_when_its_user_fails() -> None:
    group: AbstractContextManager[Any] = _controller().group(30 * MIB)
    with pytest.raises(KeyboardInterrupt), group:
        raise KeyboardInterrupt
    assert not _left_over()


def test_where_no_way_is_open_it_says_which_were_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UnsupportedError) as raised:
        find_controller(root=tmp_path)
    said = str(raised.value)
    for part in ("cgroup v1: it is not mounted", "cgroup v2", "systemd-run", "as root"):
        assert part in said


def _fake_unified(root: Path, *controlled: str) -> None:
    """Lay out folders as cgroup v2 does; ``mkdir`` does not fill them, as the kernel would."""
    for path in controlled:
        (root / path).mkdir(parents=True, exist_ok=True)
        (root / path / "cgroup.procs").touch()


def test_cgroup_v2_is_written_as_its_documentation_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fake_unified(tmp_path, ".", "user/session")
    monkeypatch.setattr(cgroups, "_groups_of", lambda _: {"": "/user/session"})
    written: dict[str, str] = {}
    real_mkdir, real_rmdir = Path.mkdir, Path.rmdir

    def mkdir(self: Path, *args: Any, **options: Any) -> None:
        real_mkdir(self, *args, **options)
        if self.name.startswith("pelemay-fit"):
            for name in ("memory.max", "memory.swap.max", "cgroup.procs"):
                (self / name).touch()

    def rmdir(self: Path) -> None:
        for file in self.iterdir():
            written[file.name] = file.read_text().strip()
            file.unlink()
        real_rmdir(self)

    monkeypatch.setattr(Path, "mkdir", mkdir)
    monkeypatch.setattr(Path, "rmdir", rmdir)
    controller = find_controller(root=tmp_path)
    assert controller.method == "cgroup v2"
    with controller.group(77 * MIB) as group:
        assert group.folder is not None
        assert group.folder.parent == tmp_path / "user/session"
        done = subprocess.run([*group.launcher, "sh", "-c", "echo $$"], capture_output=True)
    assert written["memory.max"] == str(77 * MIB)
    assert written["memory.swap.max"] == "0"
    assert written["cgroup.procs"] == done.stdout.decode().strip()


def test_a_scope_of_systemd_gets_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for systemd-run notes its options and runs what is behind the two dashes."""
    log = tmp_path / "log"
    command = tmp_path / "bin" / "systemd-run"
    command.parent.mkdir()
    script = f'echo "$@" > {log}; while [ "$1" != -- ]; do shift; done; shift; exec "$@"'
    command.write_text(f"#!/bin/sh\n{script}\n")
    command.chmod(command.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv("PATH", f"{command.parent}:{os.environ['PATH']}")
    controller = find_controller(root=tmp_path / "nothing")
    assert controller.method == "systemd-run --user --scope"
    with controller.group(64 * MIB) as group:
        done = subprocess.run([*group.launcher, "echo", "hello"], capture_output=True, check=True)
    assert done.stdout == b"hello\n"
    assert f"-p MemoryMax={64 * MIB} -p MemorySwapMax=0 -- echo hello" in log.read_text()


def test_evicting_what_is_not_there_is_no_error(tmp_path: Path, model: Path) -> None:
    evict([tmp_path / "nothing", model])
    assert model.read_bytes()[:2] == b"xx"
