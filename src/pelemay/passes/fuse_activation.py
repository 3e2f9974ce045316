"""Activations written out, operation by operation, recognised by their values.

In: elementwise operations that together compute a function of one value: SiLU as
``x * sigmoid(x)``, GELU through Erf or Tanh in any of its spellings, ReLU6 from Min and Max. Out:
the one operation that computes the same function. A region of the graph is evaluated in float64 at
some two hundred points and compared with the functions that are known, so that it does not
matter how an exporter arranged the factors.

>>> from pelemay.graph import DType, Graph, Node, TensorType
>>> x = TensorType(DType.FLOAT32, (4,))
>>> nodes = (Node("Sigmoid", ("x",), ("s",)), Node("Mul", ("x", "s"), ("y",)))
>>> [node.op for node in fuse_activations(Graph("g", {"x": x}, {"y": x}, nodes)).nodes]
['Swish']
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import array_api_compat.numpy as xp
import numpy as np
import numpy.typing as npt

from pelemay.graph import DType, Graph, Node
from pelemay.graph.operations import find
from pelemay.passes.known_activations import POINTS, Known, recognise
from pelemay.passes.matching import dtype_of, is_standard, scalar
from pelemay.passes.rewrite import Rewriter

ARITHMETIC = ("Abs", "Add", "Div", "Max", "Min", "Mul", "Neg", "Pow", "Reciprocal", "Sqrt", "Sub")
CHOICES = ("Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Where")
FUNCTIONS = (
    *("Clip", "Elu", "Erf", "Exp", "HardSigmoid", "HardSwish", "LeakyRelu", "Log", "Relu"),
    *("Sigmoid", "Softplus", "Swish", "Tanh"),
)
ELEMENTWISE = frozenset([*ARITHMETIC, *CHOICES, *FUNCTIONS])

ALONE = ("Clip", "Max")
"""Operations that may be an activation by themselves: a maximum with 0 is a ReLU."""

TOLERANCES = {DType.FLOAT32: 2e-6, DType.FLOAT16: 2e-4, DType.BFLOAT16: 2e-3}
"""How near values are to a function whose constants were rounded to a type.

Constants of five digits, as in some exporters' GELU, are as near as that of float32.
"""

MAX_NODES = 16
"""No spelling that exporters use has more operations."""


def fuse_activations(graph: Graph) -> Graph:
    """Replace regions that compute a known activation of one value.

    Requires types. Guarantees that values read elsewhere too are still made.
    """
    rewriter = Rewriter(graph)
    for index in reversed(range(len(graph.nodes))):
        if not rewriter.changed(index) and _is_elementwise(graph.nodes[index]):
            _fuse(rewriter, index)
    return rewriter.graph_after()


def _is_elementwise(node: Node | None) -> bool:
    return is_standard(node, *ELEMENTWISE)


def _fuse(rewriter: Rewriter, root: int) -> None:
    node = rewriter.graph.nodes[root]
    dtype = dtype_of(rewriter.graph, node.outputs[0])
    if dtype not in TOLERANCES:
        return
    for variable in _variables(rewriter, root):
        region = _region(rewriter, root, variable)
        if region is None or not _closed(rewriter, region, root):
            continue
        if len(region) < 2 and node.op not in ALONE:
            continue
        known = recognise(_values(rewriter.graph, region, variable), TOLERANCES[dtype])
        if known is not None and (len(region) > 1 or known.op != node.op):
            _replace(rewriter, region, (variable, dtype), known)
            return


def _variables(rewriter: Rewriter, root: int) -> Iterator[str]:
    """Values that ``root`` may be a function of, the farthest first."""
    graph = rewriter.graph
    kind = graph.type_of(graph.nodes[root].outputs[0])
    seen: dict[str, None] = {}
    waiting = [root]
    for index in waiting:
        for name in filter(None, graph.nodes[index].inputs):
            if name in seen or name in graph.constants:
                continue
            seen[name] = None
            maker = rewriter.makers.get(name)
            if maker is None or len(waiting) >= MAX_NODES or maker in waiting:
                continue
            if _is_elementwise(graph.nodes[maker]) and not rewriter.changed(maker):
                waiting.append(maker)
    return (name for name in reversed(seen) if graph.type_of(name) == kind)


def _region(rewriter: Rewriter, root: int, variable: str) -> list[int] | None:
    """Nodes between a variable and ``root``, in order; None if something else enters."""
    graph = rewriter.graph
    found = {root}
    waiting = [root]
    for index in waiting:
        for name in filter(None, graph.nodes[index].inputs):
            if name == variable or scalar(graph, name) is not None:
                continue
            maker = rewriter.makers.get(name)
            if maker is None or not _is_elementwise(graph.nodes[maker]):
                return None
            if maker not in found:
                found.add(maker)
                waiting.append(maker)
            if len(found) > MAX_NODES or rewriter.changed(maker):
                return None
    return sorted(found)


def _closed(rewriter: Rewriter, region: list[int], root: int) -> bool:
    """Whether nothing outside reads a value that the region makes on the way."""
    inside = set(region)
    for index in region:
        if index == root:
            continue
        output = rewriter.graph.nodes[index].outputs[0]
        if output in rewriter.graph.outputs or not inside.issuperset(rewriter.users[output]):
            return False
    return True


def _values(graph: Graph, region: list[int], variable: str) -> npt.NDArray[np.float64]:
    """What the region computes at the points of :data:`POINTS`."""
    values: dict[str, Any] = {variable: POINTS, "": None}
    with np.errstate(all="ignore"):
        for index in region:
            node = graph.nodes[index]
            row = find(node.op)
            assert row is not None
            inputs = (
                values[name] if name in values else np.float64(scalar(graph, name) or 0.0)
                for name in node.inputs
            )
            values[node.outputs[0]] = row.meaning(xp, *map(_array, inputs), **node.attributes)
    return np.asarray(values[graph.nodes[region[-1]].outputs[0]], np.float64)


def _array(value: Any) -> Any:
    return None if value is None else np.asarray(value)


def _replace(
    rewriter: Rewriter, region: list[int], variable: tuple[str, DType], known: Known
) -> None:
    node = rewriter.graph.nodes[region[-1]]
    name, dtype = variable
    bounds = [
        rewriter.constant(f"{node.outputs[0]}::bound", number, dtype.numpy)
        for number in known.inputs
    ]
    attributes = dict(known.attributes)
    fused = Node(known.op, (name, *bounds), node.outputs, attributes, name=node.name)
    for index in region:
        rewriter.remove(index)
    rewriter.replace(region[-1], fused)
