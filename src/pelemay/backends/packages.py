"""The packages that backends stand on: whether they are there, and how to get them.

In: a backend that names them in ``requires``. Out: a reason why it cannot be used, or nothing.

>>> class Imaginary:
...     name, requires, extra = "imaginary", ("no_such_package",), "imaginary"
>>> why_missing(Imaginary)
"package 'no_such_package' is not installed: pip install 'pelemay[imaginary]'"
"""

from __future__ import annotations

import importlib
import sys
from contextlib import suppress
from importlib.util import find_spec
from typing import Any

from pelemay.errors import BackendUnavailableError

CONVERTING = ("pelemay._native", "pelemay.importers.convert", "pelemay.importers.inference")
"""What makes a graph of a file: counted among what a backend that runs graphs imports."""


def why_missing(backend: Any) -> str | None:
    """Why a backend's packages cannot be imported; nothing is imported to find out.

    Parameters
    ----------
    backend : Backend or type
        ``requires`` names its top-level packages, ``extra`` the extra of pelemay that brings
        them; a backend without these needs nothing.

    Returns
    -------
    str or None
        The reason, with the command that helps; None if all packages are there.
    """
    missing = [name for name in getattr(backend, "requires", ()) if not _is_there(name)]
    if not missing:
        return None
    names = ", ".join(f"'{name}'" for name in missing)
    what = f"package {names} is not" if len(missing) == 1 else f"packages {names} are not"
    return f"{what} installed: {_command(backend)}"


def import_packages(backend: Any) -> None:
    """Import the packages that ``backend.requires`` names, and what ``backend.uses`` names.

    ``uses`` are modules that its jobs would import when they first need them, if they are there.
    A process that measures a job has them before, so that they count as runtime.

    Raises
    ------
    BackendUnavailableError
        If one is missing, or is there but cannot be imported.
    """
    if reason := why_missing(backend):
        raise BackendUnavailableError(reason, where=f"backend '{backend.name}'")
    for name in getattr(backend, "requires", ()):
        try:
            importlib.import_module(name)
        except (ImportError, OSError) as error:
            raise BackendUnavailableError(
                f"package '{name}' is installed, but cannot be imported: {error}",
                where=f"backend '{backend.name}'",
                hint=f"Install it again: {_command(backend)}",
            ) from error
    for name in getattr(backend, "uses", ()):
        with suppress(ImportError):
            importlib.import_module(name)


def safetensors(framework: str) -> Any:
    """safetensors' own module for a framework, such as ``"numpy"`` or ``"torch"``.

    Raises
    ------
    BackendUnavailableError
        If safetensors is not installed.
    """
    if not _is_there("safetensors"):
        raise BackendUnavailableError(
            "package 'safetensors' is not installed, which serializes the parameters",
            hint="pip install 'pelemay[bench]'",
        )
    return importlib.import_module(f"safetensors.{framework}")


def _is_there(name: str) -> bool:
    if name in sys.modules:
        return sys.modules[name] is not None
    return find_spec(name) is not None


def _command(backend: Any) -> str:
    extra = getattr(backend, "extra", "")
    if extra:
        return f"pip install 'pelemay[{extra}]'"
    return f"pip install {' '.join(backend.requires)}"
