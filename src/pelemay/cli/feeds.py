"""The inputs of a run, from what was named on the command line.

In: images, ``.npy`` and ``.npz`` files, or a seed. Out: input name to NumPy array.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pelemay.cli.arrays import read_arrays
from pelemay.errors import InputError
from pelemay.graph import Kind, TensorType

if TYPE_CHECKING:
    from pelemay.signature import Signature

Array = npt.NDArray[Any]


def import_for(images: Sequence[str], named: Sequence[str], seed: int | None) -> None:
    """Load what :func:`gather` needs, before anybody asks what this process holds."""
    if any(text.endswith(".npz") for text in named):
        import zipfile  # noqa: F401
    if seed is not None:
        np.random.default_rng(seed)
    if images:
        with suppress(ImportError):  # What is missing is said when a picture is opened.
            from PIL import Image, ImageOps  # noqa: F401

            Image.preinit()


def gather(
    signature: Signature, images: Sequence[str], named: Sequence[str], seed: int | None
) -> dict[str, Array]:
    """All inputs of one run.

    Raises
    ------
    InputError
        If a file cannot be read or an input stays without a value.
    """
    names = list(signature.inputs)
    feeds: dict[str, Array] = {}
    for text in named:
        feeds.update(_from_file(text, names, feeds))
    left = [(name, kind) for name, kind in signature.inputs.items() if name not in feeds]
    for picture, (name, kind) in zip(images, left, strict=False):
        feeds[name] = _from_image(picture, name, kind)
    if len(images) > len(left):
        raise InputError(f"{len(images)} pictures for {len(left)} free inputs")
    left = left[len(images) :]
    if left and seed is None:
        wanted = ", ".join(f"'{name}' ({kind})" for name, kind in left)
        raise InputError(
            f"nothing was given for {wanted}",
            hint="give a picture, --input [NAME=]FILE.npy, or --random",
        )
    if left:
        generator = np.random.default_rng(seed)
        feeds.update({name: random_array(name, kind, generator) for name, kind in left})
    return feeds


def _from_image(picture: str, name: str, kind: Any) -> Array:
    from pelemay.models.images import load_image_for

    if not isinstance(kind, TensorType) or kind.shape is None or len(kind.shape) != 4:
        raise InputError(f"input '{name}' ({kind}) does not take a picture", where=picture)
    return load_image_for(picture, kind.shape).astype(kind.dtype.numpy)


def _from_file(text: str, names: Sequence[str], taken: Mapping[str, Array]) -> dict[str, Array]:
    name, equals, file = text.partition("=")
    if not equals or (name not in names and os.path.exists(text)):  # noqa: PTH110
        name, file = "", text
    elif name not in names:
        raise InputError(f"there is no input '{name}'; allowed: {', '.join(names)}", where=text)
    loaded = read_arrays(file)
    if isinstance(loaded, dict):
        if name:
            raise InputError(f"'{name}=' goes with a .npy file, not with a .npz file", where=file)
        return loaded
    free = [n for n in names if n not in taken]
    if not name and not free:
        raise InputError("every input has a value already", where=file)
    return {name or free[0]: loaded}


def random_array(name: str, kind: Any, generator: np.random.Generator) -> Array:
    """Values of an input's type: normal floats, small integers; sizes not fixed are 1."""
    if not isinstance(kind, TensorType) or kind.shape is None:
        raise InputError(f"input '{name}' ({kind}) cannot be made up", hint="use --input")
    shape = tuple(d if isinstance(d, int) else 1 for d in kind.shape)
    if kind.dtype.kind is Kind.FLOAT:
        return generator.standard_normal(shape, np.float32).astype(kind.dtype.numpy)
    if kind.dtype.kind in (Kind.INT, Kind.UINT, Kind.BOOL):
        return generator.integers(0, 2, shape).astype(kind.dtype.numpy)
    raise InputError(f"input '{name}' ({kind}) cannot be made up", hint="use --input")
