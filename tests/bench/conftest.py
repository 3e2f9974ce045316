from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pelemay.bench import ModelInfo, Options, Result, Scenario, Suite
from pelemay.bench.machine import Machine
from pelemay.bench.results import Check, Fit, Heap, Memory
from pelemay.graph.dtypes import DType

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


def _result(job: str, backend: str, times: tuple[int, ...], scale: int, **more: Any) -> Result:
    memory = Memory(
        runtime_import=26_000_000,
        baseline=40_000_000,
        peak_rss=scale * 21 // 29,
        anonymous=scale // 2,
        file_backed=scale // 4,
        peak_anonymous=scale // 2,
        end_anonymous=scale // 4,
        end_file_backed=scale // 8,
        pss_end=55_000_000,
        is_exact=True,
    )
    heap = Heap(allocated=(scale,), peak=(scale // 2,))
    given = {"memory": memory, "heap": heap, **more}
    return Result(Scenario(job, "resnet101-v1-7", backend), samples_ns=times, **given)


@pytest.fixture
def suite() -> Suite:
    """A suite with all kinds of results, of fixed figures."""
    asked = Options(budget_s=150.0, fit=True)
    used = replace(asked, warmup_s=0.5, time_s=1.25, memory_time_s=0.5)
    fit = Fit(36 << 20, 61_234_567.0, 36 << 20, "cgroup v1")
    no_fit = {"fit": "no memory cgroup may be used here"}
    wrong = "unlike onnxruntime: output 'y' differs by 0.5 where the largest value is 2"
    gone = replace(_result("load+first run", "torch", (), 1), memory=None, heap=None)
    times = (50_000_000, 52_000_000, 52_000_000, 55_000_000, 71_500_000)
    return Suite(
        machine=Machine(
            system="Fake Linux 1",
            kernel="Linux 6.1 x86_64",
            cpu="Fake CPU",
            cores=2,
            memory_bytes=4 << 30,
            governor="performance",
            load_average=0.25,
            python="CPython 3.11.7",
            packages={"numpy": "2.4.6", "pelemay": "0.1.0"},
            date="2026-11-24T00:00:00+00:00",
        ),
        options=asked,
        used={
            "import+serialize": used,
            "load+first run": replace(used, no_heap=("load+first run",)),
        },
        models=(ModelInfo("resnet101-v1-7", Path("r.onnx"), 178_914_043, True, "float_data"),),
        results=(
            _result("import+serialize", "reference", times, 400_000, fit=fit),
            _result("import+serialize", "naive", (3_910_000_000,), 2_900_000_000, notes=no_fit),
            _result("load+first run", "onnxruntime", times, 600_000_000),
            replace(gone, status="wrong", reason=wrong),
        ),
        checks=(
            Check("resnet101-v1-7", "onnxruntime", "outputs", "ok"),
            Check("resnet101-v1-7", "reference", "outputs", "ok", "", 3.1e-6),
        ),
        estimate_s=150.0,
        elapsed_s=141.3,
    )
