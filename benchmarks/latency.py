"""Latency against other runtimes, in one process, in turns: A B A B ..., medians, and their ratio.

    python benchmarks/latency.py [--models NAME...] [--threads 2 1] [--peers NAME...]
                                 [--rounds N] [--preempt] [--json FILE]

The ratio is ours / the peer's: below 1 pelemay is faster. ``fastest`` is the ratio to the fastest
peer, and its name. All outputs are compared before anything is timed; a peer whose answer is not
ours is left out, and said. Peers run with their default settings and the same number of threads,
in float32, which OpenVINO and ncnn have to be asked for where the processor has a shorter type. A
round is one run of each: what else the machine does hits all alike. If it does much, ``--preempt``
gives the runs, and only them, the processors at once (Linux's real-time class; takes root).

One that is not installed is left out: onnxruntime, openvino, and ncnn and litert, for which
``converted.py`` converts the networks; it says which packages that takes.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from converted import ConversionError, for_litert, for_ncnn

MODELS = (
    "resnet18-v1-7",
    "resnet50-v1-7",
    "resnet101-v1-7",
    "mobilenetv2-12",
    "squeezenet1.1-7",
    "efficientnet_lite0",
    "densenet121",
    "inception_v1",
    "vit_tiny",
    "vit_base",
    "bert_mini",
    "yolov8n",
)

PAUSE_S = 0.05
"""Before each run: threads of the runtime before it may still spin, on a processor of this one."""

Run = Callable[[], list[Any]]


def pelemay(path: Path, feeds: dict[str, Any], threads: int) -> Run:
    from pelemay import InferenceSession

    session = InferenceSession(path, threads=threads)
    return lambda: session.run(None, feeds)


def onnxruntime(path: Path, feeds: dict[str, Any], threads: int) -> Run:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, feeds)


def openvino(path: Path, feeds: dict[str, Any], threads: int) -> Run:
    # Unless asked not to, OpenVINO reports to its makers over the network.
    sys.modules.setdefault("openvino_telemetry", None)
    import openvino as ov

    core = ov.Core()
    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY",
    }
    compiled = core.compile_model(core.read_model(path), "CPU", settings)
    return lambda: list(compiled(feeds).values())


def ncnn(path: Path, feeds: dict[str, Any], threads: int) -> Run:
    import ncnn

    structure, weights = for_ncnn(path, feeds)
    net = ncnn.Net()
    net.opt.num_threads = threads
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    if net.load_param(str(structure)) or net.load_model(str(weights)):
        raise ConversionError("ncnn lacks a layer of what pnnx made")
    inputs = [ncnn.Mat(narrowed(x)[0]).clone() for x in feeds.values()]

    def run() -> list[Any]:
        extractor = net.create_extractor()
        for name, value in zip(net.input_names(), inputs, strict=True):
            extractor.input(name, value)
        return [np.array(extractor.extract(name)[1]) for name in net.output_names()]

    return run


def narrowed(array: Any) -> Any:
    """Integers of ncnn, and of what litert-torch makes, have 32 bits."""
    return array.astype(np.int32) if array.dtype == np.int64 else array


def litert(path: Path, feeds: dict[str, Any], threads: int) -> Run:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(for_litert(path, feeds)), num_threads=threads)
    run = interpreter.get_signature_runner()
    given = {f"args_{i}": narrowed(value) for i, value in enumerate(feeds.values())}
    return lambda: [y for _, y in sorted(run(**given).items())]


PEERS = {"onnxruntime": onnxruntime, "openvino": openvino, "ncnn": ncnn, "litert": litert}
PACKAGES = {"litert": "ai_edge_litert"}


def feeds_of(path: Path) -> dict[str, Any]:
    from pelemay.bench.inputs import inputs_of_model, make_feeds

    return make_feeds(inputs_of_model(path), seed=0)


def difference(ours: list[Any], theirs: list[Any]) -> float:
    """The largest, relative to the largest value; infinite if the sizes differ."""
    if [y.size for y in ours] != [y.size for y in theirs]:
        return float("inf")
    pairs = [(a, b.reshape(a.shape)) for a, b in zip(ours, theirs, strict=True)]
    return float(max(np.abs(a - b).max() / max(np.abs(b).max(), 1e-30) for a, b in pairs))


def agreeing(path: Path, feeds: dict[str, Any], threads: int, peers: list[str]) -> dict[str, Run]:
    """Ours, and those of the peers that run this network and give our answer."""
    runs = {"pelemay": pelemay(path, feeds, threads)}
    ours = runs["pelemay"]()
    for name in peers:
        try:
            run = PEERS[name](path, feeds, threads)
            gap = difference(ours, run())
        except (ConversionError, RuntimeError) as error:
            print(f"{path.name}: without {name}: {error}", file=sys.stderr)
            continue
        if gap < 1e-3:
            runs[name] = run
        else:
            print(f"{path.name}: without {name}: answers differ by {gap:.2g}", file=sys.stderr)
    if len(runs) == 1:
        raise SystemExit(f"{path.name}: no peer gives the answer that pelemay gives")
    return runs


def schedule(policy: int) -> None:
    """Set how all threads of this process, runtimes' too, are scheduled."""
    priority = os.sched_param(0 if policy == os.SCHED_OTHER else 1)
    for thread in Path("/proc/self/task").iterdir():
        os.sched_setscheduler(int(thread.name), policy, priority)


