"""One target under Atheris: libFuzzer, guided by the coverage of the project's own Python.

python tests/fuzz/with_atheris.py TARGET [libFuzzer's options] CORPUS
"""

from __future__ import annotations

import gc
import importlib
import pkgutil
import sys
import warnings
from pathlib import Path
from types import FunctionType

import atheris

import pelemay

ROOMS = ("graph", "importers", "passes", "plan", "program", "compilation", "cli.arrays")
READERS = ("numpy.lib", "zipfile")
"""What reads .npy and .npz files: not the project's, but on the way."""


def import_rooms() -> None:
    """Import what targets may import later."""
    for found in pkgutil.walk_packages(pelemay.__path__, "pelemay."):
        if found.name.removeprefix("pelemay.").startswith(ROOMS):
            importlib.import_module(found.name)


def instrument() -> None:
    """Count the branches of the project's functions, and of NumPy's reader.

    Atheris's own hook on imports gives no coverage where the package is installed as editable.
    """
    for function in gc.get_objects():
        if isinstance(function, FunctionType):
            module = str(function.__module__)
            if module.startswith(("pelemay.", *READERS)):
                atheris.instrument_func(function)


def main() -> None:
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from fuzz.targets import TARGETS

    name = sys.argv.pop(1)
    warnings.simplefilter("ignore")
    import_rooms()
    instrument()
    atheris.Setup(sys.argv, TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
