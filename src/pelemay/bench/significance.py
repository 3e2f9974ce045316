"""Whether two lots of samples differ, and by how much.

In: samples. Out: a probability, an interval, probabilities corrected for being many.

>>> round(mann_whitney([1, 2, 3, 4, 5], [6, 7, 8, 9, 10]), 4)
0.0079
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

_MOST_FOR_EXACT = 40
_RESAMPLES = 2000
_MOST_RESAMPLED = 1000


def mann_whitney(a: Sequence[float], b: Sequence[float]) -> float:
    """The probability of a difference in rank at least this large if there is none; two-sided.

    Parameters
    ----------
    a, b : sequence of float
        Samples, at least one each.

    Returns
    -------
    float
        Exact for up to 40 samples without ties; else by the normal distribution, corrected for
        ties and continuity.

    Notes
    -----
    Mann and Whitney, *On a test of whether one of two random variables is stochastically larger
    than the other*, 1947.
    """
    counts = Counter([*a, *b])
    ranks = _ranks(counts)
    u = sum(ranks[value] for value in a) - len(a) * (len(a) + 1) / 2
    u = min(u, len(a) * len(b) - u)
    if len(a) + len(b) <= _MOST_FOR_EXACT and max(counts.values()) == 1:
        return min(1.0, 2 * _share_up_to(int(u), len(a), len(b)))
    return _normal(u, len(a), len(b), counts.values())


def _ranks(counts: Counter[float]) -> dict[float, float]:
    """The rank of each value; the same values share the mean of their ranks."""
    ranks, below = {}, 0
    for value, count in sorted(counts.items()):
        ranks[value] = below + (count + 1) / 2
        below += count
    return ranks


def _share_up_to(u: int, m: int, n: int) -> float:
    """The share of orders of m and n samples whose statistic is at most u.

    The number of orders for each statistic is a coefficient of a Gaussian binomial.
    """
    ways = [1] + [0] * u
    for i in range(1, m + 1):
        for at in range(u, n + i - 1, -1):
            ways[at] -= ways[at - n - i]
        for at in range(i, u + 1):
            ways[at] += ways[at - i]
    return sum(ways) / math.comb(m + n, m)


def _normal(u: float, m: int, n: int, ties: Iterable[int]) -> float:
    count = m + n
    tied = sum(t**3 - t for t in ties)
    variance = m * n / 12 * (count + 1 - tied / (count * (count - 1)))
    if variance <= 0:
        return 1.0
    z = (abs(u - m * n / 2) - 0.5) / math.sqrt(variance)
    return min(1.0, math.erfc(max(z, 0.0) / math.sqrt(2)))


def ratio_interval(
    before: Sequence[float], after: Sequence[float], share: float = 0.95
) -> tuple[float, float] | None:
    """Where the ratio of the medians, after over before, lies: percentiles of a bootstrap.

    Parameters
    ----------
    before, after : sequence of float
        Samples; of more than 1,000 some at equal distances are taken.
    share : float
        Of the resamples that lie in the interval.

    Returns
    -------
    (float, float) or None
        None for fewer than 3 samples, or where a median is 0.

    Notes
    -----
    Efron, *Bootstrap methods: another look at the jackknife*, 1979. The same seed every time.
    """
    import numpy as np

    if min(len(before), len(after)) < 3:
        return None
    random = np.random.default_rng(0)
    medians = []
    for samples in (before, after):
        kept = np.asarray(samples, np.float64)[:: -(-len(samples) // _MOST_RESAMPLED)]
        medians.append(np.median(random.choice(kept, (_RESAMPLES, len(kept))), axis=1))
    if not medians[0].all():
        return None
    edges = (50 * (1 - share), 50 * (1 + share))
    low, high = np.percentile(medians[1] / medians[0], edges)
    return float(low), float(high)


def holm(probabilities: Sequence[float]) -> list[float]:
    """Probabilities corrected for being many, in the same order.

    Notes
    -----
    Holm, *A simple sequentially rejective multiple test procedure*, 1979.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    found = [0.0] * len(probabilities)
    least = 0.0
    order = sorted(range(len(probabilities)), key=lambda i: probabilities[i])
    for rank, index in enumerate(order):
        least = max(least, min(1.0, probabilities[index] * (len(order) - rank)))
        found[index] = least
    return found
