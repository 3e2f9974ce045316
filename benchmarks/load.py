"""Time and anonymous memory of loading ResNet-101, by pelemay and by onnx, in fresh processes.

    python benchmarks/load.py [--samples N] [FILE...]

Without files it takes the catalogue's resnet101-v1-7 (downloaded, or its stand-in), whose weights
lie in ``float_data``, and a copy with ``raw_data`` that it writes to a temporary folder.
``time`` is the call alone; ``memory`` is how much RssAnon grew, and ``peak`` how much VmHWM did;
the imports are not counted. The job of ``+arrays`` also makes a NumPy array of every parameter.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

JOBS = {
    "pelemay.load": "model = load(path)",
    "pelemay.load +arrays": "arrays = dict(load(path).parameters)",
    "pelemay.load +graph": "graph = load(path).graph",
    "onnx.load": "model = onnx.load(path)",
    "onnx.load +arrays": "arrays = {t.name: numpy_helper.to_array(t)"
    " for t in onnx.load(path).graph.initializer}",
}

SAMPLE = """
import json, sys, time
import numpy, onnx, pelemay.importers.convert
from onnx import numpy_helper
from pelemay.importers import load

def status(name):
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name + ":"))

path = sys.argv[1]
open("/proc/self/clear_refs", "w").write("5")
before = status("RssAnon"), status("VmHWM")
start = time.perf_counter()
JOB
seconds = time.perf_counter() - start
print(json.dumps([seconds * 1e3, status("RssAnon") - before[0], status("VmHWM") - before[1]]))
"""


def sample(path: Path, job: str) -> list[float]:
    command = [sys.executable, "-c", SAMPLE.replace("JOB", job), str(path)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def both_encodings(folder: Path) -> list[Path]:
    import onnx
    from onnx import numpy_helper

    from pelemay import models

    first = models.get("resnet101-v1-7").path
    model = onnx.load(first)
    for tensor in model.graph.initializer:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor), tensor.name))
    second = folder / "resnet101-raw_data.onnx"
    onnx.save(model, second)
    return [first, second]


def encoding(path: Path) -> str:
    from pelemay import load

    parameters = load(path).parameters
    largest = max(parameters, key=lambda name: parameters.constant(name).nbytes)
    return parameters.placement(largest).encoding


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--samples", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for path in options.files or both_encodings(Path(folder)):
            print(f"\n{path.name}, {path.stat().st_size:,} bytes, {encoding(path)}")
            print(f"{'':24}{'time ms':>10}{'memory MiB':>12}{'peak MiB':>10}")
            for name, job in JOBS.items():
                rows = [sample(path, job) for _ in range(options.samples)]
                time, memory, peak = map(statistics.median, zip(*rows, strict=True))
                print(f"{name:24}{time:10.1f}{memory:12.2f}{peak:10.2f}")


if __name__ == "__main__":
    main()
