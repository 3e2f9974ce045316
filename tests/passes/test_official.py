"""ONNX's own tests, before and after the passes: the graphs of people, not of a strategy."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx.numpy_helper
import pytest
from onnx.backend.test.loader import load_model_tests

from pelemay.backends.reference import numpy_table
from pelemay.graph import Graph, TensorType, walk
from pelemay.graph.evaluate import evaluate
from pelemay.graph.operations import find
from pelemay.importers import from_proto
from pelemay.passes import bind, run_passes
from pelemay.passes.host_inputs import host_inputs
from pelemay.passes.simplify import simplify


def is_left_out(graph: Graph) -> bool:
    """Whether two runs may differ, or the reference cannot run the graph."""
    if any(node.version and any(node.graphs) for node in graph.nodes):
        return True
    rows = (find(node.op, node.domain) for _, node in walk(graph))
    return any(row and row.random and row.name != "Dropout" for row in rows)


def plain(value: Any) -> Any:
    """Tensors as arrays."""
    if isinstance(value, onnx.TensorProto):
        return onnx.numpy_helper.to_array(value)
    return np.asarray(value) if isinstance(value, np.generic) else value


def cases() -> Iterator[tuple[Any, Graph, dict[str, Any]]]:
    """The official tests of nodes, with what they feed."""
    with warnings.catch_warnings():
        # The onnx package computes its own expected values here, some overflow on purpose.
        warnings.simplefilter("ignore")
        found = load_model_tests(kind="node")
    for case in found:
        graph = from_proto(case.model).graph
        values = dict(zip(graph.inputs, case.data_sets[0][0], strict=False))
        feeds = {name: plain(value) for name, value in values.items()}
        if len(feeds) == len(graph.inputs) and not is_left_out(graph):
            yield case, graph, feeds


def bound(graph: Graph, feeds: dict[str, Any]) -> Graph:
    """The graph for these shapes, with the inputs that are read on the host as constants."""
    tensors = {
        name: value
        for name, value in feeds.items()
        if isinstance(value, np.ndarray) and isinstance(graph.inputs[name], TensorType)
    }
    values = {name: tensors[name] for name in host_inputs(graph) if name in tensors}
    shapes = {name: value.shape for name, value in tensors.items() if name not in values}
    return bind(graph, shapes, values)


def same(found: Any, expected: Any, rtol: float) -> bool:
    if isinstance(expected, list):
        return len(found) == len(expected) and all(
            same(f, e, rtol) for f, e in zip(found, expected, strict=True)
        )
    if expected is None:
        return found is None
    found, expected = np.asarray(found), np.asarray(expected)
    if found.dtype != expected.dtype or found.shape != expected.shape:
        return False
    if expected.dtype.name == "bfloat16":
        found, expected = found.astype(np.float32), expected.astype(np.float32)
    if expected.dtype.kind != "f" or not rtol:
        return found.tobytes() == expected.tobytes() or bool((found == expected).all())
    finite = np.abs(expected[np.isfinite(expected)].astype(np.float64))
    atol = rtol * float(finite.max(initial=1))
    return bool(np.allclose(found, expected, rtol=rtol, atol=atol, equal_nan=True))


def tolerance(value: Any) -> float:
    """Half precision is computed in another order, and rounded more often."""
    name = getattr(getattr(value, "dtype", None), "name", "")
    return {"float16": 4e-3, "bfloat16": 3e-2}.get(name, 1e-5)


@pytest.mark.slow
def test_the_passes_keep_what_the_official_tests_compute() -> None:
    different: list[str] = []
    count = before = after = 0
    for case, graph, feeds in cases():
        simple = run_passes(bound(graph, feeds), check=True, passes=(simplify,))
        full = run_passes(bound(graph, feeds), check=True)
        with np.errstate(all="ignore"):
            expected = evaluate(graph, feeds, numpy_table())
            for name, changed in (("simplify", simple), ("all", full)):
                left = {key: feeds[key] for key in changed.inputs}
                found = evaluate(changed, left, numpy_table())
                if not all(same(found[n], v, tolerance(v)) for n, v in expected.items()):
                    different.append(f"{case.name} after {name}")
        count, before, after = count + 1, before + len(graph.nodes), after + len(simple.nodes)
    assert different == []
    assert count > 1800
    assert after < before / 2
