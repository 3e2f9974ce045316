"""Statistics of samples, defined as Benchee defines them.

In: numbers. Out: :class:`Statistics`, and :class:`Comparison` of several.

>>> summary = summarize([200, 400, 400, 400, 500, 500, 500, 700, 900])
>>> summary.average, summary.deviation, summary.median, summary.mode
(500.0, 200.0, 500.0, (400, 500))
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Statistics:
    """Statistics of one scenario's samples, in the samples' unit.

    ``deviation`` is the standard deviation of a sample (divided by n - 1), ``deviation_ratio``
    that over the average, ``mode`` the values that occur most often, empty if none occurs twice.
    """

    average: float
    deviation: float
    deviation_ratio: float
    median: float
    p99: float
    minimum: float
    maximum: float
    mode: tuple[float, ...]
    sample_size: int
    outliers: tuple[float, ...] = ()

    def per_second(self, unit_per_second: float = 1e9) -> float:
        """How often a second the job could be done: ``ips``; samples are in nanoseconds."""
        return unit_per_second / self.average if self.average else math.inf


def percentile(ordered: Sequence[float], rank: float) -> float:
    """The value below which ``rank`` percent of the samples lie.

    Parameters
    ----------
    ordered : sequence of float
        Samples in ascending order, at least one.
    rank : float
        Between 0 and 100.

    Notes
    -----
    Interpolates at rank/100 * (n + 1): method 6 of Hyndman and Fan, and NIST's Engineering
    Statistics Handbook, section 7.2.6.2.

    Examples
    --------
    >>> percentile([95.1, 95.2, 95.3], 50)
    95.2
    """
    place = rank / 100 * (len(ordered) + 1)
    if place < 1:
        return float(ordered[0])
    if place >= len(ordered):
        return float(ordered[-1])
    low, high = ordered[int(place) - 1], ordered[int(place)]
    return low + (place - int(place)) * (high - low)


def summarize(samples: Sequence[float], *, exclude_outliers: bool = False) -> Statistics:
    """Compute all statistics of the samples.

    Parameters
    ----------
    samples : sequence of float
        At least one.
    exclude_outliers : bool
        Leave out, once, what lies beyond 1.5 interquartile ranges of the quartiles.

    Raises
    ------
    ValueError
        If there is no sample.
    """
    if not samples:
        raise ValueError("there are no samples to summarize")
    ordered = sorted(samples)
    low, high = _fences(ordered)
    outliers = tuple(v for v in ordered if not low <= v <= high)
    if exclude_outliers:
        ordered = [v for v in ordered if low <= v <= high]
    average = math.fsum(ordered) / len(ordered)
    deviation = _deviation(ordered, average)
    return Statistics(
        average=average,
        deviation=deviation,
        deviation_ratio=abs(deviation / average) if average else 0.0,
        median=percentile(ordered, 50),
        p99=percentile(ordered, 99),
        minimum=ordered[0],
        maximum=ordered[-1],
        mode=_modes(ordered),
        sample_size=len(ordered),
        outliers=outliers,
    )


def _fences(ordered: Sequence[float]) -> tuple[float, float]:
    first, third = percentile(ordered, 25), percentile(ordered, 75)
    reach = 1.5 * (third - first)
    return first - reach, third + reach


def _deviation(samples: Sequence[float], average: float) -> float:
    if len(samples) == 1:
        return 0.0
    return math.sqrt(math.fsum((v - average) ** 2 for v in samples) / (len(samples) - 1))


def _modes(ordered: Sequence[float]) -> tuple[float, ...]:
    counts = Counter(ordered)
    most = max(counts.values())
    return tuple(value for value, count in counts.items() if count == most > 1)


@dataclass(frozen=True)
class Comparison:
    """How one scenario relates to the best: ``ratio`` times as much, ``difference`` more."""

    label: str
    value: float
    ratio: float
    difference: float


def compare(values: Mapping[str, float]) -> list[Comparison]:
    """Compare values, where less is better, with the least.

    Returns
    -------
    list of Comparison
        In ascending order, the best first with a ratio of 1; a ratio to zero is infinite.

    Examples
    --------
    >>> [(c.label, c.ratio, c.difference) for c in compare({"map": 190.0, "flat": 150.0})]
    [('flat', 1.0, 0.0), ('map', 1.2666666666666666, 40.0)]
    """
    ordered = sorted(values.items(), key=lambda item: item[1])
    best = ordered[0][1] if ordered else 0.0
    return [Comparison(name, v, _ratio(v, best), v - best) for name, v in ordered]


def _ratio(value: float, best: float) -> float:
    if value == best:
        return 1.0
    return value / best if best else math.inf
