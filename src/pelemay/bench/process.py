"""A measured process as its parent sees it: started, watched, and gone whatever happens.

In: a specification for :mod:`pelemay.bench.worker`. Out: a :class:`Reply`, never an exception
for what the worker does: a crash, a kill or a time-out is a status of the reply.

A specification is a dict: ``phase`` ("measure", "heap", "follow", "compile" or "check"),
``backend``, ``model`` (path), ``feeds`` (.npz or None), ``threads``, and what the phase needs
(``job`` or ``part``, seconds, ...); ``memory_limit`` in bytes and ``cache``, a folder, if set.
"""

from __future__ import annotations

import json
import logging
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import IO, Any

logger = logging.getLogger(__name__)

OnSample = Callable[[str, int], None]
"""Called with an event ("before_sample", "after_sample", or a step) and the worker's process id."""

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Reply:
    """How a worker ended: ``status`` is "ok", or a kind of failure that ``message`` explains.

    Failures are "unsupported", "unavailable", "error" (an exception), "crashed" (a signal),
    "killed" (SIGKILL, as the kernel sends when memory runs out) and "timeout".
    """

    status: str
    message: str = ""
    answer: Mapping[str, Any] = field(default_factory=dict)
    elapsed_s: float = 0.0


def run_worker(
    spec: Mapping[str, Any],
    *,
    timeout_s: float,
    on_sample: OnSample = lambda _event, _pid: None,
    launcher: Sequence[str] = (),
) -> Reply:
    """Run one worker to its end.

    Parameters
    ----------
    spec : mapping
        What it does.
    timeout_s : float
        Seconds after which it is killed.
    on_sample : callable
        Called before and after the samples that the worker brackets; the worker waits for it.
    launcher : sequence of str
        Command put before the worker's own, such as one that enters a cgroup.

    Returns
    -------
    Reply
        Its process group is gone when this returns or raises, also on KeyboardInterrupt.
    """
    began = time.monotonic()
    with tempfile.TemporaryFile() as log, _started(spec, launcher, log) as (process, reader):
        deadline = began + timeout_s
        last = _converse(process, reader, deadline, on_sample)
        status, message, answer = _outcome(process, last, deadline, log)
    if status != "ok":
        logger.info("%s by %s: %s: %s", spec["phase"], spec["backend"], status, message)
    return Reply(status, message, answer, time.monotonic() - began)


@contextmanager
def _started(
    spec: Mapping[str, Any], launcher: Sequence[str], log: IO[bytes]
) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    reader, writer = os.pipe()
    command = [*launcher, sys.executable, "-P", "-m", "pelemay.bench.worker", str(writer)]
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            pass_fds=(writer,),
            env=_environment(spec),
            start_new_session=True,
        )
    except BaseException:
        os.close(reader)
        raise
    finally:
        os.close(writer)
    try:
        _write(process, json.dumps(dict(spec)))
        yield process, reader
    finally:
        _end(process)
        os.close(reader)


def _environment(spec: Mapping[str, Any]) -> dict[str, str]:
    threads = {name: str(spec["threads"]) for name in _THREAD_VARIABLES if spec.get("threads")}
    cache = {"PELEMAY_CACHE": str(spec["cache"])} if spec.get("cache") else {}
    return {**os.environ, **threads, **cache}


def _write(process: subprocess.Popen[bytes], line: str) -> None:
    """Write a line to a worker that may be gone already."""
    assert process.stdin is not None
    with suppress(BrokenPipeError):
        process.stdin.write(line.encode() + b"\n")
        process.stdin.flush()


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill the worker and what it has started, and wait for it."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    if process.stdin is not None:
        with suppress(BrokenPipeError):
            process.stdin.close()
    process.wait()


def _converse(
    process: subprocess.Popen[bytes], reader: int, deadline: float, on_sample: OnSample
) -> Mapping[str, Any]:
    """Answer the worker's events until it has said its last, and return that."""
    for line in _lines(reader, deadline):
        event: dict[str, Any] = json.loads(line)
        if event["event"] in ("done", "failed"):
            return event
        on_sample(event["event"], process.pid)
        _write(process, "go on")
    return {}


def _lines(reader: int, deadline: float) -> Iterator[bytes]:
    """Lines as they come, until the other end closes or time is up."""
    pending = b""
    while (left := deadline - time.monotonic()) > 0 and select.select([reader], [], [], left)[0]:
        if not (chunk := os.read(reader, 1 << 16)):
            return
        *lines, pending = (pending + chunk).split(b"\n")
        yield from lines


def _outcome(
    process: subprocess.Popen[bytes], last: Mapping[str, Any], deadline: float, log: IO[bytes]
) -> tuple[str, str, Mapping[str, Any]]:
    if last.get("event") == "done":
        return "ok", "", last
    if last.get("event") == "failed":
        return str(last["status"]), str(last["message"]), {}
    try:
        code = process.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        return "timeout", "it did not end in time", {}
    status, message = _died(code)
    said = _last_words(log)
    return status, f"{message}; it said: {said}" if said else message, {}


def _died(code: int) -> tuple[str, str]:
    number = -code if code < 0 else code - 128  # A launching shell reports a signal as 128 + n.
    if number == signal.SIGKILL:
        return "killed", "killed by SIGKILL, as the kernel does when memory runs out"
    if number > 0:
        with suppress(ValueError):
            return "crashed", f"crashed with {signal.Signals(number).name}"
    return "crashed", f"ended with exit code {code} and without an answer"


def _last_words(log: IO[bytes]) -> str:
    log.seek(0)
    lines = log.read()[-2000:].decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else ""
