"""Traced functions: what they write down means what NumPy computes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import array_api_compat.numpy as numpy_xp
import numpy as np
import pytest

from pelemay.backends.reference import numpy_table
from pelemay.errors import PelemayError
from pelemay.graph import DType, Graph, Node, TensorType, check
from pelemay.graph.evaluate import evaluate
from pelemay.passes.rewrite import Rewriter
from pelemay.passes.tracing import trace

Meaning = Callable[..., Any]

RNG = np.random.default_rng(5)
X = RNG.standard_normal((2, 3, 4)).astype(np.float32)
Y = RNG.standard_normal((3, 1)).astype(np.float32)
I = RNG.integers(-3, 4, (2, 3, 4)).astype(np.int32)  # noqa: E741
U = RNG.integers(0, 200, (2, 3)).astype(np.uint8)
P = np.abs(X) + np.float32(0.5)


def traced(meaning: Meaning, *arrays: np.ndarray[Any, Any]) -> tuple[Graph, Any]:
    """The graph that a meaning leaves, and what it gives for these arrays."""
    kinds = {
        f"x{i}": TensorType(DType.of_numpy(array.dtype), array.shape)
        for i, array in enumerate(arrays)
    }
    node = Node("Sum", tuple(kinds), ("y",))
    graph = Graph("g", kinds, {"y": None}, (node,))
    rewriter = Rewriter(graph)
    rewriter.replace(0, *trace(rewriter, node, {("", "Sum"): meaning}))
    after = rewriter.graph_after()
    check(after)
    with np.errstate(all="ignore"):
        found = evaluate(after, dict(zip(kinds, arrays, strict=True)), numpy_table())["y"]
    return after, np.asarray(found)


def same(found: Any, wanted: Any) -> None:
    wanted = np.asarray(wanted)
    assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-6)


ONE: dict[str, Meaning] = {
    "numbers": lambda xp, x: 2 - x * 3 + 0.5,
    "division": lambda xp, x: 1 / (x / 2),
    "power": lambda xp, x: x**2,
    "sign": lambda xp, x: -x + abs(x) + xp.sign(x),
    "comparison": lambda xp, x: (x < 0) | (x >= 1) & (x != 0.5) ^ (x == 2),
    "not": lambda xp, x: ~(x > 0),
    "where": lambda xp, x: xp.where(x > 0, x, xp.zeros_like(x)),
    "where of numbers": lambda xp, x: xp.where(x > 0, x, -1),
    "sum": lambda xp, x: xp.sum(x),
    "sum of axes": lambda xp, x: xp.sum(x, axis=(0, -1)),
    "max": lambda xp, x: xp.max(x, axis=-1, keepdims=True) - xp.min(x, axis=-1, keepdims=True),
    "mean": lambda xp, x: xp.mean(x, axis=1),
    "variance": lambda xp, x: xp.var(x, axis=(1, 2)),
    "argmax": lambda xp, x: xp.argmax(x, axis=1),
    "argmin": lambda xp, x: xp.argmin(x, axis=-1, keepdims=True),
    "clip": lambda xp, x: xp.clip(x, -0.5, 0.5),
    "ones": lambda xp, x: xp.ones_like(x) * 2 + xp.full_like(x, 3),
    "type": lambda xp, x: xp.astype(x, xp.int32),
    "number": lambda xp, x: x[0, 1, 2],
    "slices": lambda xp, x: x[:, 1:, ::2],
    "backwards": lambda xp, x: x[::-1, :, -1::-2],
    "to the front": lambda xp, x: x[..., 2:0:-1],
    "new axes": lambda xp, x: x[:, None, -1, ..., None],
    "beyond": lambda xp, x: x[:, 1:99],
    "reshape": lambda xp, x: xp.reshape(x, (-1, 6)),
    "expand": lambda xp, x: xp.expand_dims(x, axis=-2),
    "squeeze": lambda xp, x: xp.squeeze(x[:1, :, :1], axis=(0, 2)),
    "permute": lambda xp, x: xp.permute_dims(x, (2, 0, 1)),
    "transpose": lambda xp, x: xp.matrix_transpose(x),
    "move": lambda xp, x: xp.moveaxis(x, (0, 1), (-1, -2)),
    "flip": lambda xp, x: xp.flip(x, axis=1),
    "flip all": lambda xp, x: xp.flip(x),
    "broadcast": lambda xp, x: xp.broadcast_to(x, (5, 2, 3, 4)),
    "repeat": lambda xp, x: xp.repeat(x, 3, axis=1),
    "stack": lambda xp, x: xp.stack([x, x + 1], axis=-1),
    "concat": lambda xp, x: xp.concat([xp.zeros((2, 1, 4), dtype=x.dtype), x], axis=1),
    "concat of nothing": lambda xp, x: xp.concat([x[:, :0], x], axis=1),
    "take": lambda xp, x: xp.take(x, np.array([2, 0, -1]), axis=1),
    "take along": lambda xp, x: xp.take_along_axis(x, np.zeros((2, 3, 1), np.int64), axis=2),
    "product": lambda xp, x: xp.matmul(x, xp.matrix_transpose(x)),
    "triangle": lambda xp, x: xp.triu(x, k=1) + xp.tril(x),
    "known": lambda xp, x: x + xp.astype(xp.arange(4), xp.float32),
    "array": lambda xp, x: xp.asarray(x) + xp.asarray(1, dtype=x.dtype),
    "node": lambda xp, x: xp.node("Softmax", x, axis=1) if hasattr(xp, "node") else _softmax(x),
}


def _softmax(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    powers = np.exp(x)
    return powers / powers.sum(1, keepdims=True)


@pytest.mark.parametrize("meaning", ONE.values(), ids=ONE)
def test_one_operand(meaning: Meaning) -> None:
    same(traced(meaning, X)[1], meaning(numpy_xp, X))


NAMES = ("abs", "ceil", "exp", "floor", "negative", "round", "sin", "sqrt", "log", "tanh", "atan")


@pytest.mark.parametrize("name", NAMES)
def test_functions_by_name(name: str) -> None:
    same(traced(lambda xp, x: getattr(xp, name)(x), P)[1], getattr(numpy_xp, name)(P))


def test_what_is_no_number() -> None:
    x = np.array([0.5, np.inf, -np.inf, np.nan], np.float32)
    for name in ("isfinite", "isinf", "isnan"):
        same(traced(lambda xp, x: getattr(xp, name)(x), x)[1], getattr(numpy_xp, name)(x))  # noqa: B023


TWO: dict[str, Meaning] = {
    "broadcast": lambda xp, x, y: x * y - y,
    "extremes": lambda xp, x, y: xp.maximum(x, y) + xp.minimum(x, y),
    "product": lambda xp, x, y: xp.matmul(xp.matrix_transpose(x), y),
    "vector": lambda xp, x, y: xp.matmul(x, xp.reshape(xp.concat([y, y[:1]]), (-1,))),
    "where": lambda xp, x, y: xp.where(y > 0, x, y),
}


@pytest.mark.parametrize("meaning", TWO.values(), ids=TWO)
def test_two_operands(meaning: Meaning) -> None:
    same(traced(meaning, X, Y)[1], meaning(numpy_xp, X, Y))


INTEGERS: dict[str, Meaning] = {
    "a fraction": lambda xp, x: x * 0.5,
    "division": lambda xp, x: x / 2,
    "sum": lambda xp, x: xp.sum(x, axis=0),
    "sum in the same type": lambda xp, x: xp.sum(x, axis=0, dtype=x.dtype),
    "product of elements": lambda xp, x: xp.prod(x, axis=1),
    "remainder": lambda xp, x: xp.remainder(x, 3) + x % 2,
    "bits": lambda xp, x: (x & 6) | (x ^ 1),
    "a wider type": lambda xp, x: x + np.arange(3, dtype=np.int64)[:, None][: x.shape[-2]],
}


@pytest.mark.parametrize("meaning", INTEGERS.values(), ids=INTEGERS)
def test_integers_have_the_types_of_numpy(meaning: Meaning) -> None:
    same(traced(meaning, I)[1], meaning(numpy_xp, I))


def test_bytes() -> None:
    def meaning(xp: Any, x: Any) -> Any:
        return xp.bitwise_right_shift(x, np.uint8(3)) + xp.sum(x, axis=0, dtype=x.dtype)

    same(traced(meaning, U)[1], meaning(numpy_xp, U))


def test_bits_of_another_type() -> None:
    found = traced(lambda xp, x: x.view(np.int32) & 255, X)[1]
    same(found, X.view(np.int32) & 255)


def test_what_is_known_is_computed_while_tracing() -> None:
    graph, _ = traced(lambda xp, x: x + xp.sum(xp.exp(xp.arange(9.0)))[None], X.astype(np.float64))
    assert [node.op for node in graph.nodes] == ["Add", "Identity"]


def test_equal_elements_are_stored_once() -> None:
    graph, _ = traced(lambda xp, x: x + xp.ones_like(x), X)
    assert [constant.shape for constant in graph.constants.values()] == [()]


REFUSED: dict[str, Meaning] = {
    "a truth": lambda xp, x: x if x[0, 0, 0] > 0 else -x,
    "a number": lambda xp, x: x + float(x[0, 0, 0]),
    "elements": lambda xp, x: x + np.asarray(x),
    "rows": lambda xp, x: sum(list(x)),
    "an index": lambda xp, x: x[np.asarray([0, 1])],
    "no steps": lambda xp, x: xp.argsort(x),
    "NumPy's own": lambda xp, x: np.add(x, x),
    "another shape": lambda xp, x: xp.reshape(x, (5, 5)),
    "no axis": lambda xp, x: xp.sum(x, axis=3),
    "no product": lambda xp, x: xp.matmul(x, x),
    "no tensor": lambda xp, x: [x],
    "no end": lambda xp, x: [x := x + 1 for _ in range(5000)][-1],
}


@pytest.mark.parametrize("meaning", REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_traced_is_refused(meaning: Meaning) -> None:
    with pytest.raises(PelemayError):
        traced(meaning, X)


def test_another_type_than_the_graph_says_is_refused() -> None:
    kinds = {"x": TensorType(DType.FLOAT32, (2,))}
    node = Node("Sum", ("x",), ("y",))
    graph = Graph("g", kinds, {"y": TensorType(DType.INT32, (2,))}, (node,))
    with pytest.raises(PelemayError, match="instead of int32"):
        trace(Rewriter(graph), node, {("", "Sum"): lambda xp, x: x})
