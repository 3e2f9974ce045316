from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pelemay.bench import Suite
from pelemay.graph.dtypes import DType
from support.suites import fixed_suite

HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def _workers_find_the_fakes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PYTHONPATH", str(HERE))
    monkeypatch.setenv("PELEMAY_TEST_PIDS", str(tmp_path / "pids"))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A file of 8 MiB, which the fakes take for a model."""
    path = tmp_path / "net.onnx"
    path.write_bytes(b"x" * (8 << 20))
    return path


@pytest.fixture
def inputs_of() -> Callable[[Path], list[Any]]:
    """One input, with a dimension that is not known."""
    value = SimpleNamespace(name="x", dtype=DType.FLOAT32, shape=("n", 3))
    return lambda _: [value]


@pytest.fixture
def spec(model: Path, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Make the specification of a worker that measures a fake quickly."""
    feeds = tmp_path / "feeds.npz"
    np.savez(feeds, x=np.ones(3, np.float32))

    def make(fake: str, **changes: Any) -> dict[str, Any]:
        quick = {"warmup_s": 0.01, "time_s": 0.02, "min_samples": 3, "max_samples": 5}
        return {
            "phase": "measure",
            "backend": f"fakes:{fake}",
            "job": "import",
            "model": str(model),
            "feeds": str(feeds),
            "threads": None,
            "watch": True,
            **quick,
            **changes,
        }

    return make


@pytest.fixture
def is_alive() -> Callable[[str], bool]:
    """Whether a process exists and is no zombie that waits for its new parent."""

    def is_alive(pid: str) -> bool:
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return False
        return stat.rsplit(")", 1)[1].split()[0] != "Z"

    return is_alive


@pytest.fixture
def suite() -> Suite:
    """A suite with all kinds of results, of fixed figures."""
    return fixed_suite()
