"""Arithmetic, comparison and logic, element by element, with NumPy broadcasting.

In: arrays. Out: an array of the broadcast shape.
"""

from __future__ import annotations

from typing import Any

from pelemay.graph.operations.table import Operation

Array = Any


def add(xp: Any, a: Array, b: Array) -> Array:
    return a + b


ROWS = (Operation("Add", add, "elementwise"),)
