"""A cache folder for each test, and a local server that serves bytes, right or wrong."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pelemay import models

_PAYLOAD = bytes(range(256)) * 4096
_STALLED = threading.Event()


class _Handler(BaseHTTPRequestHandler):
    hits: list[str]

    def do_GET(self) -> None:
        type(self).hits.append(self.path)
        {
            "/right": self.right,
            "/truncated": self.truncated,
            "/wrong": self.wrong,
            "/long": self.long,
            "/silent": self.silent,
            "/stalled": self.stalled,
        }.get(self.path, self.missing)()

    def head(self, length: int | None) -> None:
        self.send_response(200)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def right(self) -> None:
        self.head(len(_PAYLOAD))
        self.wfile.write(_PAYLOAD)

    def truncated(self) -> None:
        self.head(len(_PAYLOAD))
        self.wfile.write(_PAYLOAD[: len(_PAYLOAD) // 2])

    def wrong(self) -> None:
        self.head(len(_PAYLOAD))
        self.wfile.write(_PAYLOAD[::-1])

    def long(self) -> None:
        self.head(None)
        while True:
            self.wfile.write(_PAYLOAD)

    def silent(self) -> None:
        """Ends early without ever having said how much would come."""
        self.head(None)
        self.wfile.write(_PAYLOAD[:1000])

    def stalled(self) -> None:
        self.head(len(_PAYLOAD))
        self.wfile.write(_PAYLOAD[: len(_PAYLOAD) // 2])
        self.wfile.flush()
        _STALLED.wait(30)

    def missing(self) -> None:
        self.send_error(404)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is logged."""


class _QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is what some tests are about."""


@dataclass(frozen=True)
class Server:
    """Where the server is, what it serves at /right, and the paths that were asked for."""

    address: str
    payload: bytes
    hits: list[str]


@pytest.fixture
def server() -> Iterator[Server]:
    hits: list[str] = []
    handler = type("Recorded", (_Handler,), {"hits": hits})
    _STALLED.clear()
    with _QuietServer(("127.0.0.1", 0), handler) as http:
        thread = threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield Server(f"http://127.0.0.1:{http.server_address[1]}", _PAYLOAD, hits)
        finally:
            _STALLED.set()
            http.shutdown()
            thread.join()


@pytest.fixture(autouse=True)
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test has a cache of its own, a network that was not tried yet, and no proxy."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("PELEMAY_CACHE", str(folder))
    monkeypatch.delenv("PELEMAY_OFFLINE", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(models, "_unreachable", set())
    return folder
