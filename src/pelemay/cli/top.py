"""``pelemay top``: what a process holds while it runs, live."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

from pelemay.cli.output import add_json_flag, console
from pelemay.errors import InputError

if TYPE_CHECKING:
    from pelemay.bench.live import View

HELP = "Show what a running process holds, its limit, and how far its run is."
EXAMPLES = """\
  pelemay top                                     what runs pelemay here
  pelemay top 4711                                this process, and all that it has started
  pelemay top -- pelemay run model.onnx --random  start a command, and watch it
  pelemay top 4711 --once --json                  one look, as JSON

How far a run is can be seen of a command that was started here, and of a process that has the
environment variable PELEMAY_TOP: a folder into which its engine writes. Without a terminal
there is one line for each look."""

_MOST_KEPT = 2000


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add = parser.add_argument
    add("what", metavar="PID | -- COMMAND", nargs="*", help="process ids, or a command to start")
    add("--interval", metavar="S", type=float, help="seconds between looks (0.25; 1 in a pipe)")
    add("--once", action="store_true", help="look once, and stop")
    add_json_flag(parser)


def run(args: argparse.Namespace) -> int:
    """Watch until what is watched has ended."""
    if args.interval is not None and args.interval <= 0:
        raise InputError(f"--interval {args.interval:g}: more than 0 is needed")
    if args.what and not all(word.isdigit() for word in args.what):
        if args.once:
            raise InputError("--once is for a process that runs already")
        return _run_command(args)
    from pelemay.bench.live import running

    pids = [int(word) for word in args.what] or running()
    if not pids:
        raise InputError(
            "no process of yours runs pelemay", hint="name one: pelemay top PID, or top -- COMMAND"
        )
    watch = _Watch(pids, None, args, sys.stdout)
    if not watch.look().processes:
        raise InputError(f"there is no process {' or '.join(map(str, pids))}")
    with suppress(KeyboardInterrupt):
        watch.until(lambda: watch.view is not None and not watch.view.processes)
    return 0


@dataclass
class _Watch:
    """Looks again and again, and shows what it sees."""

    pids: Sequence[int]
    folder: str | None
    args: argparse.Namespace
    out: IO[str]
    view: View | None = None
    held: list[int] = field(default_factory=list)
    peak: int = 0
    began: float = field(default_factory=time.monotonic)

    def look(self) -> View:
        """See what is held now."""
        from pelemay.bench.live import look

        view = look(self.pids, self.folder)
        self.view = view
        if view.processes:
            self.held = [*self.held[-_MOST_KEPT:], view.rss]
            self.peak = max(self.peak, view.rss, *(p.peak_rss for p in view.processes))
        return view

    def until(self, is_over: Callable[[], bool]) -> None:
        """Show on a terminal, or line by line elsewhere."""
        if self.args.once:
            self._write(self.look())
        elif self.args.json or not self.out.isatty():
            self._lines(is_over)
        else:
            self._live(is_over)

    def _lines(self, is_over: Callable[[], bool]) -> None:
        while not is_over():
            if (view := self.look()).processes:
                self._write(view)
            time.sleep(self.args.interval or 1.0)

    def _write(self, view: View) -> None:
        from pelemay.bench.reports.live import line, plain

        self.out.write(f"{json.dumps(plain(view)) if self.args.json else line(view)}\n")
        self.out.flush()

    def _live(self, is_over: Callable[[], bool]) -> None:
        from rich.live import Live

        from pelemay.bench.reports.live import panel

        screen = console(stderr=self.out is sys.stderr)
        with Live(console=screen, auto_refresh=False, transient=True) as live:
            while not is_over():
                view, elapsed_s = self.look(), time.monotonic() - self.began
                live.update(panel(view, self.held, elapsed_s, screen.width), refresh=True)
                time.sleep(self.args.interval or 0.25)


def _run_command(args: argparse.Namespace) -> int:
    """Start a command, watch it, and end as it does; what it prints is printed."""
    from pelemay.bench.units import as_bytes, as_seconds
    from pelemay.progress import VARIABLE

    with tempfile.TemporaryDirectory(prefix="pelemay-top-") as folder:
        began = time.monotonic()
        relayed = sys.stderr.isatty() and not args.json
        with _started(args.what, {**os.environ, VARIABLE: folder}, relayed) as process:
            watch = _Watch([process.pid], folder, args, sys.stderr)
            watch.until(lambda: process.poll() is not None)
            code = _code(process)
    if not args.json:
        took = as_seconds(round(time.monotonic() - began, 1))
        said = f"pelemay top: held {as_bytes(watch.peak)} at most, in {took}"
        console(stderr=True).print(said, markup=False)
    return code


@contextmanager
def _started(
    words: Sequence[str], environment: dict[str, str], relayed: bool
) -> Iterator[subprocess.Popen[Any]]:
    """A process whose output goes above the live view where it would go through it."""
    errors = subprocess.PIPE if relayed else None
    output = subprocess.PIPE if relayed and sys.stdout.isatty() else None
    try:
        process = subprocess.Popen(
            list(words), env=environment, text=True, stdout=output, stderr=errors
        )
    except OSError as error:
        raise InputError(f"it cannot be started: {error.strerror}", where=words[0]) from error
    threads = [_relay(process.stdout, "stdout"), _relay(process.stderr, "stderr")]
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait()
        for thread in filter(None, threads):
            thread.join()


def _relay(source: IO[str] | None, name: str) -> threading.Thread | None:
    """Print what comes; while a live view stands there it has its own stream of that name."""
    if source is None:
        return None

    def copy() -> None:
        for text in source:
            getattr(sys, name).write(text)

    thread = threading.Thread(target=copy, daemon=True)
    thread.start()
    return thread


def _code(process: subprocess.Popen[Any]) -> int:
    """The exit code of a process, as a shell tells it."""
    code = process.wait()
    return 128 - code if code < 0 else code


__all__ = ["configure", "run"]
