from __future__ import annotations

import hashlib
import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Protocol

import pytest

from pelemay.errors import DownloadError
from pelemay.models import cache
from pelemay.models.download import UnreachableError, download

PAYLOAD = bytes(range(256)) * 4096
SIZE = len(PAYLOAD)
SHA256 = hashlib.sha256(PAYLOAD).hexdigest()


class Server(Protocol):
    address: str
    payload: bytes
    hits: list[str]


@pytest.fixture
def target(cache_folder: Path) -> Path:
    return cache_folder / "model.onnx"


def contents(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir()) if folder.exists() else []


class Bar:
    def __init__(self) -> None:
        self.total = 0
        self.events: list[str] = []
        self.count = 0

    def update(self, count: int, /) -> None:
        self.count += count

    def reset(self) -> None:
        self.count = 0

    def close(self) -> None:
        self.events.append("closed")


def test_a_right_file_arrives_whole(server: Server, target: Path) -> None:
    bar = Bar()
    url = f"{server.address}/right"
    digest = download([url], target, size_bytes=SIZE, sha256=SHA256, progress=bar)
    assert digest == SHA256
    assert target.read_bytes() == PAYLOAD == server.payload
    assert contents(target.parent) == ["model.onnx", "model.onnx.json"]
    assert (bar.total, bar.count, bar.events) == (SIZE, SIZE, ["closed"])


@pytest.mark.parametrize(
    ("path", "size", "sha256", "what"),
    [
        ("truncated", SIZE, SHA256, "bytes"),
        ("truncated", None, None, "bytes"),
        ("silent", SIZE, None, "1,000 bytes came"),
        ("silent", None, SHA256, "SHA-256"),
        ("wrong", SIZE, SHA256, "SHA-256"),
        ("long", SIZE, SHA256, "more than"),
        ("missing", SIZE, SHA256, "404"),
    ],
)
def test_a_failure_leaves_nothing(
    server: Server,
    target: Path,
    path: str,
    size: int | None,
    sha256: str | None,
    what: str,
) -> None:
    with pytest.raises(DownloadError, match=what) as caught:
        download([f"{server.address}/{path}"], target, size_bytes=size, sha256=sha256)
    assert not isinstance(caught.value, UnreachableError)
    assert caught.value.where.endswith(path)
    assert caught.value.hint
    assert contents(target.parent) == []


def test_a_failure_leaves_the_old_file(server: Server, target: Path) -> None:
    target.parent.mkdir()
    target.write_bytes(b"old")
    with pytest.raises(DownloadError):
        download([f"{server.address}/wrong"], target, size_bytes=SIZE, sha256=SHA256)
    assert contents(target.parent) == ["model.onnx"]
    assert target.read_bytes() == b"old"


def test_the_next_address_is_tried(server: Server, target: Path) -> None:
    urls = ["http://127.0.0.1:9/right", f"{server.address}/missing", f"{server.address}/right"]
    assert download(urls, target, size_bytes=SIZE, sha256=SHA256) == SHA256
    assert server.hits == ["/missing", "/right"]


def test_a_closed_port_is_unreachable(target: Path) -> None:
    with pytest.raises(UnreachableError, match="PELEMAY_OFFLINE"):
        download(["http://127.0.0.1:9/model.onnx"], target)
    assert contents(target.parent) == []


def test_an_answer_outweighs_an_unreachable_address(server: Server, target: Path) -> None:
    with pytest.raises(DownloadError, match="404") as caught:
        download(["http://127.0.0.1:9/x", f"{server.address}/missing"], target)
    assert not isinstance(caught.value, UnreachableError)


def test_no_address_at_all(target: Path) -> None:
    with pytest.raises(DownloadError, match="no address"):
        download([], target)


def test_the_first_download_is_trusted_and_recorded(server: Server, target: Path) -> None:
    assert download([f"{server.address}/right"], target, size_bytes=SIZE) == SHA256
    assert cache.digest(target) == SHA256


def test_a_killed_download_leaves_no_file_and_the_next_one_cleans_up(
    server: Server, target: Path
) -> None:
    code = (
        "import sys, pathlib; from pelemay.models.download import download; "
        "download([sys.argv[1]], pathlib.Path(sys.argv[2]))"
    )
    command = [sys.executable, "-c", code, f"{server.address}/stalled", str(target)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        wait_until(lambda: any(p.stat().st_size for p in target.parent.glob(".*.part")))
        process.send_signal(signal.SIGKILL)
    left = contents(target.parent)
    assert len(left) == 1
    assert left[0].endswith(".part")
    download([f"{server.address}/right"], target, size_bytes=SIZE, sha256=SHA256)
    assert contents(target.parent) == ["model.onnx", "model.onnx.json"]


def wait_until(condition: object, seconds: float = 20) -> None:
    assert callable(condition)
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "nothing happened in time"
        time.sleep(0.02)


def test_the_part_of_a_running_process_stays(target: Path) -> None:
    target.parent.mkdir()
    other = target.with_name(f".{target.name}.{platform.node()}.{os.getppid()}.0.part")
    other.write_bytes(b"half")
    with cache.replacing(target) as part:
        part.write_bytes(b"whole")
    assert other.exists()


def test_an_interrupt_leaves_nothing(target: Path) -> None:
    def interrupted() -> None:
        with cache.replacing(target) as part:
            part.write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert contents(target.parent) == []


@pytest.mark.parametrize("note", ["", "{", "[]", '{"sha256": "x"}', "null", '{"sha256": 1}'])
def test_a_broken_record_is_no_record(target: Path, note: str) -> None:
    target.parent.mkdir()
    target.write_bytes(PAYLOAD)
    target.with_name("model.onnx.json").write_text(note)
    assert cache.digest(target) is None


def test_a_touched_file_is_read_again(target: Path) -> None:
    target.parent.mkdir()
    target.write_bytes(PAYLOAD)
    cache.record(target, SHA256)
    os.utime(target, (1, 1))
    assert cache.digest(target) == SHA256
    target.write_bytes(PAYLOAD[::-1])
    os.utime(target, (2, 2))
    assert cache.digest(target) is None


def test_the_folder_is_the_systems_unless_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PELEMAY_CACHE")
    assert cache.folder().name == "pelemay"
    monkeypatch.setenv("PELEMAY_CACHE", "~/elsewhere")
    assert cache.folder() == Path.home() / "elsewhere"
