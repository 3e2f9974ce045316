"""How the tests of passes make graphs, and how they see that a graph still means the same."""

from __future__ import annotations

import io
import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import onnx.parser
import pytest

from pelemay.backends.reference import numpy_table
from pelemay.graph import ArrayConstant, DType, Graph, TensorType, check
from pelemay.graph.evaluate import evaluate
from pelemay.graph.typing import infer
from pelemay.importers import from_proto

Array = np.ndarray[Any, Any]


def random_array(rng: np.random.Generator, kind: TensorType, scale: float = 1.0) -> Array:
    """Elements of a type: normal floats, small whole numbers, coins."""
    shape = tuple(d if isinstance(d, int) else 1 for d in kind.shape or ())
    if kind.dtype is DType.BOOL:
        return rng.integers(0, 2, shape).astype(bool)
    if kind.dtype.kind.value == "float":
        return (rng.standard_normal(shape) * scale).astype(kind.dtype.numpy)
    return rng.integers(0, 3, shape).astype(kind.dtype.numpy)


def feeds_of(graph: Graph, seed: int = 1, scale: float = 1.0) -> dict[str, Array]:
    """Random arrays for a graph's inputs."""
    rng = np.random.default_rng(seed)
    found = {}
    for name, kind in graph.inputs.items():
        assert isinstance(kind, TensorType)
        found[name] = random_array(rng, kind, scale)
    return found


def results_of(graph: Graph, feeds: Mapping[str, Array]) -> dict[str, Array]:
    """What the reference gives."""
    with np.errstate(all="ignore"):
        return evaluate(graph, feeds, numpy_table())


def compare(found: Mapping[str, Array], expected: Mapping[str, Array], rtol: float) -> None:
    """Equal names, types and shapes; floats to ``rtol`` of the largest of all."""
    assert list(found) == list(expected)
    for name, wanted in expected.items():
        got, wanted = np.asarray(found[name]), np.asarray(wanted)
        assert (got.dtype, got.shape) == (wanted.dtype, wanted.shape), name
        if wanted.dtype.kind != "f" and wanted.dtype.name != "bfloat16":
            np.testing.assert_array_equal(got, wanted)
            continue
        finite = np.abs(wanted[np.isfinite(wanted)].astype(np.float64))
        largest = float(finite.max(initial=0))
        np.testing.assert_allclose(
            got.astype(np.float64), wanted.astype(np.float64), rtol=rtol, atol=rtol * largest
        )


@pytest.fixture(scope="session")
def graph_of() -> Callable[..., Graph]:
    """``graph_of(text, w=array)``: the graph of ONNX's text form; named inputs become constants."""

    def make(text: str, opset: int = 21, **constants: Array) -> Graph:
        model = onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["" : {opset}]> {text}')
        graph = from_proto(model).graph
        inputs = {name: kind for name, kind in graph.inputs.items() if name not in constants}
        made = {name: ArrayConstant.of(value) for name, value in constants.items()}
        for name, value in made.items():
            kind = graph.inputs[name]
            assert isinstance(kind, TensorType)
            assert (kind.dtype, kind.shape) == (value.dtype, value.shape), name
        return infer(replace(graph, inputs=inputs, constants={**graph.constants, **made}))

    return make


@pytest.fixture(scope="session")
def exported() -> Callable[..., Graph]:
    """``exported(module, *inputs)``: the graph that PyTorch's exporter writes."""
    torch = pytest.importorskip("torch")

    def make(module: Any, *inputs: Array, opset: int = 17) -> Graph:
        file = io.BytesIO()
        tensors = tuple(torch.from_numpy(x) for x in inputs)
        names = [f"x{i}" for i in range(len(inputs))]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                module.eval(), tensors, file, dynamo=False, opset_version=opset, input_names=names
            )
        return infer(from_proto(file.getvalue()).graph)

    return make


@pytest.fixture(scope="session")
def kept() -> Callable[..., Graph]:
    """``kept(graph, *passes)``: the graph after the passes, which still means the same."""

    def run(graph: Graph, *passes: Callable[[Graph], Graph], rtol: float = 1e-5) -> Graph:
        check(graph)
        after = graph
        for step in passes:
            after = step(after)
            check(after)
        for seed, scale in ((1, 1.0), (2, 4.0)):
            feeds = feeds_of(graph, seed, scale)
            compare(results_of(after, feeds), results_of(graph, feeds), rtol)
        return after

    return run


@pytest.fixture(scope="session")
def ops() -> Callable[[Graph], Counter[str]]:
    """``ops(graph)``: how often each operation occurs."""
    return lambda graph: Counter(node.qualified for node in graph.nodes)
