"""Engines in processes of their own: what comes of them at a fork, and when the interpreter ends.

What a script says to make ``engine`` comes before each of these: it has run once on ``x``, and gave
``first``.
"""

from __future__ import annotations

import subprocess
import textwrap
from pathlib import Path

from support.processes import python

SETUP = """
import os, sys
sys.path.insert(0, {folder!r})
import numpy as np
from pelemay.engine import Engine, open_program
{made}
first = engine.run([x])[0]
"""

FORKS = """
child = os.fork()
same = all((engine.run([x])[0] == first).all() for _ in range(3))
if child == 0:
    del engine
    os._exit(0 if same else 3)
_, status = os.waitpid(child, 0)
again = os.fork()
if again == 0:
    del engine
    os._exit(0)
os.waitpid(again, 0)
same = same and bool((engine.run([x])[0] == first).all())
print("parent", same, "child", os.waitstatus_to_exitcode(status))
"""

ENDS = {
    "idle": "",
    "cycle": "keep = [engine]; keep.append(keep)",
    "running": "import threading\n"
    "work = lambda: [engine.run([x]) for _ in range(200)]\n"
    "threading.Thread(target=work, daemon=True).start()",
    "at exit": "import atexit; atexit.register(engine.run, [x])",
}
"""In what state the interpreter ends."""


def run_script(made: str, body: str) -> subprocess.CompletedProcess[str]:
    """A process that makes an engine, runs it, and goes on."""
    folder = str(Path(__file__).parents[1])
    return python("-c", SETUP.format(folder=folder, made=textwrap.dedent(made)) + body)


def assert_forks(made: str) -> None:
    """A child runs on, and its parent; a child that ends at once takes nothing along."""
    done = run_script(made, FORKS)
    assert (done.returncode, done.stdout) == (0, "parent True child 0\n"), done.stderr


def assert_ends(made: str, body: str) -> None:
    """The interpreter ends well and says nothing."""
    done = run_script(made, body)
    assert (done.returncode, done.stderr) == (0, "")
