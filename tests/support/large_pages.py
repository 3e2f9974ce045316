"""Which memory of a process may lie in large pages, as Linux tells."""

from __future__ import annotations

from pathlib import Path

import pytest

STATE = Path("/sys/kernel/mm/transparent_hugepage/enabled")

on_request = pytest.mark.skipif(
    not STATE.exists() or "[never]" in STATE.read_text(), reason="no large pages here"
)
"""Of a test that needs a system which gives large pages to those who ask."""


def asked_for(pid: int | str = "self") -> int:
    """Bytes of mappings that were asked for in large pages, and may have them."""
    nbytes = total = 0
    eligible = False
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if line.startswith("Size:"):
            nbytes = int(line.split()[1]) << 10
        elif line.startswith("THPeligible:"):
            eligible = line.split()[1] == "1"
        elif line.startswith("VmFlags:") and eligible and "hg" in line.split():
            total += nbytes
    return total
