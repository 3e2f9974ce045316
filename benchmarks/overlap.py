"""How well reading and computing go on at once, under a limit on the whole process.

    python benchmarks/overlap.py [--model NAME] [--limits 32 64] [--runners python pelemay-run]
                                 [--rounds N] [--launches N] [--json FILE]

In turns, so that what else the machine does hits all alike:

* compute: the network without a limit, its weights in the page cache;
* read: the file of its weights, past the page cache, each byte looked at once, and nothing is
  computed (``reading.py``); the same file, since where a file lies on a disk counts;
* at once: these two beside each other, in two processes that do not wait for each other: no order
  of reading and computing can be faster on this machine than the slower of them;
* limit: the network in a memory cgroup of exactly so much (needs cgroups of version 1, root).

``least`` is what no order of reading can be faster than, if computing takes ``compute``, reading
``read``, and weights may have all of the limit that process and values leave: before an instruction
begins, all before it were computed, and of what it and the later ones use no more was read than
fits.

All on the threads that are the default. A round takes the median of three of each. Memory that a
process was given is fast or slow for as long as it lives, so that all processes are started anew
``--launches`` times. Ratios are medians over all rounds.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import limits as cases

RUNS = 3
TOOL_RUNS = 8
MIB = 1 << 20
READING = Path(__file__).with_name("reading.py")

Round = dict[str, dict[str, float]]
"""Milliseconds of each, for each limit."""

NETWORK = """
import sys, time
import numpy as np
from pelemay.session import InferenceSession
path, limit, given, name = sys.argv[1:]
session = InferenceSession(path, **({"memory_limit": int(limit)} if limit != "0" else {}))
feeds = {name: np.load(given)}
session.run(None, feeds)
print("ready", flush=True)
for _ in sys.stdin:
    begin = time.perf_counter()
    session.run(None, feeds)
    print((time.perf_counter() - begin) * 1e3, flush=True)
