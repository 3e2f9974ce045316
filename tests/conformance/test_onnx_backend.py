"""ONNX's own backend tests, through the adapter. What fails is listed by name."""

from __future__ import annotations

import functools
import re
import tomllib
import unittest
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx.backend.test
from onnx.backend.test.loader import load_model_tests

import pelemay.onnx_backend

_listed = tomllib.loads((Path(__file__).parent / "expected_failures.toml").read_text())
EXPECTED_FAILURES: dict[str, str] = _listed["reasons"]
MACHINE_DEPENDENT: dict[str, str] = _listed["machine"]

with warnings.catch_warnings():
    # The onnx package computes its own expected values here, some of which overflow on purpose.
    warnings.simplefilter("ignore")
    _runner = onnx.backend.test.BackendTest(pelemay.onnx_backend, __name__)
for _name in EXPECTED_FAILURES:
    _runner.xfail(f"^{re.escape(_name)}_cpu$")


def _on_cpu(case: type[unittest.TestCase]) -> type[unittest.TestCase]:
    """The same tests without those for a device that is never there."""
    for name, test in list(vars(case).items()):
        reason = MACHINE_DEPENDENT.get(name.removesuffix("_cpu"))
        if name.endswith("_cuda"):
            delattr(case, name)
        elif reason is not None:
            setattr(case, name, _or_skipped(test, reason))
    return case


def _or_skipped(test: Callable[..., None], reason: str) -> Callable[..., None]:
    """A test that is skipped, not failed, where its answer differs."""

    @functools.wraps(test)
    def either(self: unittest.TestCase, *args: Any, **kwargs: Any) -> None:
        try:
            test(self, *args, **kwargs)
        except AssertionError:
            self.skipTest(reason)

    return either


_cases = {name: _on_cpu(case) for name, case in _runner.test_cases.items()}
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
    names, listed = _official_names(), EXPECTED_FAILURES | MACHINE_DEPENDENT
    assert len(names) >= 2024
    assert len(names) - len(listed) >= 1990
    assert set(listed) <= names, "an expected failure names no test"
    assert all(reason.strip() for reason in listed.values())


def test_the_answer_that_the_runner_cannot_compare() -> None:
    (case,) = (c for c in load_model_tests(kind="node") if c.name == "test_loop16_seq_none")
    ((inputs, (expected,)),) = case.data_sets
    (got,) = pelemay.onnx_backend.prepare(case.model).run(inputs)
    assert len(got) == len(expected) > 1
    for ours, theirs in zip(got, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs, strict=True)
