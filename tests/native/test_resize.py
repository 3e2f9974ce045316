"""Images made larger and smaller: all modes, axes, types, and rows held in part."""

from __future__ import annotations

import itertools
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pelemay.engine import native
from pelemay.errors import PelemayError
from pelemay.graph.operations.resize import COORDINATES, ROUNDINGS
from support.nodes import Case
from support.ops import Held, run_op, strided

Array = Any
F32 = np.float32


def image(*shape: int, dtype: Any = F32, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(3, 2, shape).astype(dtype)


def resize(x: Array, **how: Any) -> Case:
    """A node whose roi, scales and sizes are known before the run."""
    roi, scales, sizes = how.pop("roi", None), how.pop("scales", None), how.pop("sizes", None)
    inputs = (
        x,
        None if roi is None else np.array(roi, F32),
        None if scales is None else np.array(scales, F32),
        None if sizes is None else np.array(sizes, np.int64),
    )
    return Case("Resize", inputs, how, (1, 2, 3))


MODES = ["nearest", "linear", "cubic"]
PLAIN = [name for name in COORDINATES if name != "tf_crop_and_resize"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("coordinates", PLAIN)
@pytest.mark.parametrize("scales", [(2, 2), (1.5, 0.6), (3, 1), (0.4, 0.5)], ids=str)
def test_modes(mode: str, coordinates: str, scales: tuple[float, float]) -> None:
    how = {"mode": mode, "coordinate_transformation_mode": coordinates}
    resize(image(2, 3, 7, 9), scales=(1, 1, *scales), **how).check(of_largest=True)
    resize(image(2, 7, 9, 19), scales=(1, *scales, 1), **how).check(of_largest=True)


@pytest.mark.parametrize("nearest", ROUNDINGS)
@pytest.mark.parametrize("coordinates", PLAIN)
def test_nearest(nearest: str, coordinates: str) -> None:
    how = {"coordinate_transformation_mode": coordinates, "nearest_mode": nearest}
    for sizes in ((1, 2, 13, 4), (1, 2, 3, 20)):
        resize(image(1, 2, 6, 7), sizes=sizes, mode="nearest", **how).check()


@pytest.mark.parametrize("dtype", [np.uint8, np.float16, np.int64, np.float64, np.bool_])
def test_nearest_of_any_type(dtype: Any) -> None:
    x = (image(1, 6, 7, 5) * 9).astype(dtype)
    for scales in ((1, 2, 2, 1), (1, 1, 3, 0.5)):
        resize(x, scales=scales, mode="nearest").check(sets=("scalar", "avx2"))


@pytest.mark.parametrize("mode", ["linear", "cubic"])
@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int16, np.int32, np.float64])
def test_sums_of_any_type(dtype: Any, mode: str) -> None:
    x = np.random.default_rng(0).integers(-120 if dtype is not np.uint8 else 0, 127, (1, 6, 7, 3))
    how = {"mode": mode, "scales": (1, 1.7, 0.6, 1)}
    resize(x.astype(dtype), **how).check(rtol=1e-12, of_largest=True)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_sums_of_narrow_floats(dtype: Any) -> None:
    case = resize(image(1, 6, 7, 3, dtype=dtype), mode="linear", scales=(1, 2, 2, 1))
    (ours,), (wanted,) = case.run(workers=2), case.meaning(wide=False)
    limit = 1e-3 if dtype is np.float16 else 1e-2
    np.testing.assert_allclose(ours.astype(F32), wanted.astype(F32), rtol=limit)


@pytest.mark.parametrize("mode", ["linear", "cubic"])
@pytest.mark.parametrize("sizes", [(5, 4), (3, 9), (20, 17)], ids=str)
@pytest.mark.parametrize("attributes", [{"antialias": 1}, {"exclude_outside": 1}], ids=str)
def test_filters(mode: str, sizes: tuple[int, int], attributes: dict[str, int]) -> None:
    x = image(1, 12, 11, 5)
    resize(x, sizes=(1, *sizes, 5), mode=mode, **attributes).check(of_largest=True)
    resize(x, sizes=sizes, axes=(1, 2), mode=mode, **attributes).check(of_largest=True)


@pytest.mark.parametrize("axes", [(0,), (1,), (3,), (0, 3), (1, 3), (3, 2), (0, 1, 2, 3)], ids=str)
@pytest.mark.parametrize("mode", MODES)
def test_axes(axes: tuple[int, ...], mode: str) -> None:
    scales = [1.5, 2.0, 0.7, 1.2][: len(axes)]
    resize(image(3, 4, 5, 6), scales=scales, axes=axes, mode=mode).check(of_largest=True)


@pytest.mark.parametrize("rank", [1, 2, 3, 5])
@pytest.mark.parametrize("mode", MODES)
def test_ranks(rank: int, mode: str) -> None:
    x = image(*range(3, 3 + rank))
    resize(x, scales=[1.4] * rank, mode=mode).check(of_largest=True)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("roi", [(0.1, 0.2, 0.9, 0.7), (-0.3, 0.2, 1.2, 0.8)], ids=str)
def test_crops(mode: str, roi: tuple[float, ...]) -> None:
    how = {"coordinate_transformation_mode": "tf_crop_and_resize", "extrapolation_value": 7.5}
    whole = (0, *roi[:2], 0, 1, *roi[2:], 1)
    x = image(1, 6, 7, 5)
    resize(x, roi=whole, sizes=(1, 4, 9, 5), mode=mode, **how).check(of_largest=True)
    resize(x, roi=roi, sizes=(4, 9), axes=(1, 2), mode=mode, **how).check(of_largest=True)
    first = np.ascontiguousarray(x.transpose(0, 3, 1, 2))
    resize(first, roi=roi, sizes=(4, 9), axes=(2, 3), mode=mode, **how).check(of_largest=True)


