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
from pelemay.graph import ArrayConstant, DType, Graph, Node, TensorType, check
from pelemay.program.image import image
from pelemay.program.write import write_program
from support.graphs import graphs

F32, I64 = DType.FLOAT32, DType.INT64

Arrays = Mapping[str, Any]


def tensor(*shape: int | None, dtype: DType = F32) -> TensorType:
    return TensorType(dtype, shape)


def constant(*shape: int, dtype: type = np.float32) -> ArrayConstant:
    random = np.random.default_rng(7)
    return ArrayConstant.of(random.standard_normal(shape).astype(dtype))


def feeds_of(graph: Graph) -> dict[str, Any]:
    random = np.random.default_rng(1)
    types = {n: k for n, k in graph.inputs.items() if isinstance(k, TensorType)}
    return {n: np.asarray(random.standard_normal(k.shape), k.dtype.numpy) for n, k in types.items()}


def reference(graph: Graph, feeds: Arrays) -> dict[str, Any]:
    return GraphRunnable(graph, numpy_table()).run(feeds)


def assert_same(found: Arrays, expected: Arrays) -> None:
    assert list(found) == list(expected)
    for name, value in expected.items():
        assert found[name].dtype == value.dtype
        scale = np.abs(value).max(initial=0) if value.dtype.kind == "f" else 0
        np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-5 * max(float(scale), 1))


def convolution() -> Graph:
    """A residual block in the form that models have it: batch normalisation apart, NCHW."""
    x = tensor(1, 16, 9, 9)
    channels = {n: constant(16) for n in ("scale", "bias", "mean")}
    nodes = (
        Node("Conv", ("x", "w"), ("a",), {"pads": (1, 1, 1, 1), "kernel_shape": (3, 3)}),
        Node("BatchNormalization", ("a", "scale", "bias", "mean", "var"), ("b",)),
        Node("Relu", ("b",), ("c",)),
        Node("Add", ("c", "x"), ("d",)),
        Node("GlobalAveragePool", ("d",), ("e",)),
        Node("Flatten", ("e",), ("f",)),
        Node("Gemm", ("f", "fc", "fb"), ("y",), {"transB": 1}),
    )
    constants = {
        "w": constant(16, 16, 3, 3),
        "var": ArrayConstant.of(np.full(16, 0.5, np.float32)),
        "fc": constant(10, 16),
        "fb": constant(10),
        **channels,
    }
    return Graph("block", {"x": x}, {"y": tensor(1, 10)}, nodes, constants)


def detector() -> Graph:
    """Half of it has no size before the run."""
    nodes = (
        Node("Relu", ("x",), ("a",)),
        Node("NonZero", ("a",), ("found",)),
        Node("Cast", ("found",), ("wide",), {"to": F32}),
        Node("Mul", ("wide", "two"), ("z",)),
        Node("Exp", ("a",), ("y",)),
    )
    outputs = {"z": tensor(2, None), "y": tensor(3, 4)}
    constants = {"two": ArrayConstant.of(np.float32(2))}
    return Graph("detector", {"x": tensor(3, 4)}, outputs, nodes, constants)


def branches() -> Graph:
    """A condition that is known at the run only: no instruction for If."""
    then = Graph("t", {}, {"r": tensor(4)}, (Node("Mul", ("h", "w"), ("r",)),))
    other = Graph("e", {}, {"s": tensor(4)}, (Node("Neg", ("h",), ("s",)),))
    nodes = (
        Node("Relu", ("x",), ("h",)),
        Node("ReduceSum", ("h",), ("total",), {"keepdims": 0}),
        Node("Greater", ("total", "zero"), ("c",)),
        Node("If", ("c",), ("v",), {"then_branch": then, "else_branch": other}),
        Node("Exp", ("v",), ("y",)),
    )
    constants = {"w": constant(4), "zero": ArrayConstant.of(np.float32(0))}
    return Graph("branches", {"x": tensor(4)}, {"y": tensor(4)}, nodes, constants)


def many_operands() -> Graph:
    """A node of more operands than an instruction has, read back from a sequence of splits."""
    names = tuple(f"p{i}" for i in range(20))
    nodes = (
        Node("Split", ("x",), names, {"axis": 0, "num_outputs": 20}),
        Node("Sum", names, ("s",)),
        Node("Concat", (*names, "s"), ("y",), {"axis": 0}),
    )
    return Graph("many", {"x": tensor(40, 3)}, {"y": tensor(42, 3)}, nodes)


def ends() -> Graph:
    """Outputs that are a constant, an input, a view of an input, and another output."""
    nodes = (
        Node("Reshape", ("x", "shape"), ("r",)),
        Node("Identity", ("r",), ("again",)),
        Node("Transpose", ("x",), ("t",), {"perm": (1, 0)}),
    )
    constants = {"shape": ArrayConstant.of(np.int64([3, 2])), "k": constant(2, 2)}
    six = tensor(3, 2)
    outputs = {"x": tensor(2, 3), "r": six, "again": six, "t": six, "k": tensor(2, 2)}
    return Graph("ends", {"x": tensor(2, 3)}, outputs, nodes, constants)


def empty() -> Graph:
    """Values without elements."""
    nodes = (
        Node("Relu", ("x",), ("a",)),
        Node("Concat", ("a", "b"), ("y",), {"axis": 0}),
        Node("ReduceSum", ("a",), ("s",), {"keepdims": 0}),
    )
    inputs = {"x": tensor(0, 3), "b": tensor(2, 3)}
    return Graph("empty", inputs, {"y": tensor(2, 3), "s": tensor()}, nodes)


def odd_types() -> Graph:
    """Complex values, which the engine does not know, between values that it does."""
    nodes = (
        Node("Cast", ("x",), ("c",), {"to": DType.COMPLEX64}),
        Node("Mul", ("c", "c"), ("d",)),
        Node("Cast", ("d",), ("y",), {"to": F32}),
    )
    return Graph("odd", {"x": tensor(2, 3)}, {"y": tensor(2, 3)}, nodes)


MAKERS = (convolution, detector, branches, many_operands, ends, empty, odd_types)


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


def test_a_residual_block_has_an_instruction_for_each_node() -> None:
    assert "host" not in opcodes(convolution())


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


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
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
