"""The benchmark, in order, on one page.

In: jobs, models, backends, options. Out: a :class:`Suite`.

1. Make the inputs of each model.
2. For the jobs that import models, then for those that run them:

   a. let all backends answer, and compare (``pre_check``);
   b. shrink the phases to the time budget, now that it is known what a process costs;
   c. measure every scenario whose backend answered rightly.

3. Find the smallest memory cgroups, if that is asked for.
"""

from __future__ import annotations

import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from pelemay.bench.budget import Allowance, Stage, estimate_seconds, plan_budget, stages
from pelemay.bench.cgroups import Controller, find_controller
from pelemay.bench.inputs import (
    InputsOf,
    encoding_of_model,
    inputs_of_model,
    make_feeds,
    save_feeds,
)
from pelemay.bench.interview import Answers, Subject, ask_all
from pelemay.bench.jobs import DEFAULT_JOBS, JOBS
from pelemay.bench.machine import describe
from pelemay.bench.measure import Bench, add_fit, measure_scenario
from pelemay.bench.results import Result
from pelemay.bench.scenario import Hooks, ModelInfo, Options, Scenario
from pelemay.bench.suite import Suite
from pelemay.bench.units import as_seconds
from pelemay.errors import InputError, PelemayError


@dataclass(frozen=True)
class Progress:
    """News of a suite that runs.

    ``kind`` is "begun" (``suite`` has machine, options and estimate), "checked" (``label`` names
    model and backend), "planned" (``suite.used`` has the shrunk phases), "measuring" and
    "measured" (``result``), "fitting" and "fitted" (``result``). ``number`` of ``total`` counts
    from 1.
    """

    kind: Literal["begun", "checked", "planned", "measuring", "measured", "fitting", "fitted"]
    number: int = 0
    total: int = 0
    label: str = ""
    scenario: Scenario | None = None
    result: Result | None = None
    suite: Suite | None = None


OnProgress = Callable[[Progress], None]


def run_suite(
    jobs: Sequence[str] = DEFAULT_JOBS,
    models: Iterable[Any] = (),
    backends: Sequence[str] | None = None,
    options: Options | None = None,
    *,
    hooks: Hooks | None = None,
    on_progress: OnProgress = lambda _: None,
    inputs_of: InputsOf = inputs_of_model,
) -> Suite:
    """Measure every job with every model and backend.

    Parameters
    ----------
    jobs : sequence of str
        Names out of "import", "import+serialize", "load+first run", "run".
    models : iterable
        Paths, or objects with a ``path``; see :meth:`ModelInfo.of`.
    backends : sequence of str, optional
        Names, or "module:attribute"; all that can be used here if not given.
    options : Options, optional
        How long to measure, and what.
    hooks : Hooks, optional
        Called around scenarios and samples, outside of the measured time.
    on_progress : callable
        Told what happens as it happens.
    inputs_of : callable
        Path of a model to its inputs.

    Returns
    -------
    Suite
        Failures of scenarios are in it, each with its reason.

    Raises
    ------
    InputError
        If a job, a model file or a backend does not exist, or a name stands for two models.
    """
    began = time.monotonic()
    options = options or Options()
    infos = tuple(_described(model) for model in models)
    names = _backends(backends)
    jobs = list(dict.fromkeys(jobs))
    _refuse(jobs, infos)
    suite = Suite(
        machine=describe(),
        options=options,
        models=infos,
        estimate_s=estimate_seconds(jobs, len(infos), len(names), options),
    )
    on_progress(Progress("begun", suite=suite))
    with _ends_in_order(), tempfile.TemporaryDirectory(prefix="pelemay-bench-") as folder:
        run = _Run(suite, jobs, names, hooks or Hooks(), on_progress, Path(folder), began)
        run.make_inputs(inputs_of)
        for stage in stages(jobs, options):
            run.check(stage)
            run.plan(stage)
            run.measure(stage)
        run.fit()
    return run.in_order()


