from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from pelemay.bench import resident
from pelemay.bench.results import Memory
from pelemay.bench.watch import Reading, Watcher, read_statm

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def test_reads_this_process() -> None:
    now = resident.read()
    assert 0 < now.anonymous < now.rss <= now.peak
    assert now.rss == now.anonymous + now.file_backed
    outside = read_statm(os.getpid())
    assert outside.rss == pytest.approx(now.rss, rel=0.05)


def test_the_peak_starts_anew() -> None:
    block = bytearray(b"x") * (64 << 20)
    assert resident.read().peak >= len(block)
    del block
    if not resident.reset_peak():
        pytest.skip("the kernel forbids to reset the mark")
    now = resident.read()
    assert now.peak - now.rss < 16 << 20


def test_names_mapped_files() -> None:
    files = resident.mapped_files()
    assert any("python" in Path(path).name for path in files)
    assert all(start < stop for start, stop in resident.mapped_ranges())


def test_pss_is_part_of_rss() -> None:
    pss = resident.read_pss()
    assert pss is None or 0 < pss <= resident.read().rss * 1.05


def test_a_watcher_of_a_process_that_is_gone_is_quiet() -> None:
    watcher = Watcher()
    watcher("before_sample", 2**22 + 1)
    watcher("after_sample", 2**22 + 1)
    assert watcher.readings == []


def _answer(**changes: object) -> dict[str, object]:
    baseline, end = [100, 110, 60, 40], [150, 400, 90, 60]
    basic = {"baseline": baseline, "end": end, "pss": 7, "is_reset": True, "runtime_import": 5}
    return {**basic, **changes}


def test_memory_is_over_the_baseline() -> None:
    found = Memory.of(_answer(), [Reading(200, 80), Reading(220, 40), Reading(70, 45)])
    assert found.peak_rss == 300
    assert (found.anonymous, found.file_backed) == (140, 40)
    assert found.peak_anonymous == 160
    assert (found.end_anonymous, found.end_file_backed, found.pss_end) == (30, 20, 7)


def test_without_a_reset_the_old_mark_does_not_count() -> None:
    found = Memory.of(_answer(is_reset=False), [Reading(120, 40)])
    assert (found.peak_rss, found.is_exact) == (60, False)
