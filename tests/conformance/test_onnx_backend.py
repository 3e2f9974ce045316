"""ONNX's own backend tests, through the adapter. What fails is listed by name."""

from __future__ import annotations

import re
import tomllib
import warnings
from pathlib import Path

import onnx.backend.test

import pelemay.onnx_backend

EXPECTED_FAILURES: dict[str, str] = tomllib.loads(
    (Path(__file__).parent / "expected_failures.toml").read_text()
)["reasons"]

with warnings.catch_warnings():
    # The onnx package computes its own expected values here, some of which overflow on purpose.
    warnings.simplefilter("ignore")
    _runner = onnx.backend.test.BackendTest(pelemay.onnx_backend, __name__)
for _name in EXPECTED_FAILURES:
    _runner.xfail(f"^{re.escape(_name)}_cpu$")
_cases = _runner.test_cases
for _case in _cases.values():
    for _method in [method for method in vars(_case) if method.endswith("_cuda")]:
        delattr(_case, _method)
globals().update(_cases)


def _official_names() -> set[str]:
    """Names of all official tests, without the device."""
    return {
        method.removesuffix("_cpu")
        for case in _cases.values()
        for method in vars(case)
        if method.startswith("test_") and method.endswith("_cpu")
    }


def test_counts_of_the_official_tests() -> None:
    names = _official_names()
    assert len(names) >= 2024
    assert len(names) - len(EXPECTED_FAILURES) >= 1990
    assert set(EXPECTED_FAILURES) <= names, "an expected failure names no test"
    assert all(reason.strip() for reason in EXPECTED_FAILURES.values())
