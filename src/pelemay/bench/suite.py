"""A suite: everything that one run of the benchmark found, as a frozen value and as a file.

In: results. Out: JSON of a versioned schema, and the same suite back; several suites as one, to
compare what was measured at different times.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from pelemay.bench.codec import decode, encode
from pelemay.bench.machine import Machine
from pelemay.bench.results import Check, Result
from pelemay.bench.scenario import ModelInfo, Options
from pelemay.errors import BenchmarkError

SCHEMA = "pelemay.bench.suite"
VERSION = 1


@dataclass(frozen=True)
class Suite:
    """What was asked for, where, and what came out.

    ``options`` are those asked for, ``used`` those that a time budget left of them for each job.
    """

    machine: Machine
    options: Options
    models: tuple[ModelInfo, ...]
    used: Mapping[str, Options] = field(default_factory=dict)
    results: tuple[Result, ...] = ()
    checks: tuple[Check, ...] = ()
    estimate_s: float = 0.0
    elapsed_s: float = 0.0
    tag: str = ""

    @property
    def is_ok(self) -> bool:
        """Whether no scenario failed; one that is not supported or left out has not failed."""
        fine = ("ok", "unsupported", "unavailable", "left out")
        return all(result.status in fine for result in self.results)

    def to_json(self) -> str:
        """The suite as JSON text."""
        body = {"schema": SCHEMA, "version": VERSION, **encode(self)}
        return json.dumps(body, indent=1, ensure_ascii=False)

    def _repr_html_(self) -> str:
        """The report as a notebook shows it."""
        from pelemay.bench.reports.page import format_html
        from pelemay.pages import framed

        return framed(format_html(self))

    @classmethod
    def from_json(cls, text: str, *, where: str = "") -> Suite:
        """Read what :meth:`to_json` wrote.

        Raises
        ------
        BenchmarkError
            If it is something else, broken, or of a newer version.
        """
        try:
            body = json.loads(text)
            if body.get("schema") != SCHEMA:
                raise BenchmarkError("it is not a suite of pelemay bench", where=where)
            if body["version"] > VERSION:
                newer = f"it is of version {body['version']}; allowed: up to {VERSION}"
                raise BenchmarkError(newer, where=where, hint="Update pelemay")
            return decode(cls, body)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise BenchmarkError(f"it is broken: {error}", where=where) from error

    def save(self, path: str | os.PathLike[str], tag: str = "") -> Path:
        """Write the suite to a file, whole or not at all.

        Parameters
        ----------
        path : path
            Of the file; its folder is made if needed.
        tag : str, optional
            Name of the suite, shown behind its scenarios when it is compared with.

        Raises
        ------
        BenchmarkError
            If the file cannot be written.
        """
        target = Path(path)
        text = (replace(self, tag=tag) if tag else self).to_json()
        try:
            _write_whole(target, text)
        except OSError as error:
            what = f"it cannot be written: {error.strerror or error}"
            raise BenchmarkError(what, where=str(target)) from error
        return target

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Suite:
        """Read a suite from a file.

        Raises
        ------
        BenchmarkError
            If the file cannot be read or is not a suite.
        """
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise BenchmarkError(f"it cannot be read: {error}", where=str(path)) from error
        return cls.from_json(text, where=str(path))

    def compared_with(self, others: Iterable[Suite]) -> Suite:
        """Put the results of others behind its own, under their tags.

        A suite that has no tag is called by its date.
        """
        models, results = {model.name: model for model in self.models}, list(self.results)
        for other in others:
            tag = other.tag or other.machine.date
            models = {**{model.name: model for model in other.models}, **models}
            for result in other.results:
                scenario = replace(result.scenario, tag=result.scenario.tag or tag)
                results.append(replace(result, scenario=scenario))
        return replace(self, models=tuple(models.values()), results=tuple(results))


def _write_whole(target: Path, text: str) -> None:
    """Write a file, its folder too if needed; what was there stays until all is written."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(target)
    finally:
        Path(temporary).unlink(missing_ok=True)
