"""What narrower weights cost and save: file, latency against float32, accuracy on random inputs.

    python benchmarks/weights.py resnet101-v1-7 mobilenetv2-7 vit_tiny

Programs are compiled into a temporary folder. Latencies are paired: one run of each in turn, each
after a pause; what is compared is the median of the ratios to the float32 run beside.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pelemay.backends.programs import ProgramRunnable
from pelemay.cli.losses import samples_of
from pelemay.program.read import read_program

FORMATS = ("f32", "f16", "bf16", "int8")
PAUSE_SECONDS = 0.05


def compiled(network: str, folder: Path) -> dict[str, Path]:
    """The program of each format, and what compiling it says."""
    paths = {}
    for weights in FORMATS:
        paths[weights] = folder / f"{network}-{weights}.plm"
        command = [sys.executable, "-m", "pelemay.cli", "compile", network]
        subprocess.run(
            [*command, "--weights", weights, "-o", str(paths[weights])],
            check=True,
        )
    return paths


def latencies(paths: dict[str, Path], rounds: int, threads: int | None) -> dict[str, list[float]]:
    """Milliseconds of each run of each program, in turns."""
    runnables = {name: ProgramRunnable(path, threads=threads) for name, path in paths.items()}
    (feeds, *_) = samples_of(read_program(paths["f32"]), None)
    for runnable in runnables.values():
        runnable.run(feeds)
    times: dict[str, list[float]] = {name: [] for name in paths}
    for _ in range(rounds):
        for name, runnable in runnables.items():
            time.sleep(PAUSE_SECONDS)
            begin = time.perf_counter()
            runnable.run(feeds)
            times[name].append((time.perf_counter() - begin) * 1e3)
    return times


def main() -> None:
    """Print a row for each network and format."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("networks", nargs="+")
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--threads", type=int)
    args = parser.parse_args()
    for network in args.networks:
        with tempfile.TemporaryDirectory() as folder:
            paths = compiled(network, Path(folder))
            times = latencies(paths, args.rounds, args.threads)
            for name, path in paths.items():
                ratios = [a / b for a, b in zip(times[name], times["f32"], strict=True)]
                median = statistics.median(times[name])
                print(
                    f"{network:24} {name:5} {path.stat().st_size:12,} bytes  {median:7.2f} ms"
                    f"  x {statistics.median(ratios):.3f}  least {min(times[name]):7.2f} ms"
                )


if __name__ == "__main__":
    main()
