"""All backends are asked for their answers, one process at a time.

In: the scenarios of a stage. Out: :class:`Answers`: what each replied, the checks that follow, and
what a process of each scenario costs.

With a time budget, outputs are asked of those backends first that are known to be fast, and a
backend is waited for only as long as its scenarios could still be measured; a slower one is left
out, and the report says so.
"""

from __future__ import annotations

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

FAST_FIRST = ("native", "onnxruntime", "openvino", "reference", "torch", "xla")
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
        return Cost(self._start_s(scenario.backend), reply.answer["once_s"])

    def _start_s(self, backend: str) -> float:
        """The shortest start of a backend: the first reads its packages from the disk."""
        replies = [r for s, r in self.replies.items() if s.backend == backend and r.status == "ok"]
        return min(reply.elapsed_s - float(reply.answer["once_s"]) for reply in replies)


def ask_all(
    scenarios: Sequence[Scenario],
    given: Mapping[str, Mapping[str, Any]],
    options: Options,
    folder: Path,
    *,
    allowance: Allowance,
    on_reply: Callable[[Subject, int, int], None],
) -> Answers:
    """Ask for all answers that the scenarios of a stage depend on.

    Parameters
    ----------
    scenarios : sequence of Scenario
        What will be measured.
    given : mapping
        Model to the part of a worker's specification that depends on it.
    options : Options
        With the time after which a process is given up.
    folder : Path
        Where outputs may lie until they are compared.
    allowance : Allowance
        Seconds that are left for the stage.
    on_reply : callable
        Told of each reply: what it is about, its number, and how many there will be.
    """
    subjects = sorted({Subject.of(s): None for s in scenarios}, key=_order)
    replies: dict[Subject, Reply] = {}
    for number, subject in enumerate(subjects, 1):
        outputs = str(folder / f"outputs-{number}.npz")
        spec = {**given[subject.model], "backend": subject.backend, "outputs": outputs}
        patience_s = min(options.timeout_s, allowance.patience_s)
        replies[subject] = reply = _ask(spec, subject.part, patience_s, options)
        allowance.spend(reply.elapsed_s, is_answered=reply.status == "ok")
        on_reply(subject, number, len(subjects))
    return Answers(replies)


def _order(subject: Subject) -> int:
    """For outputs the fast backends first."""
    if subject.part == "parameters":
        return 0
    known = subject.backend in FAST_FIRST
    return FAST_FIRST.index(subject.backend) if known else len(FAST_FIRST)


def _ask(spec: Mapping[str, Any], part: str, patience_s: float, options: Options) -> Reply:
    if patience_s < _SHORTEST_S:
        return Reply("left out", "to keep the time budget")
    reply = ask(spec, part=part, timeout_s=patience_s)
    if reply.status == "timeout" and patience_s < options.timeout_s:
        slow = f"to keep the time budget: it did not answer within {as_seconds(patience_s)}"
        return Reply("left out", slow, elapsed_s=reply.elapsed_s)
    return reply
