"""ONNX's own backend tests on the engine: native instructions alone, fallbacks where listed.

``native_fallbacks.toml`` lists the tests that need the reference backend, each with the reason. The
list only shrinks: a test named there that runs on native instructions alone is an error.
"""

from __future__ import annotations

import functools
import tomllib
import unittest
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import onnx
import onnx.backend.test
import pytest

from pelemay.errors import UnsupportedError
from pelemay.onnx_backend import NativeBackend, PelemayBackendRep

HERE = Path(__file__).parent
WRONG: dict[str, str] = tomllib.loads((HERE / "expected_failures.toml").read_text())["reasons"]
_listed: dict[str, dict[str, str]] = tomllib.loads((HERE / "native_fallbacks.toml").read_text())
LEFT, DIFFERENT = _listed["reasons"], _listed["differs"]
MACHINE_DEPENDENT = _listed["machine"]

Test = Callable[..., None]


class Remembering(NativeBackend):
    """The engine; it remembers whether a model needed the reference backend beside it."""

    fell_back = False

    @classmethod
    def prepare(cls, model: onnx.ModelProto, device: str = "CPU", **kw: Any) -> PelemayBackendRep:
        return _OrFallback(model)


class _OrFallback(PelemayBackendRep):
    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self.alone = NativeBackend.prepare(model, allow_fallback=False)

    def run(self, inputs: Sequence[Any], **kwargs: Any) -> tuple[Any, ...]:
        try:
            return self.alone.run(inputs)
        except UnsupportedError:
            Remembering.fell_back = True
            return NativeBackend.prepare(self.model).run(inputs)


def _judged(name: str, test: Test) -> Test:
    """The test, and that it needed the reference backend if and only if it is listed."""

    @functools.wraps(test)
    def judged(self: unittest.TestCase, *args: Any, **kwargs: Any) -> None:
        Remembering.fell_back = False
        if name in DIFFERENT:
            with pytest.raises(AssertionError):
                test(self, *args, **kwargs)
        else:
            test(self, *args, **kwargs)
        assert Remembering.fell_back is (name in LEFT), "needed the reference backend"

    return judged


def _or_skipped(test: Test, reason: str) -> Test:
    """A test that is skipped, not failed, where its answer differs."""

    @functools.wraps(test)
    def either(self: unittest.TestCase, *args: Any, **kwargs: Any) -> None:
        try:
            test(self, *args, **kwargs)
        except AssertionError:
            self.skipTest(reason)

    return either


def _listed_as(name: str, test: Test) -> Test:
    if name in MACHINE_DEPENDENT:
        return _or_skipped(test, MACHINE_DEPENDENT[name])
    return unittest.expectedFailure(test) if name in WRONG else _judged(name, test)


def _cases() -> dict[str, type[unittest.TestCase]]:
    with warnings.catch_warnings():
        # The onnx package computes its own expected values here, some of which overflow on purpose.
        warnings.simplefilter("ignore")
        found: dict[str, type[unittest.TestCase]] = onnx.backend.test.BackendTest(
            Remembering, __name__
        ).test_cases
    for case in found.values():
        for method, test in list(vars(case).items()):
            if method.endswith("_cuda"):
                delattr(case, method)
            elif method.startswith("test_"):
                setattr(case, method, _listed_as(method.removesuffix("_cpu"), test))
    return found


globals().update(_cases())


def test_counts_of_the_official_tests() -> None:
    names = {
        method.removesuffix("_cpu")
        for case in globals().values()
        if isinstance(case, type) and issubclass(case, unittest.TestCase)
        for method in vars(case)
        if method.startswith("test_") and method.endswith("_cpu")
    }
    named = [name for table in _listed.values() for name in table]
    assert set(named) <= names, "a list names no test"
    assert len(named) == len(set(named)), "a test is named twice"
    assert not set(LEFT) & set(WRONG), "a test that fails is named in both files"
    assert len(names) - len({*LEFT, *DIFFERENT, *WRONG}) >= 1800
    assert all(reason.strip() for table in _listed.values() for reason in table.values())
