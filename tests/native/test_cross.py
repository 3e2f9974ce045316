"""The engine for 64-bit ARM, in an emulator: ``make cross`` builds it, and runs these tests."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pelemay.backends.reference import GraphRunnable, numpy_table
from pelemay.compilation import compile_graph
from pelemay.graph import DType
from pelemay.importers import from_proto
from pelemay.program.image import image
from support.integers import conv_case, product_case
from support.texts import CONVOLUTION, TRANSFORMER, parsed

BUILD = Path(__file__).parents[2] / "build" / "aarch64" / "native"
RUNNER = BUILD / "run_raw"
EMULATOR = shutil.which("qemu-aarch64")

pytestmark = pytest.mark.skipif(
    not (RUNNER.exists() and EMULATOR) and "PELEMAY_CROSS" not in os.environ,
    reason="make cross builds the engine for 64-bit ARM; it needs the cross compiler and qemu-user",
)

MODELS = {
    "convolution": CONVOLUTION,
    "transformer": TRANSFORMER,
    "winograd": """
        g (float[1,32,28,28] x) => (float[1,32,28,28] y)
        <float[32,32,3,3] w> { c = Conv <pads=[1,1,1,1]> (x, w)  y = Add (c, x) }""",
    "depthwise": """
        g (float[1,24,15,15] x) => (float[1,24,1,1] y)
        <float[24,1,3,3] w> {
            c = Conv <group=24, pads=[1,1,1,1]> (x, w)
            h = HardSwish (c)
            y = GlobalAveragePool (h)
        }""",
    "shapes": """
        g (float[2,6,8] x) => (float[2,8,6] y, int64[2,6,3] i) {
            k = Constant <value = int64[1] {3}> ()
            v, i = TopK <axis=-1> (x, k)
            t = Transpose <perm=[0,2,1]> (x)
            y = Tanh (t)
        }""",
}


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("isa", ["neon", "scalar"])
@pytest.mark.parametrize("name", MODELS)
def test_a_program_runs_on_arm(name: str, isa: str, workers: int, tmp_path: Path) -> None:
    graph = from_proto(parsed(MODELS[name])).graph
    x = np.random.default_rng(1).normal(size=graph.inputs["x"].shape).astype(np.float32)
    expected = GraphRunnable(graph, numpy_table()).run({"x": x})
    (tmp_path / "x.plm").write_bytes(image(compile_graph(graph)))
    (tmp_path / "in").write_bytes(x.tobytes())
    command: list[Any] = [EMULATOR, RUNNER, "x.plm", "in", "out", str(workers), isa]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    data, at = (tmp_path / "out").read_bytes(), 0
    for value in expected.values():
        found = np.frombuffer(data[at : at + value.nbytes], value.dtype).reshape(value.shape)
        at += value.nbytes
        np.testing.assert_allclose(found, value, rtol=1e-5, atol=1e-5 * np.abs(value).max())
    assert at == len(data)


INTEGERS = {
    "convolution": conv_case((1, 9, 11, 19), (21, 19, 3, 3), each=True, pads=(1, 1, 1, 1)),
    "of int8": conv_case((1, 6, 7, 40), (33, 40, 1, 1), data=np.int8, to=DType.INT8),
    "zero points": conv_case((1, 6, 7, 20), (16, 20, 3, 3), weights=np.uint8, w_zero=9),
    "depthwise": conv_case((1, 9, 8, 37), (37, 1, 3, 3), group=37, w_zero=3, strides=(2, 1)),
    "depthwise of int8": conv_case((1, 9, 8, 37), (37, 1, 5, 5), group=37, data=np.int8),
    "product": product_case((23, 70), (70, 50), to=DType.FLOAT32, each=True),
    "product of the run": product_case((2, 9, 33), (2, 33, 17), at_run=(1, 2, 4)),
}


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("isa", ["neondot", "neon", "scalar"])
@pytest.mark.parametrize("name", INTEGERS)
def test_integers_give_the_same_bits_on_arm(
    name: str, isa: str, workers: int, tmp_path: Path
) -> None:
    case = INTEGERS[name]
    program, inputs = case.built()
    (expected,) = case.meaning(wide=False)
    (tmp_path / "x.plm").write_bytes(image(program))
    (tmp_path / "in").write_bytes(b"".join(x.tobytes() for x in inputs))
    command: list[Any] = [EMULATOR, "-cpu", "max", RUNNER, "x.plm", "in", "out", str(workers), isa]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = np.frombuffer((tmp_path / "out").read_bytes(), expected.dtype)
    np.testing.assert_array_equal(found.reshape(expected.shape), expected)


@pytest.mark.parametrize("isa", ["neon", "scalar"])
def test_the_tool_runs_on_arm(isa: str, tmp_path: Path) -> None:
    graph = from_proto(parsed(CONVOLUTION)).graph
    x = np.random.default_rng(1).normal(size=graph.inputs["x"].shape).astype(np.float32)
    (expected,) = GraphRunnable(graph, numpy_table()).run({"x": x}).values()
    (tmp_path / "x.plm").write_bytes(image(compile_graph(graph)))
    np.save(tmp_path / "x.npy", x)
    command: list[Any] = [EMULATOR, BUILD / "pelemay-run", "x.plm", "--input=x.npy"]
    command += ["--output=y.npy", "--threads=2", f"--isa={isa}"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), expected, rtol=1e-5, atol=1e-5)
