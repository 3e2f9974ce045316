"""How far answers are from others: ``difference(ours, theirs)``, for whatever a model gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np


def difference(ours: Any, theirs: Any) -> float:
    """The largest, relative to the largest value; infinite where there is nothing to compare."""
    if isinstance(theirs, list):
        theirs, ours = dict(enumerate(theirs)), dict(enumerate(ours))
    if isinstance(theirs, Mapping):
        if set(ours) != set(theirs):
            return float("inf")
        return max((difference(ours[key], theirs[key]) for key in theirs), default=0.0)
    a, b = np.asarray(ours), np.asarray(theirs)
    if a.shape != b.shape or a.dtype.kind != b.dtype.kind:
        return float("inf")
    if b.dtype.kind not in "fc":
        return float(np.any(a != b))
    wrong = ~((a == b) | (np.isnan(a) & np.isnan(b)))
    scale = np.abs(b[np.isfinite(b)]).max(initial=1e-30)
    with np.errstate(all="ignore"):
        gaps = np.abs(a[wrong].astype(np.float64) - b[wrong]) / scale
    return float(np.nan_to_num(gaps, nan=np.inf).max(initial=0.0))
