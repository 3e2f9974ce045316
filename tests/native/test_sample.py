"""Images read between their pixels, and regions of them pooled."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pelemay.errors import ExecutionError, PelemayError
from support.nodes import Case
from support.ops import run_op

Array = Any
F32 = np.float32


def image(*shape: int, dtype: Any = F32, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(3, 2, shape).astype(dtype)


def places(*shape: int, seed: int = 1) -> Array:
    """Mostly within the image, some outside, some on its very edge."""
    grid = np.random.default_rng(seed).uniform(-1.6, 1.6, shape).astype(F32)
    grid.reshape(-1)[:4] = [-1, 1, 0, 1.5]
    return grid


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("align", [0, 1])
@pytest.mark.parametrize("sizes", [(5, 7), (3, 4, 5), (6,), (1, 4)], ids=str)
def test_grid_sample(mode: str, padding: str, align: int, sizes: tuple[int, ...]) -> None:
    how = {"mode": mode, "padding_mode": padding, "align_corners": align}
    grid = places(2, *(n + 1 for n in sizes), len(sizes))
    Case("GridSample", (image(2, 3, *sizes), grid), how).check(of_largest=True)


@pytest.mark.parametrize("dtype", [np.float64, np.int32, np.uint8])
def test_nearest_of_any_type(dtype: Any) -> None:
    inputs = ((image(1, 2, 5, 6) * 9).astype(dtype), places(1, 7, 8, 2))
    Case("GridSample", inputs, {"mode": "nearest"}).check(sets=("scalar",))


def test_places_that_are_no_numbers() -> None:
    """They lie outside; nothing is read for them."""
    grid = np.array([np.nan, np.inf, -np.inf, 1e38, 0, 0], F32).reshape(1, 3, 2)
    x = image(1, 2, 4, 5)
    for mode in range(3):
        for padding in range(3):
            (y,) = run_op("grid_sample", [x, grid], [((1, 2, 3), F32)], (mode, padding, 0))
            assert np.isfinite(y).all()
            if padding == 0:
                np.testing.assert_array_equal(y[:, :, :2], 0)


@pytest.mark.parametrize("align", [0, 1])
@pytest.mark.parametrize("size", [(2, 3, 5, 6), (2, 3, 1, 4), (2, 1, 3, 4, 5)], ids=str)
def test_affine_grid(align: int, size: tuple[int, ...]) -> None:
    axes = len(size) - 2
    inputs = (image(2, axes, axes + 1), np.array(size, np.int64))
    Case("AffineGrid", inputs, {"align_corners": align}, (1,)).check(of_largest=True)


ROIS = np.array(
    [[1, 2, 9, 8], [0, 0, 14.5, 11.25], [-3, -2, 4, 5], [5, 5, 5.5, 5.5], [6, 7, 30, 40]], F32
)


@pytest.mark.parametrize("mode", ["avg", "max"])
@pytest.mark.parametrize("ratio", [0, 2, 3])
@pytest.mark.parametrize("coordinates", ["half_pixel", "output_half_pixel"])
@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_roi_align(mode: str, ratio: int, coordinates: str, scale: float) -> None:
    inputs = (np.abs(image(3, 4, 12, 15)), ROIS, np.array([0, 2, 1, 1, 0], np.int64))
    how = {
        "mode": mode,
        "sampling_ratio": ratio,
        "coordinate_transformation_mode": coordinates,
        "spatial_scale": scale,
        "output_height": 3,
        "output_width": 4,
    }
    Case("RoiAlign", inputs, how).check(of_largest=True)


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_max_roi_pool(scale: float) -> None:
    rois = np.concatenate([np.array([[0], [2], [1], [1], [0]], F32), ROIS], axis=1)
    how = {"pooled_shape": (3, 4), "spatial_scale": scale}
    Case("MaxRoiPool", (image(3, 4, 12, 15), rois), how).check()


@pytest.mark.parametrize("number", [-1, 3, 2**60])
def test_regions_of_images_that_are_not_there(
    number: int, isa: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = Case("RoiAlign", (image(3, 4, 6, 6), ROIS[:1], np.array([number])), {})
    monkeypatch.setattr(Case, "meaning", lambda _self, *, wide: [np.zeros((1, 4, 1, 1), F32)])
    with pytest.raises(ExecutionError, match="out of range"):
        case.run(isa=isa)


@pytest.mark.parametrize(
    ("x", "grid", "y", "params"),
    [
        ((1, 2, 4, 5), (1, 9, 3), (1, 2, 9), (1, 0, 0)),
        ((1, 2, 4, 5), (2, 9, 2), (1, 2, 9), (1, 0, 0)),
        ((1, 2, 4, 5), (1, 9, 2), (1, 3, 9), (1, 0, 0)),
        ((1, 2, 4, 5), (1, 9, 2), (1, 2, 8), (1, 0, 0)),
        ((1, 2, 4, 5), (1, 9, 2), (1, 2, 9), (3, 0, 0)),
        ((1, 2, 4, 5), (1, 9, 2), (1, 2, 9), (0, -1, 0)),
        ((1, 2, 4, 5, 6, 7), (1, 9, 4), (1, 2, 9), (0, 0, 0)),
    ],
)
def test_refused(x: Any, grid: Any, y: Any, params: Any) -> None:
    with pytest.raises(PelemayError, match="parameters"):
        run_op("grid_sample", [np.ones(x, F32), np.ones(grid, F32)], [(y, F32)], params)
