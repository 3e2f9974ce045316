"""Running a graph: the definition of its meaning.

In: a :class:`Graph`, arrays for its inputs, an Array API namespace. Out: its outputs. Each node
runs its row's meaning; a value is dropped when its last reader has run.

>>> import array_api_compat.numpy as xp
>>> from pelemay.graph import DType, Graph, Node, TensorType
>>> x = TensorType(DType.FLOAT32, (2,))
>>> g = Graph("g", {"x": x}, {"y": x}, (Node("Add", ("x", "x"), ("y",)),))
>>> evaluate(g, {"x": xp.asarray([1.0, 2.0])}, Table(xp))
{'y': array([2., 4.])}
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from pelemay.errors import ExecutionError, InputError, PelemayError, UnsupportedError
from pelemay.graph.ir import Attribute, Graph, Node, reads
from pelemay.graph.operations import Operation, find
from pelemay.graph.values import Constant, ValueType

Value = Any
"""An array of some namespace, a NumPy array, a list (sequence), or None (empty optional)."""


class Executor(Protocol):
    """What runs one node: the operation table, or something around or instead of it."""

    def constant(self, constant: Constant) -> Value:
        """Bring a constant to where the operations run."""

    def run(self, node: Node, inputs: list[Value], attributes: dict[str, Any]) -> tuple[Value, ...]:
        """Apply a node; graph attributes arrive as callables."""


@dataclass(frozen=True)
class Table:
    """The executor that runs each node's row over one Array API namespace.

    Parameters
    ----------
    xp : namespace
        Array API namespace that computes.
    to_device : callable, optional
        Makes an array of ``xp`` from a NumPy array; None where NumPy itself computes.
    overrides : mapping
        ``(domain, name)`` to a meaning that this namespace has a true kernel for.
    fallback : callable, optional
        Runs a node that has no row: ``fallback(node, inputs, attributes)``.
    """

    xp: Any
    to_device: Callable[[np.ndarray[Any, Any]], Value] | None = None
    overrides: Mapping[tuple[str, str], Callable[..., Any]] = field(default_factory=dict)
    fallback: Callable[[Node, list[Value], dict[str, Any]], tuple[Value, ...]] | None = None

    def constant(self, constant: Constant) -> Value:
        """The elements as they lie; they move to the device when an operation there reads them."""
        return constant.array()

    def run(self, node: Node, inputs: list[Value], attributes: dict[str, Any]) -> tuple[Value, ...]:
        """Apply the node's row, or hand the node to the fallback."""
        row = find(node.op, node.domain) if node.version == 0 else None
        if row is None:
            if self.fallback is None:
                raise UnsupportedError(
                    f"{node.qualified} is not in the operation table",
                    where=node.label,
                    hint="use backend='reference'",
                )
            return self.fallback(node, inputs, attributes)
        result = self._apply(row, inputs, attributes)
        return result if isinstance(result, tuple) else (result,)

    def _apply(self, row: Operation, inputs: list[Value], attributes: dict[str, Any]) -> Any:
        if self.to_device is None:
            return row.meaning(self.xp, *inputs, **attributes)
        if row.on_host or all(map(_is_host, inputs)):
            import array_api_compat.numpy as host

            return row.meaning(host, *inputs, **attributes)
        moved = [
            self.to_device(np.asarray(x)) if _is_array(x) and i not in row.host else x
            for i, x in enumerate(inputs)
        ]
        meaning = self.overrides.get((row.domain, row.name), row.meaning)
        return meaning(self.xp, *moved, **attributes)


def _is_array(value: Value) -> bool:
    return isinstance(value, (np.ndarray, np.generic))


def _is_host(value: Value) -> bool:
    return value is None or _is_array(value)


def evaluate(
    graph: Graph,
    feeds: Mapping[str, Value],
    executor: Executor,
    outputs: Iterable[str] | None = None,
    outer: Mapping[str, Value] | None = None,
) -> dict[str, Value]:
    """Run ``graph`` node by node.

    Parameters
    ----------
    graph : Graph
        A checked graph.
    feeds : mapping
        Input name to array.
    executor : Executor
        Runs each node.
    outputs : iterable of str, optional
        Names of the values wanted; all outputs of the graph if not given.
    outer : mapping, optional
        Values of the graphs around this one.

    Returns
    -------
    dict
        Output name to value, in the order asked for.

    Raises
    ------
    InputError
        If a value is neither fed nor made.
    PelemayError
        What a node raised, with the node's label as its place.
    """
    wanted = tuple(graph.outputs if outputs is None else outputs)
    values: dict[str, Value] = {**(outer or {}), **feeds}
    left = Counter(name for node in graph.nodes for name in set(reads(node)))
    left.update(wanted)
    for node in graph.nodes:
        names = set(reads(node))
        _bring(names, graph, values, executor, node.label)
        results = _run_node(node, values, executor)
        values.update((n, v) for n, v in zip(node.outputs, results, strict=False) if n and left[n])
        del results
        for name in names:
            left[name] -= 1
            if not left[name]:
                del values[name]
    _bring(wanted, graph, values, executor, f"graph '{graph.name}'")
    return {name: values[name] for name in wanted}


def _bring(
    names: Iterable[str], graph: Graph, values: dict[str, Value], executor: Executor, where: str
) -> None:
    """See that values are there before they are read; constants are brought now."""
    for name in names:
        if name in values:
            continue
        if name not in graph.constants:
            known = ", ".join(f"'{n}'" for n in graph.inputs)
            raise InputError(f"value '{name}' is missing", where=where, hint=f"inputs are {known}")
        values[name] = executor.constant(graph.constants[name])


def _run_node(node: Node, values: Mapping[str, Value], executor: Executor) -> tuple[Value, ...]:
    inputs = [values[name] if name else None for name in node.inputs]
    attributes = {name: _bind(value, values, executor) for name, value in node.attributes.items()}
    try:
        return executor.run(node, inputs, attributes)
    except PelemayError as error:
        if error.where:
            raise
        raise error.at(node.label) from error
    except Exception as error:
        shapes = ", ".join(_describe(value) for value in inputs)
        what = f"{type(error).__name__}: {error}; the inputs are ({shapes})"
        raise ExecutionError(what, where=node.label) from error


def _describe(value: Value) -> str:
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"{value.dtype}{list(value.shape)}"
    return type(value).__name__


def _bind(value: Attribute, values: Mapping[str, Value], executor: Executor) -> Any:
    """Make graphs callable over the values around them, and constants arrays."""
    if isinstance(value, (int, float, str)):
        return value
    if isinstance(value, tuple):
        return tuple(_bind(item, values, executor) for item in value)
    if isinstance(value, Graph):
        return Body(value, {name: values[name] for name in value.free_names}, executor)
    return value.array() if isinstance(value, Constant) else value


@dataclass(frozen=True)
class Body:
    """A sub-graph as operations see it: a function over the values around it."""

    graph: Graph
    outer: Mapping[str, Value]
    executor: Executor

    def __call__(self, *arguments: Value) -> tuple[Value, ...]:
        """Run it; one argument for each of its inputs."""
        feeds = dict(zip(self.graph.inputs, arguments, strict=True))
        return tuple(evaluate(self.graph, feeds, self.executor, outer=self.outer).values())

    @property
    def outputs(self) -> Mapping[str, ValueType | None]:
        """Names and types of what a call gives, for loops that run no round."""
        return self.graph.outputs
