"""Bands: how small the arena of a network can be with nothing computed twice.

    python benchmarks/bands.py [--networks NAME...] [--check] [--json FILE]

For each network: the arena with whole values, the least one, and their ratio; the
multiply-accumulates of all steps over those of the network (less than 1 where rows that nothing
reads are left out); inputs and outputs, which are the caller's and are counted apart. Elements are
bytes over four: what int8 values would take. The weights have no bytes: only shapes are planned.

``goal`` is the elements, bytes or ratio at most, to pass. ``--check`` replays each plan.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.yardsticks import NETWORKS

GOALS: dict[str, tuple[str, float]] = {
    "MobileNetV2 w0.35 at 144": ("elements", 31_000),
    "MobileNetV2 w1.0 at 224": ("elements", 160_000),
    "ResNet-101 at 224": ("bytes", 2_400_000),
    "YOLOv8n-like at 640": ("ratio", 1 / 2),
    "U-Net-like at 1920x1088, transposed": ("ratio", 1 / 3),
    "U-Net-like at 1920x1088, resized": ("ratio", 1 / 3),
}


def measure(name: str, *, check: bool) -> dict[str, Any]:
    from pelemay.plan.bands import Curve
    from pelemay.plan.check import check_plan
    from pelemay.plan.report import examine, mac_factor

    graph = NETWORKS[name]()
    begin = time.perf_counter()
    curve = Curve(graph)
    whole, least = curve.whole, curve.least
    seconds = time.perf_counter() - begin
    if check:
        check_plan(least.plan)
    report = examine(least.plan)
    peak = report["peak"]
    nodes = peak.get("nodes", [peak["node"]])
    ratio = least.plan.arena_bytes / whole.plan.arena_bytes
    found = {
        "network": name,
        "whole_bytes": whole.plan.arena_bytes,
        "least_bytes": least.plan.arena_bytes,
        "least_elements": least.plan.arena_bytes // 4,
        "ratio": ratio,
        "mac_factor": mac_factor(least.plan),
        "chains": least.chains,
        "steps": len(least.plan.steps),
        "estimated_times": least.micros / whole.micros,
        "input_bytes": sum(report["input_bytes"].values()),
        "output_bytes": sum(report["output_bytes"].values()),
        "set_by": f"{nodes[0]} to {nodes[-1]}" if len(nodes) > 1 else nodes[0],
        "seconds": seconds,
    }
    kind, most = GOALS[name]
    reached = {"elements": least.plan.arena_bytes / 4, "bytes": least.plan.arena_bytes}
    found["goal"], found["goal_of"] = most, kind
    found["passes"] = reached.get(kind, ratio) <= most and found["mac_factor"] <= 1
    return found


def goal(row: dict[str, Any]) -> str:
    most = f"{row['goal']:.3f}" if row["goal_of"] == "ratio" else f"{row['goal']:,}"
    return f"{row['goal_of']} <= {most}: {'ok' if row['passes'] else 'MISSED'}"


def show(row: dict[str, Any]) -> None:
    counts = (row[key] for key in ("whole_bytes", "least_bytes", "least_elements"))
    figures = "".join(f"{count:>14,}" for count in counts)
    factors = f"{row['ratio']:8.3f}{row['mac_factor']:7.3f}{row['estimated_times']:7.2f}"
    ends = f"{row['input_bytes']:>13,}{row['output_bytes']:>13,}"
    print(f"{row['network']:36}{figures}{factors}{ends}{row['seconds']:6.1f}  {goal(row)}")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=list(NETWORKS))
    parser.add_argument("--check", action="store_true", help="replay each plan over memory")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    heads = f"{'whole bytes':>14}{'least bytes':>14}{'elements':>14}{'ratio':>8}{'MACs':>7}"
    print(f"{'network':36}{heads}{'times':>7}{'input':>13}{'output':>13}{'s':>6}  goal")
    rows = []
    for name in options.networks:
        rows.append(measure(name, check=options.check))
        show(rows[-1])
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
