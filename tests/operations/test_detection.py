"""Boxes: like onnxruntime, on random boxes."""

from __future__ import annotations

import numpy as np
import pytest

from pelemay.graph.operations.detection import ROWS

RNG = np.random.default_rng(16)


def boxes(*shape: int, size: float = 10) -> np.ndarray:
    """Corners in any order."""
    return RNG.uniform(0, size, (*shape, 4)).astype(np.float32)


IMAGES = RNG.uniform(-1, 1, (2, 3, 9, 11)).astype(np.float32)
ROIS = np.concatenate([np.sort(boxes(6, size=12).reshape(6, 2, 2), axis=1).reshape(6, 4)], axis=1)
BATCH = np.int64([0, 1, 1, 0, 1, 0])


def test_every_operation_is_here():
    assert {row.name for row in ROWS} == {"NonMaxSuppression", "RoiAlign", "MaxRoiPool"}
    assert all(row.on_host for row in ROWS)


@pytest.mark.parametrize("center_point_box", [0, 1])
@pytest.mark.parametrize("threshold", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("most", [3, 1000])
def test_suppression_like_onnxruntime(like_onnxruntime, center_point_box, threshold, most):
    scores = RNG.permutation(2 * 3 * 40).reshape(2, 3, 40).astype(np.float32) / 240
    inputs = (boxes(2, 40), scores, np.int64([most]), np.float32([threshold]), np.float32([0.2]))
    like_onnxruntime("NonMaxSuppression", *inputs, center_point_box=center_point_box)


def test_more_boxes_than_are_compared_at_a_time(like_onnxruntime):
    scores = RNG.permutation(300).reshape(1, 1, 300).astype(np.float32) / 300
    inputs = (boxes(1, 300, size=60), scores, np.int64([90]), np.float32([0.1]), np.float32([0.1]))
    like_onnxruntime("NonMaxSuppression", *inputs)


def test_no_output_unless_it_is_asked_for(run):
    (chosen,) = run("NonMaxSuppression", boxes(1, 4), np.ones((1, 1, 4), np.float32))
    assert chosen.shape == (0, 3)
    assert chosen.dtype == np.int64


def test_boxes_that_overlap_by_the_threshold_stay(run):
    pair = np.float32([[[0, 0, 1, 2], [0, 1, 1, 3]]])
    scores = np.float32([[[0.9, 0.8]]])
    third = np.float32(1) / np.float32(3)
    for threshold, count in ((third, 2), (np.nextafter(third, np.float32(0)), 1)):
        (chosen,) = run("NonMaxSuppression", pair, scores, np.int64(9), threshold)
        assert len(chosen) == count


@pytest.mark.parametrize("mode", ["avg", "max"])
@pytest.mark.parametrize("ratio", [0, 2])
@pytest.mark.parametrize("coordinates", ["half_pixel", "output_half_pixel"])
def test_roi_align_like_onnxruntime(run, run_onnxruntime, mode, ratio, coordinates):
    attributes = {
        "mode": mode,
        "sampling_ratio": ratio,
        "coordinate_transformation_mode": coordinates,
        "output_height": 3,
        "output_width": 2,
        "spatial_scale": 0.75,
    }
    (expected,) = run_onnxruntime("RoiAlign", IMAGES, ROIS, BATCH, opset=16, **attributes)
    (y,) = run("RoiAlign", IMAGES, ROIS, BATCH, **attributes)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_max_roi_pool_like_onnxruntime(like_onnxruntime, run, scale):
    rois = np.concatenate([BATCH[:, None], ROIS], axis=1).astype(np.float32)
    like_onnxruntime("MaxRoiPool", IMAGES, rois, pooled_shape=[3, 2], spatial_scale=scale, opset=21)


def test_the_mean_of_a_plane_is_its_value_in_the_middle(run):
    """x + 10 y, averaged over a box, is its value at the box's centre."""
    plane = (np.arange(9.0) + 10 * np.arange(9.0)[:, None])[None, None]
    (y,) = run("RoiAlign", plane, np.float64([[2, 1, 6, 7]]), np.int64([0]))
    np.testing.assert_allclose(y, [[[[(4 - 0.5) + 10 * (4 - 0.5)]]]])
    assert y.dtype == np.float64
