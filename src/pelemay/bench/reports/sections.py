"""What a report says, before anything is drawn: the same for console and Markdown.

In: a :class:`Suite`. Out: a :class:`Section` for each model and job: tables as text, the
comparison, bars to draw, and what failed.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pelemay.bench.figures import Figure, figures_of, peak_rss_bytes, statistics_of
from pelemay.bench.finding import describe_model
from pelemay.bench.jobs import JOBS
from pelemay.bench.machine import Machine
from pelemay.bench.results import Result
from pelemay.bench.scenario import ModelInfo, Options
from pelemay.bench.statistics import Comparison, compare
from pelemay.bench.suite import Suite
from pelemay.bench.units import as_bytes, as_rate, as_ratio, as_seconds, as_time


@dataclass(frozen=True)
class Table:
    """Cells as text; the first column names the scenario."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Bar:
    """Peak resident memory of a scenario, and its two parts as they were sampled."""

    label: str
    peak: int
    anonymous: int
    file_backed: int

    @property
    def parts(self) -> tuple[int, int]:
        """The exact peak, divided in the proportion that was sampled."""
        sampled = self.anonymous + self.file_backed
        anonymous = self.peak * self.anonymous // sampled if sampled else self.peak
        return anonymous, self.peak - anonymous


@dataclass(frozen=True)
class Section:
    """One job with one model."""

    title: str
    times: Table | None
    comparison: tuple[str, ...]
    memory: Table | None
    bars: tuple[Bar, ...]
    file_bytes: int
    remarks: tuple[str, ...]


def sections(suite: Suite) -> list[Section]:
    """A section for each model and job that the suite has results of, in their order."""
    keys = dict.fromkeys((r.scenario.model, r.scenario.job) for r in suite.results)
    models = {model.name: model for model in suite.models}
    return [_section(suite, models[model], job) for model, job in keys]


def _section(suite: Suite, model: ModelInfo, job: str) -> Section:
    results = [r for r in suite.results if (r.scenario.model, r.scenario.job) == (model.name, job)]
    exclude = suite.options.exclude_outliers
    fine = _fastest_first([r for r in results if r.is_ok], exclude)
    timed = [r for r in fine if r.samples_ns]
    return Section(
        title=f"{job}: {describe_model(model)}",
        times=_table(timed, figures_of("time"), exclude),
        comparison=tuple(_comparison(timed, exclude)),
        memory=_table(fine, figures_of("heap", "memory", "fit"), exclude),
        bars=tuple(_bar(r) for r in fine if peak_rss_bytes(r) is not None),
        file_bytes=model.file_bytes,
        remarks=tuple(_remarks(results)),
    )


def _fastest_first(results: Iterable[Result], exclude: bool) -> list[Result]:
    def average(result: Result) -> float:
        found = statistics_of(result, exclude)
        return math.inf if found is None else found.average

    return sorted(results, key=average)


def _table(results: Sequence[Result], figures: Iterable[Figure], exclude: bool) -> Table | None:
    """A table of the figures that at least one result has."""
    columns = [(f.title, [f.text(result, exclude) for result in results]) for f in figures]
    columns = [(title, cells) for title, cells in columns if any(cells)]
    if not columns:
        return None
    labels = [result.scenario.label for result in results]
    return Table(
        header=("", *(title for title, _ in columns)),
        rows=tuple(zip(labels, *(cells for _, cells in columns), strict=True)),
    )


def _comparison(results: Sequence[Result], exclude: bool) -> list[str]:
    """Lines as Benchee's: the fastest, then how many times slower the others are."""
    found = {r.scenario.label: statistics_of(r, exclude) for r in results}
    compared = compare({label: s.average for label, s in found.items() if s is not None})
    if len(compared) < 2:
        return []
    width = max(len(c.label) for c in compared)
    return [_line(c, width) for c in compared]


def _line(compared: Comparison, width: int) -> str:
    rate = as_rate(1e9 / compared.value) if compared.value else "∞"
    line = f"{compared.label:<{width}}  {rate:>8}"
    if compared.difference == 0:
        return line
    return f"{line} - {as_ratio(compared.ratio)} slower +{as_time(compared.difference)}"


