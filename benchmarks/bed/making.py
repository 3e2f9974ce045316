"""One model, in a process of its own: ``making.py MODULE NAME FOLDER`` writes it and its feeds."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

import numpy as np


def main(module: str, name: str, folder: str) -> None:
    (entry,) = (e for e in import_module(module).entries() if e.name == name)
    path = Path(folder) / f"{name}.onnx"
    feeds = entry.write(path)
    # Last, so that a model with feeds is a whole one.
    np.savez(path.with_suffix(".npz"), **feeds)


if __name__ == "__main__":
    main(*sys.argv[1:])
