"""One scenario, measured: which processes run, one at a time, and what each contributes.

In: a scenario and how to measure it. Out: a :class:`Result`.

1. A fresh process whose first sample is watched from outside (memory), not timed. If the job can
   be repeated, the same process then warms up and is timed.
2. A job that a process can do once only is timed in further fresh processes.
3. Another process runs under memray (heap).
4. Another process does the job step by step, and what it holds is read over time (timeline).
5. ``--fit``, when all scenarios are measured: further processes, each in a memory cgroup.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pelemay.bench.cgroups import Controller
from pelemay.bench.fit import find_fit
from pelemay.bench.jobs import JOBS
from pelemay.bench.process import OnSample, Reply, run_worker
from pelemay.bench.results import Heap, Memory, Result
from pelemay.bench.scenario import Hooks, Options, Scenario
from pelemay.bench.timeline import Follower
from pelemay.bench.watch import Watcher
from pelemay.errors import BenchmarkError

Spec = dict[str, Any]


@dataclass(frozen=True)
class Bench:
    """How scenarios are measured; without ``has_time`` their memory is not followed over time."""

    options: Options
    hooks: Hooks
    has_time: bool = True


def measure_scenario(bench: Bench, scenario: Scenario, given: Mapping[str, Any]) -> Result:
    """Measure one scenario.

    Parameters
    ----------
    bench : Bench
        How.
    scenario : Scenario
        What.
    given : mapping
        The part of a worker's specification that depends on the model: ``model``, ``feeds`` and
        ``threads``.

    Returns
    -------
    Result
        Whatever goes wrong in a worker is in it; hooks may raise.
    """
    bench.hooks.before_scenario(scenario)
    spec = _spec(bench, scenario, given)
    result = _watch_and_time(bench, scenario, spec)
    if result.is_ok:
        result = _add_timeline(bench, _add_heap(bench, result, spec), spec)
    bench.hooks.after_scenario(result)
    return result


def add_fit(
    bench: Bench, result: Result, given: Mapping[str, Any], controller: Controller | str
) -> Result:
    """Find the smallest memory cgroup for a scenario that has been measured.

    Parameters
    ----------
    bench : Bench
        How it was measured.
    result : Result
        What was found; one that is not ok comes back as it is.
    given : mapping
        As for :func:`measure_scenario`.
    controller : Controller or str
        How to limit memory, or the reason if no cgroup may be used.
    """
    if not result.is_ok:
        return result
    if isinstance(controller, str):
        return _noted(result, "fit", controller)
    spec = _spec(bench, result.scenario, given)
    bench.hooks.before_scenario(result.scenario)
    try:
        found = find_fit(
            _timed(spec, bench.options) | {"watch": spec["hooked"]},
            controller,
            timeout_s=bench.options.timeout_s,
            on_sample=_around_samples(bench.hooks, result.scenario),
        )
    except BenchmarkError as error:
        result = _noted(result, "fit", str(error))
    else:
        result = replace(result, fit=found)
    bench.hooks.after_scenario(result)
    return result


def _spec(bench: Bench, scenario: Scenario, given: Mapping[str, Any]) -> Spec:
    return {
        "phase": "measure",
        "backend": scenario.backend,
        "job": scenario.job,
        "hooked": bench.hooks.around_samples,
        **given,
    }


def _watch_and_time(bench: Bench, scenario: Scenario, spec: Spec) -> Result:
    is_once = JOBS[scenario.job].once_per_process
    options = replace(bench.options, warmup_s=0.0, time_s=0.0) if is_once else bench.options
    watcher = Watcher()
    reply = _run(bench, scenario, _timed(spec, options) | {"watch": True}, watcher)
    if reply.status != "ok":
        return Result(scenario, reply.status, reply.message)
    samples = tuple(reply.answer["samples_ns"])
    if is_once and bench.options.time_s:
        reply_or_samples = _time_in_processes(bench, scenario, _timed(spec, options))
        if isinstance(reply_or_samples, Reply):
            return Result(scenario, reply_or_samples.status, reply_or_samples.message)
        samples = reply_or_samples
    return Result(scenario, samples_ns=samples, memory=Memory.of(reply.answer, watcher.readings))


def _timed(spec: Spec, options: Options) -> Spec:
    names = ("warmup_s", "time_s", "min_samples", "max_samples")
    return spec | {name: getattr(options, name) for name in names}


def _time_in_processes(bench: Bench, scenario: Scenario, spec: Spec) -> tuple[int, ...] | Reply:
    """Time the first sample of fresh processes; the first failure ends it."""
    samples: list[int] = []
    options, began = bench.options, time.monotonic()
    while len(samples) < options.max_samples:
        reply = _run(bench, scenario, spec | {"watch": bench.hooks.around_samples})
        if reply.status != "ok":
            return reply
        samples.append(reply.answer["first_ns"])
        is_over = time.monotonic() - began >= options.time_s
        if is_over and (len(samples) >= options.min_samples or reply.elapsed_s > options.time_s):
            break
    return tuple(samples)


def _run(bench: Bench, scenario: Scenario, spec: Spec, watcher: Watcher | None = None) -> Reply:
    try:
        return run_worker(
            spec,
            timeout_s=bench.options.timeout_s,
            on_sample=_around_samples(bench.hooks, scenario, watcher),
        )
    finally:
        if watcher is not None:
            watcher.close()


def _around_samples(hooks: Hooks, scenario: Scenario, watcher: Watcher | None = None) -> OnSample:
    """What happens around samples: the hooks, and inside of them the watcher for the first."""
    is_first = watcher is not None

    def on_sample(event: str, pid: int) -> None:
        nonlocal is_first
        if event == "before_sample":
            hooks.before_sample(scenario)
        if watcher is not None and is_first:
            watcher(event, pid)
            is_first = event == "before_sample"
        if event == "after_sample":
            hooks.after_sample(scenario)

    return on_sample


def _add_heap(bench: Bench, result: Result, spec: Spec) -> Result:
    options = bench.options
    if not options.follows_heap(result.scenario.job):
        is_budget = bool(options.memory_time_s)
        reason = "left out to keep the time budget" if is_budget else "memory time is 0"
        return _noted(result, "heap", reason)
    # The parent owns the folder of the trace, because a worker can be killed.
    with tempfile.TemporaryDirectory(prefix="pelemay-heap-") as folder:
        more = {"phase": "heap", "time_s": options.memory_time_s, "folder": folder}
        reply = _run(bench, result.scenario, spec | more)
    if reply.status != "ok":
        return _noted(result, "heap", reply.message)
    found = Heap(tuple(reply.answer["allocated"]), tuple(reply.answer["peak"]))
    return replace(result, heap=found)


def _add_timeline(bench: Bench, result: Result, spec: Spec) -> Result:
    options = bench.options
    if not options.timeline_s:
        return result
    if not bench.has_time:
        return _noted(result, "timeline", "left out to keep the time budget")
    follower = Follower()
    more = {"phase": "follow", "time_s": options.timeline_s}
    try:
        reply = run_worker(spec | more, timeout_s=options.timeout_s, on_sample=follower)
    finally:
        follower.close()
    if reply.status != "ok":
        return _noted(result, "timeline", reply.message)
    return replace(result, timeline=follower.timeline())


def _noted(result: Result, group: str, reason: str) -> Result:
    return replace(result, notes={**result.notes, group: reason})
