"""Fixtures of the tests of kernels."""

from __future__ import annotations

import pytest

from support.ops import isas


@pytest.fixture(params=isas())
def isa(request: pytest.FixtureRequest) -> str:
    """Each instruction set in turn."""
    return str(request.param)
