"""How long a suite takes, and how its phases shrink to keep a time budget.

In: options, scenarios, and what the check cost for each. Out: seconds, and options with shorter
phases. All phases shrink by the same factor; starting processes and doing each job at least
once does not shrink. Where even that is too long, the jobs that run a model give way to those
that import it: a backend that is too slow is not waited for, the heap of the others is not
followed (peak RSS tells their memory), then the longest are left out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pelemay.bench.jobs import JOBS
from pelemay.bench.scenario import Options, Scenario

DEFAULT_BUDGET_S = 150.0
LEAST_FACTOR = 0.01

_GUESSED_START_S = 0.6
_GUESSED_ONCE_S = 0.2
_MEMRAY_FACTOR = 1.5
_MEMRAY_START_FACTOR = 2.0
_FIT_PROCESSES = 10
_FIT_IN_VAIN_S = 10.0  # Two or three limits are too small, and the job is waited for in vain.
_PROCESSES_TO_RUN = 2  # The watched one and a timed one.


@dataclass(frozen=True)
class Cost:
    """Seconds that a scenario's process takes to start, and to do its job once."""

    start_s: float = _GUESSED_START_S
    once_s: float = _GUESSED_ONCE_S

    def least_seconds(self, job: str, options: Options) -> float:
        """Seconds of all processes of a scenario with phases of no length."""
        once = self.start_s + self.once_s
        heap = _MEMRAY_START_FACTOR * self.start_s + _MEMRAY_FACTOR * self.once_s
        timing = (once if JOBS[job].once_per_process else self.once_s) if options.time_s else 0
        return once + timing + (heap if options.follows_heap(job) else 0)

    def fit_seconds(self) -> float:
        """Seconds of finding the smallest memory cgroup; no budget counts them."""
        return _FIT_PROCESSES * (self.start_s + self.once_s) + _FIT_IN_VAIN_S


def default_suite_options() -> Options:
    """The options of a plain ``pelemay bench``: Benchee's phases, within a time budget."""
    return Options(budget_s=DEFAULT_BUDGET_S)


def estimate_seconds(jobs: Sequence[str], models: int, backends: int, options: Options) -> float:
    """Estimate the run time of a suite before anything has run.

    Parameters
    ----------
    jobs : sequence of str
        Names of jobs.
    models, backends : int
        How many there are.
    options : Options
        How long the phases are; with a budget the estimate is at most that, and what
        ``fit`` adds.

    Examples
    --------
    >>> estimate_seconds(["run"], 1, 2, Options(pre_check=False))
    23.0
    """
    answers = len({JOBS[job].runs_model for job in jobs}) if options.pre_check else 0
    check = answers * (_GUESSED_START_S + _GUESSED_ONCE_S)
    seconds = check + sum(Cost().least_seconds(job, options) + options.phases_s for job in jobs)
    pairs = models * backends
    total = round(pairs * seconds, 1)
    fits = pairs * len(jobs) * Cost().fit_seconds() if options.fit else 0.0
    return (min(total, options.budget_s) if options.budget_s else total) + fits


@dataclass
class Allowance:
    """Seconds that are left for jobs that run a model, while their answers are asked for.

    An answer takes one of ``shares`` parts of what its scenarios will take in all.
    """

    left_s: float
    shares: int

    @classmethod
    def of(cls, options: Options, jobs: Sequence[str], spent_s: float) -> Allowance:
        """What a budget leaves for some jobs; endless without a budget."""
        left_s = options.budget_s - spent_s if options.budget_s else math.inf
        return cls(left_s, 1 + _PROCESSES_TO_RUN * len(jobs))

    @property
    def patience_s(self) -> float:
        """Seconds to wait for the next answer: all its scenarios can still be measured then."""
        return self.left_s / self.shares

    def spend(self, seconds: float, *, is_answered: bool) -> None:
        """Count an answer and what will follow it, or only the time waited in vain."""
        self.left_s -= seconds * (self.shares if is_answered else 1)


@dataclass(frozen=True)
class Plan:
    """What a budget leaves: shorter phases, and scenarios that are too long for it."""

    options: Options
    left_out: tuple[Scenario, ...] = ()


def plan_budget(options: Options, costs: Mapping[Scenario, Cost], spent_s: float) -> Plan:
    """Shrink the phases so that a suite keeps its budget.

    Parameters
    ----------
    options : Options
        As asked for.
    costs : mapping
        Scenarios to their costs.
    spent_s : float
        Seconds of the budget that are gone.

    Returns
    -------
    Plan
        The options with phases at least a hundredth as long; without a budget, as they are.

    Examples
    --------
    >>> costs = {Scenario("run", "net", name): Cost(1.0, 0.0) for name in "abcd"}
    >>> used = plan_budget(Options(budget_s=27.5), costs, spent_s=6.5).options
    >>> used.warmup_s, used.time_s
    (0.5, 1.25)
    """
    if not options.budget_s or not options.phases_s or not costs:
        return Plan(options)
    left_s = options.budget_s - spent_s
    running = [scenario for scenario in costs if JOBS[scenario.job].runs_model]
    needed = {s: cost.least_seconds(s.job, options) for s, cost in costs.items()}
    if running and sum(needed.values()) > left_s:
        options = replace(options, no_heap=tuple(sorted({scenario.job for scenario in running})))
        needed = {s: cost.least_seconds(s.job, options) for s, cost in costs.items()}
    left_out = []
    for dearest in sorted(running, key=lambda scenario: -needed[scenario]):
        if sum(needed.values()) <= left_s:
            break
        left_out.append(dearest)
        del needed[dearest]
    wanted_s = options.phases_s * max(1, len(needed))
    return Plan(_shrunk(options, (left_s - sum(needed.values())) / wanted_s), tuple(left_out))


def _shrunk(options: Options, factor: float) -> Options:
    factor = max(LEAST_FACTOR, min(1.0, factor))
    return replace(
        options,
        warmup_s=options.warmup_s * factor,
        time_s=options.time_s * factor,
        memory_time_s=options.memory_time_s * factor,
    )