@pytest.mark.parametrize("policy", ["not_larger", "not_smaller"])
def test_aspect(policy: str) -> None:
    how = {"keep_aspect_ratio_policy": policy, "axes": (1, 2), "mode": "linear"}
    resize(image(1, 6, 9, 3), sizes=(7, 8), **how).check(of_largest=True)


def test_nothing_changes() -> None:
    resize(image(1, 3, 4, 5), scales=(1, 1, 1, 1)).check()
    resize(image(0, 3, 4), scales=(1, 2, 2)).check()


@pytest.mark.parametrize("channels", [1, 3, 16, 33])
def test_wide_images(channels: int) -> None:
    """More outputs than one worker takes."""
    x = image(1, 40, 50, channels)
    for mode in MODES:
        resize(x, scales=(1, 2, 2, 1), mode=mode).check(of_largest=True)


def tables(outputs: int, size: int, taps: int) -> tuple[Array, Array]:
    rng = np.random.default_rng(outputs)
    places = np.sort(rng.integers(0, size, (outputs, taps)).astype(np.int32), axis=0)
    return places, rng.normal(size=(outputs, taps))


@pytest.mark.parametrize("taps", [1, 2])
def test_rows_held_in_part(taps: int, isa: str) -> None:
    """The rows that a band reads and writes lie in rings."""
    x = image(1, 12, 5, 3)
    rows, wide = tables(20, 12, taps), tables(8, 5, taps)
    if taps == 1:
        rows, wide = (rows[0], None), (wide[0], None)  # type: ignore[assignment]
    inputs = [x, *rows, *wide]
    (whole,) = run_op("resize", inputs, [((1, 20, 8, 3), F32)], (0.0, 0, 20), isa=isa)
    row0, row1 = 6, 10
    used = sorted(set(rows[0][row0:row1].reshape(-1).tolist()))
    count = used[-1] - used[0] + 1
    ring = np.full((1, count, 5, 3), np.nan, F32)
    for row in range(used[0], used[-1] + 1):
        ring[0, row % count] = x[0, row]
    output = np.full((1, 5, 8, 3), 0, F32)
    held = [Held(ring, 12), *rows, *wide]
    (y,) = run_op("resize", held, [Held(output, 20)], (0.0, row0, row1), isa=isa, workers=2)
    for row in range(row0, row1):
        np.testing.assert_array_equal(y[0, row % 5], whole[0, row])


def test_pixels_with_gaps(isa: str) -> None:
    x = image(1, 6, 7, 20)[..., 3:16]
    rows, wide = tables(9, 6, 2), tables(11, 7, 2)
    out = strided((1, 9, 11, 13), F32, 17)
    inputs = [x, *rows, *wide]
    (y,) = run_op("resize", inputs, [out], (0.0, 0, 9), isa=isa, workers=2)
    vertical = np.einsum("nhtwc,ht->nhwc", x.astype(float)[:, rows[0]], rows[1])
    exact = np.einsum("nhwtc,wt->nhwc", vertical[:, :, wide[0]], wide[1])
    np.testing.assert_allclose(y, exact, rtol=0, atol=1e-5 * np.abs(exact).max())


@pytest.mark.parametrize("place", [-2, 6, 2**31 - 1])
@pytest.mark.parametrize("axis", [0, 1])
def test_places_out_of_range(place: int, axis: int, isa: str) -> None:
    for taps in (1, 2):
        both = [tables(9, 6, taps), tables(11, 6, taps)]
        both[axis][0][4, taps - 1] = place
        pairs = [(places, weights if taps > 1 else None) for places, weights in both]
        inputs = [image(1, 6, 6, 4), *itertools.chain.from_iterable(pairs)]
        with pytest.raises(native().NativeError, match="E_INDEX"):
            run_op("resize", inputs, [((1, 9, 11, 4), F32)], (0.0, 0, 9), isa=isa)


@pytest.mark.parametrize("params", [(0.0, 0, 10), (0.0, -1, 9), (0.0, 5, 4), (0.0, 0)], ids=str)
def test_refused_rows(params: Any) -> None:
    inputs = [image(1, 6, 7, 4), *tables(9, 6, 2), *tables(11, 7, 2)]
    with pytest.raises(PelemayError, match="parameters"):
        run_op("resize", inputs, [((1, 9, 11, 4), F32)], params)


def test_refused_tables() -> None:
    rows, wide = tables(9, 6, 2), tables(11, 7, 2)
    for bad in ((rows[0][:, :1], rows[1]), (rows[0][:8], rows[1][:8]), (rows[0], None),
                (rows[0].astype(np.int64), rows[1]), (rows[0], rows[1].astype(F32))):  # fmt: skip
        with pytest.raises(PelemayError, match="parameters"):
            run_op("resize", [image(1, 6, 7, 4), *bad, *wide], [((1, 9, 11, 4), F32)], (0.0, 0, 9))


@settings(max_examples=80)
@given(data=st.data())
def test_any_resize(data: Any) -> None:
    shape = tuple(data.draw(st.lists(st.integers(1, 6), min_size=4, max_size=4)))
    axes = tuple(data.draw(st.permutations(range(4))))[: data.draw(st.integers(1, 3))]
    sizes = data.draw(st.lists(st.integers(1, 9), min_size=len(axes), max_size=len(axes)))
    mode = data.draw(st.sampled_from(MODES))
    coordinates = data.draw(st.sampled_from([n for n in PLAIN if n != "align_corners"]))
    antialias = int(mode != "nearest" and data.draw(st.booleans()))
    how = {"coordinate_transformation_mode": coordinates, "antialias": antialias, "mode": mode}
    resize(image(*shape), sizes=sizes, axes=axes, **how).check(of_largest=True)
