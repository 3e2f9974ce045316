"""Probabilities of classes from those of pairs: every instruction set against the meaning."""

from __future__ import annotations

from typing import Any

import array_api_compat.numpy as xp
import numpy as np
import pytest

from pelemay.engine import native
from pelemay.errors import ModelError
from pelemay.graph.operations.classical_models import pairwise_coupling
from support.ops import run_op


def pairs_of(rows: int, classes: int) -> Any:
    rng = np.random.default_rng(classes)
    return rng.uniform(0.02, 0.98, (rows, classes * (classes - 1) // 2)).astype(np.float32)


@pytest.mark.parametrize("classes", [2, 3, 7, 120])
def test_couple(isa: str, classes: int) -> None:
    pairs = pairs_of(5, classes)
    expected = pairwise_coupling(xp, pairs, classes=classes)
    for workers in (1, 2, 3):
        made = [(expected.shape, np.float32)]
        found = run_op("couple", [pairs], made, isa=isa, workers=workers)[0]
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)


def test_what_the_probabilities_come_from_is_found_again(isa: str) -> None:
    """Where the pairs agree with each other, rounds end at the classes' own probabilities."""
    p = np.asarray([0.5, 0.2, 0.2, 0.1])
    i, j = np.triu_indices(4, 1)
    pairs = (p[i] / (p[i] + p[j])).astype(np.float32)[None]
    found = run_op("couple", [pairs], [((1, 4), np.float32)], isa=isa)[0]
    np.testing.assert_allclose(found[0], p, atol=5e-3)


@pytest.mark.parametrize("value", [0.0, 1.0, np.nan, np.inf])
def test_no_number_keeps_it_from_ending(isa: str, value: float) -> None:
    pairs = np.full((2, 3), value, np.float32)
    assert run_op("couple", [pairs], [((2, 3), np.float32)], isa=isa)[0].shape == (2, 3)


@pytest.mark.parametrize(
    ("pairs", "shape"),
    [
        (np.zeros((2, 3), np.float32), (2, 4)),
        (np.zeros((2, 3), np.float32), (1, 3)),
        (np.zeros((2, 0), np.float32), (2, 1)),
        (np.zeros((2, 0), np.float32), (2, 0)),
        (np.zeros((2, 3), np.float64), (2, 3)),
        (np.zeros((2, 6), np.float32)[:, ::2], (2, 3)),
        (np.zeros((0, 5000 * 4999 // 2), np.float32), (0, 5000)),
    ],
)
def test_operands_that_do_not_fit_are_refused(pairs: Any, shape: tuple[int, int]) -> None:
    with pytest.raises((ModelError, native().NativeError)):
        run_op("couple", [pairs], [(shape, np.float32)])
