"""Anonymous memory, and time from the start of a process to the first result, against onnxruntime.

    python benchmarks/first_result.py [--model NAME] [--rounds N] [--threads N]

Each sample is a fresh process, in turns. ``anonymous`` is RssAnon at the end, over that of one
that imported NumPy and holds the input and output; ``peak`` is VmHWM. pelemay runs the compiled
program, onnxruntime the ONNX file.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

STATUS = """
import json, sys, time
import numpy as np
def status(name):
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name + ":"))
path, threads = sys.argv[1], int(sys.argv[2])
shape = json.loads(sys.argv[3])
x = np.full(shape, 0.5, np.float32)
base = status("RssAnon")
"""

SIDES = {
    "pelemay": """
from pelemay import InferenceSession
session = InferenceSession(path, threads=threads)
y = session.run(None, {session.get_inputs()[0].name: x})[0]
""",
    "onnxruntime": """
import onnxruntime as ort
options = ort.SessionOptions()
options.intra_op_num_threads = threads
session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
y = session.run(None, {session.get_inputs()[0].name: x})[0]
""",
}

ENDING = """
end = time.time()
names = sorted({name.partition(".")[0] for name in sys.modules})
print(json.dumps([end, status("RssAnon") - base, status("VmHWM"), float(np.abs(y).sum()), names]))
"""


def sample(side: str, path: Path, threads: int, shape: list[int]) -> list:
    code = STATUS + SIDES[side] + ENDING
    begin = time.time()
    command = [sys.executable, "-c", code, str(path), str(threads), json.dumps(shape)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ)
    end, *rest = json.loads(done.stdout)
    return [(end - begin) * 1e3, *rest]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="resnet101-v1-7")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    from pelemay import models, pipeline
    from pelemay.importers import load

    source = models.get(options.model).path
    kind = load(source).inputs[0].type
    shape = [size if isinstance(size, int) else 1 for size in kind.shape]
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "model.plm"
        pipeline.compile(source, program)
        paths = {"pelemay": program, "onnxruntime": source}
        rows = {side: [] for side in SIDES}
        for _ in range(options.rounds):
            for side, path in paths.items():
                rows[side].append(sample(side, path, options.threads, shape))
    print(f"{options.model}, {options.threads} threads, medians of {options.rounds} processes")
    print(f"{'':14}{'first result ms':>17}{'anonymous MiB':>15}{'peak RSS MiB':>14}{'sum |y|':>12}")
    for side, samples in rows.items():
        time_ms, anonymous, peak, total = (
            statistics.median(s[i] for s in samples) for i in range(4)
        )
        print(f"{side:14}{time_ms:17.0f}{anonymous:15.2f}{peak:14.1f}{total:12.4g}")
    ratio = statistics.median(
        a[0] / b[0] for a, b in zip(rows["pelemay"], rows["onnxruntime"], strict=True)
    )
    print(f"time to the first result, ours / onnxruntime's: {ratio:.2f}")


if __name__ == "__main__":
    main()
