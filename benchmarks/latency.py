"""Latency against other runtimes, in one process, in turns: A B A B ..., medians, and their ratio.

    python benchmarks/latency.py [--models NAME...] [--threads 1 2] [--peers onnxruntime openvino]
                                 [--rounds N] [--json FILE]

The ratio is ours / the peer's: below 1 pelemay is faster. All outputs are compared before anything
is timed. Peers run with their default settings and the same number of threads; one that is not
installed is left out. A round is one run of each: what else the machine does hits all alike.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

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
    import openvino as ov

    core = ov.Core()
    settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
    compiled = core.compile_model(core.read_model(path), "CPU", settings)
    return lambda: list(compiled(feeds).values())


PEERS = {"onnxruntime": onnxruntime, "openvino": openvino}


def feeds_of(path: Path) -> dict[str, Any]:
    from pelemay.bench.inputs import inputs_of_model, make_feeds

    return make_feeds(inputs_of_model(path), seed=0)


def agree(ours: list[Any], theirs: list[Any]) -> float:
    """The largest difference, relative to the largest value."""
    pairs = zip(ours, theirs, strict=True)
    return float(max(np.abs(a - b).max() / max(np.abs(b).max(), 1e-30) for a, b in pairs))


def compare(path: Path, threads: int, peers: list[str], rounds: int) -> dict[str, Any]:
    feeds = feeds_of(path)
    runs = {"pelemay": pelemay(path, feeds, threads)}
    for name in peers:
        runs[name] = PEERS[name](path, feeds, threads)
    outputs = {name: run() for name, run in runs.items()}
    gap = max(agree(outputs["pelemay"], outputs[name]) for name in peers)
    if not gap < 1e-3:
        raise SystemExit(f"{path.name}: the answers differ by {gap:.2g} of the largest value")
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            time.sleep(PAUSE_S)
            begin = time.perf_counter()
            run()
            times[name].append((time.perf_counter() - begin) * 1e3)
    medians = {name: statistics.median(values) for name, values in times.items()}
    ratios = {
        name: statistics.median(a / b for a, b in zip(times["pelemay"], times[name], strict=True))
        for name in peers
    }
    return {"ms": medians, "ratio": ratios, "deviation": gap}


def installed(names: list[str]) -> list[str]:
    from importlib.util import find_spec

    return [name for name in names if find_spec(name)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("--threads", nargs="+", type=int, default=[2, 1])
    parser.add_argument("--peers", nargs="+", default=list(PEERS))
    parser.add_argument("--rounds", type=int, default=0, help="0: as many as take 4 s, 15 at least")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    peers = installed(options.peers)
    from pelemay import models

    results = []
    print(f"{'model':20}{'threads':>8}{'pelemay ms':>12}", *(f"{p + ' ratio':>20}" for p in peers))
    for name in options.models:
        path = Path(name) if name.endswith(".onnx") else models.get(name).path
        for threads in options.threads:
            rounds = options.rounds or rounds_for(path, threads)
            row = {"model": name, "threads": threads, **compare(path, threads, peers, rounds)}
            results.append(row)
            ratios = (f"{row['ratio'][p]:>20.2f}" for p in peers)
            print(f"{name:20}{threads:>8}{row['ms']['pelemay']:>12.2f}", *ratios)
            sys.stdout.flush()
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))


def rounds_for(path: Path, threads: int) -> int:
    run = pelemay(path, feeds_of(path), threads)
    run()
    begin = time.perf_counter()
    run()
    return max(15, min(400, int(2 / (time.perf_counter() - begin))))


if __name__ == "__main__":
    main()
