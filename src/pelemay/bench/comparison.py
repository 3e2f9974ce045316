"""Saved suites, compared: what has changed, and whether the samples tell it apart from chance.

In: two suites. Out: a :class:`Change` for each figure of each scenario that both have.

>>> METHOD.split(":")[0]
'Times and allocations'
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from pelemay.bench.machine import Machine
from pelemay.bench.results import Result
from pelemay.bench.scenario import Scenario
from pelemay.bench.significance import holm, mann_whitney, ratio_interval
from pelemay.bench.statistics import summarize
from pelemay.bench.suite import Suite
from pelemay.bench.units import as_bytes, as_time

SIGNIFICANT = 0.01
"""A change is told apart from chance below this probability."""

NEGLIGIBLE = 0.02
"""A smaller change than this share is none, however sure it is."""

METHOD = (
    "Times and allocations: the two-sided Mann-Whitney test on the saved samples, corrected by "
    f"Holm for the number of tests, at {SIGNIFICANT:g}, and a change of the median by more than "
    f"{NEGLIGIBLE:.0%}. Intervals of the ratio of the medians hold 95% of 2,000 bootstrap "
    "resamples. Resident memory is one reading of one process, so it is not tested. Samples of "
    "one process are alike: on a busy machine the same program, run twice, can differ "
    "significantly."
)


@dataclass(frozen=True)
class Change:
    """A figure of a scenario, before and after, as medians.

    ``interval`` is of the ratio; ``p`` is corrected for the number of tests; both are None where
    there are too few samples.
    """

    scenario: Scenario
    figure: str
    before: float
    after: float
    show: Callable[[float], str]
    interval: tuple[float, float] | None = None
    p: float | None = None

    @property
    def ratio(self) -> float | None:
        """After over before; None where there was nothing before."""
        return self.after / self.before if self.before else None

    @property
    def verdict(self) -> str:
        """What the samples tell: "less", "more", "no difference seen", "not tested"."""
        if self.p is None:
            return "not tested"
        if self.p >= SIGNIFICANT or abs(self.after - self.before) <= NEGLIGIBLE * self.before:
            return "no difference seen"
        return "less" if self.after < self.before else "more"


_Samples = Callable[[Result], Sequence[float]]


def _peak_rss(result: Result) -> Sequence[float]:
    return () if result.memory is None else (result.memory.peak_rss,)


def _anonymous(result: Result) -> Sequence[float]:
    return () if result.memory is None else (result.memory.peak_anonymous,)


_FIGURES: tuple[tuple[str, _Samples, Callable[[float], str]], ...] = (
    ("median time", lambda result: result.samples_ns, as_time),
    ("allocated", lambda result: result.heap.allocated if result.heap else (), as_bytes),
    ("peak RSS", _peak_rss, as_bytes),
    ("peak anonymous", _anonymous, as_bytes),
)


def compare_suites(before: Suite, after: Suite) -> list[Change]:
    """What has changed between two suites, in the order of the later one.

    Scenarios that only one of them has, or that failed in one, are left out.
    """
    earlier = {r.scenario: r for r in before.results if r.is_ok and not r.scenario.tag}
    changes = [
        change
        for result in after.results
        if result.is_ok and (old := earlier.get(result.scenario)) is not None
        for change in _changes(old, result)
    ]
    tested = [index for index, change in enumerate(changes) if change.p is not None]
    corrected = holm([changes[index].p or 0.0 for index in tested])
    for index, p in zip(tested, corrected, strict=True):
        changes[index] = replace(changes[index], p=p)
    return changes


def _changes(before: Result, after: Result) -> Iterator[Change]:
    for figure, samples_of, show in _FIGURES:
        old, new = samples_of(before), samples_of(after)
        if not old or not new:
            continue
        medians = (summarize(old).median, summarize(new).median)
        many = min(len(old), len(new)) >= 3
        yield Change(
            after.scenario,
            figure,
            *medians,
            show,
            interval=ratio_interval(old, new) if many else None,
            p=mann_whitney(old, new) if many else None,
        )


def differences(before: Machine, after: Machine) -> list[str]:
    """How two machines differ in what figures depend on.

    >>> differences(Machine(cores=2, packages={"numpy": "1"}), Machine(cores=4, packages={}))
    ['cores: 2, then 4', 'numpy: 1, then none']
    """
    names = ("system", "kernel", "cpu", "cores", "memory_bytes", "governor", "python")
    pairs = [(name, getattr(before, name), getattr(after, name)) for name in names]
    packages = sorted({*before.packages, *after.packages})
    pairs += [(n, before.packages.get(n), after.packages.get(n)) for n in packages]
    changed = [(name, old or "none", new or "none") for name, old, new in pairs if old != new]
    return [f"{name}: {old}, then {new}" for name, old, new in changed]


def conclusion(changes: Sequence[Change], before: str) -> str:
    """What has changed, in one sentence: how many figures, and the one that has changed most."""
    told = [change for change in changes if change.verdict in ("less", "more")]
    tested = [change for change in changes if change.p is not None]
    if not changes:
        return f"nothing can be compared with {before}: no scenario ended well in both."
    if not told:
        return f"no difference from {before} is seen in {len(tested)} figures that were tested."
    most = max(told, key=times_of)
    times = f"{times_of(most):.3g} times"
    what = f"{most.figure} of {most.scenario.job} with {most.scenario.label}"
    return (
        f"{len(told)} of {len(tested)} tested figures differ from {before}; most of all "
        f"{what}: {most.show(most.before)}, now {most.show(most.after)}, {times} {most.verdict}."
    )


def times_of(change: Change) -> float:
    """How many times more or less, 1 or more."""
    ratio = change.ratio
    if ratio is None or ratio <= 0:
        return float("inf")
    return max(ratio, 1 / ratio)
