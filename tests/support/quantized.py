"""Quantized models small enough to write down, and how far results are from onnxruntime's."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

import pelemay
from pelemay.graph import Graph, TensorType
from pelemay.importers import from_proto
from pelemay.passes import PASSES, bind, decompose_quantized, run_passes


@dataclass(frozen=True)
class Quantized:
    """One node over these inputs; those but the first and other data are constants."""

    op: str
    inputs: list[Any]
    attributes: dict[str, Any] = field(default_factory=dict)
    constants: tuple[int, ...] | None = None
    """By number; if not given, those but the first that are no data: numbers, vectors, int8."""
    domain: str = "com.microsoft"


@dataclass(frozen=True)
class Difference:
    """How far apart two results are.

    Attributes
    ----------
    units : float
        At most: of integers in units, of real numbers in 1e-5 of the largest.
    share : float
        Of the elements that are apart.
    """

    units: float
    share: float


def difference(found: Any, expected: Any) -> Difference:
    """Of two arrays, which must have the same type and shape."""
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    if expected.dtype.kind == "f":
        apart = np.abs(found - expected) / (1e-5 * max(1.0, float(np.abs(expected).max())))
        return Difference(float(apart.max()), float((apart > 1).mean()))
    apart = np.abs(found.astype(np.int64) - expected)
    return Difference(int(apart.max()), float((apart > 0).mean()))


def model_of(case: Quantized) -> tuple[Any, dict[str, Any]]:
    """The model of one node, and what to feed it."""
    import onnx
    from onnx import helper, numpy_helper

    names = ["" if x is None else f"x{n}" for n, x in enumerate(case.inputs)]
    node = helper.make_node(case.op, names, ["y"], domain=case.domain, **case.attributes)
    arrays = {n: np.asarray(x) for n, x in zip(names, case.inputs, strict=True) if n}
    first = next(iter(arrays.values()))
    constants = (
        {n for n, x in arrays.items() if x is not first and (x.ndim < 2 or x.dtype == np.int8)}
        if case.constants is None
        else {names[i] for i in case.constants}
    )
    feeds = {n: x for n, x in arrays.items() if n not in constants}
    types = [
        helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)
        for n, x in feeds.items()
    ]
    held = [numpy_helper.from_array(arrays[n], n) for n in sorted(constants)]
    graph = helper.make_graph([node], "one", types, [onnx.ValueInfoProto(name="y")], held)
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, ir_version=10, opset_imports=opsets), feeds


def onnxruntimes(model: bytes, feeds: dict[str, Any]) -> list[Any]:
    """What onnxruntime gives for the file's bytes."""
    ort = pytest.importorskip("onnxruntime")
    options = ort.SessionOptions()
    options.log_severity_level = 4
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    found: list[Any] = session.run(None, feeds)
    return found


def differences(case: Quantized, backend: str) -> Difference:
    """How far a backend's result is from onnxruntime's."""
    model, feeds = model_of(case)
    data = model.SerializeToString()
    if backend == "native":
        from pelemay.onnx_backend import NativeBackend

        found = NativeBackend.prepare(model, allow_fallback=False).run(list(feeds.values()))
    else:
        found = pelemay.InferenceSession(data, backend=backend).run(None, feeds)
    (expected,) = onnxruntimes(data, feeds)
    return difference(found[0], expected)


def dialect_of(model: bytes, *, finished: bool = False) -> Graph:
    """The graph as the passes leave it, or before what has no instruction is taken apart."""
    graph = from_proto(model).graph
    shapes = {
        name: tuple(d for d in kind.shape or () if isinstance(d, int))
        for name, kind in graph.inputs.items()
        if isinstance(kind, TensorType)
    }
    passes = PASSES if finished else PASSES[: PASSES.index(decompose_quantized)]
    return run_passes(bind(graph, shapes), check=True, passes=passes)
