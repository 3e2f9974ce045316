"""Reshaping, joining, cutting and padding: over every namespace, and like onnxruntime."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pelemay.errors import ExecutionError
from pelemay.graph.operations.shape import ROWS

F = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
D = np.arange(2 * 8 * 2 * 3, dtype=np.float32).reshape(2, 8, 2, 3)


def n(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


CASES = [
    ("Identity", (F,), {}),
    ("Shape", (F,), {"start": -2}),
    ("Shape", (F,), {"start": 1, "end": -1}),
    ("Size", (F,), {}),
    ("Reshape", (F, n(0, -1)), {}),
    ("Reshape", (F[:, :0], n(0, 7)), {"allowzero": 1}),
    ("Transpose", (F,), {}),
    ("Transpose", (F,), {"perm": (1, 2, 0)}),
    ("Squeeze", (F[:1, :, :1],), {}),
    ("Squeeze", (F[:1, :, :1], n(-1)), {}),
    ("Unsqueeze", (F, n(-1, 0)), {}),
    ("Flatten", (F,), {"axis": 2}),
    ("Flatten", (F,), {"axis": -1}),
    ("Flatten", (F,), {"axis": 0}),
    ("Expand", (F[:, :1], n(5, 1, 3, 1)), {}),
    ("Tile", (F, n(1, 2, 3)), {}),
    ("Concat", (F, F[:, :1]), {"axis": 1}),
    ("Concat", (F, F, F), {"axis": -1}),
    ("Split", (F, n(1, 3)), {"axis": 2}),
    ("Split", (F,), {"axis": -1, "num_outputs": 3}),
    ("Slice", (F, n(1), n(100), n(-1)), {}),
    ("Slice", (F, n(-1, 3), n(-100, 0), n(1, 2), n(-1, -2)), {}),
    ("Slice", (F, n(2, 3), n(1, 1), n(1, 2), n(1, 1)), {}),
    ("Pad", (F, n(1, 0, 2, 0, 1, 0), np.float32(7)), {}),
    ("Pad", (F, n(1, -1), None, n(2)), {}),
    ("Pad", (F, n(2, 3), None, n(2)), {"mode": "reflect"}),
    ("Pad", (F, n(2, 3), None, n(-2)), {"mode": "edge"}),
    ("Pad", (F, n(5, 6), None, n(2)), {"mode": "wrap"}),
    ("CenterCropPad", (F, n(3, 2, 7)), {}),
    ("CenterCropPad", (F, n(7, 1)), {"axes": (-1, 0)}),
    ("DepthToSpace", (D,), {"blocksize": 2}),
    ("DepthToSpace", (D,), {"blocksize": 2, "mode": "CRD"}),
    ("SpaceToDepth", (D[:, :, :, :2],), {"blocksize": 2}),
    ("SpaceToDepth", (D[:, :, :, :2],), {"blocksize": 2, "mode": "CRD"}),
]


@pytest.mark.parametrize(("name", "inputs", "attributes"), CASES)
def test_every_namespace_gives_what_numpy_gives(agree, name, inputs, attributes):
    agree(name, *inputs, **attributes)


def test_every_operation_has_a_case():
    assert {row.name for row in ROWS} == {name for name, _, _ in CASES}


@pytest.mark.parametrize(
    ("name", "inputs", "attributes", "outputs"),
    [
        ("Reshape", (F, n(4, 0, -1)), {}, 1),
        ("Split", (F,), {"axis": 2, "num_outputs": 3}, 3),
        ("Pad", (F, n(0, -1, 2, 1, 0, -3), np.float32(9)), {}, 1),
        ("Pad", (F, n(0, 0, 3, 0, 0, 3)), {"mode": "reflect"}, 1),
        ("Pad", (F, n(0, 2, 5, 1, 0, 9)), {"mode": "edge"}, 1),
        ("Pad", (F, n(0, 2, 1, 1, 0, 3)), {"mode": "wrap"}, 1),
        ("CenterCropPad", (F, n(5, 2, 3)), {}, 1),
        ("DepthToSpace", (D,), {"blocksize": 2, "mode": "CRD"}, 1),
        ("Expand", (F[:, :1], n(3, 1)), {}, 1),
        ("Flatten", (F,), {"axis": 3}, 1),
    ],
)
def test_edges_are_onnxruntimes(like_onnxruntime, name, inputs, attributes, outputs):
    like_onnxruntime(name, *inputs, outputs=outputs, **attributes)


def test_slice_at_every_bound_is_onnxruntimes(run, run_onnxruntime):
    """But for a backward slice that ends at the largest integer: onnxruntime reads it as -1."""
    x = np.arange(5, dtype=np.float32)
    huge = 2**63 - 1
    for start in (-huge, -6, -1, 0, 4, huge):
        for end in (-huge, -6, -1, 3, huge):
            for step in (-2, 1, 7):
                if end == huge and step < 0:
                    continue
                given_inputs = (x, n(start), n(end), n(0), n(step))
                expected = run_onnxruntime("Slice", *given_inputs)[0]
                np.testing.assert_array_equal(run("Slice", *given_inputs)[0], expected)


@given(st.integers(1, 6), st.integers(0, 20), st.integers(0, 20))
def test_padding_is_numpys(run, length, before, after):
    x = np.arange(length)
    for mode in ("reflect", "edge", "wrap", "constant"):
        expected = np.pad(x, (before, after), mode=mode)
        np.testing.assert_array_equal(run("Pad", x, n(before, after), mode=mode)[0], expected)


def test_strings_are_padded_with_empty_ones(run):
    x = np.array(["a", "b"], object)
    assert run("Pad", x, n(1, 0))[0].tolist() == ["", "a", "b"]


def test_space_to_depth_undoes_depth_to_space(run):
    for mode in ("DCR", "CRD"):
        there = run("DepthToSpace", D, blocksize=2, mode=mode)[0]
        np.testing.assert_array_equal(run("SpaceToDepth", there, blocksize=2, mode=mode)[0], D)


@pytest.mark.parametrize(
    ("name", "inputs", "attributes"),
    [
        ("Split", (F, n(1, 1)), {"axis": 2}),
        ("Split", (F,), {}),
        ("Unsqueeze", (F, n(0, 0)), {}),
        ("Squeeze", (F, n(3)), {}),
        ("Pad", (F, n(1, 1), None, n(0)), {"mode": "mirror"}),
    ],
)
def test_nonsense_is_refused(run, name, inputs, attributes):
    with pytest.raises(ExecutionError):
        run(name, *inputs, **attributes)
