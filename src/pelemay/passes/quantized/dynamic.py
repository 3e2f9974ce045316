"""Integer products whose scale the run finds: what makes their sums real goes into them.

In: ``QConv`` and ``QMatMul`` in int32, a Cast to float32, a product with scales, a sum with a
constant for each channel. Out: the same operation in float32 with a multiplier and a bias.

>>> from pelemay.graph import DType, Graph, Node, TensorType
>>> kinds = {"a": TensorType(DType.UINT8, (2, 3)), "b": TensorType(DType.INT8, (3, 4))}
>>> y, scale = TensorType(DType.FLOAT32, (2, 4)), TensorType(DType.FLOAT32, ())
>>> nodes = (
...     Node("QMatMul", ("a", "b"), ("i",), {"to": DType.INT32}, domain="pelemay"),
...     Node("Cast", ("i",), ("r",), {"to": DType.FLOAT32}),
...     Node("Mul", ("r", "s"), ("y",)),
... )
>>> types = {"i": TensorType(DType.INT32, (2, 4)), "r": y}
>>> g = Graph("g", {**kinds, "s": scale}, {"y": y}, nodes, types=types)
>>> [node.inputs for node in fuse_dynamic(g).nodes]
[('a', 'b', 's')]
"""

from __future__ import annotations

from dataclasses import replace

from pelemay.graph import Attribute, Constant, DType, Graph, Node, TensorType
from pelemay.graph.operations.fused import DOMAIN
from pelemay.passes.derived import reshaped
from pelemay.passes.matching import followed, is_float32, is_standard, operand, shape_of
from pelemay.passes.rewrite import Rewriter

OPS = ("QConv", "QMatMul")


def fuse_dynamic(graph: Graph) -> Graph:
    """Take scales and biases into integer products whose sums become real.

    Requires static types. Guarantees that only values that nothing else reads are no longer made.
    """
    rewriter = Rewriter(graph)
    for index, node in enumerate(graph.nodes):
        whole = node.domain == DOMAIN and node.op in OPS
        if whole and node.attributes["to"] is DType.INT32 and not operand(node, 2):
            _fuse(rewriter, index)
    return rewriter.graph_after()


def _fuse(rewriter: Rewriter, index: int) -> None:
    graph = rewriter.graph
    cast = rewriter.only_user(graph.nodes[index].outputs[0])
    if cast is None or not is_standard(graph.nodes[cast], "Cast"):
        return
    real = graph.nodes[cast].outputs[0]
    scaled = rewriter.only_user(real)
    if scaled is None or not is_standard(graph.nodes[scaled], "Mul"):
        return
    shape = shape_of(graph, real)
    a, b = graph.nodes[scaled].inputs
    found = None if shape is None else _multiplier(rewriter, b if a == real else a, shape)
    if found is None or shape is None or not is_float32(graph, real):
        return
    multiplier, before = found
    last, bias = followed(rewriter, scaled, "Add", shape, (len(shape) - 1,))
    for gone in {index, cast, scaled}:
        rewriter.remove(gone)
    output = graph.nodes[last].outputs[0]
    made = _real(rewriter, graph.nodes[index], multiplier, bias, output)
    rewriter.replace(last, *before, made)


def _real(
    rewriter: Rewriter, node: Node, multiplier: str, bias: Constant | None, output: str
) -> Node:
    inputs = [*node.inputs, *("",) * (6 - len(node.inputs))]
    inputs[2] = multiplier
    if bias is not None:
        inputs += ["", rewriter.constant(f"{output}::bias", bias)]
    while not inputs[-1]:
        inputs.pop()
    attributes: dict[str, Attribute] = {**node.attributes, "to": DType.FLOAT32}
    return replace(node, inputs=tuple(inputs), outputs=(output,), attributes=attributes)


def _multiplier(
    rewriter: Rewriter, name: str, shape: tuple[int, ...]
) -> tuple[str, tuple[Node, ...]] | None:
    """Scales as one number or one for each channel, and the node that gives them that shape."""
    own = shape_of(rewriter.graph, name)
    if own is None or not is_float32(rewriter.graph, name) or len(own) > len(shape):
        return None
    channels = own[-1:]
    if any(size != 1 for size in own[:-1]) or channels not in ((), (1,), shape[-1:]):
        return None
    wanted = channels if channels != (1,) else ()
    if own == wanted:
        return name, ()
    constant = rewriter.graph.constants.get(name)
    if constant is not None:
        return rewriter.constant(f"{name}::channels", reshaped(constant, wanted)), ()
    target = rewriter.constant(f"{name}::shape", list(wanted), "int64")
    made = rewriter.value(f"{name}::channels", TensorType(DType.FLOAT32, wanted))
    return made, (Node("Reshape", (name, target), (made,)),)
