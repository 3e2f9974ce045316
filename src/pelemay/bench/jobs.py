"""The jobs: what is done with a model while it is measured.

In: a :class:`Case` (backend, model file, inputs). Out: a function without arguments that does
the job once; what it returns is kept until the memory is read, then dropped outside of the time.

>>> sorted(JOBS)
['import', 'import+serialize', 'load+first run', 'run']

The worker imports this module, so it needs nothing that would weigh in a measured process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, cast

if TYPE_CHECKING:
    from pathlib import Path

    from pelemay.backends.protocol import Backend, Runnable

Sample = Callable[[], Any]


class Case(NamedTuple):
    """What a job works on."""

    backend: Backend
    path: Path
    feeds: Mapping[str, Any]
    threads: int | None
    memory_limit: int | None = None

    def prepared(self) -> Runnable:
        """The model, ready to run; within the limit, where there is one."""
        if self.memory_limit is None:
            return self.backend.prepare(self.path, threads=self.threads)
        limited = cast("Any", self.backend)
        return limited.prepare(  # type: ignore[no-any-return]
            self.path, threads=self.threads, memory_limit=self.memory_limit
        )


class Job(NamedTuple):
    """A job: how to make it ready, its steps one by one, and what it needs.

    ``follow`` says the name of each step before it does it; the last, "steady", it does again
    and again.
    """

    name: str
    setup: Callable[[Case], Sample]
    follow: Callable[[Case], Iterator[str]]
    runs_model: bool
    once_per_process: bool


def _import(case: Case) -> Sample:
    return lambda: case.backend.parameters(case.path)


def _import_and_serialize(case: Case) -> Sample:
    return lambda: case.backend.serialize(case.backend.parameters(case.path))


def _load_and_run(case: Case) -> Sample:
    def sample() -> Any:
        runnable = case.prepared()
        return runnable, runnable.run(case.feeds)

    return sample


def _run(case: Case) -> Sample:
    runnable = case.prepared()
    runnable.run(case.feeds)  # Compiling and caching on first use belongs to "load+first run".
    return lambda: runnable.run(case.feeds)


def _follow_import(case: Case) -> Iterator[str]:
    yield "import"
    held = case.backend.parameters(case.path)
    while True:
        yield "steady"
        del held
        held = case.backend.parameters(case.path)


def _follow_import_and_serialize(case: Case) -> Iterator[str]:
    yield "import"
    parameters = case.backend.parameters(case.path)
    yield "serialize"
    held = case.backend.serialize(parameters)
    del parameters
    while True:
        yield "steady"
        del held
        held = case.backend.serialize(case.backend.parameters(case.path))


def _follow_run(case: Case) -> Iterator[str]:
    yield "load"
    runnable = case.prepared()
    yield "first run"
    held = runnable.run(case.feeds)
    while True:
        yield "steady"
        del held
        held = runnable.run(case.feeds)


JOBS = {
    job.name: job
    for job in (
        Job("import", _import, _follow_import, False, False),
        Job("import+serialize", _import_and_serialize, _follow_import_and_serialize, False, False),
        Job("load+first run", _load_and_run, _follow_run, True, True),
        Job("run", _run, _follow_run, True, False),
    )
}
DEFAULT_JOBS = ("import+serialize", "load+first run")
