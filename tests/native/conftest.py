"""Fixtures of the tests of kernels."""

from __future__ import annotations

import pytest

from pelemay.engine import native
from support.ops import isas


@pytest.fixture(params=isas())
def isa(request: pytest.FixtureRequest) -> str:
    """Each instruction set in turn."""
    return str(request.param)


@pytest.fixture(params=native().ISAS)
def dot_isa(request: pytest.FixtureRequest) -> str:
    """The same, with those that differ in products of 8-bit integers alone."""
    return str(request.param)
