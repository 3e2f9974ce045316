"""What holds for all tests."""

from __future__ import annotations

import signal

import pytest


@pytest.fixture(scope="session", autouse=True)
def _interrupts_are_heard() -> None:
    """Undo what a shell does to a background job: it and its children ignore SIGINT."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
