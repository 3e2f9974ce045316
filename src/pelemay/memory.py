"""The memory of this process, and limits on it.

In: what the user allows. Out: how much a run may still take, and errors that say what would do.

What counts is what the kernel would charge and cannot take back: anonymous and shared pages and
page tables, and of mapped files the pages that a run touches. Pages of libraries that only start-up
needed are given back first.

>>> limit_of("48MiB")
Limit(nbytes=50331648, source='memory_limit')
"""

from __future__ import annotations

import os
from typing import NamedTuple
from weakref import WeakSet

from pelemay.engine import native
from pelemay.errors import InputError, MemoryLimitError
from pelemay.target import size_of

VARIABLE = "PELEMAY_MEMORY_LIMIT"

FILE_BYTES = 3 << 20
"""Pages of libraries that a run touches again after they were given back."""

SPARE_BYTES = 1 << 20
"""For what Python allocates around a run, and what the kernel keeps for the process."""

STACK_BYTES = 64 << 10
"""Of a thread's stack, what is touched."""

NOISE_BYTES = 128 << 10
"""What one process may hold more than another that does the same."""

STEP_BYTES = 256 << 10
"""In which limits are named."""

MIB = 1 << 20


class Limit(NamedTuple):
    """Bytes that the whole process may hold, and who says so."""

    nbytes: int
    source: str


def limit_of(asked: int | str | None = None) -> Limit | None:
    """The limit that holds; None where there is none.

    Parameters
    ----------
    asked : int or str, optional
        Bytes, a text such as ``"48MiB"``, or ``"auto"``: what control groups, resource limits and
        free memory leave. If not given, ``PELEMAY_MEMORY_LIMIT`` says it.

    Raises
    ------
    InputError
        If it is no size.
    """
    source = "memory_limit"
    if asked is None:
        asked, source = os.environ.get(VARIABLE) or None, VARIABLE
    if asked is None:
        return None
    if asked == "auto":
        memory = native().memory()
        return Limit(memory["limit"], memory["limit_by"])
    try:
        nbytes = size_of(asked) if isinstance(asked, str) else int(asked)
    except InputError as error:
        raise error.at(source) from error
    if nbytes < 1:
        raise InputError(f"{nbytes} bytes are no limit", where=source)
    return Limit(nbytes, source)


class Claim:
    """Bytes that a program which has not run yet was promised: no page shows them so far."""

    def __init__(self, nbytes: int) -> None:
        self.nbytes = nbytes
        _claims.add(self)


_claims: WeakSet[Claim] = WeakSet()


def held() -> int:
    """Bytes that this process holds and cannot give back, with those that runs will touch."""
    native().trim()
    memory = native().memory()
    own = memory["anonymous"] + memory["shared"] + memory["page_tables"]
    return int(own + sum(claim.nbytes for claim in _claims) + FILE_BYTES + SPARE_BYTES)


def room_within(limit: Limit, workers: int) -> int:
    """Bytes that a run with so many threads may take; may be below zero."""
    return limit.nbytes - held() - workers * STACK_BYTES


def too_small(limit: Limit, room: int, needed: int, because: str = "") -> MemoryLimitError:
    """What to raise where a run needs more than there is room for.

    Parameters
    ----------
    limit : Limit
        That cannot be kept.
    room, needed : int
        Bytes that there are for the run, and that it needs at least.
    because : str
        What sets it.
    """
    least = -(-(limit.nbytes - room + needed + NOISE_BYTES) // STEP_BYTES) * STEP_BYTES
    allowed, smallest = limit.nbytes / MIB, least / MIB
    what = (
        f"{allowed:.2f} MiB are allowed ({limit.source}); the smallest limit that works is "
        f"{smallest:.2f} MiB: the process itself holds {(limit.nbytes - room) / MIB:.1f}, and a "
        f"run takes {needed / MIB:.1f}"
    )
    return MemoryLimitError(
        f"{what}, set by {because}" if because else what,
        hint="allow more, compile with a smaller --budget or with --weights int8, or use "
        "pelemay-run, which does without Python",
        least_bytes=least,
    )
