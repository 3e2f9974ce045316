from __future__ import annotations

import dataclasses
import hashlib
import logging
from pathlib import Path
from typing import Protocol

import pytest

from pelemay import models
from pelemay.errors import DownloadError, InputError
from pelemay.models import standins
from pelemay.models.catalogue import ENTRIES, CatalogueEntry
from pelemay.models.standins.builder import Blueprint
from pelemay.models.standins.squeezenet import squeezenet1_1

PAYLOAD = bytes(range(256)) * 4096
CLOSED_PORT = "http://127.0.0.1:9/tiny.onnx"


class Server(Protocol):
    address: str
    hits: list[str]


def tiny() -> Blueprint:
    return squeezenet1_1(((2, 4), None), classes=3, size=32)


@pytest.fixture(autouse=True)
def tiny_entry(monkeypatch: pytest.MonkeyPatch) -> CatalogueEntry:
    """The catalogue has one more row, "tiny", whose address answers nothing."""
    entry = dataclasses.replace(
        ENTRIES[-1],
        name="tiny",
        file_name="tiny.onnx",
        urls=(CLOSED_PORT,),
        sha256=hashlib.sha256(PAYLOAD).hexdigest(),
        size_bytes=len(PAYLOAD),
        architecture="tiny",
    )
    monkeypatch.setitem(standins.ARCHITECTURES, "tiny", tiny)
    monkeypatch.setattr(models, "ENTRIES", (*ENTRIES, entry))
    return entry


def serve(monkeypatch: pytest.MonkeyPatch, entry: CatalogueEntry, *urls: str) -> None:
    served = dataclasses.replace(entry, urls=urls)
    monkeypatch.setattr(models, "ENTRIES", (*ENTRIES, served))


def test_the_original_is_downloaded_once(
    server: Server, tiny_entry: CatalogueEntry, monkeypatch: pytest.MonkeyPatch, cache_folder: Path
) -> None:
    serve(monkeypatch, tiny_entry, f"{server.address}/right")
    assert models.path("tiny") is None
    first, second = models.get("tiny"), models.get("tiny.onnx")
    assert first == second
    assert (first.is_stand_in, first.sha256) == (False, tiny_entry.sha256)
    assert first.path == cache_folder / "tiny.onnx" == models.path("tiny")
    assert server.hits == ["/right"]


def test_without_a_network_there_is_a_stand_in_and_a_warning(
    caplog: pytest.LogCaptureFixture, cache_folder: Path
) -> None:
    with caplog.at_level(logging.WARNING):
        model = models.get("tiny")
    assert model.is_stand_in
    assert model.path.name == "tiny.stand-in.onnx"
    assert model.path == models.path("tiny")
    assert model.sha256 == hashlib.sha256(model.path.read_bytes()).hexdigest()
    assert "stand-in" in caplog.text
    assert "cannot be reached" in caplog.text
    assert not (cache_folder / "tiny.onnx").exists()


def test_a_dead_network_is_tried_once_in_a_process(
    server: Server, tiny_entry: CatalogueEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    models.get("tiny")
    serve(monkeypatch, tiny_entry, f"{server.address}/right")
    assert models.get("tiny").is_stand_in
    assert server.hits == []


def test_a_refusal_is_not_a_dead_network(
    server: Server, tiny_entry: CatalogueEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(monkeypatch, tiny_entry, f"{server.address}/missing")
    assert models.get("tiny").is_stand_in
    serve(monkeypatch, tiny_entry, f"{server.address}/right")
    assert not models.get("tiny").is_stand_in


def test_offline_tries_nothing(
    server: Server, tiny_entry: CatalogueEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(monkeypatch, tiny_entry, f"{server.address}/right")
    monkeypatch.setenv("PELEMAY_OFFLINE", "1")
    assert models.get("tiny").is_stand_in
    with pytest.raises(DownloadError, match="PELEMAY_OFFLINE"):
        models.get("tiny", stand_in="never")
    assert server.hits == []
    monkeypatch.setenv("PELEMAY_OFFLINE", "0")
    assert not models.get("tiny").is_stand_in


def test_never_raises_what_went_wrong() -> None:
    with pytest.raises(DownloadError, match="cannot be reached"):
        models.get("tiny", stand_in="never")


def test_never_without_an_original() -> None:
    with pytest.raises(DownloadError, match="no original"):
        models.get("vit_tiny", stand_in="never")


def test_always_asks_nobody(
    server: Server,
    tiny_entry: CatalogueEntry,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    serve(monkeypatch, tiny_entry, f"{server.address}/right")
    with caplog.at_level(logging.WARNING):
        assert models.get("tiny", stand_in="always").is_stand_in
    assert (server.hits, caplog.text) == ([], "")


def test_another_word_is_refused() -> None:
    with pytest.raises(InputError, match="'auto', 'never' or 'always'"):
        models.get("tiny", stand_in="sometimes")  # type: ignore[arg-type]


def test_a_file_put_there_by_hand_is_taken(cache_folder: Path) -> None:
    cache_folder.mkdir()
    (cache_folder / "tiny.onnx").write_bytes(PAYLOAD)
    assert not models.get("tiny").is_stand_in


def test_another_file_put_there_by_hand_is_left_alone(
    cache_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache_folder.mkdir()
    (cache_folder / "tiny.onnx").write_bytes(b"something else")
    assert models.get("tiny").is_stand_in
    assert "not the original" in caplog.text
    assert (cache_folder / "tiny.onnx").read_bytes() == b"something else"


def test_a_damaged_original_is_fetched_again(
    server: Server, tiny_entry: CatalogueEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(monkeypatch, tiny_entry, f"{server.address}/right")
    path = models.get("tiny").path
    path.write_bytes(PAYLOAD[:-1] + b"x")
    assert models.path("tiny") is None
    assert models.get("tiny").path.read_bytes() == PAYLOAD
    assert server.hits == ["/right"] * 2


def test_a_damaged_stand_in_is_built_again() -> None:
    model = models.get("tiny", stand_in="always")
    whole = model.path.read_bytes()
    model.path.write_bytes(whole[: len(whole) // 2])
    assert models.get("tiny", stand_in="always").path.read_bytes() == whole


def test_building_tells_its_progress() -> None:
    class Bar:
        total = 0
        done = 0
        closed = False

        def update(self, count: int, /) -> None:
            self.done += count

        def reset(self) -> None:
            self.done = 0

        def close(self) -> None:
            self.closed = True

    bar = Bar()
    size = models.get("tiny", stand_in="always", progress=bar).path.stat().st_size
    assert (bar.total, bar.done, bar.closed) == (size, size, True)


def test_a_cache_that_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PELEMAY_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(DownloadError, match="Set PELEMAY_CACHE"):
        models.get("tiny")


def test_a_full_disk_leaves_nothing(cache_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pelemay.models.standins import writer

    def full(blueprint: Blueprint, path: Path, **_: object) -> str:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writer, "write", full)
    with pytest.raises(DownloadError, match="No space left"):
        models.get("tiny", stand_in="always")
    assert [p for p in cache_folder.rglob("*") if p.is_file()] == []