"""


class Worker:
    """A process that does something once for each line it is given, and says how long it took."""

    def __init__(self, argv: list[str], group: Path | None = None) -> None:
        enter = f'echo $$ > {group}/cgroup.procs && exec "$@"' if group else 'exec "$@"'
        self._process = subprocess.Popen(
            ["sh", "-c", enter, "sh", *argv],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        if self._answer() != "ready":
            raise SystemExit("a process of the benchmark did not begin; its error is above")

    def _answer(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline().strip()

    def __call__(self) -> float:
        """Milliseconds."""
        assert self._process.stdin
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return float(self._answer())

    def end(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()


def python(*arguments: object) -> list[str]:
    return [sys.executable, "-c", *map(str, arguments)]


@contextmanager
def group_of(name: str, limit: int) -> Iterator[Path]:
    """A memory cgroup of so many bytes."""
    group = cases.GROUPS / f"pelemay-overlap-{os.getpid()}-{name}"
    group.mkdir()
    try:
        (group / "memory.limit_in_bytes").write_text(str(limit))
        yield group
    finally:
        time.sleep(0.05)
        group.rmdir()


def at_once(compute: Worker, read: Worker) -> tuple[float, float]:
    """Both over and over, until each has been made so often; what others see of one another."""
    times: dict[str, list[float]] = {"compute": [], "read": []}

    def repeat(name: str, worker: Worker) -> None:
        while min(map(len, times.values())) < RUNS:
            times[name].append(worker())

    threads = [
        threading.Thread(target=repeat, args=pair)
        for pair in (("compute", compute), ("read", read))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return statistics.median(times["compute"]), statistics.median(times["read"])


def averaged(case: cases.Case, program: Path, limit: int) -> float:
    """The runner without Python, begun anew: the average of its runs but the first."""
    argv = cases.command("pelemay-run", case, program, limit, TOOL_RUNS)
    done, _, _ = cases.in_group(argv, limit)
    found = re.search(r"ran in ([0-9.]+) ms first.* on average ([0-9.]+)", done.stderr)
    if not found:
        raise SystemExit(done.stderr)
    return (float(found[2]) * TOOL_RUNS - float(found[1])) / (TOOL_RUNS - 1)


def median(run: Callable[[], float]) -> float:
    return statistics.median(run() for _ in range(RUNS))


def launched(case: cases.Case, options: argparse.Namespace) -> list[Round]:
    """Rounds of processes that were started for them."""
    from pelemay.engine import open_program

    with ExitStack() as stack:

        def worker(argv: list[str], group: Path | None = None) -> Worker:
            made = Worker(argv, group)
            stack.callback(made.end)
            return made

        name, given = next(iter(case.feeds)), case.folder / "in0.npy"
        compute = worker(python(NETWORK, case.program(1 << 40), 0, given, name))
        limited: dict[str, Limited] = {}
        for runner, limit in itertools.product(options.runners, options.limits):
            size, base = int(limit * MIB), cases.base_of(runner)
            program = case.program(size - base)
            if isinstance(program, int):
                raise SystemExit(f"{limit} MiB are too few for {runner}")
            read = worker([sys.executable, str(READING), str(program)])
            if runner == "python":
                group = stack.enter_context(group_of(f"{limit:g}", size))
                run = partial(median, worker(python(NETWORK, program, size, given, name), group))
            else:
                run = partial(averaged, case, program, size)
            room = size - base - int(open_program(program).arena_bytes)
            made = Limited(read, run, *parts_of(program, case.feeds), room)
            limited[f"{runner} {limit:g} MiB"] = made
        return [in_turns(compute, limited) for _ in range(options.rounds)]


@dataclass(frozen=True)
class Limited:
    """A run under a limit, a reader of the same file, and what is known of the program.

    ``shares`` of the time of computing and ``nbytes`` that are read for the first time stand for
    each instruction; ``room`` is what weights may have at most.
    """

    read: Worker
    run: Callable[[], float]
    shares: list[float]
    nbytes: list[int]
    room: int

    def least(self, compute: float, read: float) -> float:
        """Milliseconds that no order of reading can be faster than."""
        found, before, left = compute, 0.0, sum(self.nbytes)
        rate = left / read
        for share, nbytes in zip(self.shares, self.nbytes, strict=True):
            found = max(found, before * compute + max(0, left - self.room) / rate)
            before, left = before + share, left - nbytes
        return found


def parts_of(program: Path, feeds: dict[str, Any]) -> tuple[list[float], list[int]]:
    """For each instruction its share of the time of computing, and what it is the first to read."""
    from pelemay.engine import Engine, open_program

    engine = Engine(open_program(program))
    runs = [engine.profile(list(feeds.values())) for _ in range(7)]
    times = [min(ones) for ones in zip(*runs, strict=True)]
    streamed = open_program(program, streamed=True)
    nbytes, seen = [0] * len(times), set()
    for offset, size, _, first, *_ in streamed.stream_plan(streamed.stream_need()["least"])[2]:
        if offset not in seen:
            nbytes[first] += size
        seen.add(offset)
    return [time / sum(times) for time in times], nbytes


def in_turns(compute: Worker, limited: dict[str, Limited]) -> Round:
    found: Round = {}
    for label, case in limited.items():
        one = found[label] = {"compute": median(compute), "read": median(case.read)}
        one["compute at once"], one["read at once"] = at_once(compute, case.read)
        one["least"] = case.least(one["compute"], one["read"])
        one["limit"] = case.run()
    return found


def show(rounds: list[Round]) -> None:
    """Medians in ms, and the ratios to what a run with a limit cannot be faster than."""
    heads = ("limit", "compute", "read", "least", "at once")
    heads += ("/ compute", "/ max alone", "/ least", "/ max at once")
    print(f"{'':20}" + "".join(f"{head:>14}" for head in heads))
    for label in rounds[0]:
        ones = [found[label] for found in rounds]
        alone = [max(one["compute"], one["read"]) for one in ones]
        beside = [max(one["compute at once"], one["read at once"]) for one in ones]
        times = [[one[name] for one in ones] for name in ("limit", "compute", "read", "least")]
        cells = [f"{statistics.median(x):14.1f}" for x in (*times, beside)]
        for others in (times[1], alone, times[3], beside):
            ratio = statistics.median(a / b for a, b in zip(times[0], others, strict=True))
            cells.append(f"{ratio:14.2f}")
        print(f"{label:20}" + "".join(cells))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="resnet101-v1-7")
    parser.add_argument("--limits", nargs="+", type=float, default=[32.0, 64.0], help="MiB")
    parser.add_argument(
        "--runners", nargs="+", default=["python", "pelemay-run"], choices=["python", "pelemay-run"]
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--launches", type=int, default=4)
    parser.add_argument("--json", type=Path, help="write all rounds there")
    options = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.TemporaryDirectory() as folder:
        case = cases.Case(options.model, Path(folder))
        rounds = [one for _ in range(options.launches) for one in launched(case, options)]
    if options.json:
        options.json.write_text(json.dumps(rounds, indent=1))
    show(rounds)


if __name__ == "__main__":
    main()
