"""Probabilities of classes from those of pairs of them.

In: nodes ``pelemay::PairwiseCoupling``. Out: the instruction ``couple``.

>>> cost_of(2, 3)
540
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pelemay.graph import DType
from pelemay.graph.operations.fused import DOMAIN
from pelemay.program.lower.reduction import need_types
from pelemay.program.schedule import SMALL

if TYPE_CHECKING:
    from pelemay.graph import Node
    from pelemay.program.lowering import Lowering

ROUNDS = 10
"""How many are usual until they agree; each takes every class with every other three times."""


def cost_of(rows: int, classes: int) -> int:
    """Multiply-accumulates."""
    return rows * ROUNDS * 3 * classes**2


def _coupling(l: Lowering, node: Node) -> None:
    x, y = l.tensor(node.inputs[0]), l.tensor(node.outputs[0])
    need_types(l, (DType.FLOAT32,), x, y)
    if not (x.is_contiguous and y.is_contiguous):
        raise l.unsupported(f"rows of strides {x.strides} and {y.strides}")
    cost = cost_of(*y.shape)
    l.emit("couple", [x], [y], cost=cost, serial=cost < SMALL)


LOWERINGS = {(DOMAIN, "PairwiseCoupling"): _coupling}
