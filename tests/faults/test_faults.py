"""Each kind of fault, a few times; the whole counts are in docs/reliability.md."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from faults import kinds
from support.run_tool import TOOL

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="how Linux does it")
tool = pytest.mark.skipif(TOOL is None, reason="pelemay-run is not built")
root = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0 or not shutil.which("mount"),
    reason="only root may mount a small file system",
)

FEW = [
    (kinds.kill_compile, 6),
    (kinds.kill_cache, 6),
    (kinds.kill_download, 6),
    pytest.param(kinds.full_disk, 4, marks=root),
    (kinds.truncate, 6),
    (kinds.truncate_model, 6),
    pytest.param(kinds.truncate_tool, 1, marks=tool),
    pytest.param(kinds.memory, 29, marks=on_linux),
    pytest.param(kinds.reads, 2, marks=on_linux),
    pytest.param(kinds.address_space, 8, marks=[tool, on_linux]),
    pytest.param(kinds.descriptors, 8, marks=[tool, on_linux]),
    (kinds.flipped, 20),
    (kinds.interrupted, 50),
    (kinds.forks, 3),
    (kinds.shutdown, 1),
    (kinds.clock, 4),
]


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize(("fault", "often"), FEW)
def test_nothing_is_broken(
    tmp_path: Path, monkeypatch: Any, fault: Callable[..., Any], often: int
) -> None:
    monkeypatch.setenv("PELEMAY_CACHE", str(tmp_path))
    assert sum(fault(tmp_path, often).values()) > 0
