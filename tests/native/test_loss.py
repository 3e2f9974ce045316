"""Losses of classifiers, against their meaning."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pelemay.errors import PelemayError
from support.nodes import Case, product
from support.ops import run_op

F32 = np.float32


def scores(*shape: int, dtype: Any = F32) -> Any:
    return np.random.default_rng(0).normal(size=shape).astype(dtype)


CHOICES = product(
    op=("NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss"),
    reduction=("none", "sum", "mean"),
    weighted=(False, True),
    ignore_index=(None, 1, -7),
)


@pytest.mark.parametrize("shape", [(4, 5), (3, 5, 2), (2, 5, 6, 70)], ids=str)
@pytest.mark.parametrize("choice", CHOICES, ids=str)
def test_losses(choice: dict[str, Any], shape: tuple[int, ...]) -> None:
    x = scores(*shape)
    right = np.random.default_rng(1).integers(0, 5, (shape[0], *shape[2:]))
    right.reshape(-1)[0] = choice["ignore_index"] or 2
    weights = np.linspace(0.5, 2, 5).astype(F32) if choice["weighted"] else None
    attributes = {"reduction": choice["reduction"]}
    if choice["ignore_index"] is not None:
        attributes["ignore_index"] = choice["ignore_index"]
    case = Case(choice["op"], (x, right, weights), attributes, wanted=None)
    if choice["op"].startswith("Softmax") and choice["weighted"]:
        case = Case(choice["op"], (x, right, weights), attributes, wanted=(0,))
    case.check(of_largest=True)


def test_double() -> None:
    right = np.array([0, 4, 2], np.int32)
    Case("NegativeLogLikelihoodLoss", (scores(3, 5, dtype=np.float64), right), {}).check(rtol=1e-14)


@pytest.mark.parametrize(
    ("x", "right", "y", "params"),
    [
        ((2, 5, 3), (2, 4), (2, 4), (0, 0, 0, 0)),
        ((2, 5, 3), (2, 3), (2, 4), (0, 0, 0, 0)),
        ((2, 5, 3), (2, 3), (2,), (1, 0, 0, 0)),
        ((2, 5, 3), (2, 3), (2, 3), (3, 0, 0, 0)),
    ],
)
def test_refused(x: Any, right: Any, y: Any, params: Any) -> None:
    inputs = [np.ones(x, F32), np.ones(right, np.int64), None]
    with pytest.raises(PelemayError, match="parameters"):
        run_op("loss", inputs, [(y, F32)], params)
