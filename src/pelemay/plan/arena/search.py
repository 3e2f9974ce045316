"""Offsets within a capacity that is hard to keep: many short searches, each learning from the last.

In: blocks and a capacity. Out: offsets, or None where none were found. The search itself is C
(``native/planner/pack.c``, see there); here is what starts it again and again with other ranks of
the blocks. Sections of time in which a search failed get weight, and blocks there come first in the
next one (Boussemart et al., "Boosting systematic search by weighting constraints", ECAI 2004).

>>> blocks = [Block(0, 2, 4), Block(1, 3, 4), Block(2, 4, 4)]
>>> from pelemay.plan.arena import height
>>> height(blocks, search(blocks, capacity=8))
8
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pelemay.errors import PlanError
from pelemay.plan.arena.types import Block, Offsets, load

if TYPE_CHECKING:
    from types import ModuleType

Array = npt.NDArray[Any]

MAX_BLOCKS = 2048
MAX_SECTIONS = 8192
MAX_UNITS = (2**31 - 1) // 2

STREAMS = 4
"""Searches at a time; the first that succeeds counts, so that equal input gives equal results."""

NODES = 1000
"""Nodes of one search: what helps soon helps, or another rank does."""

ATTENTION = 3.0
DECAY = 0.95
TASTES = ((1.0, 1.0), (0.5, 1.0), (1.0, 0.5), (0.0, 1.0), (2.0, 1.0), (1.0, 0.0))
"""Exponents of a block's size and of its time in its rank, taken in turn."""


@cache
def extension() -> ModuleType | None:
    """The C module, or None where it is not built."""
    try:
        from pelemay import _planner
    except ImportError:
        return None
    return _planner


def search(
    blocks: Sequence[Block],
    capacity: int,
    rounds: int | None = None,
    seconds: float | None = None,
    progress: Callable[[int], None] | None = None,
) -> Offsets | None:
    """Offsets below a capacity.

    Parameters
    ----------
    blocks : sequence of Block
        What must be placed.
    capacity : int
        Where the highest block must end at the latest.
    rounds : int, optional
        Searches one after the other; no limit if not given. The result depends on this only.
    seconds : float, optional
        Time after which no further search begins.
    progress : callable, optional
        Called after each round with the searches made so far.

    Returns
    -------
    list of int or None
        None if the blocks cannot fit, or if none were found in the rounds or the time.

    Raises
    ------
    PlanError
        If there are more blocks or steps than the search takes, or it is not built.
    """
    if load(blocks) > capacity:
        return None
    case = _case(blocks, capacity)
    if not case.numbers:
        return [0] * len(blocks)
    ends = math.inf if seconds is None else time.monotonic() + seconds
    with ThreadPoolExecutor(min(STREAMS, os.cpu_count() or 1)) as pool:
        for turn in count() if rounds is None else range(rounds):
            if found := _round(case, turn, pool):
                return _offsets(case, found, len(blocks))
            if progress:
                progress((turn + 1) * STREAMS)
            if time.monotonic() >= ends:
                break
    return None


@dataclass
class _Case:
    """Blocks in the units and sections of the C search, and the weights of the sections."""

    numbers: list[int]
    lower: Array
    upper: Array
    size: Array
    sections: int
    capacity: int
    unit: int
    weights: Array


def _case(blocks: Sequence[Block], capacity: int) -> _Case:
    numbers = [i for i, b in enumerate(blocks) if b.size and b.lower < b.upper]
    kept = [blocks[i] for i in numbers]
    steps = sorted({step for b in kept for step in (b.lower, b.upper)})
    index = {step: i for i, step in enumerate(steps)}
    unit = math.gcd(*(b.size for b in kept)) or 1
    sections = max(len(steps) - 1, 0)
    if len(kept) > MAX_BLOCKS or sections > MAX_SECTIONS or capacity // unit > MAX_UNITS:
        what = f"{len(kept)} blocks in {sections} sections of time, up to {capacity // unit} units"
        allowed = f"{MAX_BLOCKS}, {MAX_SECTIONS} and {MAX_UNITS}"
        raise PlanError(f"the search takes no {what}; allowed are {allowed}")
    columns = ([index[b.lower] for b in kept], [index[b.upper] for b in kept])
    lower, upper = (np.array(column, np.int32) for column in columns)
    size = np.array([b.size // unit for b in kept], np.int32)
    return _Case(numbers, lower, upper, size, sections, capacity // unit, unit, np.ones(sections))


def _round(case: _Case, turn: int, pool: ThreadPoolExecutor) -> bytes | None:
    """A search in each stream; the offsets of the first that succeeds."""
    planner = extension()
    if planner is None:
        raise PlanError("the search for offsets is not built", hint="install the project with pip")
    ranks = [_rank(case, turn * STREAMS + stream) for stream in range(STREAMS)]

    def run(rank: Array) -> tuple[bool | None, bytes, bytes]:
        size = (case.sections, case.capacity, NODES)
        result: tuple[bool | None, bytes, bytes] = planner.pack(
            case.lower, case.upper, case.size, rank, *size
        )
        return result

    for found, offsets, failures in pool.map(run, ranks):
        if found:
            return offsets
        counts = np.frombuffer(failures, np.int32)
        share = counts / max(counts.sum(), 1) * case.sections
        case.weights = case.weights * DECAY + share * (2 * (1 - DECAY))
    return None


def _rank(case: _Case, number: int) -> Array:
    """For each block, the place in which it is tried among those that fit equally low."""
    random = np.random.default_rng(number)
    by_size, by_time = TASTES[number % len(TASTES)]
    weights = [
        case.weights[first:end].max() for first, end in zip(case.lower, case.upper, strict=True)
    ]
    score = by_size * np.log(case.size) + by_time * np.log(case.upper - case.lower)
    score += ATTENTION * np.log(weights)
    score += random.choice((0.0, 0.1, 0.3)) * random.standard_normal(len(score))
    rank = np.empty(len(score), np.int32)
    rank[np.argsort(-score, kind="stable")] = np.arange(len(score), dtype=np.int32)
    return rank


def _offsets(case: _Case, found: bytes, length: int) -> Offsets:
    offsets = [0] * length
    for number, units in zip(case.numbers, np.frombuffer(found, np.int32), strict=True):
        offsets[number] = int(units) * case.unit
    return offsets
