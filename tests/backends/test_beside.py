"""What the reference backend takes beside an engine counts for a limit on the process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx.parser
import pytest

from pelemay.backends.beside import BESIDE, OBJECT_BYTES, OPEN, peak_bytes
from pelemay.graph import DType, Graph, MapType, Node, SequenceType, TensorType
from pelemay.pipeline import compile

SIZE = 1 << 19

MODELS = {
    "a tail": f"""(float[{SIZE}] x) => (float[n, m] y)
        {{ i = NonZero(x) t = Transpose(i) g = GatherND(x, t) k = Exp(g)
           s = Constant<value_ints=[1, -1]>() y = Reshape(k, s) }}""",
    "a branch": f"""(float[{SIZE}] x) => (float[{SIZE}] y) {{
        zero = Constant<value_float=0.0>() sum = ReduceSum<keepdims=0>(x) up = Greater(sum, zero)
        y = If(up) <then_branch = a () => (float[{SIZE}] p) {{ e = Exp(x) p = Sin(e) }},
                    else_branch = b () => (float[{SIZE}] q) {{ q = Cos(x) }}> }}""",
}
"""Two whose nodes on the host take several MiB."""

RUN = """
import sys
import numpy as np
from pelemay.errors import MemoryLimitError
from pelemay.session import InferenceSession
try:
    session = InferenceSession(sys.argv[1], threads=2, memory_limit=sys.argv[2])
except MemoryLimitError as error:
    print(error.least_bytes)
else:
    for _ in range(3):
        session.run(None, {"x": np.ones(int(sys.argv[3]), np.float32)})
    print("ran")
"""


def said(path: Path, limit: int | str, group: Path | None = None) -> str:
    command = [sys.executable, "-c", RUN, str(path), str(limit), str(SIZE)]
    if group is not None:
        command = ["sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "sh", *command]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, (done.returncode, done.stderr)
    return done.stdout.strip()


@pytest.mark.parametrize("name", MODELS)
def test_the_kernel_agrees(name: str, tmp_path: Path, group: Path) -> None:
    text = f'<ir_version: 8, opset_import: ["" : 17]> g {MODELS[name]}'
    source, path = tmp_path / "model.onnx", tmp_path / "model.plm"
    source.write_bytes(onnx.parser.parse_model(text).SerializeToString())
    made = compile(source, path)
    assert made.program.metadata["tail"] or made.program.metadata["host"]
    least = int(said(path, 1))
    (group / "memory.limit_in_bytes").write_text(str(least))
    assert said(path, least, group) == "ran"
    assert "oom_kill 0" in (group / "memory.oom_control").read_text()
    assert said(path, least - (1 << 20)).isdigit()


def test_an_onnx_file_is_compiled_for_what_the_host_leaves(tmp_path: Path) -> None:
    text = f'<ir_version: 8, opset_import: ["" : 17]> g {MODELS["a tail"]}'
    path = tmp_path / "model.onnx"
    path.write_bytes(onnx.parser.parse_model(text).SerializeToString())
    least = int(said(path, "24MiB"))
    assert said(path, least + (1 << 20)) == "ran"


def graph_of(*nodes: Node, x: TensorType, **types: object) -> Graph:
    outputs = {nodes[-1].outputs[0]: types.pop(nodes[-1].outputs[0])}
    return Graph("g", {"x": x}, outputs, nodes, types=types)


def test_values_are_counted_as_long_as_they_are_read() -> None:
    x = TensorType(DType.FLOAT32, (100,))
    chain = [Node("Exp", (a,), (b,)) for a, b in ("xa", "ab", "bc", "cd")]
    long = graph_of(*chain, x=x, a=x, b=x, c=x, d=x)
    assert peak_bytes(long) == (2 + BESIDE * 2) * 400


def test_entries_of_maps_are_objects() -> None:
    x = TensorType(DType.FLOAT32, (10, 3))
    y = SequenceType(MapType(DType.INT64, TensorType(DType.FLOAT32, ())))
    graph = graph_of(Node("ZipMap", ("x",), ("y",), domain="ai.onnx.ml"), x=x, y=y)
    assert peak_bytes(graph) == BESIDE * 120 + 30 * OBJECT_BYTES + OPEN * 120


def test_bodies_count() -> None:
    x = TensorType(DType.FLOAT32, (100,))
    body = Graph("b", {}, {"z": x}, (Node("Exp", ("x",), ("z",)),))
    both = {"then_branch": body, "else_branch": body}
    flag = Graph("g", {"x": x, "c": TensorType(DType.BOOL, ())}, {"y": x}, (
        Node("If", ("c",), ("y",), both),
    ))  # fmt: skip
    plain = graph_of(Node("Exp", ("x",), ("y",)), x=x, y=x)
    assert peak_bytes(flag) > peak_bytes(plain)
    assert np.isfinite(peak_bytes(flag))
