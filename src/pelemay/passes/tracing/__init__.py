"""Tracing: an operation's own meaning, run once over arrays that write down what is done to them.

In: a node of a graph with static types. Out: nodes of simpler standard operations that mean the
same, because they are the steps of the very function that defines the operation.

>>> from pelemay.graph import DType, Graph, Node, TensorType
>>> from pelemay.passes.rewrite import Rewriter
>>> x, y = TensorType(DType.FLOAT32, (2, 3)), TensorType(DType.FLOAT32, (2,))
>>> node = Node("Einsum", ("x",), ("y",), {"equation": "ij->i"})
>>> nodes = trace(Rewriter(Graph("g", {"x": x}, {"y": y}, (node,))), node)
>>> [made.op for made in nodes]
['ReduceSum', 'Identity']
"""

from pelemay.passes.tracing.trace import trace

__all__ = ["trace"]
