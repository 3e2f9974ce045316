"""``pelemay-run`` as tests drive it, and small programs for it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
from functools import cache
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from pelemay.compilation import compile_graph
from pelemay.engine import open_program
from pelemay.importers import from_proto
from pelemay.program.image import image
from support.texts import CONVOLUTION, TRANSFORMER, parsed

Array = Any


def find_tool() -> Path | None:
    """What ``PELEMAY_RUN`` names; next to the engine that is tested; or where pip has put it."""
    if path := os.environ.get("PELEMAY_RUN"):
        return Path(path)
    if path := os.environ.get("PELEMAY_NATIVE"):
        return Path(path).parents[1] / "native" / "pelemay-run"
    installed = Path(sysconfig.get_path("scripts")) / "pelemay-run"
    found = shutil.which("pelemay-run")
    return installed if installed.exists() else Path(found) if found else None


TOOL = find_tool()


def run(
    *arguments: object, cwd: Path | None = None, **options: Any
) -> subprocess.CompletedProcess[str]:
    """The tool, to its end."""
    command = [str(a) for a in (TOOL, *arguments)]
    return subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, check=False, timeout=60, **options
    )


def refused(*arguments: object, cwd: Path | None = None, code: int = 1) -> str:
    """What the tool says of what it does not do; no output is begun."""
    before = sorted(cwd.iterdir()) if cwd else []
    done = run(*arguments, cwd=cwd)
    assert done.returncode == code, done.stderr
    assert done.stderr.startswith("pelemay-run: ")
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""
    assert (sorted(cwd.iterdir()) if cwd else []) == before
    return done.stderr.removeprefix("pelemay-run: ").strip()


def start(folder: Path, *arguments: object) -> subprocess.Popen[str]:
    command = [str(a) for a in (TOOL, *arguments)]
    return subprocess.Popen(
        command, cwd=folder, stderr=subprocess.PIPE, text=True, restore_signals=True
    )


MODELS = {
    "convolution": CONVOLUTION,
    "transformer": TRANSFORMER,
    "two of each": """
        g (float[4,6] a, int64[4,2] b) => (float[4,6] p, int64[4,2] q) {
            p = Tanh (a)
            q = Neg (b)
        }""",
    "half": """
        g (float16[3,5] x) => (float16[3,5] y, bool[3,5] b) {
            y = Add (x, x)
            b = IsNaN (x)
        }""",
    "bfloat": "g (bfloat16[7] x) => (bfloat16[7] y) { y = Neg (x) }",
    "scalar": "g (float x) => (float y) { y = Neg (x) }",
    "empty": "g (float[0,3] x) => (float[0,3] y) { y = Neg (x) }",
    "host": """
        g (float[4] x, string[2] s) => (float[4] y, string[2] t) {
            y = Exp (x)
            t = Identity (s)
        }""",
    "tail": "g (float[4] x) => (int64[1,n] y) { y = NonZero (x) }",
}


@cache
def compiled(name: str) -> bytes:
    return image(compile_graph(from_proto(parsed(MODELS[name])).graph))


def lay_out(folder: Path, name: str) -> tuple[list[str], list[str]]:
    """A program and random inputs in a folder; the options that name inputs, and outputs."""
    (folder / "m.plm").write_bytes(compiled(name))
    program = open_program(compiled(name))
    rng = np.random.default_rng(1)
    for key, dtype, shape in program.inputs:
        kind = ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype
        np.save(folder / f"{key}.npy", (rng.normal(size=shape) * 9).astype(kind))
    inputs = [f"--input={key}={key}.npy" for key, _, _ in program.inputs]
    return inputs, [f"--output={key}={key}_out.npy" for key, _, _ in program.outputs]


def load(path: Path, dtype: str) -> Array:
    array = np.load(path)
    return array.view(ml_dtypes.bfloat16) if dtype == "bfloat16" else array
