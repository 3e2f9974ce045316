"""The engine's compiled module, loaded when it is first needed.

In: nothing, or ``PELEMAY_NATIVE`` in the environment. Out: the module.

>>> "float32" in native().DTYPES
True
"""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING

from pelemay.errors import PelemayError

if TYPE_CHECKING:
    from types import ModuleType


@cache
def native() -> ModuleType:
    """The engine's module; ``PELEMAY_NATIVE`` names another build of it.

    Raises
    ------
    PelemayError
        If it is not built.
    """
    if path := os.environ.get("PELEMAY_NATIVE"):
        return _load(path)
    try:
        from pelemay import _native
    except ImportError as error:
        what = f"the engine is not built: {error}"
        raise PelemayError(what, hint="install the project with pip, which builds it") from error
    return _native


def _load(path: str) -> ModuleType:
    from importlib.machinery import ExtensionFileLoader
    from importlib.util import module_from_spec, spec_from_file_location

    loader = ExtensionFileLoader("pelemay._native", path)
    spec = spec_from_file_location("pelemay._native", path, loader=loader)
    if spec is None:
        raise PelemayError(f"{path} is no module")
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module
