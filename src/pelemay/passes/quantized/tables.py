"""Elementwise operations on 8-bit data: what each of the 256 numbers becomes is a table.

In: a real value that comes, through elementwise operations and single numbers, from one value that
stands for integers, and the grid that it goes to. Out: ``QTable``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import array_api_compat.numpy as xp
import numpy as np
import numpy.typing as npt

from pelemay.errors import PelemayError
from pelemay.graph import ArrayConstant, Constant, DType, Graph, Node, TensorType
from pelemay.graph.evaluate import Table, evaluate
from pelemay.graph.operations.quantization import dequantize, quantize
from pelemay.passes.layout.elementwise import BROADCAST, UNARY
from pelemay.passes.matching import is_standard, shape_of
from pelemay.passes.quantized.values import Grid, Walk, codes_of, zero_of

STEPS = 32
"""More operations than any activation is written in."""


@dataclass
class Cone:
    """Elementwise operations that lead to one value."""

    nodes: list[Node] = field(default_factory=list)
    constants: dict[str, Constant] = field(default_factory=dict)
    sources: set[str] = field(default_factory=set)


def table(walk: Walk, name: str, target: Grid, output: str) -> Node | None:
    """A look-up for all that is done to a value from where it stands for integers."""
    cone = Cone()
    if not _gather(walk, name, name, cone) or len(cone.sources) != 1:
        return None
    (source,) = cone.sources
    found = walk.read(source)
    if found is None or found.integers in walk.graph.constants:
        return None
    codes = dequantize(xp, codes_of(found.grid), found.grid.scale, zero_of(found.grid))
    try:
        real = _evaluated(cone, source, name, codes)
    except PelemayError:
        return None
    made = quantize(xp, real, target.scale, zero_of(target))
    numbers = walk.constant("table", ArrayConstant.of(np.asarray(made)))
    return walk.node("QTable", (found.integers, numbers), output)


def requantized(walk: Walk, name: str, target: Grid, output: str) -> Node | None:
    """Integers on another grid."""
    return table(walk, name, target, output)


def _gather(walk: Walk, name: str, root: str, cone: Cone) -> bool:
    """Collect the steps in order; whether all of them are elementwise over one shape."""
    graph = walk.graph
    if name in cone.sources or any(name in node.outputs for node in cone.nodes):
        return True
    constant = graph.constants.get(name)
    if constant is not None:
        cone.constants[name] = constant
        return constant.shape == () or all(size == 1 for size in constant.shape)
    if shape_of(graph, name) != shape_of(graph, root):
        return False
    if walk.read(name) is not None:
        cone.sources.add(name)
        return True
    maker = walk.rewriter.maker(name)
    if not is_standard(maker, *UNARY, *BROADCAST) or len(cone.nodes) >= STEPS:
        return False
    assert maker is not None
    if not all(_gather(walk, x, root, cone) for x in maker.inputs if x):
        return False
    cone.nodes.append(maker)
    return True


def _evaluated(
    cone: Cone, source: str, name: str, codes: npt.NDArray[Any]
) -> npt.NDArray[np.float32]:
    if name == source:
        return codes
    kind = TensorType(DType.FLOAT32, (256,))
    numbers = {
        key: ArrayConstant.of(value.array().reshape(())) for key, value in cone.constants.items()
    }
    graph = Graph("table", {source: kind}, {name: kind}, tuple(cone.nodes), numbers)
    with np.errstate(all="ignore"):
        found = evaluate(graph, {source: codes}, Table(xp))[name]
    return np.asarray(found, np.float32)
