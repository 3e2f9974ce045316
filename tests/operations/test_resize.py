"""Resizing and sampling: the same over every namespace, and like onnxruntime."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pelemay.errors import ExecutionError
from pelemay.graph.operations.resize import ROWS

RNG = np.random.default_rng(11)


def eighths(limit: float, *shape: int) -> np.ndarray:
    """Numbers with few bits, so that little is lost to rounding."""
    return RNG.integers(-8 * limit, 8 * limit, shape) / 8


IMAGE = eighths(1, 2, 3, 5, 7)
VOLUME = eighths(1, 1, 2, 3, 4, 5)
GRID = eighths(1.75, 2, 4, 3, 2)
GRID3 = eighths(1.75, 1, 2, 3, 2, 3)
THETA = RNG.uniform(-1, 1, (2, 2, 3))
DOUBLE = np.float32([1, 1, 2, 2])
ODD = np.float32([1, 1, 0.6, 1.7])
SIZES = np.int64([2, 3, 4, 9])
ROI = np.float64([0, 0, 0.2, -0.3, 1, 1, 0.9, 1.1])

RESIZES = [
    ((IMAGE, None, DOUBLE), {}),
    ((IMAGE, None, ODD), {"nearest_mode": "ceil", "coordinate_transformation_mode": "asymmetric"}),
    ((IMAGE, None, None, SIZES), {"nearest_mode": "floor", "mode": "nearest"}),
    ((IMAGE, None, ODD), {"mode": "linear"}),
    ((IMAGE, None, None, SIZES), {"mode": "linear", "antialias": 1}),
    ((IMAGE, None, DOUBLE), {"mode": "linear", "coordinate_transformation_mode": "align_corners"}),
    ((IMAGE, None, ODD), {"mode": "cubic", "cubic_coeff_a": -0.5}),
    ((IMAGE, None, None, SIZES), {"mode": "cubic", "exclude_outside": 1}),
    ((IMAGE, None, ODD), {"mode": "cubic", "antialias": 1}),
    ((VOLUME, None, np.float32([1, 1, 2, 0.5, 1.5])), {"mode": "linear"}),
    ((IMAGE, None, None, np.int64([9, 4])), {"axes": [3, -2], "mode": "linear"}),
    (
        (IMAGE, None, None, np.int64([9, 9])),
        {"axes": [2, 3], "mode": "linear", "keep_aspect_ratio_policy": "not_larger"},
    ),
    (
        (IMAGE, None, None, np.int64([9, 9])),
        {"axes": [2, 3], "keep_aspect_ratio_policy": "not_smaller"},
    ),
    (
        (IMAGE, ROI, None, SIZES),
        {
            "mode": "linear",
            "coordinate_transformation_mode": "tf_crop_and_resize",
            "extrapolation_value": 7.0,
        },
    ),
]
SAMPLES = [
    ((IMAGE, GRID), {"mode": mode, "padding_mode": padding, "align_corners": corners})
    for mode in ("linear", "nearest", "cubic")
    for padding in ("zeros", "border", "reflection")
    for corners in (0, 1)
]
CASES = [
    *(("Resize", *case) for case in RESIZES),
    ("Resize", (np.int32([[1, 9]]), None, np.float32([1, 2])), {"mode": "linear"}),
    ("Resize", (np.array([[True, False]]), None, np.float32([2, 1])), {}),
    *(("GridSample", *case) for case in SAMPLES[::4]),
    ("GridSample", (VOLUME, GRID3), {"padding_mode": "border"}),
    ("GridSample", (np.int32([[[[1, 2], [3, 4]]]]), GRID[:1]), {"mode": "nearest"}),
    ("AffineGrid", (THETA, np.int64([2, 3, 4, 5])), {}),
    ("AffineGrid", (THETA, np.int64([2, 3, 1, 5])), {"align_corners": 1}),
    ("AffineGrid", (RNG.uniform(-1, 1, (1, 3, 4)), np.int64([1, 1, 2, 3, 4])), {}),
]


def tuples(attributes: dict) -> dict:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in attributes.items()}


@pytest.mark.parametrize(("name", "inputs", "attributes"), CASES)
def test_every_namespace_gives_what_numpy_gives(agree, name, inputs, attributes):
    agree(name, *inputs, **tuples(attributes))


def test_every_operation_has_a_case():
    assert {row.name for row in ROWS} == {name for name, _, _ in CASES}


def narrow(inputs: tuple) -> tuple:
    return tuple(
        x.astype(np.float32) if x is not None and x.dtype.kind == "f" else x for x in inputs
    )


@pytest.mark.parametrize(("inputs", "attributes"), RESIZES)
def test_resize_like_onnxruntime(run, run_onnxruntime, inputs, attributes):
    (expected,) = run_onnxruntime("Resize", *narrow(inputs), **attributes)
    (y,) = run("Resize", *narrow(inputs), **tuples(attributes))
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("inputs", "attributes"), [*SAMPLES, ((VOLUME, GRID3), {"padding_mode": "border"})]
)
def test_grid_sample_like_onnxruntime(run, run_onnxruntime, inputs, attributes):
    (expected,) = run_onnxruntime("GridSample", *narrow(inputs), opset=20, **attributes)
    (y,) = run("GridSample", *narrow(inputs), **attributes)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)


@given(
    st.integers(1, 9),
    st.integers(1, 20),
    st.sampled_from(["half_pixel", "asymmetric", "pytorch_half_pixel", "half_pixel_symmetric"]),
    st.sampled_from(["linear", "cubic", "nearest"]),
    st.booleans(),
)
def test_a_constant_stays_constant(run, size, output, coordinates, mode, antialias):
    (y,) = run(
        "Resize",
        np.full(size, 3.0),
        None,
        None,
        np.int64([output]),
        mode=mode,
        coordinate_transformation_mode=coordinates,
        antialias=int(antialias),
    )
    np.testing.assert_allclose(y, np.full(output, 3.0))


def test_scales_are_rounded_as_float32(run):
    """In float64 the float32 nearest to 0.7, times 10, is below 7."""
    (y,) = run("Resize", np.arange(10.0), None, np.float32([0.7]))
    assert y.shape == (7,)


def test_the_identity_grid_samples_the_image(run):
    identity = np.tile(np.eye(2, 3), (2, 1, 1))
    (grid,) = run("AffineGrid", identity, np.int64(IMAGE.shape))
    np.testing.assert_allclose(run("GridSample", IMAGE, grid)[0], IMAGE, atol=1e-12)


def test_half_floats_are_weighted_wide(run):
    x = IMAGE.astype(np.float16)
    (y,) = run("Resize", x, None, DOUBLE, mode="linear")
    (wide,) = run("Resize", x.astype(np.float64), None, DOUBLE, mode="linear")
    assert y.dtype == np.float16
    np.testing.assert_allclose(y, wide, rtol=1e-3, atol=1e-6)


def test_sizes_must_be_given(run):
    with pytest.raises(ExecutionError, match="neither scales nor sizes has 4 numbers"):
        run("Resize", IMAGE, None, np.float32([2, 2]))
