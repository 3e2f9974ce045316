"""The activation functions that have a name, and how to find one by its values.

In: what an unknown function gives at :data:`POINTS`. Out: the operation that gives the same, with
its parameters, or None. Parameters are read off single points, and the whole is then compared.

>>> import numpy as np
>>> recognise(np.clip(POINTS, 0.0, 6.0))
Known(op='Clip', attributes=(), inputs=(0.0, 6.0))
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import array_api_compat.numpy as xp
import numpy as np
import numpy.typing as npt

from pelemay.graph.operations import find

Numbers = npt.NDArray[np.float64]

NEAR: Numbers = np.concatenate(
    [np.linspace(-8, 8, 193), [-30.0, -20.0, -12.0, 12.0, 20.0, 30.0], [-1.0, 0.0, 1.0, 0.125]]
)
FAR: Numbers = np.power(10.0, np.arange(2, 39), dtype=np.float64)
"""To the end of float32: a function may bend there, such as one that ends at 255."""

POINTS: Numbers = np.concatenate([NEAR, FAR, -FAR])
POINTS.flags.writeable = False


@dataclass(frozen=True)
class Known:
    """An activation with its parameters.

    Attributes
    ----------
    op : str
        The standard operation.
    attributes : tuple of (str, object)
        Its attributes.
    inputs : tuple of float
        Its inputs after the first, which are constants.
    """

    op: str
    attributes: tuple[tuple[str, Any], ...] = ()
    inputs: tuple[float, ...] = ()

    def values(self) -> Numbers:
        """What it gives at :data:`POINTS`."""
        row = find(self.op)
        assert row is not None
        inputs = (np.asarray(number, np.float64) for number in self.inputs)
        found = row.meaning(xp, POINTS, *inputs, **dict(self.attributes))
        return np.asarray(found, np.float64)


PLAIN = (
    Known("Relu"),
    Known("Sigmoid"),
    Known("HardSwish"),
    Known("Tanh"),
    Known("Gelu"),
    Known("Gelu", (("approximate", "tanh"),)),
    Known("Softplus"),
    Known("Mish"),
)
"""Those without parameters."""


@cache
def _plain_values() -> tuple[tuple[Known, Numbers], ...]:
    with np.errstate(all="ignore"):
        return tuple((known, known.values()) for known in PLAIN)


def recognise(values: Numbers, tolerance: float = 2e-6) -> Known | None:
    """The activation that gives ``values`` at :data:`POINTS`: the nearest, if it is near enough.

    Parameters
    ----------
    values : array of float64
        As many as there are points.
    tolerance : float
        How far a value may be off, relative to one more than its size.

    Returns
    -------
    Known or None
    """
    if values.shape != POINTS.shape or not np.isfinite(values[: NEAR.size]).all():
        return None
    at = dict(zip(POINTS.tolist(), values.tolist(), strict=True))
    with np.errstate(all="ignore"):
        fitted = (known for fit in FITS for known in fit(at))
        pairs = [*_plain_values(), *((known, known.values()) for known in fitted)]
        errors = [_error(values, expected) for _, expected in pairs]
    best = int(np.argmin(errors))
    return pairs[best][0] if errors[best] <= tolerance else None


def _error(found: Numbers, expected: Numbers) -> float:
    """The largest, where the function that was found has not overflowed on the way."""
    known = np.isfinite(found)
    worst = float((np.abs(found - expected) / (1 + np.abs(expected)))[known].max())
    return worst if np.isfinite(worst) else math.inf


At = dict[float, float]


def _single(number: float) -> float:
    """A parameter in single precision, and 1 where it is as near to that."""
    return 1.0 if abs(number - 1) < 1e-6 else float(np.float32(number))


def _clip(at: At) -> Iterator[Known]:
    low, high = at[-30.0], at[30.0]
    if -30 < low < high < 30:
        yield Known("Clip", inputs=(low, high))


def _leaky_relu(at: At) -> Iterator[Known]:
    slope = _single(-at[-1.0])
    if at[0.0] == 0 and slope != 1:
        yield Known("LeakyRelu", (("alpha", slope),))


def _hard_sigmoid(at: At) -> Iterator[Known]:
    middle = at[0.0]
    if 0 < middle < 1:
        slope = (at[0.125] - middle) / 0.125
        yield Known("HardSigmoid", (("alpha", _single(slope)), ("beta", _single(middle))))


def _swish(at: At) -> Iterator[Known]:
    share = at[1.0]
    if at[0.0] == 0 and 0 < share < 1:
        yield Known("Swish", (("alpha", _single(math.log(share / (1 - share)))),))


def _elu(at: At) -> Iterator[Known]:
    if at[0.0] == 0 and at[-30.0] < 0:
        yield Known("Elu", (("alpha", _single(-at[-30.0])),))


FITS: tuple[Callable[[At], Iterator[Known]], ...] = (
    _clip,
    _leaky_relu,
    _hard_sigmoid,
    _swish,
    _elu,
)
"""Those with parameters: each guesses them from single points."""
