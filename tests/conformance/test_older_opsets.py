"""Every version of every operation from operator set 7 on, imported and run, against onnxruntime.

The newest version of an operation is here only if ONNX's own tests have no plain case of it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest

from pelemay.backends.reference import GraphRunnable, numpy_table
from pelemay.importers import from_proto
from support.older import WRITTEN, covered, models, versions

onnxruntime = pytest.importorskip("onnxruntime")

VERSIONS = [
    (op, version)
    for op, known in versions().items()
    for version in (known if op in WRITTEN else known[:-1])
]
NOT_IN_ONNXRUNTIME = {
    *("GlobalLpPool-22", "MaxRoiPool-22", "Multinomial-22", "Optional-28", "RandomNormal-22"),
    *("RandomNormalLike-22", "RandomUniform-22", "RandomUniformLike-22"),
}
"""Versions that only take more element types than the one before, which onnxruntime has."""

RANDOM = ("Bernoulli", "Multinomial", "RandomNormal", "RandomUniform")


def answers(model: onnx.ModelProto, feeds: dict[str, Any]) -> list[Any] | None:
    """What onnxruntime gives; None if it does not run the model."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options)
        found: list[Any] = session.run(None, feeds)
    except Exception:  # noqa: BLE001 - it raises what it likes
        return None
    return found


def one_before(model: onnx.ModelProto, op: str) -> onnx.ModelProto:
    """The same model in the operator set that has the version before."""
    older = onnx.ModelProto()
    older.CopyFrom(model)
    older.opset_import[0].version = max(7, versions()[op][-2])
    return older


@pytest.mark.parametrize(
    ("op", "version"), [pytest.param(*key, id=f"{key[0]}-{key[1]}") for key in VERSIONS]
)
@pytest.mark.filterwarnings("ignore")
def test_it_means_what_onnxruntime_says(op: str, version: int) -> None:
    for model, feeds in models(op, version):
        expected = answers(model, feeds)
        if f"{op}-{version}" in NOT_IN_ONNXRUNTIME:
            assert expected is None, "take it off the list"
            expected = answers(one_before(model, op), feeds)
        if expected is None:
            continue
        runnable = GraphRunnable(from_proto(model).graph, numpy_table())
        found = runnable.run(feeds).values()
        for ours, theirs in zip(found, expected, strict=True):
            compare(op, ours, theirs)
        return
    pytest.fail("there is no model of it that onnxruntime runs")


@pytest.mark.filterwarnings("ignore")
def test_what_onnx_has_no_plain_test_of_is_written() -> None:
    assert set(versions()) - covered() <= set(WRITTEN)


def compare(op: str, ours: Any, theirs: Any) -> None:
    if isinstance(theirs, list):
        assert len(ours) == len(theirs)
        for mine, other in zip(ours, theirs, strict=True):
            compare(op, mine, other)
    elif theirs is None or theirs.dtype.kind in "OUS":
        np.testing.assert_array_equal(ours, theirs)
    else:
        assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
        if not op.startswith(RANDOM):
            # Sums of large values that cancel are as exact as the values are.
            largest = np.abs(np.nan_to_num(theirs.astype(np.complex128))).max(initial=10)
            np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-6 * largest)
