"""Every figure that a report shows: its name, how it is read from a result, and what it means.

In: a :class:`Result`. Out: a number or None. Columns of all reports and the text of
``pelemay bench --explain`` come from the one list here.

>>> [figure.title for figure in FIGURES if figure.group == "heap"]
['allocated', 'peak heap']
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pelemay.bench.results import Memory, Result
from pelemay.bench.statistics import Statistics, summarize
from pelemay.bench.units import as_bytes, as_mib, as_percent, as_rate, as_time


@dataclass(frozen=True)
class Figure:
    """One column. ``group`` is what the reason of its absence is noted under."""

    title: str
    group: str
    explanation: str
    read: Callable[[Result, bool], float | str | None]
    show: Callable[[float], str]

    def text(self, result: Result, exclude_outliers: bool = False) -> str:
        """The figure as a cell of a table; empty if there is none."""
        value = self.read(result, exclude_outliers)
        if value is None or isinstance(value, str):
            return value or ""
        return self.show(value)


def statistics_of(result: Result, exclude_outliers: bool = False) -> Statistics | None:
    """Statistics of the samples in nanoseconds, None if there are no samples."""
    if not result.samples_ns:
        return None
    return summarize(result.samples_ns, exclude_outliers=exclude_outliers)


def _time(
    title: str,
    explanation: str,
    pick: Callable[[Statistics], float | str | None],
    show: Callable[[float], str] = as_time,
) -> Figure:
    def read(result: Result, exclude_outliers: bool) -> float | str | None:
        found = statistics_of(result, exclude_outliers)
        return None if found is None else pick(found)

    return Figure(title, "time", explanation, read, show)


def _memory(title: str, explanation: str, pick: Callable[[Memory], float | None]) -> Figure:
    def read(result: Result, _: bool) -> float | None:
        return None if result.memory is None else pick(result.memory)

    return Figure(title, "memory", explanation, read, as_bytes)


def _mode(found: Statistics) -> str:
    return ", ".join(as_time(value) for value in found.mode[:2]) or "none"


def allocated_bytes(result: Result) -> float | None:
    """Median over the samples of the bytes asked for, None if they were not followed."""
    return None if result.heap is None else summarize(result.heap.allocated).median


def peak_rss_bytes(result: Result) -> float | None:
    """The most resident memory over the baseline, None if it was not read."""
    return None if result.memory is None else result.memory.peak_rss


FIGURES = (
    _time(
        "ips",
        "how often a second the job could be done: 1 over the average",
        lambda found: found.per_second(),
        as_rate,
    ),
    _time(
        "average",
        "mean time of a sample, by a monotonic clock inside of the measured process; the model "
        "file is in the page cache; memray is not loaded, nothing is watched",
        lambda found: found.average,
    ),
    _time(
        "deviation",
        "standard deviation of the samples (n - 1) in percent of the average; none of one sample",
        lambda found: found.deviation_ratio if found.sample_size > 1 else "none",
        as_percent,
    ),
    _time("median", "half of the samples took less", lambda found: found.median),
    _time(
        "99th %",
        "99 percent of the samples took less; interpolated at 0.99 (n + 1)",
        lambda found: found.p99,
    ),
    _time("minimum", "the shortest sample", lambda found: found.minimum),
    _time("maximum", "the longest sample", lambda found: found.maximum),
    _time("mode", "the time that occurred most often, none if no time occurred twice", _mode),
    _time(
        "sample size",
        "samples that the statistics are of, in one process; for load+first run each is a fresh "
        "process",
        lambda found: found.sample_size,
        lambda value: f"{value:,.0f}",
    ),
    Figure(
        "allocated",
        "heap",
        "all bytes asked for during the job, freed or not, native code included (memray: malloc "
        "and relatives, anonymous mmap); a realloc counts whole; Python's objects up to 512 bytes "
        "count by the arenas taken for them; files that Python maps, or that are mapped at the "
        "end, do not count; the median of the samples after the first, but for load+first run",
        lambda result, _: allocated_bytes(result),
        as_bytes,
    ),
    Figure(
        "peak heap",
        "heap",
        "the most of those bytes that was held at one time",
        lambda result, _: None if result.heap is None else summarize(result.heap.peak).median,
        as_bytes,
    ),
    _memory(
        "peak RSS",
        "most resident memory (VmHWM, reset right before the job) of a fresh process, over its "
        "baseline: what it held once the backend's packages and the inputs were loaded",
        lambda memory: memory.peak_rss,
    ),
    _memory(
        "anonymous",
        "the part of the highest resident memory, sampled every 2 ms, that no file backs: it "
        "cannot be dropped, only swapped",
        lambda memory: memory.anonymous,
    ),
    _memory(
        "file-backed",
        "the other part of that sample: pages of mapped files, which the kernel may drop and "
        "read again",
        lambda memory: memory.file_backed,
    ),
    _memory(
        "peak anonymous",
        "the most anonymous memory over the baseline in any sample, every 2 ms: a shorter peak is "
        "missed",
        lambda memory: memory.peak_anonymous,
    ),
    _memory(
        "left anonymous",
        "anonymous memory over the baseline when the job has ended and its result is still held",
        lambda memory: memory.end_anonymous,
    ),
    _memory(
        "PSS at end",
        "proportional set size of the whole process at that moment, interpreter included: pages "
        "shared with others are divided by their users",
        lambda memory: memory.pss_end,
    ),
    _memory(
        "runtime import",
        "resident memory that importing the backend's packages (and reading the inputs) added to "
        "a bare worker; not in the figures over the baseline",
        lambda memory: memory.runtime_import,
    ),
    Figure(
        "fits in",
        "fit",
        "smallest memory cgroup, to 1 MiB, in which the whole process (interpreter, packages, "
        "page cache of its files) does the job in at most 20 times its free time, without swap; "
        "a backend that keeps limits is told this one, and compiles for it outside; pages that "
        "another process has mapped already are free of charge",
        lambda result, _: None if result.fit is None else result.fit.limit_bytes,
        as_mib,
    ),
    Figure(
        "time there",
        "fit",
        "median time of the job in that cgroup, or the time of one sample if only one fits",
        lambda result, _: None if result.fit is None else result.fit.latency_ns,
        as_time,
    ),
)


def figures_of(*groups: str) -> list[Figure]:
    """The figures of some groups ("time", "heap", "memory", "fit"), in their order."""
    return [figure for figure in FIGURES if figure.group in groups]


def explain(width: int = 80) -> str:
    """What each figure means, one paragraph each, for ``pelemay bench --explain``."""
    import textwrap

    indent = max(len(figure.title) for figure in FIGURES) + 2
    return "\n".join(
        textwrap.fill(
            f"{figure.title:<{indent}}{figure.explanation}.",
            width,
            subsequent_indent=" " * indent,
            break_long_words=False,
        )
        for figure in FIGURES
    )
