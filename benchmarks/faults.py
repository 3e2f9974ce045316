"""Make every kind of fault as often as docs/reliability.md says, and print its table.

python benchmarks/faults.py [--share 0.1] [NAME...]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from faults import kinds

TIMES = {
    "kill_compile": 200,
    "kill_cache": 200,
    "kill_download": 200,
    "full_disk": 60,
    "truncate": 200,
    "truncate_model": 200,
    "truncate_tool": 50,
    "memory": 1,
    "reads": 1,
    "address_space": 500,
    "descriptors": 16,
    "flipped": 1000,
    "interrupted": 1000,
    "forks": 100,
    "shutdown": 50,
    "clock": 50,
}
"""How often; of ``memory`` and ``reads`` every call of that number fails: each one."""

EACH = ("memory", "reads")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(TIMES)}")
    parser.add_argument("--share", type=float, default=1, help="of the times")
    args = parser.parse_args()
    print("| Fault | What happened, how often | Seconds |")
    print("|---|---|---|")
    failed = False
    for name in args.names or TIMES:
        often = TIMES[name] if name in EACH else max(1, int(args.share * TIMES[name]))
        fault = getattr(kinds, name)
        begin = time.monotonic()
        try:
            with tempfile.TemporaryDirectory(prefix="pelemay-faults-") as folder:
                found = fault(Path(folder), often)
            text = "; ".join(f"{what}: {count}" for what, count in sorted(found.items()))
        except AssertionError as error:
            failed, text = True, f"**not allowed**: {error}"
        seconds = time.monotonic() - begin
        print(f"| {(fault.__doc__ or name).rstrip('.')} | {text} | {seconds:.0f} |", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
