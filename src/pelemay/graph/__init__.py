"""The graph room: element types, value types, operations and graphs. It knows no file format.

>>> from pelemay.graph import DType, Graph, Node, TensorType, check
>>> x = TensorType(DType.FLOAT32, (2,))
>>> check(Graph("g", {"x": x}, {"y": x}, (Node("Relu", ("x",), ("y",)),)))
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pelemay.graph.checker import check
    from pelemay.graph.dtypes import DType, Kind
    from pelemay.graph.ir import Attribute, Graph, Node, reads, walk
    from pelemay.graph.values import (
        ArrayConstant,
        Constant,
        Dim,
        MapType,
        OptionalType,
        SequenceType,
        Shape,
        SparseTensorType,
        TensorType,
        ValueType,
    )

__all__ = [
    "ArrayConstant",
    "Attribute",
    "Constant",
    "DType",
    "Dim",
    "Graph",
    "Kind",
    "MapType",
    "Node",
    "OptionalType",
    "SequenceType",
    "Shape",
    "SparseTensorType",
    "TensorType",
    "ValueType",
    "check",
    "reads",
    "walk",
]

_NAMES = {
    "checker": ("check",),
    "dtypes": ("DType", "Kind"),
    "ir": ("Attribute", "Graph", "Node", "reads", "walk"),
    "values": (
        *("ArrayConstant", "Constant", "Dim", "MapType", "OptionalType", "SequenceType"),
        *("Shape", "SparseTensorType", "TensorType", "ValueType"),
    ),
}
_HOMES = {name: module for module, names in _NAMES.items() for name in names}
"""Loaded when first used: a run of a compiled program needs types, and no graph. No module may have
the name of a function here: once it is imported, the name would stand for the module."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'pelemay.graph' has no attribute {name!r}")
    value = getattr(import_module(f"pelemay.graph.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
