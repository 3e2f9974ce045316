"""Graphs compiled, written, opened and run by the engine, against the reference.

What the kernels do exactly is tested one by one in tests/native; here whole ways are walked: from
a graph, or an ONNX file, through the ``.plm`` file to its outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from pelemay.backends.programs import ProgramRunnable
from pelemay.backends.reference import GraphRunnable, numpy_table
from pelemay.compilation import compile_graph
from pelemay.errors import ExecutionError, InputError
from pelemay.graph import DType, Graph, Node, check
from pelemay.program.describe import fallbacks
from pelemay.program.image import image
from pelemay.program.write import write_program
from support.graphs import graphs
from support.networks import (
    I64,
    MAKERS,
    NATIVE,
    branches,
    convolution,
    detector,
    feeds_of,
    tensor,
)

Arrays = Mapping[str, Any]


def reference(graph: Graph, feeds: Arrays) -> dict[str, Any]:
    return GraphRunnable(graph, numpy_table()).run(feeds)


def assert_same(found: Arrays, expected: Arrays) -> None:
    assert list(found) == list(expected)
    for name, value in expected.items():
        assert found[name].dtype == value.dtype
        scale = np.abs(value).max(initial=0) if value.dtype.kind == "f" else 0
        np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-5 * max(float(scale), 1))


@pytest.fixture(params=MAKERS, ids=lambda make: make.__name__)
def graph(request: pytest.FixtureRequest) -> Graph:
    made: Graph = request.param()
    check(made)
    return made


@pytest.mark.filterwarnings("ignore:Casting complex values")
def test_from_graph_to_file_to_outputs(graph: Graph, tmp_path: Path) -> None:
    path = write_program(compile_graph(graph, check=True), tmp_path / "g.plm").path
    feeds = feeds_of(graph)
    runnable = ProgramRunnable(path, threads=2)
    expected = reference(graph, feeds)
    for _ in range(2):
        assert_same(runnable.run(feeds, list(graph.outputs)), expected)


@pytest.mark.filterwarnings("ignore:Casting complex values")
def test_the_file_and_the_image_in_memory_are_the_same_program(
    graph: Graph, tmp_path: Path
) -> None:
    made = compile_graph(graph)
    written = write_program(made, tmp_path / "g.plm")
    data = bytearray(written.path.read_bytes())
    data[24:56] = bytes(32)
    assert image(made) == bytes(data)


def opcodes(graph: Graph) -> list[str]:
    return [instruction.opcode for instruction in compile_graph(graph).instructions]


@pytest.mark.parametrize("make", NATIVE, ids=lambda make: make.__name__)
def test_every_node_has_an_instruction(make: Callable[[], Graph]) -> None:
    assert fallbacks(compile_graph(make()).metadata) == []


def test_what_has_no_instruction_is_on_the_host() -> None:
    made = compile_graph(branches())
    assert [entry["node"] for entry in made.metadata["host"]] == ["If 'v'"]
    assert opcodes(branches()).count("host") == 1


def test_a_trunk_is_native_and_its_tail_is_not() -> None:
    made = compile_graph(detector())
    assert "host" not in opcodes(detector())
    assert [entry["node"] for entry in made.metadata["tail"]["nodes"]] == [
        "NonZero 'found'", "Cast 'wide'", "Mul 'z'"
    ]  # fmt: skip
    assert made.metadata["program_outputs"] == ["y", "a"]


def test_an_input_of_another_shape_is_refused() -> None:
    runnable = ProgramRunnable(image(compile_graph(convolution())))
    with pytest.raises(InputError, match="compiled for"):
        runnable.run({"x": np.zeros((2, 16, 9, 9), np.float32)})
    with pytest.raises(InputError, match="input 'x' is missing"):
        runnable.run({})


def test_what_fails_on_the_host_is_an_error_with_its_place() -> None:
    body = Graph("b", {}, {"r": None}, (Node("Gather", ("x", "i"), ("r",), {"axis": 0}),))
    inputs = {"x": tensor(3), "i": tensor(2, dtype=I64), "c": tensor(dtype=DType.BOOL)}
    node = Node("If", ("c",), ("y",), {"then_branch": body, "else_branch": body}, name="choose")
    runnable = ProgramRunnable(image(compile_graph(Graph("g", inputs, {"y": tensor(2)}, (node,)))))
    feeds = {"x": np.zeros(3, np.float32), "i": np.int64([0, 9]), "c": np.bool_(True)}
    with pytest.raises(ExecutionError, match="Gather 'r': IndexError: index 9"):
        runnable.run(feeds)


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(graphs())
def test_random_graphs_mean_the_same_compiled(graph: Graph) -> None:
    feeds = feeds_of(graph)
    runnable = ProgramRunnable(image(compile_graph(graph, check=True)), threads=2)
    assert_same(runnable.run(feeds, list(graph.outputs)), reference(graph, feeds))


def test_threads_do_not_change_a_bit() -> None:
    graph = convolution()
    feeds, data = feeds_of(graph), image(compile_graph(graph))
    runs: list[Callable[..., Any]] = [ProgramRunnable(data, threads=n).run for n in (1, 2, 3)]
    first, *others = [run(feeds)["y"].tobytes() for run in runs]
    assert others == [first] * 2
