"""Suites of the benchmark that were never measured, for tests of what is made of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from pelemay.bench import ModelInfo, Options, Result, Scenario, Suite
from pelemay.bench.machine import Machine
from pelemay.bench.results import Check, Fit, Heap, Memory, Step, Timeline


def _result(job: str, backend: str, times: tuple[int, ...], scale: int, **more: Any) -> Result:
    memory = Memory(
        runtime_import=26_000_000,
        baseline=40_000_000,
        peak_rss=scale * 21 // 29,
        anonymous=scale // 2,
        file_backed=scale // 4,
        peak_anonymous=scale // 2,
        end_anonymous=scale // 4,
        end_file_backed=scale // 8,
        pss_end=55_000_000,
        is_exact=True,
    )
    heap = Heap(allocated=(scale,), peak=(scale // 2,))
    given = {"memory": memory, "heap": heap, **more}
    return Result(Scenario(job, "resnet101-v1-7", backend), samples_ns=times, **given)


def fixed_suite() -> Suite:
    """A suite with all kinds of results, of fixed figures."""
    asked = Options(budget_s=150.0, fit=True)
    used = replace(asked, warmup_s=0.5, time_s=1.25, memory_time_s=0.5)
    fit = Fit(36 << 20, 61_234_567.0, 36 << 20, "cgroup v1")
    no_fit = {"fit": "no memory cgroup may be used here"}
    wrong = "unlike onnxruntime: output 'y' differs by 0.5 where the largest value is 2"
    gone = replace(_result("load+first run", "torch", (), 1), memory=None, heap=None)
    times = (50_000_000, 52_000_000, 52_000_000, 55_000_000, 71_500_000)
    return Suite(
        machine=Machine(
            system="Fake Linux 1",
            kernel="Linux 6.1 x86_64",
            cpu="Fake CPU",
            cores=2,
            memory_bytes=4 << 30,
            governor="performance",
            load_average=0.25,
            python="CPython 3.11.7",
            packages={"numpy": "2.4.6", "pelemay": "0.1.0"},
            date="2026-11-24T00:00:00+00:00",
        ),
        options=asked,
        used={
            "import+serialize": used,
            "load+first run": replace(used, no_heap=("load+first run",)),
        },
        models=(ModelInfo("resnet101-v1-7", Path("r.onnx"), 178_914_043, True, "float_data"),),
        results=(
            _result("import+serialize", "reference", times, 400_000, fit=fit),
            _result("import+serialize", "naive", (3_910_000_000,), 2_900_000_000, notes=no_fit),
            _result("load+first run", "onnxruntime", times, 600_000_000),
            replace(gone, status="wrong", reason=wrong),
        ),
        checks=(
            Check("resnet101-v1-7", "onnxruntime", "outputs", "ok"),
            Check("resnet101-v1-7", "reference", "outputs", "ok", "", 3.1e-6),
        ),
        estimate_s=150.0,
        elapsed_s=141.3,
    )


def timeline(scale: int) -> Timeline:
    """What a process held that grows to a number of bytes, and then goes up and down."""
    at = range(0, 400_000, 2_000)
    held = [
        min(scale, scale * us // 200_000) - (scale // 4) * (us > 200_000 and us % 4000 == 0)
        for us in at
    ]
    names = ("packages", "load", "first run", "steady")
    steps = tuple(Step(name, 100_000 * number) for number, name in enumerate(names))
    return Timeline(tuple(at), tuple(held), tuple(h // 3 for h in held), steps)


def followed_suite(models: int = 1) -> Suite:
    """A suite of eight backends and two jobs for each model, with memory over time."""
    basic = fixed_suite()
    backends = ("naive", "native", "onnx", "onnxruntime", "openvino", "reference", "torch", "xla")
    scales = (
        2_900_000_000,
        12_000_000,
        700_000_000,
        610_000_000,
        640_000_000,
        1_000_000,
        800_000_000,
        790_000_000,
    )
    infos, results = [], []
    for number in range(models):
        name = f"network-{number}"
        infos.append(replace(basic.models[0], name=name))
        for job in ("import+serialize", "load+first run"):
            for backend, scale in zip(backends, scales, strict=True):
                times = tuple(scale * 3 // 2 + 1_000_000 * i for i in range(7))
                made = _result(job, backend, times, scale, timeline=timeline(scale + 40_000_000))
                results.append(replace(made, scenario=replace(made.scenario, model=name)))
    return replace(basic, models=tuple(infos), results=tuple(results))
