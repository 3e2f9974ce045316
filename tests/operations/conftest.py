"""How the tests of the operation table run a meaning: per namespace, and in onnxruntime."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import array_api_compat.numpy
import numpy as np
import pytest

from pelemay.graph.operations import find


def _tuple(result: Any) -> tuple[Any, ...]:
    return result if isinstance(result, tuple) else (result,)


@pytest.fixture(scope="session")
def run() -> Callable[..., tuple[Any, ...]]:
    """Run a row over NumPy: ``run(name, *inputs, **attributes) -> outputs``."""

    def over_numpy(name: str, *inputs: Any, **attributes: Any) -> tuple[Any, ...]:
        with np.errstate(all="ignore"):
            return _tuple(find(name).meaning(array_api_compat.numpy, *inputs, **attributes))

    return over_numpy


def _run_on_device(
    name: str, xp: Any, to_device: Callable[..., Any], inputs: Any, attributes: Any, trace: Any
) -> tuple[Any, ...]:
    """Run a row as the executor does: host inputs stay NumPy arrays, the others move."""
    row = find(name)
    if row.on_host:
        xp, trace = array_api_compat.numpy, lambda function: function
    moved = {
        i: to_device(np.asarray(x))
        for i, x in enumerate(inputs)
        if isinstance(x, (np.ndarray, np.generic)) and i not in row.host
    }

    def meaning(arrays: dict[int, Any]) -> Any:
        given = (arrays.get(i, x) for i, x in enumerate(inputs))
        return row.meaning(xp, *given, **attributes)

    return _tuple(trace(meaning)(moved))


@pytest.fixture(params=["strict", "torch", "jax"])
def agree(request: pytest.FixtureRequest, run: Callable[..., Any]) -> Callable[..., None]:
    """Check that another namespace gives what NumPy gives; JAX runs under ``jit``."""
    kind = request.param
    context: Any = nullcontext()
    trace: Any = lambda function: function  # noqa: E731
    if kind == "strict":
        xp = pytest.importorskip("array_api_strict")
        to_device = xp.asarray
    elif kind == "torch":
        torch = pytest.importorskip("torch")
        import array_api_compat.torch as xp

        to_device = lambda x: torch.from_numpy(x.copy())  # noqa: E731
    else:
        jax = pytest.importorskip("jax")
        xp, trace, context = jax.numpy, jax.jit, jax.enable_x64(True)
        to_device = xp.asarray

    def check(name: str, *inputs: Any, **attributes: Any) -> None:
        if kind == "strict" and any(getattr(x, "dtype", None) == np.float16 for x in inputs):
            pytest.skip("the standard has no float16")
        expected = run(name, *inputs, **attributes)
        with context, np.errstate(all="ignore"):
            found = _run_on_device(name, xp, to_device, inputs, attributes, trace)
            same(tuple(np.asarray(y) for y in found), expected)

    return check


def same(found: tuple[Any, ...], expected: tuple[Any, ...]) -> None:
    """Equal shapes and types; floats to a few units in the last place."""
    assert len(found) == len(expected)
    for y, z in zip(found, expected, strict=True):
        z = np.asarray(z)
        assert (y.dtype, y.shape) == (z.dtype, z.shape)
        if z.dtype.kind == "f":
            eps = float(np.finfo(z.dtype).eps)
            np.testing.assert_allclose(y, z, rtol=16 * eps, atol=4 * eps)
        else:
            np.testing.assert_array_equal(y, z)


@pytest.fixture(scope="session")
def run_onnxruntime() -> Callable[..., list[Any]]:
    """Run one operation in onnxruntime: ``(name, *inputs, outputs=1, opset=21, **attributes)``."""
    ort = pytest.importorskip("onnxruntime")
    import onnx
    from onnx import helper

    def over_onnxruntime(
        name: str, *inputs: Any, outputs: int = 1, opset: int = 21, **attributes: Any
    ) -> list[Any]:
        names = ["" if x is None else f"x{i}" for i, x in enumerate(inputs)]
        results = [f"y{i}" for i in range(outputs)]
        node = helper.make_node(name, names, results, **attributes)
        feeds = {n: np.asarray(x) for n, x in zip(names, inputs, strict=True) if n}
        types = [
            helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)
            for n, x in feeds.items()
        ]
        graph = helper.make_graph(
            [node], "one", types, [onnx.ValueInfoProto(name=n) for n in results]
        )
        model = helper.make_model(
            graph,
            ir_version=10,
            opset_imports=[
                helper.make_opsetid("", opset),
                helper.make_opsetid("com.microsoft", 1),
            ],
        )
        session = ort.InferenceSession(
            model.SerializeToString(), providers=["CPUExecutionProvider"]
        )
        return list(session.run(None, feeds))

    return over_onnxruntime


@pytest.fixture
def like_onnxruntime(
    run: Callable[..., Any], run_onnxruntime: Callable[..., Any]
) -> Callable[..., None]:
    """Check that NumPy's result is onnxruntime's, whose code shares nothing with ours."""

    def check(
        name: str, *inputs: Any, outputs: int = 1, opset: int = 21, **attributes: Any
    ) -> None:
        expected = run_onnxruntime(name, *inputs, outputs=outputs, opset=opset, **attributes)
        given = {k: tuple(v) if isinstance(v, list) else v for k, v in attributes.items()}
        found = run(name, *inputs, **given)[:outputs]
        same(tuple(np.asarray(y) for y in found), tuple(expected))

    return check
