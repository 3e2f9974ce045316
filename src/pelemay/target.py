"""What a program is made for: how much memory, and how its weights are stored.

In: what the user asks for. Out: a :class:`Target`, which goes with a model through the compiler and
the cache.

>>> Target(arena_bytes=size_of("2 MiB")).arguments
['--arena=2097152']
"""

from __future__ import annotations

import re
from typing import NamedTuple

from pelemay.errors import InputError

UNITS = {"": 1, "B": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}

WEIGHTS = ("f32", "f16", "bf16", "int8")
"""What weights can be stored as."""


def size_of(text: str) -> int:
    """Bytes that a text such as ``4096``, ``500M`` or ``1.5 GiB`` means.

    Raises
    ------
    InputError
        If it means none.

    Examples
    --------
    >>> size_of("1.5 GiB"), size_of("4096")
    (1610612736, 4096)
    """
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) *([KMGT]?)(?:i?B)?", text.strip(), re.IGNORECASE)
    if match is None:
        raise InputError(f"{text!r} is no size", hint="write 500M or 4G")
    return int(float(match[1]) * UNITS[match[2].upper()])


class Target(NamedTuple):
    """What a program is made for.

    Parameters
    ----------
    budget_bytes : int, optional
        What arena, scratch, inputs, outputs and weights in memory may take together: the compiler
        chooses the arena and the size of blocks for the shortest time.
    arena_bytes : int, optional
        What the arena may take; values are then held a few rows at a time where they have to be.
    block_bytes : int, optional
        Above which a layer's packed weights are cut into several blocks, each with an instruction
        over some of its output channels, so that they fit a small window.
    weights : {"f32", "f16", "bf16", "int8"}
        What the weights of convolutions and of products are stored as; biases, norms and tables
        that are indexed stay as they are. Everything is computed in float32.
    """

    budget_bytes: int | None = None
    arena_bytes: int | None = None
    block_bytes: int | None = None
    weights: str = "f32"

    @property
    def arguments(self) -> list[str]:
        """The same on the command line."""
        found = []
        for name, default in self._field_defaults.items():
            value = getattr(self, name)
            if value != default:
                option = name.removesuffix("_bytes")
                found.append(f"--{option.replace('block', 'block-bytes')}={value}")
        return found
