"""How long a suite takes, and how its phases shrink to keep a time budget.

In: options, scenarios, and what the check cost for each. Out: seconds, and options with shorter
phases. A suite has two stages, first the jobs that import a model, then those that run it, each
with its part of the budget; what the first does not use is left to the second. In a stage all
phases shrink by the same factor; starting processes and doing each job at least once does not
shrink. Where even that is too long, the jobs that run a model give way: a backend that is too
slow is not waited for, the heap of the others is not followed (peak RSS tells their memory), then
the longest are left out. Memory over time gets a part of what is left, the shortest first.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pelemay.bench.jobs import JOBS
from pelemay.bench.scenario import Options, Scenario

DEFAULT_BUDGET_S = 150.0
TIMELINES_BUDGET_S = 210.0
"""The default where memory is to be followed over time too."""

LEAST_FACTOR = 0.01

_GUESSED_START_S = 0.6
_GUESSED_ONCE_S = 0.2
_MEMRAY_FACTOR = 1.5
_MEMRAY_START_FACTOR = 2.0
_FIT_PROCESSES = 10
_FIT_IN_VAIN_S = 10.0  # Two or three limits are too small, and the job is waited for in vain.
_PROCESSES_TO_RUN = 2  # The watched one and a timed one.
_TIMELINES_SHARE = 0.6
"""How much of what is left beside that which cannot shrink may go to memory over time."""
_RUNNING_WEIGHT = 1.5
"""How much more of the budget a job that runs a model gets than one that imports it."""


@dataclass(frozen=True)
class Cost:
    """Seconds that a scenario's process takes to start, and to do its job once."""

    start_s: float = _GUESSED_START_S
    once_s: float = _GUESSED_ONCE_S

    def least_seconds(self, job: str, options: Options) -> float:
        """Seconds of all processes of a scenario with phases of no length."""
        is_once, once = JOBS[job].once_per_process, self.start_s + self.once_s
        timing = (once if is_once else self.once_s) if options.time_s else 0
        heap = _MEMRAY_START_FACTOR * self.start_s + _MEMRAY_FACTOR * self.once_s
        heap += 0 if is_once else self.once_s  # The sample before those that are followed.
        return once + timing + (heap if options.follows_heap(job) else 0)

    def timeline_seconds(self, options: Options) -> float:
        """Seconds of following its memory over time, if that is asked for."""
        steps = self.start_s + 2 * self.once_s + options.timeline_s
        return steps if options.timeline_s else 0.0

    def fit_seconds(self) -> float:
        """Seconds of finding the smallest memory cgroup; no budget counts them."""
        return _FIT_PROCESSES * (self.start_s + self.once_s) + _FIT_IN_VAIN_S


