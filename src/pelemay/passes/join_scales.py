"""Factors and sums for each channel that no product takes are one step over the data.

In: chains of Mul, Add, Sub and Div by constants that differ along the last axis only, over images
with channels last. Out: a depthwise convolution with a window of one pixel, which is just that: a
factor and a bias for each channel, with room for an activation and a residual. A chain over other
values becomes one Mul and one Add.

>>> import numpy as np
>>> from pelemay.graph import ArrayConstant, DType, Graph, Node, TensorType
>>> x, c = TensorType(DType.FLOAT32, (1, 4, 4, 3)), ArrayConstant.of(np.ones(3, np.float32))
>>> nodes = (Node("Mul", ("x", "c"), ("m",)), Node("Add", ("m", "c"), ("y",)))
>>> g = Graph("g", {"x": x}, {"y": x}, nodes, {"c": c}, {"m": x})
>>> join_scales(g).nodes[0].qualified
'pelemay::Conv'
"""

from __future__ import annotations

from math import prod

from pelemay.graph import Attribute, Graph
from pelemay.graph.operations.fused import DOMAIN
from pelemay.passes.affine import Affine, affine_step
from pelemay.passes.derived import reshaped
from pelemay.passes.emitting import Emitter
from pelemay.passes.fuse_epilogue import activation_of
from pelemay.passes.matching import is_float32, shape_of
from pelemay.passes.rewrite import Rewriter


def join_scales(graph: Graph) -> Graph:
    """Do factors and sums for each channel in one step.

    Requires static types, and that products have taken what they can. Guarantees that no such
    chain of two operations or more is left over images.
    """
    rewriter = Rewriter(graph)
    for index, node in enumerate(graph.nodes):
        values = [name for name in node.inputs if name not in graph.constants]
        if not rewriter.changed(index) and len(values) == 1 and is_float32(graph, values[0]):
            _join(rewriter, index, values[0])
    return rewriter.graph_after()


def _join(rewriter: Rewriter, start: int, source: str) -> None:
    graph = rewriter.graph
    found, chain = _chain(rewriter, start, source)
    if not chain or found.factor is None:
        return
    shape = shape_of(graph, source) or ()
    last = graph.nodes[chain[-1]]
    user = rewriter.only_user(last.outputs[0])
    active = user is not None and activation_of(graph, graph.nodes[user]) is not None
    is_image = 3 <= len(shape) <= 5 and prod(shape[:-1]) > 1
    emitter = Emitter(rewriter, last.outputs[0])
    if is_image and (len(chain) > 1 or active):
        _convolve(emitter, source, shape, found)
    elif len(chain) > 2:
        _multiply(emitter, source, shape, found)
    else:
        return
    for index in chain:
        rewriter.remove(index)
    rewriter.replace(chain[-1], *emitter.nodes)


def _chain(rewriter: Rewriter, start: int, source: str) -> tuple[Affine, list[int]]:
    """What is done to a value, one operation after the other, and their indices."""
    graph = rewriter.graph
    found, chain = Affine(), list[int]()
    index: int | None = start
    while index is not None and not rewriter.changed(index):
        step = affine_step(graph, graph.nodes[index], source)
        after = None if step is None else found.then(graph.nodes[index].op, step[0], first=step[1])
        if after is None:
            break
        found, source = after, graph.nodes[index].outputs[0]
        chain.append(index)
        index = rewriter.only_user(source)
    return found, chain


def _convolve(emitter: Emitter, source: str, shape: tuple[int, ...], found: Affine) -> None:
    spatial, channels = len(shape) - 2, shape[-1]
    assert found.factor is not None
    window = (channels, 1, *(1,) * spatial)
    inputs = [source, emitter.add_constant("factor", reshaped(found.factor, window))]
    if found.shift is not None:
        inputs.append(emitter.add_constant("shift", found.shift))
    attributes: dict[str, Attribute] = {
        "strides": (1,) * spatial,
        "dilations": (1,) * spatial,
        "pads": (0,) * (2 * spatial),
        "group": channels,
    }
    emitter.finish(emitter.node("Conv", inputs, shape, attributes, domain=DOMAIN))


def _multiply(emitter: Emitter, source: str, shape: tuple[int, ...], found: Affine) -> None:
    assert found.factor is not None
    y = emitter.node("Mul", (source, emitter.add_constant("factor", found.factor)), shape)
    if found.shift is not None:
        y = emitter.node("Add", (y, emitter.add_constant("shift", found.shift)), shape)
    emitter.finish(y)
