"""Run fuzzers one after the other, and say what they did.

python tests/fuzz/run.py [--seconds N] [--build FOLDER] [TARGET...]

A fuzzer that ends because of a finding begins again, with what it has learnt, until its time is
over. What it found is in FOLDER/found; the exit code says whether there is any.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
IN_C = {"program": 32768, "stream": 32768, "npy_c": 4096}
IN_PYTHON = {"onnx": 8192, "compile": 4096, "text": 8192, "plm": 32768, "npy": 4096}
LONGEST = IN_C | IN_PYTHON
"""Targets, and the longest input that each is given, in bytes."""

TIMEOUT = {"compile": 120, "stream": 120}
"""Seconds for one input where 20 are too few: some operations become hundreds of others, and two
workers wait for each other where there is one processor for many."""

MOST_FINDINGS = 20


@dataclass
class Report:
    """What one fuzzer did."""

    target: str
    seconds: float = 0
    runs: int = 0
    coverage: int = 0
    corpus: int = 0
    findings: list[str] = field(default_factory=list)

    def add(self, log: str) -> None:
        counts = re.findall(r"^#(\d+)\s.* cov: (\d+) .* corp: (\d+)", log, re.MULTILINE)
        if counts:
            runs, coverage, corpus = map(int, counts[-1])
            self.runs += runs
            self.coverage = max(self.coverage, coverage)
            self.corpus = max(self.corpus, corpus)


def command(target: str, build: Path) -> list[str]:
    if target in IN_PYTHON:
        return [sys.executable, str(HERE / "with_atheris.py"), target]
    return [str(build / "native" / f"fuzz_{target.removesuffix('_c')}")]


def fuzz(target: str, build: Path, seconds: float) -> Report:
    report = Report(target)
    corpus, found = build / "corpus" / target, build / "found"
    for place in (corpus, found):
        place.mkdir(parents=True, exist_ok=True)
    before = set(found.iterdir())
    begin = time.monotonic()
    while (left := seconds - (time.monotonic() - begin)) > 1 and len(
        report.findings
    ) < MOST_FINDINGS:
        options = [
            f"-max_total_time={int(left)}",
            f"-max_len={LONGEST[target]}",
            f"-timeout={TIMEOUT.get(target, 20)}",
            "-rss_limit_mb=2048",
            "-report_slow_units=1000",
            f"-artifact_prefix={found}/{target}-",
        ]
        with (build / f"{target}.log").open("w+", errors="replace") as log:
            subprocess.run(
                [*command(target, build), *options, str(corpus), str(build / "seeds" / target)],
                stdout=log, stderr=log, check=False, cwd=build,
                env={**os.environ, "ASAN_OPTIONS": "allocator_may_return_null=1"},
            )  # fmt: skip
            log.seek(0)
            report.add(log.read())
        new = {path for path in set(found.iterdir()) - before if path.name.startswith(f"{target}-")}
        report.findings = sorted(path.name for path in new)
    report.seconds = time.monotonic() - begin
    return report


def row(report: Report) -> str:
    minutes = report.seconds / 60
    cells = (report.target, f"{minutes:.0f}", f"{report.runs:,}", f"{report.coverage:,}",
             f"{report.corpus:,}", f"{len(report.findings)}")  # fmt: skip
    return f"| {' | '.join(cells)} |"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(LONGEST)}")
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--build", type=Path, default=ROOT / "build" / "fuzz")
    args = parser.parse_args()
    build = args.build.resolve()
    if unknown := set(args.targets) - set(LONGEST):
        parser.error(f"no target {', '.join(sorted(unknown))}; there are {', '.join(LONGEST)}")
    if not (build / "seeds").is_dir():
        subprocess.run(
            [sys.executable, str(HERE / "seeds.py"), str(build / "seeds")],
            check=True,
            env={**os.environ, "PYTHONPATH": str(HERE.parent)},
        )
    print("| target | minutes | runs | branches | corpus | findings |")
    print("|---|---|---|---|---|---|")
    reports = []
    for target in args.targets or LONGEST:
        reports.append(fuzz(target, build, args.seconds))
        print(row(reports[-1]), flush=True)
    for report in reports:
        for name in report.findings:
            print(f"found: {build / 'found' / name}")
    return any(report.findings for report in reports)


if __name__ == "__main__":
    sys.exit(main())
