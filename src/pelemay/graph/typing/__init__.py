"""Type inference: the element types and shapes of all values, from those of the inputs.

In: a :class:`~pelemay.graph.Graph`. Out: the same with its ``types`` filled. A rule for each
operation lives in the family files, beside the meanings of :mod:`pelemay.graph.operations`.

>>> from pelemay.graph import DType, Graph, Node, TensorType
>>> x = TensorType(DType.FLOAT32, (2, 3))
>>> g = Graph("g", {"x": x}, {"y": None}, (Node("Transpose", ("x",), ("y",)),))
>>> str(infer(g).outputs["y"])
'float32[3, 2]'
"""

from pelemay.graph.typing.engine import infer, rules
from pelemay.graph.typing.sequence import either
from pelemay.graph.typing.site import Rule, Site, Types

__all__ = ["Rule", "Site", "Types", "either", "infer", "rules"]
