"""Samples of a model's inputs: pictures, arrays, one at a time.

In: a folder or a file, and what the inputs are. Out: samples that are read when they are asked for,
so that a folder of any size takes the memory of one of them.

>>> from pelemay.graph import DType
>>> kinds = {"x": TensorType(DType.FLOAT32, (1, 2))}
>>> [sorted(sample()) for sample in random_samples(kinds, 2)]
[['x'], ['x']]
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pelemay.cli.arrays import read_arrays
from pelemay.cli.feeds import random_array
from pelemay.cli.losses import Feeds, split_samples
from pelemay.errors import InputError
from pelemay.graph import TensorType

Sample = Callable[[], Feeds]
"""Reads one: an array for each input."""

Kinds = Mapping[str, Any]
"""Input name to type, its sizes numbers."""

PICTURES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp"})
ARRAYS = frozenset({".npy", ".npz"})


def samples_in(path: Path, kinds: Kinds) -> list[Sample]:
    """The samples of a folder, or of a file.

    Parameters
    ----------
    path : Path
        A folder of pictures, ``.npy`` and ``.npz`` files, each of which is a sample or has several;
        or one ``.npz`` or ``.npy`` file.
    kinds : mapping
        What the model's inputs are.

    Raises
    ------
    InputError
        If there are none, or one does not fit.
    """
    if not path.is_dir():
        return _in_file(path, kinds)
    known = PICTURES | ARRAYS
    files = sorted(file for file in path.iterdir() if file.suffix.lower() in known)
    if not files:
        what = f"no file here is a picture or an array; allowed: {', '.join(sorted(known))}"
        raise InputError(what, where=str(path))
    return [sample for file in files for sample in _in_file(file, kinds)]


def _in_file(path: Path, kinds: Kinds) -> list[Sample]:
    if path.suffix.lower() in PICTURES:
        return [partial(_picture, path, kinds)]
    return [partial(_kept, feeds) for feeds in split_samples(kinds, str(path), read_arrays(path))]


def _kept(feeds: Feeds) -> Feeds:
    return feeds


def _picture(path: Path, kinds: Kinds) -> Feeds:
    from pelemay.models.images import load_image_for

    (name, kind), *others = kinds.items()
    if others or not isinstance(kind, TensorType) or len(kind.shape or ()) != 4:
        what = "a picture is a sample only of a model with one input of 4 dimensions"
        raise InputError(what, where=str(path), hint="give .npz files of arrays by input name")
    return {name: load_image_for(path, kind.shape or ()).astype(kind.dtype.numpy)}


def random_samples(kinds: Kinds, count: int) -> list[Sample]:
    """Samples that are made up, from a fixed seed."""
    generator = np.random.default_rng(0)
    made = [
        {name: random_array(name, kind, generator) for name, kind in kinds.items()}
        for _ in range(count)
    ]
    return [partial(_kept, feeds) for feeds in made]


def parted(samples: Sequence[Sample]) -> tuple[list[Sample], list[Sample]]:
    """Those to calibrate with, and every fifth, which is held out to compare answers on.

    >>> [len(part) for part in parted(random_samples({}, 12))], len(parted([dict])[1])
    ([10, 2], 1)
    """
    held = [sample for index, sample in enumerate(samples) if index % 5 == 4]
    rest = [sample for index, sample in enumerate(samples) if index % 5 != 4]
    return rest, held or rest[-1:]


class Reader:
    """Samples as onnxruntime's tool asks for them."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        self._samples = samples
        self._left = self._all()

    def _all(self) -> Iterator[Feeds]:
        return (sample() for sample in self._samples)

    def get_next(self) -> Feeds | None:
        """The next sample; None after the last."""
        return next(self._left, None)

    def rewind(self) -> None:
        """Begin again."""
        self._left = self._all()


__all__ = ["Reader", "Sample", "parted", "random_samples", "samples_in"]