def _bar(result: Result) -> Bar:
    memory = result.memory
    assert memory is not None
    return Bar(result.scenario.label, memory.peak_rss, memory.anonymous, memory.file_backed)


def _remarks(results: Iterable[Result]) -> list[str]:
    """What failed, and what is absent, each reason once with the scenarios that it is about."""
    about: dict[str, list[str]] = {}
    for result in results:
        if not result.is_ok:
            about.setdefault(f"{result.status}: {result.reason}", []).append(result.scenario.label)
        for group, reason in result.notes.items():
            titles = ", ".join(figure.title for figure in figures_of(group)) or group
            about.setdefault(f"without {titles}: {reason}", []).append(result.scenario.label)
        if result.memory is not None and not result.memory.is_exact:
            inexact = "peak RSS is sampled: the kernel forbids to reset its own mark"
            about.setdefault(inexact, []).append(result.scenario.label)
    return [f"{', '.join(labels)}: {reason}" for reason, labels in about.items()]


def header(suite: Suite) -> list[tuple[str, str]]:
    """The machine, what is used, how it is measured, and how long that takes."""
    return [(name, value) for name, value in (*_about(suite.machine), *_settings(suite)) if value]


def _about(machine: Machine) -> list[tuple[str, str]]:
    state = [
        f"governor {machine.governor}" if machine.governor else "",
        "" if machine.temperature_c is None else f"{machine.temperature_c:.0f} °C",
        "" if machine.load_average is None else f"load {machine.load_average:g} at the start",
    ]
    versions = ", ".join(f"{name} {version}" for name, version in machine.packages.items())
    return [
        ("System", ", ".join(filter(None, (machine.system, machine.kernel)))),
        ("CPU", machine.cpu),
        ("Cores", str(machine.cores or "")),
        ("Memory", as_bytes(machine.memory_bytes) if machine.memory_bytes else ""),
        ("State", ", ".join(filter(None, state))),
        ("Python", machine.python),
        ("Packages", versions),
        ("Date", machine.date),
    ]


def _settings(suite: Suite) -> list[tuple[str, str]]:
    options = suite.options
    return [
        ("Measured", _measured(suite)),
        ("Threads", str(options.threads or "")),
        ("Outliers", "excluded" if options.exclude_outliers else ""),
        ("Estimated time", as_seconds(suite.estimate_s) if suite.estimate_s else ""),
        ("Taken", as_seconds(round(suite.elapsed_s)) if suite.elapsed_s else ""),
    ]


def _measured(suite: Suite) -> str:
    """The phases of each job, and from what a budget has shrunk them."""
    asked = _phases(suite.options)
    used = {job: _phases(options, job) for job, options in suite.used.items()}
    if all(options == suite.options for options in suite.used.values()):
        return asked
    by_job = "; ".join(f"{job}: {phases}" for job, phases in used.items())
    return f"{by_job} (shrunk from {asked} to keep within {as_seconds(suite.options.budget_s)})"


def _phases(options: Options, job: str = "") -> str:
    """The phases that a job has; a job that a process can do once only is not warmed up."""
    named = {"time": options.time_s}
    if not job or not JOBS[job].once_per_process:
        named = {"warm-up": options.warmup_s, **named}
    if not job or options.follows_heap(job):
        named["memory time"] = options.memory_time_s
    return ", ".join(f"{name} {as_seconds(seconds)}" for name, seconds in named.items())


def agreement(suite: Suite) -> str:
    """One sentence about the comparison of answers; empty if none was made."""
    answered = [check for check in suite.checks if check.status in ("ok", "wrong")]
    compared = [check for check in answered if check.is_compared]
    if not answered:
        return ""
    if wrong := [check for check in compared if check.status == "wrong"]:
        found = ", ".join(f"{c.backend} on {c.model} ({c.part})" for c in wrong)
        return f"Wrong answers, which are not timed: {found}."
    if max(Counter((check.model, check.part) for check in compared).values(), default=0) < 2:
        return "No two backends gave answers that can be compared."
    largest = max(check.deviation or 0.0 for check in compared)
    if not largest:
        return "All answers are the same, bit for bit, before anything is timed."
    return (
        "All answers agree before anything is timed; the largest difference is "
        f"{largest:.1e} of the largest value."
    )