def default_suite_options(timeline_s: float = 0.0) -> Options:
    """The options of a plain ``pelemay bench``: Benchee's phases, within a time budget.

    Parameters
    ----------
    timeline_s : float
        Seconds of the steady state that memory is followed over time; 0 does not follow it.
    """
    budget_s = TIMELINES_BUDGET_S if timeline_s else DEFAULT_BUDGET_S
    return Options(budget_s=budget_s, timeline_s=timeline_s)


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
    23.4
    """
    answers = len({JOBS[job].runs_model for job in jobs}) if options.pre_check else 0
    check = answers * (_GUESSED_START_S + _GUESSED_ONCE_S)
    seconds = check + sum(Cost().least_seconds(job, options) + options.phases_s for job in jobs)
    seconds += Cost().timeline_seconds(options) * len(jobs)
    pairs = models * backends
    total = round(pairs * seconds, 1)
    fits = pairs * len(jobs) * Cost().fit_seconds() if options.fit else 0.0
    return (min(total, options.budget_s) if options.budget_s else total) + fits


@dataclass(frozen=True)
class Stage:
    """Jobs that depend on the same answers, and the second of the suite to end them by."""

    jobs: tuple[str, ...]
    until_s: float

    @property
    def runs_model(self) -> bool:
        """Whether its jobs do more than import a model."""
        return JOBS[self.jobs[0]].runs_model


def stages(jobs: Sequence[str], options: Options) -> list[Stage]:
    """The jobs that import a model, then those that run it.

    Examples
    --------
    >>> stages(["run", "import"], Options(budget_s=100))
    [Stage(jobs=('import',), until_s=40.0), Stage(jobs=('run',), until_s=100)]
    """
    importing = tuple(job for job in jobs if not JOBS[job].runs_model)
    running = tuple(job for job in jobs if JOBS[job].runs_model)
    budget_s = options.budget_s or math.inf
    found = []
    if importing:
        share = len(importing) / (len(importing) + _RUNNING_WEIGHT * len(running))
        found.append(Stage(importing, budget_s * share))
    if running:
        found.append(Stage(running, budget_s))
    return found


@dataclass
class Allowance:
    """Seconds that are left for jobs that run a model, while their answers are asked for.

    An answer takes one of ``shares`` parts of what its scenarios will take in all.
    """

    left_s: float
    shares: int

    @classmethod
    def of(cls, stage: Stage, spent_s: float) -> Allowance:
        """What is left for a stage; endless without a budget, and for jobs that import."""
        left_s = stage.until_s - spent_s if stage.runs_model else math.inf
        return cls(left_s, 1 + _PROCESSES_TO_RUN * len(stage.jobs))

    @property
    def patience_s(self) -> float:
        """Seconds to wait for the next answer: all its scenarios can still be measured then."""
        return self.left_s / self.shares

    def spend(self, seconds: float, *, is_answered: bool) -> None:
        """Count an answer and what will follow it, or only the time waited in vain."""
        self.left_s -= seconds * (self.shares if is_answered else 1)


@dataclass(frozen=True)
class Plan:
    """What a budget leaves: shorter phases, and scenarios that are too long for it.

    The memory of those in ``no_timeline`` is not followed over time.
    """

    options: Options
    left_out: tuple[Scenario, ...] = ()
    no_timeline: tuple[Scenario, ...] = ()


def plan_budget(options: Options, costs: Mapping[Scenario, Cost], left_s: float) -> Plan:
    """Shrink the phases so that scenarios end in time.

    Parameters
    ----------
    options : Options
        As asked for.
    costs : mapping
        Scenarios to their costs.
    left_s : float
        Seconds that they may take; infinite without a budget.

    Returns
    -------
    Plan
        The options with phases at least a hundredth as long; without a budget, as they are.

    Examples
    --------
    >>> costs = {Scenario("run", "net", name): Cost(1.0, 0.0) for name in "abcd"}
    >>> used = plan_budget(Options(), costs, left_s=21).options
    >>> used.warmup_s, used.time_s
    (0.5, 1.25)
    """
    if math.isinf(left_s) or not options.phases_s or not costs:
        return Plan(options)
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
    free_s = left_s - sum(needed.values())
    seconds = {scenario: costs[scenario].timeline_seconds(options) for scenario in needed}
    followed = _shortest(seconds, _TIMELINES_SHARE * free_s) if options.timeline_s else {}
    wanted_s = options.phases_s * max(1, len(needed))
    factor = (free_s - sum(followed.values())) / wanted_s
    no_timeline = tuple(s for s in needed if s not in followed) if options.timeline_s else ()
    return Plan(_shrunk(options, factor), tuple(left_out), no_timeline)


def _shortest(seconds: Mapping[Scenario, float], left_s: float) -> dict[Scenario, float]:
    """As many of the scenarios as end in time, the shortest first."""
    found: dict[Scenario, float] = {}
    for scenario, needed_s in sorted(seconds.items(), key=lambda item: item[1]):
        if needed_s > left_s:
            break
        found[scenario] = needed_s
        left_s -= needed_s
    return found


def _shrunk(options: Options, factor: float) -> Options:
    factor = max(LEAST_FACTOR, min(1.0, factor))
    return replace(
        options,
        warmup_s=options.warmup_s * factor,
        time_s=options.time_s * factor,
        memory_time_s=options.memory_time_s * factor,
    )
