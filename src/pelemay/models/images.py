"""From a picture to a network's input, and from its output to names.

In: an image file and the shape of a network's input. Out: a float32 array, prepared the way
that ImageNet networks are trained; and, after the run, the most likely classes.

The class names are those of ILSVRC 2012 in its order, one per line in
``imagenet_classes.txt``, as torchvision lists them (BSD-3-Clause).

>>> top_classes([0.0] * 281 + [9.0] + [0.0] * 718, k=1)[0][:2]
(281, 'tabby')
"""

from __future__ import annotations

import functools
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from pelemay.errors import BackendUnavailableError, InputError

if TYPE_CHECKING:
    from PIL.Image import Image

Layout = Literal["NCHW", "NHWC"]

# Mean and standard deviation of ImageNet's red, green and blue, on a scale of 0 to 1.
_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
_STD = np.array([0.229, 0.224, 0.225], np.float32)

# Before the crop, the shorter side is this much longer than the crop: 256 for 224.
_MARGIN = 256 / 224

# A picture of this many pixels takes 240 MB when decoded; larger ones are refused unread.
_MAX_PIXELS = 80_000_000

# What Pillow's decoders let out when a file is damaged.
_DAMAGE = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    LookupError,
    TypeError,
    ArithmeticError,
    struct.error,
    zlib.error,
)


def load_image(
    path: Path | str, *, size: int | tuple[int, int] = 224, layout: Layout = "NCHW", batch: int = 1
) -> npt.NDArray[np.float32]:
    """Read a picture as an ImageNet network wants it.

    It is turned as its EXIF says, made RGB, resized so that its shorter side is 256/224 of the
    crop, cropped in the middle, scaled to 0..1, and normalised with ImageNet's mean and
    standard deviation.

    Parameters
    ----------
    path : Path or str
        Any format that Pillow reads.
    size : int or (int, int)
        Height and width of the crop in pixels.
    layout : {"NCHW", "NHWC"}
        Order of the axes.
    batch : int
        How many times the picture is repeated, for networks with a fixed batch.

    Returns
    -------
    numpy.ndarray
        float32, [batch, 3, height, width] or [batch, height, width, 3].

    Raises
    ------
    InputError
        If the file is not there, is no image, is damaged, or has over 80 million pixels.
    BackendUnavailableError
        If Pillow is not installed.
    """
    height, width = (size, size) if isinstance(size, int) else size
    with _opened(Path(path)) as image:
        pixels = np.asarray(_cropped(_upright(image), height, width), np.float32)
    pixels = (pixels / np.float32(255) - _MEAN) / _STD
    if layout == "NCHW":
        pixels = pixels.transpose(2, 0, 1)
    return np.repeat(pixels[None], batch, axis=0)


def load_image_for(path: Path | str, shape: Sequence[int | str | None]) -> npt.NDArray[np.float32]:
    """Read a picture for an input of this shape.

    Parameters
    ----------
    path : Path or str
        Any format that Pillow reads.
    shape : sequence of int, str or None
        The network's input shape, [N, 3, H, W] or [N, H, W, 3]. Where N is a symbol, one
        picture is enough; where it is a number, the picture is repeated. Where H or W is a
        symbol, it becomes 224.

    Returns
    -------
    numpy.ndarray
        float32, of that shape.

    Raises
    ------
    InputError
        If an image does not fit the shape, or as :func:`load_image`.
    """
    if len(shape) == 4 and shape[1] == 3:
        layout: Layout = "NCHW"
        batch, _, height, width = shape
    elif len(shape) == 4 and shape[3] == 3:
        layout = "NHWC"
        batch, height, width, _ = shape
    else:
        raise InputError(
            f"an image does not fit an input of shape {list(shape)}; [N, 3, H, W] and "
            "[N, H, W, 3] are allowed",
            hint="Give the input as a .npy file instead.",
        )
    size = (_number(height, 224), _number(width, 224))
    return load_image(path, size=size, layout=layout, batch=_number(batch, 1))


