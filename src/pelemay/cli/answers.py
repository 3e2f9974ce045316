"""The outputs of a run: written to files, named as classes, shown.

In: output name to array. Out: files, tables, plain data.
"""

from __future__ import annotations

import os
from typing import Any

from pelemay.cli.output import console, table
from pelemay.errors import InputError


def write(file: str, arrays: dict[str, Any]) -> None:
    """Write outputs to a ``.npy`` or ``.npz`` file, whole or not at all.

    Raises
    ------
    InputError
        If the folder cannot be written, or several outputs go to one ``.npy`` file.
    """
    import tempfile
    from pathlib import Path

    import numpy as np

    path = Path(file)
    if path.suffix == ".npy" and len(arrays) != 1:
        raise InputError(f"the model has {len(arrays)} outputs", where=str(path), hint="use .npz")
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as stream:
                if path.suffix == ".npy":
                    np.save(stream, next(iter(arrays.values())), allow_pickle=False)
                else:
                    np.savez(stream, allow_pickle=False, **arrays)
            Path(temporary).replace(path)
        finally:
            Path(temporary).unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror}", where=str(path)) from error


def classes(outputs: dict[str, Any], count: int) -> list[dict[str, Any]] | None:
    """The likeliest classes, where the model has one output of 1000 numbers; else None."""
    from pelemay.models.images import top_classes

    first, *others = outputs.values()
    if others or getattr(first, "size", 0) != 1000:
        return None
    best = top_classes(first.reshape(-1), count)
    return [{"index": i, "name": name, "probability": p} for i, name, p in best]


def plain(outputs: dict[str, Any], named: list[dict[str, Any]] | None) -> dict[str, Any]:
    """The classes, or else the outputs, as what JSON can hold."""
    import numpy as np

    if named is not None:
        return {"classes": named}
    return {"outputs": {name: np.asarray(value).tolist() for name, value in outputs.items()}}


def show(
    outputs: dict[str, Any], named: list[dict[str, Any]] | None, *, values: bool = True
) -> None:
    """Print the classes, or else each output's type and, if wanted, its values."""
    if named:
        rows = [(f"{c['probability']:.1%}", c["name"], str(c["index"])) for c in named]
        console().print(table("", "class", "index", rows=rows, right=[0, 2]))
        return
    for name, value in outputs.items():
        if not hasattr(value, "shape"):
            print(f"{name}: {value}")
            continue
        print(f"{name}: {value.dtype}{list(value.shape)}")
        if values:
            print(value)
