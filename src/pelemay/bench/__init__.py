"""The benchmark: what importing and running a model costs, in time and in memory.

In: jobs, models, backends, options. Out: a :class:`Suite`, and reports of it. The names below
are loaded when they are first used, because a measured process imports this package too.

>>> from pelemay import bench
>>> bench.Options(time_s=1.0).warmup_s
2.0
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pelemay.bench.budget import default_suite_options, estimate_seconds
    from pelemay.bench.figures import FIGURES, explain
    from pelemay.bench.finding import findings
    from pelemay.bench.jobs import DEFAULT_JOBS, JOBS
    from pelemay.bench.reports import (
        FORMATTERS,
        format_console,
        format_header,
        format_html,
        format_json,
        format_markdown,
    )
    from pelemay.bench.results import Result
    from pelemay.bench.runner import Progress, run_suite
    from pelemay.bench.scenario import Hooks, ModelInfo, Options, Scenario
    from pelemay.bench.suite import Suite

_HOMES = {
    "budget": ("default_suite_options", "estimate_seconds"),
    "figures": ("FIGURES", "explain"),
    "finding": ("findings",),
    "jobs": ("DEFAULT_JOBS", "JOBS"),
    "reports": (
        "FORMATTERS",
        "format_console",
        "format_header",
        "format_html",
        "format_json",
        "format_markdown",
    ),
    "results": ("Result",),
    "runner": ("Progress", "run_suite"),
    "scenario": ("Hooks", "ModelInfo", "Options", "Scenario"),
    "suite": ("Suite",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [  # noqa: RUF022 - in the order in which they are used
    "JOBS",
    "DEFAULT_JOBS",
    "Scenario",
    "ModelInfo",
    "Options",
    "Hooks",
    "default_suite_options",
    "estimate_seconds",
    "run_suite",
    "Progress",
    "Suite",
    "Result",
    "FORMATTERS",
    "format_console",
    "format_header",
    "format_html",
    "format_json",
    "format_markdown",
    "findings",
    "FIGURES",
    "explain",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'pelemay.bench' has no attribute {name!r}")
    value = getattr(import_module(f"pelemay.bench.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
