from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from pelemay.errors import BackendUnavailableError, InputError
from pelemay.models import images

MEAN = np.array([0.485, 0.456, 0.406])
STD = np.array([0.229, 0.224, 0.225])


def saved(path: Path, size: tuple[int, int] = (300, 260), **options: object) -> Path:
    """A red picture with a blue left third."""
    image = Image.new("RGB", size, (255, 0, 0))
    image.paste((0, 0, 255), (0, 0, size[0] // 3, size[1]))
    image.save(path, **options)  # type: ignore[arg-type]
    return path


def test_values_are_normalised_with_imagenets_statistics(tmp_path: Path) -> None:
    made = images.load_image(saved(tmp_path / "a.png"))
    assert made.shape == (1, 3, 224, 224)
    assert made.dtype == np.float32
    np.testing.assert_allclose(made[0, :, 100, 200], (np.array([1, 0, 0]) - MEAN) / STD, rtol=1e-5)
    np.testing.assert_allclose(made[0, :, 100, 10], (np.array([0, 0, 1]) - MEAN) / STD, rtol=1e-5)


def test_layouts_hold_the_same_values(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png")
    planes = images.load_image(path, size=(96, 64))
    pixels = images.load_image(path, size=(96, 64), layout="NHWC", batch=2)
    assert pixels.shape == (2, 96, 64, 3)
    np.testing.assert_array_equal(pixels[1].transpose(2, 0, 1), planes[0])


def test_the_crop_is_that_of_resizing_first(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(0, 255, (12, 20, 3), np.uint8))
    picture = small.resize((600, 300), Image.Resampling.BICUBIC)
    picture.save(tmp_path / "a.png")
    whole = picture.resize((512, 256), Image.Resampling.BILINEAR)
    left, top = (whole.width - 224) // 2, (whole.height - 224) // 2
    expected = np.asarray(whole.crop((left, top, left + 224, top + 224)), np.float64) / 255
    made = images.load_image(tmp_path / "a.png", layout="NHWC")[0] * STD + MEAN
    assert np.abs(made - expected).max() < 0.02


@pytest.mark.parametrize("size", [(224, 224), (3, 4), (1, 1), (4000, 3), (3, 4000), (256, 224)])
def test_any_size_becomes_the_crop(tmp_path: Path, size: tuple[int, int]) -> None:
    made = images.load_image(saved(tmp_path / "a.png", size))
    assert made.shape == (1, 3, 224, 224)
    assert np.isfinite(made).all()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16"])
def test_any_mode_becomes_rgb(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("a.tiff" if mode == "CMYK" else "a.png")
    Image.new(mode, (40, 30)).save(path)
    assert images.load_image(path).shape == (1, 3, 224, 224)


def test_the_orientation_of_the_camera_is_undone(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3  # turned by 180 degrees
    upright = images.load_image(saved(tmp_path / "a.png"))
    turned = images.load_image(saved(tmp_path / "b.png", exif=exif))
    np.testing.assert_allclose(turned, upright[:, :, ::-1, ::-1], atol=0.05)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((1, 3, 224, 224), (1, 3, 224, 224)),
        (("N", 3, 96, 64), (1, 3, 96, 64)),
        ((10, 3, 32, 32), (10, 3, 32, 32)),
        (("batch", 3, "height", None), (1, 3, 224, 224)),
        ((2, 48, 64, 3), (2, 48, 64, 3)),
    ],
)
def test_the_models_shape_decides(
    tmp_path: Path, shape: tuple[int | str | None, ...], expected: tuple[int, ...]
) -> None:
    assert images.load_image_for(saved(tmp_path / "a.png"), shape).shape == expected


@pytest.mark.parametrize("shape", [(1, 128), (1, 1, 28, 28), (3, 224, 224), ()])
def test_a_shape_that_no_image_fits(tmp_path: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"\.npy"):
        images.load_image_for(saved(tmp_path / "a.png"), shape)


def test_what_is_no_image(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_text("hello")
    with pytest.raises(InputError, match="not an image") as caught:
        images.load_image(tmp_path / "a.jpg")
    assert caught.value.where.endswith("a.jpg")


@pytest.mark.parametrize(
    ("name", "message"), [("missing.png", "there is no such picture"), (".", "cannot be read")]
)
def test_what_is_no_file(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        images.load_image(tmp_path / name)


def test_a_bomb_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    Image.new("1", (9000, 9000)).save(tmp_path / "bomb.png")
    with pytest.raises(InputError, match="9000 x 9000"):
        images.load_image(tmp_path / "bomb.png")


@pytest.mark.filterwarnings("default::PIL.Image.DecompressionBombWarning")
def test_a_bomb_that_pillow_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(InputError, match="too many pixels"):
        images.load_image(path)


def encoded(kind: str) -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(1).integers(0, 255, (24, 32, 3), np.uint8)
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


FILES = {kind: encoded(kind) for kind in ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF")}


@settings(
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.data())
@pytest.mark.filterwarnings("ignore")
def test_a_damaged_image_is_an_input_error_or_an_image(tmp_path: Path, data: st.DataObject) -> None:
    broken = bytearray(FILES[data.draw(st.sampled_from(sorted(FILES)))])
    for _ in range(data.draw(st.integers(1, 8))):
        broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "a.img"
    path.write_bytes(broken[: data.draw(st.integers(1, len(broken)))])
    try:
        made = images.load_image(path, size=32)
    except InputError:
        return
    assert made.shape == (1, 3, 32, 32)


def test_without_pillow_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(BackendUnavailableError, match=r"pelemay\[images\]"):
        images.load_image(tmp_path / "a.png")


def test_logits_go_through_a_softmax() -> None:
    best = images.top_classes(np.array([[[1.0]], [[3.0]], [[2.0]]])[None], k=2)
    assert [(i, name) for i, name, _ in best] == [(1, "class 1"), (2, "class 2")]
    weights = np.exp([3.0, 2.0, 1.0])
    np.testing.assert_allclose([p for *_, p in best], (weights / weights.sum())[:2])


def test_probabilities_stay_as_they_are() -> None:
    assert images.top_classes([0.25, 0.75])[0] == (1, "class 1", 0.75)


def test_scores_between_0_and_1_that_do_not_sum_to_1_are_no_probabilities() -> None:
    (_, _, first), (_, _, second) = images.top_classes([0.9, 0.8])
    assert first + second == pytest.approx(1)
    assert first < 0.6


def test_large_logits_do_not_overflow() -> None:
    assert images.top_classes([1e4, -1e4])[0][2] == 1.0


def test_ties_keep_their_order() -> None:
    assert [i for i, *_ in images.top_classes([1.0, 1.0, 1.0])] == [0, 1, 2]


def test_own_names() -> None:
    assert images.top_classes([0.0, 5.0], k=1, names=["cat", "dog"])[0][1] == "dog"


@pytest.mark.parametrize("scores", [np.zeros((2, 3)), [np.nan, 1.0], 3.0, []])
def test_what_is_no_row_of_scores(scores: object) -> None:
    with pytest.raises(InputError, match="one row"):
        images.top_classes(scores)  # type: ignore[arg-type]


def test_the_classes_of_imagenet() -> None:
    names = images.imagenet_classes()
    assert len(names) == len(set(names)) == 1000
    assert (names[0], names[281], names[999]) == ("tench", "tabby", "toilet tissue")
    assert images.top_classes(np.eye(1000)[207] * 9)[0][1] == "golden retriever"
