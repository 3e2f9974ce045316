"""Sizes and values that were open until now: a graph for one set of shapes.

In: a graph, the shapes of its inputs, the values of some. Out: the same graph in which sizes
that have names are numbers, and inputs whose values are given are constants.

>>> from pelemay.graph import DType, Graph, Node, TensorType
>>> x = TensorType(DType.FLOAT32, ("batch", 3))
>>> g = Graph("g", {"x": x}, {"y": x}, (Node("Relu", ("x",), ("y",)),))
>>> str(bind(g, {"x": (2, 3)}).outputs["y"])
'float32[2, 3]'
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np

from pelemay.errors import InputError
from pelemay.graph import (
    ArrayConstant,
    DType,
    Graph,
    Node,
    OptionalType,
    SequenceType,
    Shape,
    TensorType,
    ValueType,
)
from pelemay.graph.typing import infer

_NOTHING: Mapping[str, Any] = MappingProxyType({})


def open_sizes(graph: Graph) -> dict[str, Shape]:
    """Inputs whose shape is not known yet: name to shape, with names or None for open sizes.

    Parameters
    ----------
    graph : Graph
        A graph.

    Returns
    -------
    dict
        Only inputs that are tensors of known rank.
    """
    return {
        name: kind.shape
        for name, kind in graph.inputs.items()
        if isinstance(kind, TensorType)
        and kind.shape is not None
        and not all(isinstance(size, int) for size in kind.shape)
    }


def bind(
    graph: Graph,
    shapes: Mapping[str, Sequence[int]] = _NOTHING,
    values: Mapping[str, Any] = _NOTHING,
) -> Graph:
    """Give inputs their shapes, and some their values; all types are inferred anew.

    Parameters
    ----------
    graph : Graph
        A checked graph.
    shapes : mapping
        Input name to shape. A size's name means the same number wherever it stands.
    values : mapping
        Input name to array. Such an input becomes a constant: a run no longer takes it. The
        name of a constant replaces its value.

    Returns
    -------
    Graph
        With the types of all values that follow.

    Raises
    ------
    InputError
        If there is no such input, or a shape or value does not fit its type, or two shapes
        give one name two numbers.
    GraphError
        If the operands of a node contradict each other for these shapes.
    """
    _check_names(graph, shapes, (*graph.inputs,))
    _check_names(graph, values, (*graph.inputs, *graph.constants))
    constants = {name: _constant(name, _declared(graph, name), v) for name, v in values.items()}
    wanted = {name: tuple(int(size) for size in shape) for name, shape in shapes.items()}
    wanted.update((n, constant.shape) for n, constant in constants.items() if n in graph.inputs)
    sizes = _named_sizes(graph, wanted)
    inputs = {
        name: _with_shape(_sized(kind, sizes), wanted.get(name))
        for name, kind in graph.inputs.items()
        if name not in constants
    }
    bound = replace(
        _substituted(graph, sizes),
        inputs=inputs,
        constants={**graph.constants, **constants},
    )
    return infer(bound)


def _declared(graph: Graph, name: str) -> ValueType | None:
    return graph.inputs[name] if name in graph.inputs else graph.type_of(name)


def _check_names(graph: Graph, names: Iterable[str], allowed: Collection[str]) -> None:
    for name in names:
        if name not in allowed:
            known = ", ".join(f"'{n}'" for n in graph.inputs)
            raise InputError(f"there is no input '{name}'", hint=f"inputs are {known}")


def _constant(name: str, kind: ValueType | None, value: Any) -> ArrayConstant:
    array = np.asarray(value)
    if not isinstance(kind, TensorType):
        raise InputError(f"input '{name}' is no tensor, so its value cannot be bound")
    if DType.of_numpy(array.dtype) is not kind.dtype:
        raise InputError(f"input '{name}' is {kind}, not {array.dtype}")
    return ArrayConstant.of(array)


def _named_sizes(graph: Graph, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
    """What the names of sizes stand for; each shape is compared with its input's type."""
    sizes: dict[str, int] = {}
    for name, shape in shapes.items():
        kind = graph.inputs[name]
        if not isinstance(kind, TensorType):
            raise InputError(f"input '{name}' is no tensor, so it has no shape")
        declared: Shape = (None,) * len(shape) if kind.shape is None else kind.shape
        if len(declared) != len(shape) or any(size < 0 for size in shape):
            raise InputError(f"input '{name}' is {kind}, which a shape of {shape} does not fit")
        for dim, size in zip(declared, shape, strict=True):
            expected = sizes.setdefault(dim, size) if isinstance(dim, str) else dim
            if expected is not None and expected != size:
                what = f"{expected}" if isinstance(dim, int) else f"'{dim}', which is {expected}"
                raise InputError(f"input '{name}' of shape {shape} has {size} instead of {what}")
    return sizes


def _with_shape(kind: ValueType | None, shape: tuple[int, ...] | None) -> ValueType | None:
    if shape is None or not isinstance(kind, TensorType):
        return kind
    return TensorType(kind.dtype, shape)


def _sized(kind: ValueType | None, sizes: Mapping[str, int]) -> ValueType | None:
    """A type whose named sizes are numbers, as far as they are known."""
    match kind:
        case TensorType(dtype, shape) if shape is not None:
            return TensorType(
                dtype, tuple(sizes.get(d, d) if isinstance(d, str) else d for d in shape)
            )
        case SequenceType(element):
            return SequenceType(_sized(element, sizes) or element)
        case OptionalType(element):
            return OptionalType(_sized(element, sizes) or element)
    return kind


def _substituted(graph: Graph, sizes: Mapping[str, int]) -> Graph:
    """The graph and its sub-graphs with numbers for named sizes in all types."""
    if not sizes:
        return graph
    types = {n: sized for n, kind in graph.types.items() if (sized := _sized(kind, sizes))}
    return replace(
        graph,
        inputs={name: _sized(kind, sizes) for name, kind in graph.inputs.items()},
        outputs={name: _sized(kind, sizes) for name, kind in graph.outputs.items()},
        types=types,
        nodes=tuple(_substituted_node(node, sizes) for node in graph.nodes),
    )


def _substituted_node(node: Node, sizes: Mapping[str, int]) -> Node:
    if not any(True for _ in node.graphs):
        return node
    attributes = {
        name: _substituted(value, sizes) if isinstance(value, Graph) else value
        for name, value in node.attributes.items()
    }
    return replace(node, attributes=attributes)
