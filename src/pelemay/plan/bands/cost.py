"""What a node costs in time, whole or band by band: an estimate, to compare plans with.

In: the facts of a graph. Out: microseconds, on two cores of a machine of 2023. Bands cost more
because each walks through the weights again, and every step wakes all workers.

>>> from pelemay.graph import DType, Graph, Node, TensorType
>>> x = TensorType(DType.FLOAT32, (1, 8, 8, 4))
>>> facts = Facts.of(Graph("g", {"x": x}, {"y": x}, (Node("Relu", ("x",), ("y",)),)))
>>> estimate(facts, 0, steps=8) > estimate(facts, 0)
True
"""

from __future__ import annotations

import math

from pelemay.plan.facts import Facts

STEP_US = 1.5
"""For one instruction: finding it, and waiting for all workers."""

MACS_PER_US = 140_000.0
"""Multiply-accumulates of products, where there are rows enough for whole tiles."""

BYTES_PER_US = 24_000.0
"""Values read and written, where there is little to compute."""

WEIGHTS_PER_US = 40_000.0
"""Bytes of weights walked through again, from the caches."""

TILE = 14
"""Rows of a tile of a product: fewer take as long."""

INTEGER_MACS = 2.5
"""Multiply-accumulates of 8-bit integers in the time of one of float32."""

_PRODUCTS = ("Conv", "ConvTranspose", "MatMul", "Gemm", "QConv", "QMatMul")


def estimate(facts: Facts, number: int, steps: int = 1) -> float:
    """Microseconds of a node in so many steps."""
    node = facts.graph.nodes[number]
    own = facts.nodes[number]
    moved = sum(facts.nbytes(n) for n in (*own.reads, *own.makes) if not _is_constant(facts, n))
    time = steps * STEP_US + moved / BYTES_PER_US
    if node.op not in _PRODUCTS:
        return time
    macs, rows = macs_of(facts, number), _rows(facts, own.makes[0]) / steps
    weights = sum(facts.nbytes(n) for n in own.reads if _is_constant(facts, n))
    wasted = math.ceil(rows / TILE) * TILE / rows if rows else 1.0
    rate = MACS_PER_US * (INTEGER_MACS if node.op.startswith("Q") else 1.0)
    return time + macs * wasted / rate + (steps - 1) * weights / WEIGHTS_PER_US


def macs_of(facts: Facts, number: int) -> int:
    """Multiply-accumulates of a convolution or product; 0 for other nodes."""
    node = facts.graph.nodes[number]
    if node.op not in _PRODUCTS or len(node.inputs) < 2:
        return 0
    made, weights = facts.shapes[node.outputs[0]], facts.shapes[node.inputs[1]]
    if node.op.endswith(("MatMul", "Gemm")):
        steps = facts.shapes[node.inputs[0]][-1]
        return math.prod(made) * steps
    source = facts.shapes[node.inputs[0]]
    outputs = source if node.op == "ConvTranspose" else made
    return math.prod(outputs[:-1]) * math.prod(weights)


def _rows(facts: Facts, name: str) -> int:
    """Rows of the product's matrix."""
    return math.prod(facts.shapes[name][:-1])


def _is_constant(facts: Facts, name: str) -> bool:
    return name in facts.graph.constants
