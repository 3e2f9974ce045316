"""``pelemay top``, on processes and on commands, in a pipe and on a terminal."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

TOP = [sys.executable, "-m", "pelemay", "top"]
HOLDING = (
    "import time; held = bytearray(b'x') * (40 << 20); print('said', flush=True); time.sleep({})"
)
RUNNING = """
import numpy as np
from pelemay.engine import Engine, open_program
from support.chain import chain
x = np.ones((300, 300), np.float32)
engine = Engine(open_program(chain(x.shape, {steps})), threads=1)
for _ in range(20):
    engine.run([x])
"""


def top(*words: str, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*TOP, *words], capture_output=True, text=True, timeout=120, **more)


def test_one_look_at_a_process() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDING.format(60)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()
        seen = json.loads(top(str(process.pid), "--once", "--json").stdout)
        said = top(str(process.pid), "--once").stdout
    finally:
        process.kill()
        process.communicate()
    assert seen["anonymous"] > 40 << 20
    assert seen["processes"][0]["pid"] == process.pid
    assert said.count("\n") == 1
    assert " resident, " in said


def test_a_command_is_watched_and_ends_as_it_does() -> None:
    code = f"{HOLDING.format(0.5)}; raise SystemExit(3)"
    done = top("--interval", "0.05", "--", sys.executable, "-c", code)
    assert (done.returncode, done.stdout) == (3, "said\n")
    *lines, last = done.stderr.splitlines()
    assert lines
    assert "\x1b" not in done.stderr
    assert last.startswith("pelemay top: held ")


def test_the_run_of_an_engine_is_seen() -> None:
    tests = str(Path(__file__).parents[1])
    done = top(
        "--interval", "0.05", "--json", "--", sys.executable, "-c", RUNNING.format(steps=2000),
        env={**os.environ, "PYTHONPATH": tests},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    runs = [run for row in done.stderr.splitlines() if (run := json.loads(row)["run"])]
    assert any(0 < run["done"] < run["instructions"] == 2000 for run in runs)
    assert any((run["operation"] or "").startswith("softmax") for run in runs)


def test_a_terminal_gets_a_live_view_and_the_output_above_it() -> None:
    master, slave = pty.openpty()
    code = HOLDING.format(1.0)
    process = subprocess.Popen(
        [*TOP, "--interval", "0.1", "--", sys.executable, "-c", code],
        stdin=slave, stdout=slave, stderr=slave,
        env={**os.environ, "COLUMNS": "90", "TERM": "xterm"},
    )  # fmt: skip
    os.close(slave)
    said = b""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            said += os.read(master, 1 << 16)
        except OSError:  # The other end is closed.
            break
    os.close(master)
    assert process.wait(30) == 0
    text = said.decode()
    assert "\nsaid\r\n" in f"\n{text}"
    assert "resident" in text
    assert "history" in text
    assert "held " in text.splitlines()[-1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("4194305",), "there is no process 4194305"),
        (("--interval", "0"), "more than 0"),
        (("--once", "--", "true"), "--once"),
        (("--", "/nowhere/at-all"), "it cannot be started"),
    ],
)
def test_what_cannot_be_watched_is_said(words: tuple[str, ...], said: str) -> None:
    done = top(*words)
    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr
