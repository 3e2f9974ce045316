"""What is measured, and how: values without behaviour.

In: names, paths and seconds. Out: frozen :class:`Scenario`, :class:`Options`, :class:`ModelInfo`
and :class:`Hooks`.

>>> Scenario(job="run", model="squeezenet", backend="reference").label
'reference'
>>> Options(time_s=-1)
Traceback (most recent call last):
pelemay.errors.InputError: time_s: -1 is not allowed; allowed: 0 or more
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from pelemay.errors import InputError


@dataclass(frozen=True)
class Scenario:
    """One job, done with one model by one backend; ``tag`` names the saved suite it is from."""

    job: str
    model: str
    backend: str
    tag: str = ""

    @property
    def label(self) -> str:
        """The backend's name, and the tag behind it, as tables show it."""
        return f"{self.backend} ({self.tag})" if self.tag else self.backend


@dataclass(frozen=True)
class ModelInfo:
    """A model to measure with, as tables and saved suites name it."""

    name: str
    path: Path
    file_bytes: int
    is_stand_in: bool = False
    encoding: str = ""

    @classmethod
    def of(cls, model: Any) -> ModelInfo:
        """Describe a path, or an object that has a ``path``.

        Parameters
        ----------
        model : str, Path or object
            An object may have ``name``, ``encoding`` (or an ``entry`` that has them) and
            ``is_stand_in``, as :class:`pelemay.models.ModelFile` does.

        Raises
        ------
        InputError
            If there is no such file.
        """
        if isinstance(model, ModelInfo):
            return model
        path = Path(model if isinstance(model, str | Path) else model.path)
        if not path.is_file():
            raise InputError("there is no such model file", where=str(path))
        row = getattr(model, "entry", None if isinstance(model, Path) else model)
        return cls(
            name=getattr(row, "name", path.stem),
            path=path,
            file_bytes=path.stat().st_size,
            is_stand_in=getattr(model, "is_stand_in", False),
            encoding=getattr(row, "encoding", ""),
        )


@dataclass(frozen=True)
class Options:
    """How long and how a scenario is measured.

    Parameters
    ----------
    warmup_s, time_s, memory_time_s : float
        Seconds of warming up, of timing, and of tracking the heap; 0 leaves a phase out.
    timeline_s : float
        Seconds of the steady state at the end of a timeline; 0 follows no memory over time.
    min_samples, max_samples : int
        Timing goes on until it has ``min_samples``, or one if a sample is longer than ``time_s``.
    threads : int, optional
        Threads that a backend may use; its own default if not given.
    exclude_outliers : bool
        Leave out samples beyond 1.5 interquartile ranges of the quartiles.
    fit : bool
        Search the smallest memory cgroup too.
    budget_s : float
        Seconds that the whole suite may take: the phases shrink equally; 0 is no budget.
    timeout_s : float
        Seconds after which one process is given up.
    pre_check : bool
        Compare all backends' answers before any is timed.
    seed : int
        Of the inputs.
    no_heap : tuple of str
        Jobs whose heap is not followed; a budget may put some here.
    """

    warmup_s: float = 2.0
    time_s: float = 5.0
    memory_time_s: float = 2.0
    timeline_s: float = 0.0
    min_samples: int = 5
    max_samples: int = 100_000
    threads: int | None = None
    exclude_outliers: bool = False
    fit: bool = False
    budget_s: float = 0.0
    timeout_s: float = 600.0
    pre_check: bool = True
    seed: int = 0
    no_heap: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            least = 1 if field.name in ("min_samples", "max_samples", "threads") else 0
            if isinstance(value, int | float) and value < least:
                allowed = f"{value} is not allowed; allowed: {least} or more"
                raise InputError(allowed, where=field.name)

    def follows_heap(self, job: str) -> bool:
        """Whether a job is done under memray too."""
        return bool(self.memory_time_s) and job not in self.no_heap

    @property
    def phases_s(self) -> float:
        """Seconds that the phases of one scenario take together."""
        return self.warmup_s + self.time_s + self.memory_time_s


def _nothing(*_: Any) -> None:
    """Do nothing: a hook that is not set."""


@dataclass(frozen=True)
class Hooks:
    """Functions called in the measuring process, outside of the measured time.

    ``before_scenario`` and ``before_sample`` take the :class:`Scenario`, ``after_scenario`` its
    result, ``after_sample`` the :class:`Scenario`. Searching what a scenario fits in is a scenario
    again.
    """

    before_scenario: Callable[[Scenario], Any] = _nothing
    after_scenario: Callable[[Any], Any] = _nothing
    before_sample: Callable[[Scenario], Any] = _nothing
    after_sample: Callable[[Scenario], Any] = _nothing

    @property
    def around_samples(self) -> bool:
        """Whether a hook wants to run around each sample."""
        return self.before_sample is not _nothing or self.after_sample is not _nothing
