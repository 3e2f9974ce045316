"""Words and numbers that the parts of a report share.

>>> tick_bytes(1_500_000_000), tick_time(20_000_000), tick_bytes(0)
('1.5 GB', '20 ms', '0')
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pelemay.bench.figures import allocated_bytes, statistics_of
from pelemay.bench.finding import describe_model
from pelemay.bench.results import Result
from pelemay.bench.scenario import ModelInfo
from pelemay.bench.suite import Suite
from pelemay.bench.units import as_bytes, as_time


@dataclass(frozen=True)
class Group:
    """The results of one job with one model that ended well, those with the least memory first.

    ``is_only_model`` says that the page has no other, so that headings need not name it.
    """

    model: ModelInfo
    job: str
    results: tuple[Result, ...]
    is_only_model: bool = False

    @property
    def title(self) -> str:
        """Job and model, as headings name them."""
        return self.job if self.is_only_model else f"{self.job}: {describe_model(self.model)}"


def groups(suite: Suite) -> Iterator[Group]:
    """Models and jobs in the order of the suite; those without a result are left out."""
    is_only = len(suite.models) == 1
    for model, job in dict.fromkeys((r.scenario.model, r.scenario.job) for r in suite.results):
        info = next(m for m in suite.models if m.name == model)
        fine = [r for r in suite.results if (r.scenario.model, r.scenario.job) == (model, job)]
        fine = sorted((r for r in fine if r.is_ok), key=lambda r: held_at_most(r) or 0)
        if fine:
            yield Group(info, job, tuple(fine), is_only)


def held_at_most(result: Result) -> int | None:
    """The most resident memory of the whole process: before the job, and what it added."""
    memory = result.memory
    return None if memory is None else memory.baseline + memory.peak_rss


def median_ns(result: Result) -> float | None:
    """Median time of a sample."""
    found = statistics_of(result)
    return None if found is None else found.median


def tip_of(result: Result) -> str:
    """What is said of a result that is pointed at."""
    lines = [result.scenario.label]
    if (memory := result.memory) is not None:
        lines += [
            f"{as_bytes(memory.baseline + memory.peak_rss)} at most in the whole process",
            f"{as_bytes(memory.baseline)} before the job",
            f"{as_bytes(memory.peak_rss)} added by it",
        ]
    if (allocated := allocated_bytes(result)) is not None:
        lines.append(f"{as_bytes(allocated)} allocated, freed or not")
    if (time_ns := median_ns(result)) is not None:
        lines.append(f"{as_time(time_ns)} (median)")
    return "\n".join(lines)


def tick_bytes(value: float) -> str:
    """Bytes without the zeros that say how exact they are."""
    return _short(as_bytes(value)) if value else "0"


def tick_time(value: float) -> str:
    """Nanoseconds without such zeros."""
    return _short(as_time(value)) if value else "0"


def _short(text: str) -> str:
    return re.sub(r"(\.\d*?)0+(?= )", r"\1", text).replace(". ", " ")
