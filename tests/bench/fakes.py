"""Backends that behave in known ways, for tests of the benchmark; workers load them by path.

The path of this folder is in ``PYTHONPATH`` of the workers: see ``conftest.py``.
"""

from __future__ import annotations

import mmap
import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np

from pelemay.errors import BackendUnavailableError, MemoryLimitError, UnsupportedError


class Plain:
    """Reads the file's bytes, and answers twice the input."""

    name = "plain"
    description = "a fake"

    def import_runtime(self) -> None:
        pass

    def prepare(self, path: Path, *, threads: int | None = None) -> Any:
        return self

    def run(self, feeds: Any, outputs: Any = None) -> dict[str, Any]:
        return {"y": 2 * feeds["x"]}

    def parameters(self, path: Path) -> dict[str, Any]:
        return {"w": np.frombuffer(path.read_bytes(), np.uint8)}

    def serialize(self, parameters: Any) -> list[memoryview]:
        return [memoryview(value) for value in parameters.values()]


class Limited(Plain):
    """Keeps limits from 60 MiB on; what it has compiled is a file of the cache."""

    def prepare(
        self, path: Path, *, threads: int | None = None, memory_limit: int | None = None
    ) -> Any:
        if memory_limit is not None:
            assert path.read_text() == f"for {memory_limit}"
        return self

    def compiled_within(
        self, path: Path, shapes: Any, *, memory_limit: int, threads: int | None = None
    ) -> Path:
        assert shapes == {"x": (3,)}
        if memory_limit < 60 << 20:
            raise MemoryLimitError("60 MiB are needed")
        program = Path(os.environ["PELEMAY_CACHE"]) / "program"
        program.write_text(f"for {memory_limit}")
        return program


class Sleepy(Plain):
    """Takes 20 ms for everything."""

    def run(self, feeds: Any, outputs: Any = None) -> dict[str, Any]:
        time.sleep(0.02)
        return super().run(feeds)

    def parameters(self, path: Path) -> dict[str, Any]:
        time.sleep(0.02)
        return super().parameters(path)


class Lazy(Plain):
    """Loads 40 MiB the first time that it is asked for parameters."""

    def __init__(self) -> None:
        self.loaded: Any = None

    def parameters(self, path: Path) -> dict[str, Any]:
        if self.loaded is None:
            self.loaded = np.ones(40 << 20, np.uint8)
        return super().parameters(path)


class Allocating(Plain):
    """Holds 50 MiB of anonymous memory, after holding 30 MiB more for a moment."""

    def parameters(self, path: Path) -> dict[str, Any]:
        values = {"w": np.ones(50 << 20, np.uint8)}
        np.ones(30 << 20, np.uint8)
        return values

    def run(self, feeds: Any, outputs: Any = None) -> dict[str, Any]:
        held = np.ones(50 << 20, np.uint8)
        return {"y": 2 * feeds["x"] * held[0]}


class Mapping(Plain):
    """Maps the file and reads all of it."""

    def parameters(self, path: Path) -> dict[str, Any]:
        with path.open("rb") as file:
            view = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        array = np.frombuffer(view, np.uint8)
        time.sleep(0.05)
        array.sum()
        return {"w": array}


class Wrong(Plain):
    def run(self, feeds: Any, outputs: Any = None) -> dict[str, Any]:
        return {"y": 2.1 * feeds["x"]}

    def parameters(self, path: Path) -> dict[str, Any]:
        return {"w": super().parameters(path)["w"] + 1}


class Raising(Plain):
    def prepare(self, path: Path, *, threads: int | None = None) -> Any:
        raise ValueError("no such thing")

    def parameters(self, path: Path) -> dict[str, Any]:
        raise UnsupportedError("it keeps no parameters")


class Missing(Plain):
    def import_runtime(self) -> None:
        raise BackendUnavailableError("package 'nowhere' is not installed")


class Crashing(Plain):
    def parameters(self, path: Path) -> dict[str, Any]:
        os.write(1, b"about to fall\n")
        os.kill(os.getpid(), signal.SIGSEGV)
        raise AssertionError


class Killed(Plain):
    def parameters(self, path: Path) -> dict[str, Any]:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError


class Exiting(Plain):
    def parameters(self, path: Path) -> dict[str, Any]:
        os._exit(3)


class Endless(Plain):
    """Never ends, and has a child that does not either; writes both process ids to a file."""

    def parameters(self, path: Path) -> dict[str, Any]:
        child = os.fork()
        if not child:
            time.sleep(600)
        Path(os.environ["PELEMAY_TEST_PIDS"]).write_text(f"{os.getpid()} {child}")
        time.sleep(600)
        raise AssertionError


class FailsInTime(Plain):
    """Answers the check, and fails in the process after it."""

    def parameters(self, path: Path) -> dict[str, Any]:
        marker = Path(os.environ["PELEMAY_TEST_PIDS"])
        if marker.exists():
            os.kill(os.getpid(), signal.SIGKILL)
        marker.write_text("once")
        return super().parameters(path)


class Renaming(Plain):
    """Has parameters that are no arrays."""

    keeps_names = False

    def parameters(self, path: Path) -> dict[str, Any]:
        return {"all": object()}


class Slow(Plain):
    """Takes a minute to load."""

    def prepare(self, path: Path, *, threads: int | None = None) -> Any:
        time.sleep(60)
