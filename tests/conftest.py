"""What holds for all tests."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# How long an example takes says more of what else the machine does than of the code.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")


@pytest.fixture(scope="session", autouse=True)
def _interrupts_are_heard() -> None:
    """Undo what a shell and nohup do to a background job: it and its children ignore these."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture
def group() -> Iterator[Path]:
    """A memory cgroup (v1) of the test's own, without a limit yet."""
    path = Path(f"/sys/fs/cgroup/memory/pelemay-test-{os.getpid()}")
    try:
        path.mkdir()
    except OSError:
        pytest.skip("no memory cgroups (v1) can be made here")
    try:
        yield path
    finally:
        path.rmdir()
