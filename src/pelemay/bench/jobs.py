"""The jobs: what is done with a model while it is measured.

In: a :class:`Case` (backend, model file, inputs). Out: a function without arguments that does
the job once; what it returns is kept until the memory is read, then dropped outside of the time.

>>> sorted(JOBS)
['import', 'import+serialize', 'load+first run', 'run']

The worker imports this module, so it needs nothing that would weigh in a measured process.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

    from pelemay.backends.protocol import Backend

Sample = Callable[[], Any]


class Case(NamedTuple):
    """What a job works on."""

    backend: Backend
    path: Path
    feeds: Mapping[str, Any]
    threads: int | None


class Job(NamedTuple):
    """A job: how to make it ready, and what it needs."""

    name: str
    setup: Callable[[Case], Sample]
    runs_model: bool
    once_per_process: bool


def _import(case: Case) -> Sample:
    return lambda: case.backend.parameters(case.path)


def _import_and_serialize(case: Case) -> Sample:
    return lambda: case.backend.serialize(case.backend.parameters(case.path))


def _load_and_run(case: Case) -> Sample:
    def sample() -> Any:
        runnable = case.backend.prepare(case.path, threads=case.threads)
        return runnable, runnable.run(case.feeds)

    return sample


def _run(case: Case) -> Sample:
    runnable = case.backend.prepare(case.path, threads=case.threads)
    runnable.run(case.feeds)  # Compiling and caching on first use belongs to "load+first run".
    return lambda: runnable.run(case.feeds)


JOBS = {
    job.name: job
    for job in (
        Job("import", _import, runs_model=False, once_per_process=False),
        Job("import+serialize", _import_and_serialize, runs_model=False, once_per_process=False),
        Job("load+first run", _load_and_run, runs_model=True, once_per_process=True),
        Job("run", _run, runs_model=True, once_per_process=False),
    )
}
DEFAULT_JOBS = ("import+serialize", "load+first run")
