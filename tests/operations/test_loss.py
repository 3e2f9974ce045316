"""Losses: the same over every namespace, and like PyTorch's, which ONNX took over."""

from __future__ import annotations

import numpy as np
import pytest

from pelemay.errors import ExecutionError
from pelemay.graph.operations.loss import ROWS

RNG = np.random.default_rng(15)
SCORES = RNG.uniform(-2, 2, (3, 5, 2, 4))
LABELS = RNG.integers(0, 5, (3, 2, 4))
WEIGHTS = RNG.uniform(0.5, 2, 5)
IGNORING = np.where(LABELS == 2, -100, LABELS)
FLAT = (SCORES[:, :, 0, 0], LABELS[:, 0, 0])

INPUTS = [
    ((SCORES, LABELS), {}),
    ((SCORES, LABELS, WEIGHTS), {}),
    ((SCORES, IGNORING), {"ignore_index": -100}),
    ((SCORES, IGNORING, WEIGHTS), {"ignore_index": -100}),
    ((SCORES, LABELS.astype(np.int32)), {"ignore_index": 3}),
    ((*FLAT, WEIGHTS), {}),
]
NAMES = ("NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss")
CASES = [
    (name, inputs, {**attributes, "reduction": reduction})
    for name in NAMES
    for inputs, attributes in INPUTS
    for reduction in ("none", "sum", "mean")
]


@pytest.mark.parametrize(("name", "inputs", "attributes"), CASES[::5])
def test_every_namespace_gives_what_numpy_gives(agree, name, inputs, attributes):
    agree(name, *inputs, **attributes)


def test_every_operation_has_a_case():
    assert {row.name for row in ROWS} == {name for name, _, _ in CASES[::5]}


@pytest.mark.parametrize(("name", "inputs", "attributes"), CASES)
def test_like_pytorch(run, name, inputs, attributes):
    torch = pytest.importorskip("torch")
    x, labels, *weights = (torch.from_numpy(x) for x in inputs)
    names = {"NegativeLogLikelihoodLoss": "nll_loss", "SoftmaxCrossEntropyLoss": "cross_entropy"}
    loss = getattr(torch.nn.functional, names[name])
    expected = loss(x, labels.long(), *weights, **attributes)
    np.testing.assert_allclose(run(name, *inputs, **attributes)[0], expected, rtol=1e-12)


def test_narrow_floats_are_summed_wide(run):
    x = np.full((4096, 2), -1, np.float16)
    (loss,) = run("NegativeLogLikelihoodLoss", x, np.zeros(4096, np.int64), reduction="sum")
    assert loss == 4096
    assert loss.dtype == np.float16


def test_an_unknown_reduction_is_refused(run):
    with pytest.raises(ExecutionError, match="reduction 'max'"):
        run("NegativeLogLikelihoodLoss", *FLAT, reduction="max")
