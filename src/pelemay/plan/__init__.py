"""The plan room: an order of the nodes, what shares memory, and where in the arena each value lies.

In: a graph with static types. Out: a :class:`Plan`: everything about memory is decided before the
run, to the byte.

>>> from pelemay.graph import DType, Graph, Node, TensorType
>>> t = TensorType(DType.FLOAT32, (16,))
>>> graph = Graph("g", {"x": t}, {"y": t}, (Node("Relu", ("x",), ("y",)),))
>>> plan_graph(graph).arena_bytes
0
"""

from pelemay.plan.planner import plan_graph
from pelemay.plan.types import ALIGNMENT, Buffer, Copy, Placement, Plan, Step

__all__ = ["ALIGNMENT", "Buffer", "Copy", "Placement", "Plan", "Step", "plan_graph"]
