"""Group normalisation written as instance normalisation of reshaped data.

In: Reshape to (N, groups, rest), InstanceNormalization, Reshape back, and a product and a sum for
each channel, as PyTorch exports it for operator sets before 18. Out: GroupNormalization.
"""

from __future__ import annotations

import numpy as np

from pelemay.graph import ArrayConstant, Constant, Graph, Node
from pelemay.passes.derived import broadcast
from pelemay.passes.matching import followed, is_float32, is_standard, shape_of
from pelemay.passes.rewrite import Rewriter


def fuse_group_norms(graph: Graph) -> Graph:
    """Recognise GroupNormalization.

    Requires static types. Guarantees that what is read elsewhere is still made; what nothing
    reads any more stays for dead code removal.
    """
    rewriter = Rewriter(graph)
    for index, node in enumerate(graph.nodes):
        if is_standard(node, "InstanceNormalization") and is_float32(graph, node.outputs[0]):
            _fuse(rewriter, index)
    return rewriter.graph_after()


def _fuse(rewriter: Rewriter, index: int) -> None:
    graph, node = rewriter.graph, rewriter.graph.nodes[index]
    before = rewriter.maker(node.inputs[0])
    last = rewriter.only_user(node.outputs[0])
    if before is None or not is_standard(before, "Reshape") or last is None:
        return
    x = before.inputs[0]
    shape, grouped = shape_of(graph, x), shape_of(graph, node.inputs[0])
    if shape is None or grouped is None or len(shape) < 3 or len(grouped) != 3:
        return
    back = graph.nodes[last]
    fits = grouped[0] == shape[0] and shape[1] % max(grouped[1], 1) == 0
    plain = all(_is_all(graph, name, n) for name, n in zip(node.inputs[1:3], (1, 0), strict=True))
    if not (is_standard(back, "Reshape") and shape_of(graph, back.outputs[0]) == shape):
        return
    if not (fits and plain):
        return
    last, scale = followed(rewriter, last, "Mul", shape, (1,))
    last, bias = followed(rewriter, last, "Add", shape, (1,))
    y = graph.nodes[last].outputs[0]
    parameters = [scale or _filled(1, shape[1]), bias or _filled(0, shape[1])]
    names = [rewriter.constant(f"{y}::{k}", c) for k, c in zip("sb", parameters, strict=True)]
    attributes = {"num_groups": grouped[1], "epsilon": node.attributes.get("epsilon", 1e-5)}
    fused = Node("GroupNormalization", (x, *names), (y,), attributes, name=node.name)
    rewriter.replace(last, fused)


def _is_all(graph: Graph, name: str, number: float) -> bool:
    constant = graph.constants.get(name)
    return constant is not None and bool((constant.array() == number).all())


def _filled(number: float, count: int) -> Constant:
    return broadcast(ArrayConstant.of(number, np.float32), (count,))
