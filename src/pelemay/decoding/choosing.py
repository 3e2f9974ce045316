"""Which token comes next: the one with the highest score, or one drawn by the scores' softmax.

In: scores (texts, vocabulary). Out: a token for each text.

>>> Choice()(np.array([[0.0, 2.0, 1.0]]))
[1]
>>> drawn = Choice(temperature=1.0, top_k=2, seed=0)
>>> sorted({drawn(np.array([[0.0, 2.0, 1.0]]))[0] for _ in range(20)})
[1, 2]
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pelemay.errors import InputError

if TYPE_CHECKING:
    import numpy.typing as npt


class Choice:
    """A way to choose, and its random numbers.

    Parameters
    ----------
    temperature : float
        What scores are divided by; 0 takes the highest one.
    top_k : int
        How many of the highest scores are drawn from; 0 means all.
    seed : int, optional
        Of the random numbers.

    Raises
    ------
    InputError
        If the temperature or ``top_k`` is below 0.
    """

    def __init__(self, temperature: float = 0.0, top_k: int = 0, seed: int | None = None) -> None:
        if not temperature >= 0 or top_k < 0:
            what = f"a temperature of {temperature} and the {top_k} highest scores"
            raise InputError(what, hint="0 or more of each")
        self.temperature, self.top_k = temperature, top_k
        self._random = np.random.default_rng(seed)

    def __call__(self, scores: npt.NDArray[Any]) -> list[int]:
        """A token for each row of scores."""
        if self.temperature:
            scores = self._noisy(scores.astype(np.float64))
        return [int(token) for token in scores.argmax(axis=-1)]

    def _noisy(self, scores: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Scores of which the highest is drawn by their softmax (Gumbel, 1954)."""
        noisy = scores / self.temperature + self._random.gumbel(size=scores.shape)
        if 0 < self.top_k < scores.shape[-1]:
            lower = np.argpartition(scores, -self.top_k, axis=-1)[:, : -self.top_k]
            np.put_along_axis(noisy, lower, -np.inf, axis=-1)
        return noisy
