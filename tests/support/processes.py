"""Python processes: to their end, or measured."""

from __future__ import annotations

import os
import subprocess
import sys


def python(*arguments: object, **more: str) -> subprocess.CompletedProcess[str]:
    """A fresh interpreter, to its end; ``more`` goes into its environment."""
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, **more},
    )


def measured(code: str, *arguments: object) -> str:
    """What a fresh interpreter says, run twice: the first may have to compile modules.

    One that compiles the text of modules holds half a MiB more than one that reads their bytecode.
    """
    command = [sys.executable, "-c", code, *map(str, arguments)]
    for _ in range(2):
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=120, check=True, env=environment()
        )
    return done.stdout


def environment() -> dict[str, str]:
    """That of this process, with bytecode."""
    return {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
