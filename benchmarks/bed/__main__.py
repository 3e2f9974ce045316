"""The test bed: networks as PyTorch, Keras, scikit-learn and onnxscript write them, made here.

    pip install --group bed
    python benchmarks/bed --make [--only NAME ...] [--folder DIR]
    python benchmarks/bed --run [--only NAME ...] [--limits] [--json FILE]
    python benchmarks/bed --table [--json FILE]

``--make`` writes what the folder lacks: weights are random and seeded, nothing is fetched.
``--run`` judges each file in a process of its own: onnxruntime on the file is the oracle.
``--limits`` finds the least memory limit too, and runs in a memory cgroup of that size (root,
version 1).
``--table`` writes docs/reference/test-bed.md from the figures. A name is the beginning of one, or
a family; a model that fails is listed with what it said, and the others go on.
"""

from __future__ import annotations

import argparse
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


def run(entries: list[tuple[str, Entry]], folder: Path, limits: bool) -> list[dict[str, Any]]:
    """Judge each file that is there."""
    rows = []
    there = [e for _, e in entries if (folder / f"{e.name}.npz").exists()]
    for number, entry in enumerate(there, 1):
        row: dict[str, Any] = {
            **{"name": entry.name, "family": entry.family, "exporter": entry.exporter},
            **{"tolerance": entry.tolerance, "why": entry.why},
        }
        steps = ("answers", "limits") if limits else ("answers",)
        for step in steps:
            arguments = [str(HERE / "judging.py"), step, str(folder / f"{entry.name}.onnx")]
            said, error = child(arguments, RUN_S)
            row |= json.loads(said) if said else {f"{step}_failed": error}
        rows.append(row)
        print(f"[{number}/{len(there)}] {told(row)}", flush=True)
    return rows


def told(row: dict[str, Any]) -> str:
    """A row in one line."""
    if failed := row.get("answers_failed"):
        return f"{row['name']}: FAILED: {failed}"
    verdict = "" if row["error"] <= row["tolerance"] else "WRONG, "
    least = f", least {row['least'] / 2**20:.1f} MiB" if "least" in row else ""
    return (
        f"{row['name']}: {verdict}error {row['error']:.1e}, native {row['native_share']:.1%}, "
        f"{len(row['host'])} host nodes, ratio {row['ratio']:.2f}{least}"
    )


def merged(rows: list[dict[str, Any]], path: Path) -> list[dict[str, Any]]:
    """New rows over old ones, in the file."""
    old = json.loads(path.read_text()) if path.exists() else []
    found = {row["name"]: row for row in old}
    for row in rows:
        found[row["name"]] = {**found.get(row["name"], {}), **row} if "least" not in row else row
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(list(found.values()), indent=1))
    return list(found.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for step in ("make", "run", "table", "list"):
        parser.add_argument(f"--{step}", action="store_true")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the models lie")
    parser.add_argument("--limits", action="store_true", help="find the least memory limits too")
    parser.add_argument("--json", type=Path, default=JSON, help="where the figures lie")
    options = parser.parse_args()
    entries = chosen(options.only)
    if options.list:
        print("\n".join(f"{e.name:40}{e.family:25}{e.exporter}" for _, e in entries))
    options.folder.mkdir(parents=True, exist_ok=True)
    failed = make(entries, options.folder) if options.make else {}
    rows = run(entries, options.folder, options.limits) if options.run else []
    if rows:
        merged(rows, options.json)
    if options.table:
        order = [e.name for _, e in chosen([])]
        write_page(json.loads(options.json.read_text()), order)
    bad = [r for r in rows if "answers_failed" in r or not r["error"] <= r["tolerance"]]
    if failed or bad:
        sys.exit(f"not made: {len(failed)}; failed or wrong: {len(bad)}")


if __name__ == "__main__":
    main()
