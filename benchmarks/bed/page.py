"""The figures of the bed as a page of the documentation.

In: rows as ``judging`` gives them. Out: docs/reference/test-bed.md.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "test-bed.md"

HEAD = """# Test bed

Networks as their exporters write them, made here with random weights: `benchmarks/bed` has a row
for each, and makes the files. onnxruntime on the same file is the oracle. This page is written by

```
python benchmarks/bed --make --run --limits && python benchmarks/bed --table
```

- **error**: the largest difference from onnxruntime's outputs, relative to their largest value.
- **native**: the share of a run's time that the engine's own instructions take; **host**: how many
  nodes the reference backend runs instead.
- **ratio**: our time / onnxruntime's, medians of pairs in turns, 2 threads. Made while other work
  ran on the machine: a hint, no more.
- **arena**: bytes that all values of a run share, without a limit.
- **fits in**: the least limit on the memory of the whole process, Python and NumPy included, in
  which a run fits; ✓ where a process in a memory cgroup of that size ended with the same answer;
  empty where it was not looked for.
"""


def write_page(rows: list[dict[str, Any]], order: list[str]) -> None:
    """Write the table, in the order of the bed, and why nodes stay on the host."""
    found = {row["name"]: row for row in rows}
    kept = [found[name] for name in order if name in found]
    good = [row for row in kept if "answers_failed" not in row]
    right = sum(row["error"] <= row["tolerance"] for row in good)
    whole = sum(not row["host"] for row in good)
    lines = [
        HEAD,
        f"{len(kept)} models: {len(good)} run, {right} agree with onnxruntime, {whole} on native "
        "instructions alone.\n",
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
    cells = (f"{row['error']:.1e}", share, str(host or ""), f"{row['ratio']:.2f}")
    return f"{name} {' | '.join(cells)} | {_size(row['arena_bytes'])} | {_least(row)} |"


def _size(count: int) -> str:
    return f"{count / 2**20:.1f} MiB" if count >= 2**20 else f"{count / 2**10:.0f} KiB"


def _least(row: dict[str, Any]) -> str:
    if "least" not in row:
        return ""
    mark = " ✓" if row["in_cgroup"] == "ran" else f" ({row['in_cgroup']})"
    return f"{_size(row['least'])}{mark}"


def _reasons(rows: list[dict[str, Any]]) -> list[str]:
    """Reasons for nodes on the host, with how many models each is found in."""
    counts = Counter(reason for row in rows for reason in {_short(h) for h in row["host"]})
    if not counts:
        return []
    listed = [f"| {reason} | {count} |" for reason, count in counts.most_common()]
    return ["\n## What runs on the host\n", "| operation | models |", "|---|---|", *listed]


def _short(entry: str) -> str:
    """An operation's name."""
    return f"`{entry.split(' ')[0].rstrip(':')}`"


def _notes(rows: list[dict[str, Any]]) -> list[str]:
    notes = [f"- `{row['name']}`: {row['why']}" for row in rows if row.get("why")]
    return ["\n## Wider tolerances\n", *notes] if notes else []
