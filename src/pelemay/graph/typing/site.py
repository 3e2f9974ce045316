"""A node together with what is known of the values that it reads: what a typing rule looks at.

In: a node, the types and known numbers of its inputs. Out: answers such as ``site.shape(0)``, each
None where it is not known.

>>> from pelemay.graph import DType, Node, TensorType
>>> site = Site(Node("Relu", ("x",), ("y",)), (TensorType(DType.FLOAT32, (2, "n")),))
>>> site.shape(0), site.rank(0), site.dtype(1)
((2, 'n'), 2, None)
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from pelemay.errors import GraphError
from pelemay.graph.dtypes import DType, Kind
from pelemay.graph.ir import Graph, Node
from pelemay.graph.operations import find
from pelemay.graph.typing.dims import known
from pelemay.graph.values import Dim, Shape, TensorType, ValueType

Types = tuple[ValueType | None, ...]
"""What a rule gives: a type for each output, None where it is not known; the last may lack."""

Numbers = npt.NDArray[Any]

InferBody = Callable[[Graph, Types], Graph]


def _no_body(graph: Graph, inputs: Types) -> Graph:
    return graph


def _no_numbers(name: str) -> Numbers | None:
    return None


@dataclass(frozen=True)
class Site:
    """One node in its place.

    Parameters
    ----------
    node : Node
        The node, in the operation table's form.
    types : tuple of ValueType or None
        Of its inputs.
    numbers_of : callable
        Gives the numbers of a value, if they are known and few; an array of objects holds sizes
        of which some are only named, or None.
    infer_body : callable
        Gives a sub-graph with its types filled, from the types of its inputs.
    """

    node: Node
    types: Types
    numbers_of: Callable[[str], Numbers | None] = _no_numbers
    infer_body: InferBody = _no_body
    bodies: dict[str, Graph] = field(default_factory=dict)

    def has(self, index: int) -> bool:
        """Whether that input is given."""
        return index < len(self.node.inputs) and bool(self.node.inputs[index])

    def check_inputs(self) -> None:
        """Raise a GraphError where an input lacks that the operation cannot do without."""
        row = find(self.node.op, self.node.domain)
        for index, name in enumerate(row.required if row else ()):
            if not self.has(index):
                raise GraphError(f"input {index} ('{name}') is missing")

    def type(self, index: int) -> ValueType | None:
        """The type of an input."""
        return self.types[index] if index < len(self.types) else None

    def dtype(self, index: int) -> DType | None:
        """The element type of an input."""
        found = self.type(index)
        return found.dtype if isinstance(found, TensorType) else None

    def shape(self, index: int) -> Shape | None:
        """The shape of an input."""
        found = self.type(index)
        return found.shape if isinstance(found, TensorType) else None

    def rank(self, index: int) -> int | None:
        """The rank of an input."""
        shape = self.shape(index)
        return None if shape is None else len(shape)

    def numbers(self, index: int) -> Numbers | None:
        """The numbers of an input as far as they are known."""
        return self.numbers_of(self.node.inputs[index]) if self.has(index) else None

    def value(self, index: int) -> Numbers | None:
        """The numbers of an input, if all are known."""
        found = self.numbers(index)
        return None if found is None or _is_partial(found, self.dtype(index)) else found

    def ints(self, index: int) -> tuple[int, ...] | None:
        """The integers of an input, if all are known."""
        return known(self.dims(index))

    def dims(self, index: int) -> tuple[Dim, ...] | None:
        """The integers of an input, of which some may be only named, or None."""
        found = self.numbers(index)
        if found is None or found.dtype.kind not in "iuO" or self.dtype(index) is DType.STRING:
            return None
        return tuple(found.reshape(-1).tolist())

    def number(self, index: int) -> int | None:
        """The one integer of an input, if it is known."""
        found = self.ints(index)
        return found[0] if found else None

    def attribute(self, name: str) -> Any:
        """An attribute, or the operation table's default."""
        if name in self.node.attributes:
            return self.node.attributes[name]
        row = find(self.node.op, self.node.domain)
        default = row.attributes.get(name, inspect.Parameter.empty) if row else None
        if default is inspect.Parameter.empty:
            raise GraphError(f"attribute '{name}' is missing")
        return default

    def body(self, name: str, inputs: Types) -> Graph:
        """A sub-graph with its types filled; it takes the place of the one that the node has."""
        graph = self.node.attributes.get(name)
        if not isinstance(graph, Graph):
            raise GraphError(f"attribute '{name}' is no graph")
        self.bodies[name] = self.infer_body(graph, inputs)
        return self.bodies[name]


def _is_partial(value: Numbers, dtype: DType | None) -> bool:
    return value.dtype.kind == "O" and dtype is not None and dtype.kind is not Kind.STRING


Rule = Callable[[Site], Types]

Rules = Mapping[str, Rule]


def int64(shape: tuple[Dim, ...] | None) -> TensorType:
    """The type of indices and sizes."""
    return TensorType(DType.INT64, shape)


def as_numbers(dims: tuple[Dim, ...]) -> Numbers:
    """Sizes as an array: of int64 if all are numbers, else of objects."""
    sizes = known(dims)
    if sizes is not None:
        return np.asarray(sizes, np.int64)
    found = np.empty(len(dims), object)
    found[:] = dims
    return found
