"""The test bed: networks as PyTorch, Keras, LightGBM and others write them, made here.

    pip install --group bed
    python benchmarks/bed --make [--only NAME ...] [--folder DIR]
    python benchmarks/bed --run [--limits] [--only NAME ...] [--json FILE]
    python benchmarks/bed --ratios [--only NAME ...] [--json FILE]
    python benchmarks/bed --table [--json FILE]

``--make`` writes what the folder lacks: weights are random and seeded, nothing is fetched.
``--run`` judges each file in a process of its own: onnxruntime on the file is the oracle.
``--ratios`` takes only the times again, best when nothing else runs.
``--limits`` finds the least memory limits, and runs in memory cgroups of that size (root,
version 1).
``--table`` writes docs/reference/test-bed.md from the figures. A name is the beginning of one, or
a family; a model that fails is listed with what it said, and the others go on.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import subprocess
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path
from typing import Any

from entry import Entry
from page import write_page

SOURCES = (
    "tiny",
    "classical",
    "boosted",
    "authored",
    "graphs",
    "sequences",
    "language",
    "detection",
    "dense",
    "vision",
    "with_keras",
)
HERE = Path(__file__).parent
FOLDER = Path(tempfile.gettempdir()) / "pelemay-bed"
JSON = FOLDER / "bed.json"
MAKE_S, RUN_S = 1200, 900
"""Seconds that one model may take."""


def chosen(only: list[str]) -> list[tuple[str, Entry]]:
    """Entries with the module that they come from."""
    found = [(s, e) for s in SOURCES for e in import_module(s).entries()]
    names = [e.name for _, e in found]
    assert len(names) == len(set(names)), "two entries have one name"
    if not only:
        return found
    words = tuple(only)
    return [(s, e) for s, e in found if e.name.startswith(words) or e.family in words]


def child(arguments: list[str], seconds: int) -> tuple[str, str]:
    """What a process of its own said, and how it failed, if it did."""
    command = [sys.executable, *arguments]
    environment = {**os.environ, "XDG_CACHE_HOME": str(FOLDER / "cache")}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=seconds, env=environment
        )
    except subprocess.TimeoutExpired:
        return "", f"took more than {seconds} s"
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        return "", said[-1][:300]
    return done.stdout, ""


def make(entries: list[tuple[str, Entry]], folder: Path) -> dict[str, str]:
    """Write what is not there; what could not be made, and why."""
    failed = {}
    left = [(s, e) for s, e in entries if not (folder / f"{e.name}.npz").exists()]
    for number, (source, entry) in enumerate(left, 1):
        begin = time.monotonic()
        arguments = [str(HERE / "making.py"), source, entry.name, str(folder)]
        _, error = child(arguments, MAKE_S)
        took = time.monotonic() - begin
        print(f"[{number}/{len(left)}] {entry.name}: {error or 'made'}, {took:.0f} s", flush=True)
        if error:
            failed[entry.name] = error
    return failed


STEPS = ("answers", "ratios", "limits")
"""What judging takes of each model."""


def judge(
    entries: list[tuple[str, Entry]], folder: Path, steps: list[str], figures: Path
) -> list[dict[str, Any]]:
    """Judge each file that is there, and keep what was found."""
    rows = []
    there = [e for _, e in entries if (folder / f"{e.name}.npz").exists()]
    for number, entry in enumerate(there, 1):
        found: dict[str, Any] = {
            **{"name": entry.name, "family": entry.family, "exporter": entry.exporter},
            **{"tolerance": entry.tolerance, "why": entry.why},
        }
        for step in steps:
            arguments = [str(HERE / "judging.py"), step, str(folder / f"{entry.name}.onnx")]
            said, failed = child(arguments, RUN_S)
            found |= {**(json.loads(said) if said else {}), f"{step}_failed": failed}
        rows.append(kept(found, figures))
        print(f"[{number}/{len(there)}] {told(found)}", flush=True)
    return rows


def told(row: dict[str, Any]) -> str:
    """What was found of a model, in one line."""
    said = [f"{s} FAILED: {row[f'{s}_failed']}" for s in STEPS if row.get(f"{s}_failed")]
    if "error" in row:
        verdict = "" if row["error"] <= row["tolerance"] else "WRONG, "
        said.append(f"{verdict}error {row['error']:.1e}, native {row['native_share']:.1%}")
        said.append(f"{len(row['host'])} host nodes")
    if "ratio" in row:
        said.append(f"ratio {row['ratio']:.2f}, others {row['others']:.0%}")
    if "least" in row:
        said.append(f"{row['in_cgroup']} in {row['least'] / 2**20:.2f} MiB")
        said.append(f"below that {row['below']}")
    return f"{row['name']}: {', '.join(said)}"


def kept(found: dict[str, Any], figures: Path) -> dict[str, Any]:
    """Put what was found of a model into the file, over what that says of it; all of its row."""
    figures.parent.mkdir(parents=True, exist_ok=True)
    with figures.open("a+") as file:
        # Another run of the bed may do the same.
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        rows = {row["name"]: row for row in json.loads(file.read() or "[]")}
        row = rows[found["name"]] = {**rows.get(found["name"], {}), **found}
        file.truncate(0)
        file.write(json.dumps(list(rows.values()), indent=1))
    return row


def is_bad(row: dict[str, Any]) -> bool:
    """Whether a model does not run, its answer is wrong, or a limit was not kept."""
    failed = any(row.get(f"{step}_failed") for step in STEPS)
    wrong = "error" in row and not row["error"] <= row["tolerance"]
    return failed or wrong or row.get("in_cgroup", "ran") != "ran"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for step in ("make", "run", "ratios", "limits", "table", "list"):
        parser.add_argument(f"--{step}", action="store_true")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the models lie")
    parser.add_argument("--json", type=Path, default=JSON, help="where the figures lie")
    options = parser.parse_args()
    entries = chosen(options.only)
    if options.list:
        print("\n".join(f"{e.name:45}{e.family:25}{e.exporter}" for _, e in entries))
    options.folder.mkdir(parents=True, exist_ok=True)
    failed = make(entries, options.folder) if options.make else {}
    wanted = {"answers": options.run, "ratios": options.run or options.ratios}
    steps = [s for s, w in {**wanted, "limits": options.limits}.items() if w]
    rows = judge(entries, options.folder, steps, options.json) if steps else []
    if options.table:
        order = [e.name for _, e in chosen([])]
        write_page(json.loads(options.json.read_text()), order)
    bad = sum(map(is_bad, rows))
    if failed or bad:
        sys.exit(f"not made: {len(failed)}; failed or wrong: {bad}")


if __name__ == "__main__":
    main()
