"""What ``pelemay top`` reads and shows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from pelemay.bench.cgroups import limit_of
from pelemay.bench.live import Holding, View, look, running
from pelemay.bench.reports.live import history, line, panel, plain
from pelemay.progress import Progress

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

ENGINE = Progress(7, ("conv2d  a", "relu", "matmul  b"), (20, 25, 9), 10)
VIEW = View(
    40,
    (
        Holding(7, "pelemay run net.onnx", 60_000_000, 20_000_000, 1_000_000, 0, 90_000_000),
        Holding(8, "pelemay.cli compile", 9_000_000, 1_000_000),
    ),
    8 << 30,
    100_000_000,
    (ENGINE,),
)


def test_sums_and_the_engine_that_runs() -> None:
    assert (VIEW.rss, VIEW.anonymous, VIEW.file_backed) == (91_000_000, 69_000_000, 21_000_000)
    assert VIEW.running is ENGINE
    assert (ENGINE.done, ENGINE.operation, ENGINE.since_ns) == (2, "matmul  b", 25)
    assert ENGINE.slowest(5) == [("conv2d  a", 10), ("relu", 5)]
    over = Progress(7, ENGINE.names, (20, 25, 30), 10)
    assert (over.done, over.operation, over.since_ns) == (3, None, 30)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_panel_keeps_within_its_width(width: int) -> None:
    out = Console(width=width, record=True, file=StringIO())
    out.print(panel(VIEW, [50_000_000, 91_000_000], 3.2, width))
    said = out.export_text()
    assert all(len(row) <= width for row in said.splitlines())
    assert "91.0 MB of 100 MB (limit)" in said
    assert "2 of 3 instructions" in said
    assert "matmul  b" in said
    bar = next(row for row in said.splitlines() if row.startswith("resident"))
    full = bar.count("█") + bar.count("▓") + bar.count("▒")
    assert full / (full + bar.count("·")) == pytest.approx(0.91, abs=0.1)


@given(st.lists(st.integers(0, 10**10), max_size=100), st.integers(1, 50))
def test_a_history_has_its_width(values: list[int], width: int) -> None:
    drawn = history(values, max(values, default=0), width)
    assert len(drawn) == min(len(values), width)
    if max(values[-width:], default=0) == max(values, default=0) > 0:
        assert "█" in drawn


def test_a_line_and_plain_data_say_the_same() -> None:
    assert line(VIEW) == (
        "91.0 MB resident, 69.0 MB anonymous, 21.0 MB file-backed, limit 100 MB, "
        "2 of 3 instructions, matmul  b"
    )
    data = json.loads(json.dumps(plain(VIEW)))
    assert data["run"]["operation"] == "matmul  b"
    assert [process["pid"] for process in data["processes"]] == [7, 8]


def test_processes_below_are_seen_and_those_that_are_gone_are_not() -> None:
    code = "import time; x = bytearray(b'x') * (30 << 20); print('now', flush=True); time.sleep(60)"
    outer = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {code!r}])"
    process = subprocess.Popen(
        [sys.executable, "-c", outer], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "now\n"
        view = look([process.pid, 2**22 + 1])
        assert len(view.processes) == 2
        assert view.processes[1].anonymous > 30 << 20
        assert view.processes[1].peak_rss >= view.processes[1].rss
        assert view.processes[0].pid not in running()
    finally:
        os.killpg(process.pid, 9)
        process.communicate()
    assert look([process.pid]).processes == ()


def test_the_least_limit_of_a_group_and_those_above_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pelemay.bench import cgroups

    monkeypatch.setattr(cgroups, "_groups_of", lambda _: {"memory": "/a/b", "": "/c"})
    (tmp_path / "memory/a/b").mkdir(parents=True)
    (tmp_path / "memory/a/b/memory.limit_in_bytes").write_text(str((1 << 63) - 4096))
    assert limit_of(1, tmp_path) is None
    (tmp_path / "memory/a/memory.limit_in_bytes").write_text("5000")
    (tmp_path / "c").mkdir()
    (tmp_path / "c/memory.max").write_text("max\n")
    assert limit_of(1, tmp_path) == 5000
    (tmp_path / "memory.max").write_text("4000\n")
    assert limit_of(1, tmp_path) == 4000
