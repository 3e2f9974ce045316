"""From a node to instructions, one file per family of operations.

Each module of this package has ``LOWERINGS``: ``(domain, operation)`` to a function that takes a
:class:`~pelemay.program.lowering.Lowering` and the node, and emits its instructions.

>>> all(callable(function) for function in LOWERINGS.values())
True
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pelemay.graph import Node
    from pelemay.program.lowering import Lowering

Lower = Callable[["Lowering", "Node"], None]


def _collected() -> dict[tuple[str, str], Lower]:
    found: dict[tuple[str, str], Lower] = {}
    for info in pkgutil.iter_modules(__path__):
        family: dict[tuple[str, str], Lower] = import_module(f"{__name__}.{info.name}").LOWERINGS
        if twice := found.keys() & family.keys():
            raise ImportError(f"{info.name} lowers {sorted(twice)} once more")
        found.update(family)
    return found


LOWERINGS = _collected()
