"""The measured process: does one job and tells what it saw.

In: a JSON object on the first line of standard input (see :mod:`pelemay.bench.process`).
Out: JSON lines on the file descriptor named on the command line, so that whatever a backend
prints does not mix with them. Before and after a sample that the parent wants to watch, the
worker says so and waits for a line of standard input.

Started as ``python -m pelemay.bench.worker FD``. It imports next to nothing before its baseline.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pelemay.backends.protocol import LimitedBackend
from pelemay.bench import resident
from pelemay.bench.jobs import JOBS, Case, Sample
from pelemay.errors import BackendUnavailableError, PelemayError, UnsupportedError

Spec = Mapping[str, Any]
Answer = dict[str, Any]


class Channel:
    """The line to the parent."""

    def __init__(self, descriptor: int) -> None:
        self._out = os.fdopen(descriptor, "w", encoding="utf-8")

    def tell(self, event: str, **values: Any) -> None:
        """Tell the parent what happens."""
        self._out.write(json.dumps({"event": event, **values}) + "\n")
        self._out.flush()

    def ask(self, event: str) -> None:
        """Tell, and go on when the parent answers."""
        self.tell(event)
        if not sys.stdin.readline():
            raise SystemExit("the parent is gone")


def _case(spec: Spec, backend: Any) -> Case:
    feeds: dict[str, Any] = {}
    if spec.get("feeds"):
        import numpy as np

        with np.load(spec["feeds"], allow_pickle=False) as file:
            feeds = {name: file[name] for name in file.files}
    limit = spec.get("memory_limit")
    return Case(backend, Path(spec["model"]), feeds, spec.get("threads"), limit)


def measure(spec: Spec, channel: Channel, backend: Any) -> Answer:
    """Watch the memory of the first sample, warm up, then time samples."""
    bare = resident.read().rss
    backend.import_runtime()
    case = _case(spec, backend)
    gc.collect()
    baseline = resident.read()
    sample = JOBS[spec["job"]].setup(case)
    answer = _watched(sample, channel, bool(spec.get("watch")))
    answer |= {"runtime_import": baseline.rss - bare, "baseline": baseline}
    answer["keeps_limits"] = isinstance(backend, LimitedBackend)
    bracket = _bracket(channel, bool(spec.get("hooked")))
    _repeat(sample, bracket, spec["warmup_s"] - answer["first_ns"] / 1e9, 1, spec["max_samples"])
    least, most = spec["min_samples"], spec["max_samples"]
    samples_ns = _repeat(sample, bracket, spec["time_s"], least, most)
    return answer | {"samples_ns": samples_ns, "files": _used_files() if spec.get("files") else []}


def _watched(sample: Sample, channel: Channel, watch: bool) -> Answer:
    """Run the first sample of the process between two readings of its memory."""
    bracket = _bracket(channel, watch)
    is_reset = resident.reset_peak()
    bracket("before_sample")
    start = time.perf_counter_ns()
    result = sample()
    first_ns = time.perf_counter_ns() - start
    end = resident.read()
    bracket("after_sample")
    pss = resident.read_pss()
    del result
    return {"first_ns": first_ns, "end": end, "pss": pss, "is_reset": is_reset}


def _bracket(channel: Channel, wanted: bool) -> Callable[[str], None]:
    return channel.ask if wanted else lambda _: None


def _repeat(
    sample: Sample, bracket: Callable[[str], None], seconds: float, least: int, most: int
) -> list[int]:
    """Time samples for some seconds, ``least`` of them, or one if a sample is longer."""
    times: list[int] = []
    limit_ns, began = seconds * 1e9, time.perf_counter_ns()
    while limit_ns > 0 and len(times) < most:
        is_over = time.perf_counter_ns() - began >= limit_ns
        if times and is_over and (len(times) >= least or max(times) > limit_ns):
            break
        bracket("before_sample")
        start = time.perf_counter_ns()
        result = sample()
        times.append(time.perf_counter_ns() - start)
        bracket("after_sample")
        del result
    return times


def follow(spec: Spec, channel: Channel, backend: Any) -> Answer:
    """Do a job step by step, and tell the parent of each before it begins."""
    channel.ask("packages")
    backend.import_runtime()
    steps = JOBS[spec["job"]].follow(_case(spec, backend))
    until = None
    for step in steps:
        if step != "steady":
            channel.ask(step)
        elif until is None:
            channel.ask(step)
            until = time.monotonic() + spec["time_s"]
        elif time.monotonic() > until:
            break
    channel.ask("end")
    return {}


def _used_files() -> list[str]:
    """Files whose pages this process may have brought into memory."""
    modules = [getattr(module, "__cached__", None) for module in list(sys.modules.values())]
    return sorted({*resident.mapped_files(), *(path for path in modules if path)})


def measure_heap(spec: Spec, channel: Channel, backend: Any) -> Answer:
    """Follow samples with memray."""
    from pelemay.bench import heap

    if not heap.available():
        raise BackendUnavailableError(heap.WHY_NOT)
    mapped_sizes = heap.note_mapped_files()
    backend.import_runtime()
    job = JOBS[spec["job"]]
    sample = job.setup(_case(spec, backend))
    bracket = _bracket(channel, bool(spec.get("hooked")))
    if not job.once_per_process:
        # What the first sample loads for all others must not decide the median of a few.
        bracket("before_sample")
        sample()
        bracket("after_sample")
    uses: list[heap.HeapUse] = []
    began = time.monotonic()
    while not uses or not (job.once_per_process or time.monotonic() - began >= spec["time_s"]):
        bracket("before_sample")
        uses.append(heap.track(sample, mapped_sizes, spec["folder"]))
        bracket("after_sample")
    return {"allocated": [u.allocated for u in uses], "peak": [u.peak for u in uses]}


def compile_within(spec: Spec, _channel: Channel, backend: Any) -> Answer:
    """Make what a process with a limit can open; this one has none that is enforced."""
    backend.import_runtime()
    case = _case(spec, backend)
    shapes = {name: value.shape for name, value in case.feeds.items()}
    limit = case.memory_limit
    path = backend.compiled_within(case.path, shapes, memory_limit=limit, threads=case.threads)
    return {"model": str(path)}


def check(spec: Spec, _channel: Channel, backend: Any) -> Answer:
    """Compute what the parent compares between backends: outputs or parameters."""
    backend.import_runtime()
    case = _case(spec, backend)
    parts = {"outputs": _save_outputs, "parameters": _digest_parameters}
    start = time.monotonic()
    value = parts[spec["part"]](case, spec)
    return {
        "value": value,
        "keeps_names": _keeps_names(backend),
        "once_s": time.monotonic() - start,
    }


def _keeps_names(backend: Any) -> bool:
    """Whether its parameters are arrays under the names of ONNX, so that they can be compared."""
    return getattr(backend, "keeps_names", True)


def _save_outputs(case: Case, spec: Spec) -> str:
    import numpy as np

    outputs = case.backend.prepare(case.path, threads=case.threads).run(case.feeds)
    flat = [pair for name, value in outputs.items() for pair in _flatten(name, value)]
    arrays: dict[str, Any] = {name: np.asarray(value) for name, value in flat}
    np.savez(spec["outputs"], **arrays)
    return str(spec["outputs"])


def _flatten(name: str, value: Any) -> list[tuple[str, Any]]:
    """An output that is a sequence or a map, as arrays with names of their own."""
    if isinstance(value, Mapping):
        value = [item for pair in sorted(value.items()) for item in pair]
    if not isinstance(value, list | tuple):
        return [(name, value)]
    return [pair for i, item in enumerate(value) for pair in _flatten(f"{name}[{i}]", item)]


def _digest_parameters(case: Case, _spec: Spec) -> dict[str, str]:
    import hashlib

    import numpy as np

    parameters = case.backend.parameters(case.path)
    if not _keeps_names(case.backend):
        return {}
    digests = {}
    for name, value in parameters.items():
        array = np.asarray(value)
        digest = hashlib.sha256(f"{array.dtype.name} {array.shape} ".encode())
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
        digests[name] = digest.hexdigest()
    return digests


def _failure(error: BaseException) -> Answer:
    status = "error"
    if isinstance(error, UnsupportedError):
        status = "unsupported"
    elif isinstance(error, BackendUnavailableError):
        status = "unavailable"
    kind = "" if isinstance(error, PelemayError) else f"{type(error).__name__}: "
    return {"status": status, "message": f"{kind}{error}"}


PHASES = {
    "measure": measure,
    "heap": measure_heap,
    "follow": follow,
    "compile": compile_within,
    "check": check,
}


def main(argv: list[str]) -> int:
    """Do what the first line of standard input says; 0 also when the job fails in order."""
    channel = Channel(int(argv[1]))
    spec = json.loads(sys.stdin.readline())
    try:
        from pelemay.backends.registry import get

        answer = PHASES[spec["phase"]](spec, channel, get(spec["backend"]))
    except Exception as error:  # noqa: BLE001 - whatever a backend raises becomes a line of the report
        import traceback

        traceback.print_exc()
        channel.tell("failed", **_failure(error))
        return 0
    channel.tell("done", **answer)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