def compare(path: Path, threads: int, peers: list[str], options: Any) -> dict[str, Any]:
    runs = agreeing(path, feeds_of(path), threads, peers)
    rounds = options.rounds or rounds_for(runs["pelemay"])
    if not options.preempt:
        return summary(timed(runs, rounds))
    schedule(os.SCHED_FIFO)
    try:
        return summary(timed(runs, rounds))
    finally:
        schedule(os.SCHED_OTHER)


def timed(runs: dict[str, Run], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each run."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            time.sleep(PAUSE_S)
            begin = time.perf_counter()
            run()
            times[name].append((time.perf_counter() - begin) * 1e3)
    return times


def summary(times: dict[str, list[float]]) -> dict[str, Any]:
    ours = times.pop("pelemay")
    ratios = {
        name: statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
        for name, theirs in times.items()
    }
    medians = {name: statistics.median(values) for name, values in times.items()}
    return {"ms": {"pelemay": statistics.median(ours), **medians}, "ratio": ratios}


def installed(names: list[str]) -> list[str]:
    from importlib.util import find_spec

    return [name for name in names if find_spec(PACKAGES.get(name, name))]


def show(row: dict[str, Any], peers: list[str]) -> None:
    ratios = row["ratio"]
    cells = (f"{ratios[p]:>12.2f}" if p in ratios else f"{'-':>12}" for p in peers)
    fastest = max(ratios, key=ratios.__getitem__)
    head = f"{row['model']:20}{row['threads']:>8}{row['ms']['pelemay']:>12.2f}"
    print(head, *cells, f"{ratios[fastest]:>10.2f} {fastest}")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("--threads", nargs="+", type=int, default=[2, 1])
    parser.add_argument("--peers", nargs="+", default=list(PEERS))
    parser.add_argument("--rounds", type=int, default=0, help="0: as many as take 4 s, 15 at least")
    parser.add_argument("--preempt", action="store_true", help="before all else on the machine")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    peers = installed(options.peers)
    from pelemay import models

    results = []
    names = (f"{peer:>12}" for peer in peers)
    print(f"{'model':20}{'threads':>8}{'pelemay ms':>12}", *names, f"{'fastest':>10}")
    for name in options.models:
        path = Path(name) if name.endswith(".onnx") else models.get(name).path
        for threads in options.threads:
            row = {"model": name, "threads": threads, **compare(path, threads, peers, options)}
            results.append(row)
            show(row, peers)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))


def rounds_for(run: Run) -> int:
    begin = time.perf_counter()
    run()
    return max(15, min(400, int(2 / (time.perf_counter() - begin))))


if __name__ == "__main__":
    main()
