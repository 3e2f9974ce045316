"""Plan yardsticks: what the arena of each network takes, beside the least that it could.

    python benchmarks/plans.py [--models NAME...] [--threads N] [--check] [--json FILE]

Without names: all networks of ``pelemay models``, and the nine light networks of the ``onnx``
package (``light_...``). Sizes that a model leaves open are 1. Nothing runs and no weight is packed;
the engine is asked how much scratch the program needs.

``bound`` is the largest sum of live bytes in the chosen order: no placement of these buffers takes
less. ``ratio`` is arena / bound, at most 1.01 to pass. ``yardstick`` is what the bound may be, to
the two digits that are known of it: the best order found elsewhere, after folding
BatchNormalization, fusing activations and adding in place. All in MB (1e6 bytes).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

YARDSTICKS = {
    "resnet101-v1-7": 5.22,
    "efficientnet_lite0": 6.02,
    "vit_tiny": 1.22,
    "vit_base": 4.89,
    "bert_mini": 0.79,
    "yolov8n": 11.47,
}

MOST = 1.01
"""Arena / bound."""


def light_networks() -> dict[str, Path]:
    from onnx.backend.test import data

    found = sorted(Path(data.__path__[0], "light").glob("light_*.onnx"))
    return {path.stem: path for path in found}


def networks(names: list[str]) -> Iterator[tuple[str, Path]]:
    from pelemay import models

    light = light_networks()
    for name in names or [*(entry.name for entry in models.available()), *light]:
        given = Path(name) if name.endswith(".onnx") else None
        yield name, given or light.get(name) or models.get(name).path


def measure(name: str, path: Path, threads: int, *, check: bool) -> dict[str, Any]:
    from pelemay import pipeline
    from pelemay.importers import load
    from pelemay.plan.check import check_plan
    from pelemay.program.scratch import scratch_bytes

    begin = time.perf_counter()
    planned = pipeline.plan(load(path))
    seconds = time.perf_counter() - begin
    plan = planned.plan
    if check:
        check_plan(plan)
    return {
        "model": name,
        "arena_bytes": plan.arena_bytes,
        "lower_bound_bytes": plan.lower_bound_bytes,
        "order_bound_bytes": plan.order_bound_bytes,
        "ratio": plan.arena_bytes / max(plan.lower_bound_bytes, 1),
        "scratch_bytes": scratch_bytes(planned.program, threads),
        "copied_bytes": sum(copy.nbytes for copy in plan.copies),
        "yardstick_mb": YARDSTICKS.get(name),
        "seconds": seconds,
    }


def misses(row: dict[str, Any]) -> list[str]:
    """What of the two goals a network does not reach."""
    found = []
    if row["ratio"] > MOST:
        found.append(f"arena {row['ratio'] - 1:.1%} above the bound")
    yardstick = row["yardstick_mb"]
    if yardstick and round(row["lower_bound_bytes"] / 1e6, 2) > yardstick:
        found.append(f"bound above {yardstick} MB")
    return found


def show(row: dict[str, Any]) -> None:
    mega = [row[f"{what}_bytes"] / 1e6 for what in ("arena", "lower_bound", "scratch", "copied")]
    arena, bound, scratch, copied = mega
    yardstick = f"{row['yardstick_mb'] or '':>10}"
    figures = f"{arena:10.3f}{bound:10.3f}{row['ratio']:8.4f}{yardstick}{scratch:9.3f}{copied:9.3f}"
    print(f"{row['model']:20}{figures}{row['seconds']:7.1f}  {'; '.join(misses(row)) or 'ok'}")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=[])
    parser.add_argument("--threads", type=int, default=2, help="for the scratch (2)")
    parser.add_argument("--check", action="store_true", help="replay each plan over memory")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    head = f"{'arena':>10}{'bound':>10}{'ratio':>8}{'yardstick':>10}{'scratch':>9}{'copied':>9}"
    print(f"{'model':20}{head}{'s':>7}")
    rows = []
    for name, path in networks(options.models):
        rows.append(measure(name, path, options.threads, check=options.check))
        show(rows[-1])
    missed = sum(bool(misses(row)) for row in rows)
    print(f"{len(rows)} networks, {missed} miss a goal")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
