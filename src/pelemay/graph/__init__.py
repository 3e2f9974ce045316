"""The graph room: element types, value types, operations and graphs. It knows no file format.

>>> from pelemay.graph import DType, Graph, Node, TensorType, check
>>> x = TensorType(DType.FLOAT32, (2,))
>>> check(Graph("g", {"x": x}, {"y": x}, (Node("Relu", ("x",), ("y",)),)))
"""

from pelemay.graph.check import check
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
