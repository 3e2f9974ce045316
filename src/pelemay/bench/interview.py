"""All backends are asked for their answers, one process at a time.

In: models, backends, jobs. Out: :class:`Answers`: what each replied, the checks that follow, and
what a process of each scenario costs.

With a time budget, parameters are asked for first, because importing is the main job. Outputs
come then, the backends first that are known to be fast, and a backend is waited for only as
long as its scenarios could still be measured; a slower one is left out, and the report says so.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from pelemay.bench.budget import Allowance, Cost
from pelemay.bench.jobs import JOBS
from pelemay.bench.pre_check import ask, compare
from pelemay.bench.process import Reply
from pelemay.bench.results import Check
from pelemay.bench.scenario import Options, Scenario
from pelemay.bench.units import as_seconds

FAST_FIRST = ("onnxruntime", "openvino", "reference", "torch", "xla")
_SHORTEST_S = 0.5


class Subject(NamedTuple):
    """What a reply is about; ``part`` is "outputs" or "parameters"."""

    part: str
    model: str
    backend: str

    @classmethod
    def of(cls, scenario: Scenario) -> Subject:
        """The answer that a scenario depends on."""
        part = "outputs" if JOBS[scenario.job].runs_model else "parameters"
        return cls(part, scenario.model, scenario.backend)


@dataclass(frozen=True)
class Answers:
    """Replies in the order of asking."""

    replies: Mapping[Subject, Reply] = field(default_factory=dict)

    def checks(self, models: Sequence[str], backends: Sequence[str]) -> list[Check]:
        """Compare the replies, model by model, in the order of ``backends``."""
        checks = []
        for model in models:
            for part in ("outputs", "parameters"):
                subjects = [Subject(part, model, backend) for backend in backends]
                asked = {s.backend: self.replies[s] for s in subjects if s in self.replies}
                checks += compare(model, part, asked)
        return checks

    def cost(self, scenario: Scenario) -> Cost:
        """What a process of the scenario takes, as far as its backend has shown it."""
        reply = self.replies.get(Subject.of(scenario))
        if reply is None or reply.status != "ok":
            return Cost()
        once_s = reply.answer["once_s"]
        return Cost(reply.elapsed_s - once_s, once_s)


def ask_all(
    scenarios: Sequence[Scenario],
    given: Mapping[str, Mapping[str, Any]],
    options: Options,
    folder: Path,
    *,
    spent_s: float,
    on_reply: Callable[[Subject, int, int], None],
) -> Answers:
    """Ask for all answers that the scenarios depend on.

    Parameters
    ----------
    scenarios : sequence of Scenario
        What will be measured.
    given : mapping
        Model to the part of a worker's specification that depends on it.
    options : Options
        With the budget.
    folder : Path
        Where outputs may lie until they are compared.
    spent_s : float
        Seconds of the budget that are gone.
    on_reply : callable
        Told of each reply: what it is about, its number, and how many there will be.
    """
    began = time.monotonic()
    subjects = sorted({Subject.of(s): None for s in scenarios}, key=_order)
    replies: dict[Subject, Reply] = {}
    allowance: Allowance | None = None
    for number, subject in enumerate(subjects, 1):
        patience_s = options.timeout_s
        if subject.part == "outputs":
            if allowance is None:
                spent = spent_s + time.monotonic() - began
                allowance = _allowance(scenarios, Answers(replies), options, spent)
            patience_s = min(patience_s, allowance.patience_s)
        outputs = str(folder / f"outputs-{number}.npz")
        spec = {**given[subject.model], "backend": subject.backend, "outputs": outputs}
        replies[subject] = _ask(spec, subject.part, patience_s, options)
        if allowance is not None:
            reply = replies[subject]
            allowance.spend(reply.elapsed_s, is_answered=reply.status == "ok")
        on_reply(subject, number, len(subjects))
    return Answers(replies)


def _order(subject: Subject) -> tuple[bool, int]:
    """Parameters before outputs, and for outputs the fast backends first."""
    if subject.part == "parameters":
        return False, 0
    known = subject.backend in FAST_FIRST
    return True, FAST_FIRST.index(subject.backend) if known else len(FAST_FIRST)


def _ask(spec: Mapping[str, Any], part: str, patience_s: float, options: Options) -> Reply:
    if patience_s < _SHORTEST_S:
        return Reply("left out", "to keep the time budget")
    reply = ask(spec, part=part, timeout_s=patience_s)
    if reply.status == "timeout" and patience_s < options.timeout_s:
        slow = f"to keep the time budget: it did not answer within {as_seconds(patience_s)}"
        return Reply("left out", slow, elapsed_s=reply.elapsed_s)
    return reply


def _allowance(
    scenarios: Sequence[Scenario], answers: Answers, options: Options, spent_s: float
) -> Allowance:
    """What is left for jobs that run a model, when those that import it are provided for."""
    jobs = {s.job for s in scenarios if JOBS[s.job].runs_model}
    importing = [s for s in scenarios if s.job not in jobs]
    needed_s = sum(
        answers.cost(s).least_seconds(s.job, options)
        for s in importing
        if answers.replies[Subject.of(s)].status == "ok"
    )
    return Allowance.of(options, sorted(jobs), spent_s + needed_s)