def top_classes(
    scores: npt.ArrayLike, k: int = 5, *, names: Sequence[str] | None = None
) -> list[tuple[int, str, float]]:
    """The ``k`` most likely classes of one output row.

    Scores that lie between 0 and 1 and sum to 1 (to 0.1 %) are taken for probabilities; all
    others go through a softmax.

    Parameters
    ----------
    scores : array_like
        [classes], or [1, classes] with any number of axes of 1.
    k : int
        How many.
    names : sequence of str, optional
        One per class. By default the names of ImageNet if there are 1000 classes, else
        "class 0", "class 1", and so on.

    Returns
    -------
    list of (int, str, float)
        Index, name and probability, the most likely first.

    Raises
    ------
    InputError
        If there is more than one row, no score, or one that is not finite.

    Examples
    --------
    >>> top_classes([0.1, 0.7, 0.2], k=2)
    [(1, 'class 1', 0.7), (2, 'class 2', 0.2)]
    """
    row = np.squeeze(np.asarray(scores, np.float64))
    if row.ndim != 1 or row.size == 0 or not np.isfinite(row).all():
        raise InputError(
            f"scores of shape {list(np.shape(scores))} are not one row of finite numbers",
            hint="Give one row: scores[0].",
        )
    chances = row if _are_probabilities(row) else _softmax(row)
    if names is None:
        names = imagenet_classes() if row.size == 1000 else [f"class {i}" for i in range(row.size)]
    best = np.argsort(-chances, kind="stable")[:k]
    return [(int(i), names[i], float(chances[i])) for i in best]


@functools.cache
def imagenet_classes() -> tuple[str, ...]:
    """The 1000 class names of ImageNet, in the order of ILSVRC 2012.

    >>> imagenet_classes()[0], len(imagenet_classes())
    ('tench', 1000)
    """
    text = files("pelemay.models").joinpath("imagenet_classes.txt").read_text(encoding="utf-8")
    return tuple(text.splitlines())


@contextmanager
def _opened(path: Path) -> Iterator[Image]:
    """An image whose header is read; whatever Pillow says becomes an InputError."""
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError as error:
        raise BackendUnavailableError(
            "reading images needs Pillow", hint="pip install 'pelemay[images]'"
        ) from error
    bombs = (Image.DecompressionBombError, Image.DecompressionBombWarning)
    try:
        with Image.open(path) as image:
            if image.width * image.height > _MAX_PIXELS:
                raise _refused(path, f"{image.width} x {image.height} pixels are too many")
            yield image
    except FileNotFoundError as error:
        raise InputError("there is no such picture", where=str(path)) from error
    except UnidentifiedImageError as error:
        raise _refused(path, "this is not an image that Pillow can read") from error
    except bombs as error:
        raise _refused(path, "the image has too many pixels") from error
    except _DAMAGE as error:
        raise _refused(path, f"the image cannot be read ({error})") from error


def _refused(path: Path, what: str) -> InputError:
    return InputError(
        f"{what}; at most {_MAX_PIXELS:,} pixels of JPEG, PNG, WebP and the like are allowed",
        where=str(path),
    )


def _upright(image: Image) -> Image:
    from PIL import ImageOps

    return ImageOps.exif_transpose(image).convert("RGB")


def _cropped(image: Image, height: int, width: int) -> Image:
    from PIL import Image as ImageModule

    # Resizing and cropping in one go: only what the crop keeps is computed, so that a very long
    # picture costs no more than a square one.
    scale = max(height * _MARGIN / image.height, width * _MARGIN / image.width)
    left = (image.width - width / scale) / 2
    top = (image.height - height / scale) / 2
    box = (left, top, image.width - left, image.height - top)
    return image.resize((width, height), ImageModule.Resampling.BILINEAR, box=box)


def _number(dimension: int | str | None, default: int) -> int:
    return dimension if isinstance(dimension, int) and dimension > 0 else default


def _are_probabilities(row: npt.NDArray[np.float64]) -> bool:
    return bool(row.min() >= 0 and row.max() <= 1 and abs(row.sum() - 1) < 1e-3)


def _softmax(row: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    raised = np.exp(row - row.max())
    total: npt.NDArray[np.float64] = raised / raised.sum()
    return total
