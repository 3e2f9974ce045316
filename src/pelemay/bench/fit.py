"""``--fit``: the smallest memory cgroup in which a job ends well.

In: the specification of a worker. Out: :class:`pelemay.bench.results.Fit`.

The worker is inside the cgroup before it becomes Python, so the interpreter and its packages
are charged too. The model file and all files that the worker uses leave the page cache first,
so that reading them is charged again; only pages that another running program has mapped stay
free of charge. A run that takes more than 20 times as long as with room does not fit: it would
spend its life reading back what the kernel has just thrown away.

A backend that keeps limits is told this one. What it has to compile for it is compiled first, in a
process outside of the cgroup, into a folder that goes afterwards.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pelemay.bench.cgroups import Controller
from pelemay.bench.jobs import JOBS
from pelemay.bench.process import OnSample, Reply, run_worker
from pelemay.bench.results import Fit
from pelemay.bench.statistics import summarize
from pelemay.errors import BenchmarkError

MIB = 1 << 20
SLOWEST = 20
"""A run that takes longer than this many times its free latency does not fit."""

_TIMED: dict[str, Any] = {"time_s": 1.0, "min_samples": 3}
_LEAST_TIMEOUT_S = 5.0


def smallest(fits: Callable[[int], bool], guess: int, most: int) -> int | None:
    """The least whole number that fits, if all above it fit too.

    Parameters
    ----------
    fits : callable
        Tells whether a number fits; called with each number once at most.
    guess : int
        Where to begin.
    most : int
        The largest number to try.

    Returns
    -------
    int or None
        None if not even ``most`` fits.

    Examples
    --------
    >>> smallest(lambda n: n >= 61, guess=50, most=1000)
    61
    """
    low, high = 0, min(max(1, guess), most)
    while not fits(high):
        if high >= most:
            return None
        low, high = high, min(high + max(1, high // 4), most)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if fits(middle) else (middle, high)
    return high


@dataclass(frozen=True)
class _Trial:
    reply: Reply
    charged_bytes: int | None


@dataclass(frozen=True)
class _Search:
    """Tries one job under limits."""

    spec: Mapping[str, Any]
    controller: Controller
    on_sample: OnSample
    timeout_s: float
    """For a run with room, and for compiling."""
    keeps_limits: bool
    files: Sequence[str] = ()
    """What leaves the page cache before each trial."""

    def attempt(self, limit_bytes: int, timeout_s: float, **changes: Any) -> _Trial:
        """One run in a cgroup of that size."""
        with TemporaryDirectory(prefix="pelemay-fit-") as folder:
            spec = {**self.spec, **changes}
            if self.keeps_limits:
                told = {"memory_limit": limit_bytes, "cache": folder}
                compiled = run_worker(
                    {**spec, **told, "phase": "compile"}, timeout_s=self.timeout_s
                )
                if compiled.status != "ok":
                    return _Trial(compiled, None)
                spec |= {"memory_limit": limit_bytes, "model": compiled.answer["model"]}
            return self._run(spec, limit_bytes, timeout_s)

    def _run(self, spec: Mapping[str, Any], limit_bytes: int, timeout_s: float) -> _Trial:
        evict([*self.files, spec["model"]])
        with self.controller.group(limit_bytes) as group:
            reply = run_worker(
                spec, timeout_s=timeout_s, on_sample=self.on_sample, launcher=group.launcher
            )
            return _Trial(reply, group.charged_bytes())


def find_fit(
    spec: Mapping[str, Any],
    controller: Controller,
    *,
    timeout_s: float,
    on_sample: OnSample = lambda _event, _pid: None,
) -> Fit:
    """Search the smallest limit by growing from what a free run was charged, then bisecting.

    Parameters
    ----------
    spec : mapping
        A specification of a worker with the phase "measure".
    controller : Controller
        How to limit memory.
    timeout_s : float
        For the run with room; a run under a limit gets at most 20 times what that took.

    Raises
    ------
    BenchmarkError
        If the job does not even end well with all memory.
    """
    spec = {**spec, "warmup_s": 0, "time_s": 0}
    search = _Search(spec, controller, on_sample, timeout_s, keeps_limits=False)
    most = _memory_bytes() // MIB
    free = search.attempt(most * MIB, timeout_s, files=True)
    if free.reply.status != "ok":
        raise BenchmarkError(free.reply.message, where="with all memory")
    told = free.reply.answer
    keeps_limits = told["keeps_limits"] and JOBS[spec["job"]].runs_model
    search = replace(search, keeps_limits=keeps_limits, files=told["files"])
    patience_s = max(_LEAST_TIMEOUT_S, SLOWEST * free.reply.elapsed_s)
    free_ns = told["first_ns"]

    def fits(limit_mib: int) -> bool:
        reply = search.attempt(limit_mib * MIB, patience_s).reply
        return reply.status == "ok" and reply.answer["first_ns"] <= SLOWEST * max(free_ns, 1e6)

    guess = (free.charged_bytes or 256 * MIB) // MIB
    limit = smallest(fits, guess, most)
    if limit is None:
        raise BenchmarkError("it ended well once, but then with no limit at all")
    return _measure_at(search, limit, patience_s)


def _measure_at(search: _Search, limit: int, patience_s: float) -> Fit:
    """Measure the latency at the limit: of several samples, or of one if only that fits."""
    for limit_mib, phase in product(range(limit, limit + 9), (_TIMED, {})):
        trial = search.attempt(limit_mib * MIB, patience_s, **phase)
        if trial.reply.status == "ok":
            return Fit(
                limit_bytes=limit_mib * MIB,
                latency_ns=_latency(trial.reply),
                charged_bytes=trial.charged_bytes,
                method=search.controller.method,
            )
    raise BenchmarkError(f"it ended well in {limit} MiB once, but not again in 8 MiB more")


def _latency(reply: Reply) -> float:
    """The median of the samples, or the only one."""
    return summarize(reply.answer["samples_ns"] or [reply.answer["first_ns"]]).median


def evict(files: Iterable[str | os.PathLike[str]]) -> None:
    """Ask the kernel to drop files from the page cache; pages in use by others stay."""
    if not hasattr(os, "posix_fadvise"):
        return
    for path in files:
        with suppress(OSError):
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)  # Pages that are not written yet cannot be dropped.
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(descriptor)


def _memory_bytes() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024
    raise BenchmarkError("/proc/meminfo does not tell how much memory there is")
