"""What a row of the test bed is: a name, a family, and what writes its file.

In: nothing. Out: the types with which the modules of this folder list their models.

A module has a function ``entries()``. To list is cheap: a package that makes models is imported
when one of its models is made, in a process of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Feeds = Mapping[str, Any]
"""Input name to NumPy array."""

Write = Callable[[Path], Feeds]
"""Writes an ONNX file, and gives feeds for it."""


@dataclass(frozen=True)
class Entry:
    """A model of the bed.

    Parameters
    ----------
    name : str
        Unique; the file's name.
    family : str
        What it is one of.
    exporter : str
        What writes the file.
    write : callable
        ``write(path)`` makes the file and gives what to feed it.
    tolerance : float
        The most that an answer may differ from onnxruntime's, relative to its largest value.
    why : str
        The reason, where that is not the default.
    """

    name: str
    family: str
    exporter: str
    write: Write
    tolerance: float = 1e-4
    why: str = ""
