"""A file of several plans as one thing that runs: the plan is chosen by the shapes of the feeds.

In: a program that was opened, with plans. Out: a :class:`PlansRunnable`. All plans run in the
memory of one engine, which is that of the largest that was used, with one team of workers.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pelemay.backends.programs import ProgramRunnable, differing, metadata_of
from pelemay.engine import at_size, plans_of, verify_weights
from pelemay.errors import InputError

if TYPE_CHECKING:
    from pelemay.memory import Limit

KEPT = 4
"""Sizes whose tables stay ready."""

LISTED = 6
"""Plans that an error names."""


class PlansRunnable:
    """Several plans of one file.

    Parameters
    ----------
    program : pelemay._native.Program
        Of a file that has plans.
    limit : pelemay.memory.Limit, optional
        What the whole process may hold. Weights are then read through a window, in what is left
        beside the largest size of a plan, if there is so much. The sizes of one plan share the
        window, with what stays in memory; another plan's begins anew, when that of the one before
        is gone.
    verify : {"never", "load", "always"}
        When checksums are compared: of all plans when the file is opened, of one before each run.
    **options
        As for :class:`~pelemay.backends.programs.ProgramRunnable`.

    Raises
    ------
    ModelError
        If a plan is damaged.
    """

    def __init__(
        self,
        program: Any,
        *,
        limit: Limit | None = None,
        verify: str = "never",
        **options: Any,
    ) -> None:
        self.program = program
        self.metadata = metadata_of(program)
        self._plans = [(plan, metadata_of(plan)) for plan in plans_of(program)]
        for plan, _ in self._plans if verify != "never" else ():
            verify_weights(plan)
        again = "always" if verify == "always" else "never"
        self._options = {"limit": limit, "verify": again, **options}
        self._kept = KEPT if limit is None else 1
        self._ready: OrderedDict[tuple[int, int], ProgramRunnable] = OrderedDict()
        self._lock = threading.Lock()

    def run(
        self,
        feeds: Mapping[str, Any],
        outputs: Sequence[str] | None = None,
        *,
        into: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Run once, with the plan for these shapes; one run at a time.

        Raises
        ------
        InputError
            If an input is missing, or the file has no plan for these shapes; it says which it has.
        """
        with self._lock:
            return self.runnable(*self.choose(feeds)).run(feeds, outputs, into=into)

    def choose(self, feeds: Mapping[str, Any]) -> tuple[int, int]:
        """The number of the plan for these feeds, and that of its size."""
        for number, (plan, metadata) in enumerate(self._plans):
            size = _size_for(plan, metadata, feeds)
            if size is not None:
                return number, size
        raise self._none_for(feeds)

    def runnable(self, number: int, size: int) -> ProgramRunnable:
        """A plan at one of its sizes, ready to run."""
        key = number, size
        if key not in self._ready:
            engine = next((r.engine for r in self._ready.values()), None)
            while len(self._ready) >= self._kept:
                self._ready.popitem(last=False)
            plan, metadata = self._plans[number]
            self._ready[key] = ProgramRunnable(
                at_size(plan, size),
                engine=engine,
                largest=plan,
                metadata=metadata,
                **self._options,
            )
        self._ready.move_to_end(key)
        return self._ready[key]

    @property
    def all_metadata(self) -> list[Mapping[str, Any]]:
        """What each plan says of itself."""
        return [metadata for _, metadata in self._plans]

    @property
    def nbytes(self) -> int:
        """Bytes of the arena and the scratch that all plans share."""
        return max((ready.engine.nbytes for ready in self._ready.values()), default=0)

    def _none_for(self, feeds: Mapping[str, Any]) -> InputError:
        given = ", ".join(f"{name} {list(np.shape(value))}" for name, value in feeds.items())
        from pelemay.program.describe import described

        known = [described(metadata) for _, metadata in self._plans]
        listed = "; ".join(dict.fromkeys(known[:LISTED]))
        more = f"; and {len(known) - LISTED} more" if len(known) > LISTED else ""
        return InputError(
            f"no plan of the file is for {given}; it has {listed}{more}",
            hint="compile the model for these shapes too: --and, or --dim NAME=FIRST..LAST",
        )


def _size_for(plan: Any, metadata: Mapping[str, Any], feeds: Mapping[str, Any]) -> int | None:
    """Which size of a plan the feeds are; None where it is not for them."""
    shapes = [_shape(name, metadata, feeds) for name in metadata["program_inputs"]]
    if differing(metadata, feeds):
        return None
    found: int | None = plan.find_size(shapes)
    return found


def _shape(name: str, metadata: Mapping[str, Any], feeds: Mapping[str, Any]) -> tuple[int, ...]:
    """As the program sees it: an element that the engine has no type for is some bytes."""
    if name not in feeds:
        names = list(metadata["program_inputs"])
        raise InputError(f"input '{name}' is missing", hint=f"inputs are {names}")
    array = np.asarray(feeds[name])
    as_bytes = name in metadata.get("as_bytes", {})
    return (*array.shape, array.dtype.itemsize) if as_bytes else array.shape
