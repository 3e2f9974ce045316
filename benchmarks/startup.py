"""How long ``pelemay --help`` and ``import pelemay`` take, as whole processes.

python benchmarks/startup.py
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "import pelemay": ["-c", "import pelemay"],
    "pelemay --help": ["-m", "pelemay", "--help"],
    "import numpy": ["-c", "import numpy"],
    "import onnx": ["-c", "import onnx"],
}


def milliseconds(arguments: list[str]) -> float:
    begin = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return (time.perf_counter() - begin) * 1e3


def main() -> None:
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(11):
        for name, arguments in COMMANDS.items():
            times[name].append(milliseconds(arguments))
    for name, samples in times.items():
        print(f"{name:16} median {statistics.median(samples[1:]):6.1f} ms")


if __name__ == "__main__":
    main()