@contextmanager
def _ends_in_order() -> Iterator[None]:
    """Let SIGTERM unwind the stack, so that workers, cgroups and folders go too."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _described(model: Any) -> ModelInfo:
    info = ModelInfo.of(model)
    return info if info.encoding else replace(info, encoding=encoding_of_model(info.path))


def _backends(names: Sequence[str] | None) -> list[str]:
    from pelemay.backends import registry

    if names is None:
        return [name for name, reason in registry.available().items() if reason is None]
    chosen = [registry.ALIASES.get(name, name) for name in names]
    if unknown := [n for n in chosen if ":" not in n and n not in registry.names()]:
        allowed = ", ".join(registry.names())
        raise InputError(f"there is no backend '{unknown[0]}'; allowed: {allowed}")
    return list(dict.fromkeys(chosen))


def _refuse(jobs: Sequence[str], models: Sequence[ModelInfo]) -> None:
    if unknown := [job for job in jobs if job not in JOBS]:
        raise InputError(f"there is no job '{unknown[0]}'; allowed: {', '.join(JOBS)}")
    names = [model.name for model in models]
    if twice := [name for name in names if names.count(name) > 1]:
        raise InputError(f"two models are called '{twice[0]}'", hint="Rename one file")


@dataclass
class _Run:
    """The state of a suite while it runs."""

    suite: Suite
    jobs: Sequence[str]
    backends: Sequence[str]
    hooks: Hooks
    tell: OnProgress
    folder: Path
    began: float
    feeds: dict[str, str] = field(default_factory=dict)
    no_feeds: dict[str, str] = field(default_factory=dict)
    answers: Answers = field(default_factory=Answers)
    left_out: dict[Scenario, float] = field(default_factory=dict)
    no_timeline: tuple[Scenario, ...] = ()
    results: dict[Scenario, Result] = field(default_factory=dict)

    def make_inputs(self, inputs_of: InputsOf) -> None:
        if not any(JOBS[job].runs_model for job in self.jobs):
            return
        for number, model in enumerate(self.suite.models):
            try:
                arrays = make_feeds(inputs_of(model.path), self.suite.options.seed)
            except PelemayError as error:
                self.no_feeds[model.name] = str(error)
                continue
            path = self.folder / f"feeds-{number}.npz"
            self.feeds[model.name] = str(save_feeds(arrays, path))

    def check(self, stage: Stage) -> None:
        if not self.suite.options.pre_check:
            return
        self.answers = ask_all(
            [s for s in self._scenarios(stage.jobs) if not self._has_no_feeds(s)],
            {model.name: self._given(model) for model in self.suite.models},
            self.suite.options,
            self.folder,
            allowance=Allowance.of(stage, self._spent_s()),
            on_reply=self._tell_of_reply,
        )
        found = self.answers.checks([model.name for model in self.suite.models], self.backends)
        self.suite = replace(self.suite, checks=(*self.suite.checks, *found))

    def _tell_of_reply(self, subject: Subject, number: int, total: int) -> None:
        label = f"{subject.part} of {subject.model} with {subject.backend}"
        self.tell(Progress("checked", number, total, label))

    def _given(self, model: ModelInfo) -> dict[str, Any]:
        threads = self.suite.options.threads
        return {"model": str(model.path), "feeds": self.feeds.get(model.name), "threads": threads}

    def _has_no_feeds(self, scenario: Scenario) -> bool:
        return JOBS[scenario.job].runs_model and scenario.model in self.no_feeds

    def _scenarios(self, jobs: Sequence[str]) -> list[Scenario]:
        return [
            Scenario(job, model.name, backend)
            for model in self.suite.models
            for job in jobs
            for backend in self.backends
        ]

    def _spent_s(self) -> float:
        return time.monotonic() - self.began

    def plan(self, stage: Stage) -> None:
        fine = [s for s in self._scenarios(stage.jobs) if self._refusal(s) is None]
        costs = {scenario: self.answers.cost(scenario) for scenario in fine}
        plan = plan_budget(self.suite.options, costs, stage.until_s - self._spent_s())
        used = dict.fromkeys((scenario.job for scenario in fine), plan.options)
        self.suite = replace(self.suite, used={**self.suite.used, **used})
        self.no_timeline = plan.no_timeline
        self.left_out = {scenario: costs[scenario].once_s for scenario in plan.left_out}
        self.tell(Progress("planned", total=len(costs), suite=self.suite))

    def measure(self, stage: Stage) -> None:
        total = len(self._scenarios(self.jobs))
        for scenario in self._scenarios(stage.jobs):
            news = Progress("measuring", len(self.results) + 1, total, scenario.label, scenario)
            self.tell(news)
            result = self._refusal(scenario) or self._too_late(scenario, stage)
            if result is None:
                given = self._given(self._model(scenario))
                result = measure_scenario(self._bench(scenario), scenario, given)
            self.results[scenario] = result
            self.tell(replace(news, kind="measured", result=result))

    def fit(self) -> None:
        if not self.suite.options.fit:
            return
        controller = self._controller()
        fine = [scenario for scenario, result in self.results.items() if result.is_ok]
        for number, scenario in enumerate(fine, 1):
            news = Progress("fitting", number, len(fine), scenario.label, scenario)
            self.tell(news)
            given = self._given(self._model(scenario))
            result = add_fit(self._bench(scenario), self.results[scenario], given, controller)
            self.results[scenario] = result
            self.tell(replace(news, kind="fitted", result=result))

    def in_order(self) -> Suite:
        """The finished suite, its results model by model and job by job."""
        results = tuple(self.results[scenario] for scenario in self._scenarios(self.jobs))
        return replace(self.suite, results=results, elapsed_s=self._spent_s())

    def _model(self, scenario: Scenario) -> ModelInfo:
        return next(model for model in self.suite.models if model.name == scenario.model)

    def _bench(self, scenario: Scenario) -> Bench:
        return Bench(self.suite.used[scenario.job], self.hooks, scenario not in self.no_timeline)

    def _too_late(self, scenario: Scenario, stage: Stage) -> Result | None:
        """The result of a scenario that would begin when the budget is spent."""
        if stage.runs_model and self._spent_s() > stage.until_s:
            return Result(scenario, "left out", "to keep the time budget")
        return None

    def _refusal(self, scenario: Scenario) -> Result | None:
        """The result of a scenario that is not worth measuring."""
        if scenario in self.left_out:
            took = as_seconds(self.left_out[scenario])
            return Result(scenario, "left out", f"to keep the time budget; it took {took} once")
        if self._has_no_feeds(scenario):
            return Result(scenario, "error", self.no_feeds[scenario.model])
        for check in self.suite.checks:
            subject = Subject(check.part, check.model, check.backend)
            if subject == Subject.of(scenario) and check.status != "ok":
                return Result(scenario, check.status, check.message)
        return None

    def _controller(self) -> Controller | str:
        try:
            return find_controller()
        except PelemayError as error:
            return str(error)
