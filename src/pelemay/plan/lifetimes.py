"""From storages to buffers: how large each is, and at which steps it is held.

In: an :class:`~pelemay.plan.assign.Assignment`. Out: buffers without offsets, and the largest sum
of bytes held at one step, which no arena can be smaller than.

>>> live_bytes([Buffer("a", 100, 0, 1), Buffer("b", 64, 1, 2)], steps=3)
[128, 192, 64]
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import accumulate

from pelemay.plan.assign import Assignment
from pelemay.plan.forest import Forest
from pelemay.plan.storage import Storage
from pelemay.plan.types import Buffer, aligned


def buffers_of(assignment: Assignment) -> tuple[Buffer, ...]:
    """The buffers of the arena, by their first step; values of no bytes have none."""
    forest = assignment.forest
    made = [_buffer(forest, s) for s in forest.storages() if not s.owner]
    held = [buffer for buffer in made if buffer.nbytes]
    return tuple(sorted(held, key=lambda b: (b.first, b.last, b.name)))


def _buffer(forest: Forest, storage: Storage) -> Buffer:
    root = forest.values[storage.root]
    steps = [atom.step for atom in storage.atoms]
    touched = [touch.step for name in storage.members for touch in forest.touches[name]]
    nbytes = math.prod(root.shape) * root.itemsize
    return Buffer(storage.root, nbytes, min(steps), max(steps + touched))


def live_bytes(buffers: Iterable[Buffer], steps: int) -> list[int]:
    """For each step the bytes held, every buffer rounded up to the alignment."""
    changes = [0] * (steps + 1)
    for buffer in buffers:
        changes[buffer.first] += aligned(buffer.nbytes)
        changes[buffer.last + 1] -= aligned(buffer.nbytes)
    return list(accumulate(changes[:-1]))
