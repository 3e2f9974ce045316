"""The figures of the bed as a page of the documentation.

In: rows as ``judging`` gives them. Out: docs/reference/test-bed.md.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from statistics import median
from typing import Any

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "test-bed.md"

LISTED = 4
"""Operations of a model that are named."""

HEAD = """# Test bed

Networks as their exporters write them, made here with random weights: `benchmarks/bed` has a row
for each, and makes the files. onnxruntime on the same file is the oracle. This page is written by

```
pip install --group bed
python benchmarks/bed --make --run --limits && python benchmarks/bed --table
python benchmarks/bed --ratios && python benchmarks/bed --table
```

The last line takes only the ratios again, for a machine on which nothing else runs.

- **error**: the largest difference from onnxruntime's outputs, relative to their largest value.
- **native**: the share of a run's time that the engine's own instructions take; **host**: how many
  nodes the reference backend runs instead.
- **ratio**: our time / onnxruntime's, medians of pairs in turns, 2 threads.
- **arena**: bytes that all values of a run share, without a limit.
- **fits in**: the least limit on the memory of the whole process, Python and NumPy included; ✓
  where a process in a memory cgroup of exactly that size ended with the same answer, and one that
  was allowed 256 KiB less was refused before it ran. Weights are float32, read from the file as
  they are needed.
"""


def write_page(rows: list[dict[str, Any]], order: list[str]) -> None:
    """Write the table, in the order of the bed, and why nodes stay on the host."""
    found = {row["name"]: row for row in rows}
    kept = [found[name] for name in order if name in found]
    good = [row for row in kept if not row.get("answers_failed")]
    right = sum(row["error"] <= row["tolerance"] for row in good)
    whole = sum(not row["host"] for row in good)
    fit = sum(_fits(row) for row in good)
    lines = [
        HEAD,
        f"{len(kept)} models: {len(good)} run, {right} agree with onnxruntime, {whole} on native "
        f"instructions alone; {fit} ran in a cgroup of the least limit. {_quiet(good)}\n",
        "| model | family | error | native | host | ratio | arena | fits in |",
        "|---|---|---|---|---|---|---|---|",
        *map(_line, kept),
        *_reasons(good),
        *_notes(kept),
    ]
    PAGE.write_text("\n".join(lines) + "\n")


def _line(row: dict[str, Any]) -> str:
    name = f"| `{row['name']}` | {row['family']} |"
    if said := row.get("answers_failed"):
        return f"{name} does not run: {said.replace('|', '/')} | | | | | |"
    host = len(row["host"])
    share = "all" if not host else f"{row['native_share']:.1%}"
    ratio = f"{row['ratio']:.2f}" if "ratio" in row else ""
    cells = (f"{row['error']:.1e}", share, str(host or ""), ratio)
    return f"{name} {' | '.join(cells)} | {_size(row['arena_bytes'])} | {_least(row)} |"


def _size(count: int) -> str:
    return f"{count / 2**20:.1f} MiB" if count >= 2**20 else f"{count / 2**10:.0f} KiB"


def _fits(row: dict[str, Any]) -> bool:
    return row.get("in_cgroup") == "ran" and row["below"] == "refused"


def _least(row: dict[str, Any]) -> str:
    if said := row.get("limits_failed"):
        return said.replace("|", "/")
    if "least" not in row:
        return ""
    mark = "✓" if _fits(row) else f"({row['in_cgroup']}, with less {row['below']})"
    return f"{row['least'] / 2**20:.2f} MiB {mark}"


def _quiet(rows: list[dict[str, Any]]) -> str:
    """How busy the machine was with other things while the ratios were taken."""
    shares = sorted(row["others"] for row in rows if "others" in row)
    if not shares:
        return ""
    return (
        f"While {len(shares)} of the ratios were taken, other processes used {median(shares):.0%} "
        f"of the processors' time (median), {shares[-1]:.0%} at most."
    )


def _reasons(rows: list[dict[str, Any]]) -> list[str]:
    """Which models leave nodes to the host, and why."""
    listed = [f"| `{row['name']}` | {_why(row['host'])} |" for row in rows if row["host"]]
    head = ["\n## What runs on the host\n", "| model | nodes without an instruction |", "|---|---|"]
    return [*head, *listed] if listed else []


def _why(host: list[str]) -> str:
    """The operations, and what is said of the first; what depends on it follows from that."""
    operations = Counter(entry.split(" ")[0].rstrip(":") for entry in host)
    named = [f"{n} `{name}`" for name, n in operations.most_common(LISTED)]
    more = len(operations) - LISTED
    others = f" and {more} more operations" if more > 0 else ""
    return f"{', '.join(named)}{others}. The first, {host[0].replace('|', '/')}"


def _notes(rows: list[dict[str, Any]]) -> list[str]:
    notes = [f"- `{row['name']}`: {row['why']}" for row in rows if row.get("why")]
    return ["\n## Wider tolerances\n", *notes] if notes else []
