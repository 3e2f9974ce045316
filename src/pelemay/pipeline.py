"""The way of data, on one page: what happens between a file and a run.

In: the path of a model and the name of a backend. Out: the model, and something that runs it.

>>> prepare("no-such-file.onnx")  # doctest: +ELLIPSIS
Traceback (most recent call last):
pelemay.errors.ModelError: no-such-file.onnx: ...
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pelemay import backends
from pelemay.backends.protocol import Backend, Runnable

if TYPE_CHECKING:
    from pelemay.importers import Model

DEFAULT_BACKEND = "reference"


@dataclass(frozen=True)
class Prepared:
    """A model, and the same model ready to run."""

    model: Model
    backend: Backend
    runnable: Runnable


def prepare(
    path: str | Path, backend: str | Backend = DEFAULT_BACKEND, *, threads: int | None = None
) -> Prepared:
    """Load a model, check it, and hand it to a backend.

    Parameters
    ----------
    path : str or Path
        An ONNX file.
    backend : str or Backend
        A name of ``pelemay.backends.names()``, or a backend itself.
    threads : int, optional
        Threads to compute with; the backend's default if not given.

    Returns
    -------
    Prepared
        The model and its runnable.

    Raises
    ------
    ModelError
        If the file is missing or broken.
    UnsupportedError
        If the backend cannot run the model.
    BackendUnavailableError
        If the backend's package is not installed.
    """
    from pelemay.importers import load

    model = load(path)
    chosen = backends.get(backend) if isinstance(backend, str) else backend
    return Prepared(model, chosen, chosen.prepare(Path(path), threads=threads))
