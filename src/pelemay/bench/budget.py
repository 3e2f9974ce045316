"""How long a suite takes, and how its phases shrink to keep a time budget.

In: options, scenarios, and what the check cost for each. Out: seconds, and options with shorter
phases. All phases shrink by the same factor; starting processes and doing each job at least
once does not shrink.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from pelemay.bench.jobs import JOBS
from pelemay.bench.scenario import Options

DEFAULT_BUDGET_S = 150.0
GUESSED_START_S = 0.8
"""Seconds to start a process and do a job once, before anything is known."""

LEAST_FACTOR = 0.01
_PROCESSES_OF_FIT = 12


def default_suite_options() -> Options:
    """The options of a plain ``pelemay bench``: Benchee's phases, within a time budget."""
    return Options(budget_s=DEFAULT_BUDGET_S)


def processes_of(job: str, options: Options) -> int:
    """How many processes a scenario needs at least."""
    timing = 1 if JOBS[job].once_per_process and options.time_s else 0
    heap = 1 if options.memory_time_s else 0
    return 1 + timing + heap + (_PROCESSES_OF_FIT if options.fit else 0)


def estimate_seconds(jobs: Sequence[str], models: int, backends: int, options: Options) -> float:
    """Estimate the run time of a suite before anything has run.

    Parameters
    ----------
    jobs : sequence of str
        Names of jobs.
    models, backends : int
        How many there are.
    options : Options
        How long the phases are; with a budget the estimate is at most that.

    Examples
    --------
    >>> estimate_seconds(["run"], 1, 2, Options(pre_check=False))
    21.2
    """
    starts = sum(processes_of(job, options) for job in jobs) + bool(options.pre_check)
    phases = options.phases_s * len(jobs)
    seconds = round(models * backends * (starts * GUESSED_START_S + phases), 1)
    return min(seconds, options.budget_s) if options.budget_s else seconds


def shrink(options: Options, scenarios: Iterable[tuple[str, float]], spent_s: float) -> Options:
    """Shrink the phases so that a suite keeps its budget, as far as it can.

    Parameters
    ----------
    options : Options
        As asked for.
    scenarios : iterable of (str, float)
        The job of each, and the seconds that one process of it takes.
    spent_s : float
        Seconds of the budget that are gone.

    Returns
    -------
    Options
        With phases at least a hundredth as long; the same options if there is no budget.

    Examples
    --------
    >>> used = shrink(Options(budget_s=20), [("run", 1.0)] * 4, spent_s=3.0)
    >>> used.warmup_s, used.time_s
    (0.5, 1.25)
    """
    scenarios = list(scenarios)
    wanted = options.phases_s * len(scenarios)
    if not options.budget_s or not wanted:
        return options
    fixed = sum(processes_of(job, options) * seconds for job, seconds in scenarios)
    factor = max(LEAST_FACTOR, min(1.0, (options.budget_s - spent_s - fixed) / wanted))
    return replace(
        options,
        warmup_s=options.warmup_s * factor,
        time_s=options.time_s * factor,
        memory_time_s=options.memory_time_s * factor,
    )
