"""Softmax of 8-bit data: what exp is at each of the 256 distances from the largest is a table.

In: Softmax of a real value that stands for integers, and the grid that the shares go to. Out:
``QSoftmax``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pelemay.graph import ArrayConstant, Node
from pelemay.passes.matching import is_standard
from pelemay.passes.quantized.values import Grid, Walk

BITS = 24
"""Of the largest number: all are exact in float32."""


def shares(walk: Walk, node: Node, target: Grid, output: str) -> Node | None:
    """Softmax along one axis.

    The factor is a whole number, as in onnxruntime's kernel: at most a unit less comes out than by
    the scale itself.
    """
    found = walk.read(node.inputs[0]) if is_standard(node, "Softmax") else None
    if found is None or found.integers in walk.graph.constants or not target.scale > 0:
        return None
    powers = walk.constant("powers", ArrayConstant.of(powers_of(found.grid.scale)))
    factor = walk.constant("factor", np.floor(np.float32(1) / target.scale))
    inputs = (found.integers, powers, factor, walk.given(target)[1])
    return walk.node("QSoftmax", inputs, output, {"axis": node.attributes.get("axis", -1)})


def powers_of(scale: np.float32) -> npt.NDArray[Any]:
    """Exp at each distance from the largest number, which is the last, in whole numbers.

    >>> powers_of(np.float32(0.5))[-3:] / 2**BITS
    array([0.36787945, 0.60653067, 1.        ])
    """
    distances: npt.NDArray[np.float64] = np.arange(-255, 1) * np.float64(scale)
    return np.asarray(np.rint(np.exp(distances) * 2**BITS), np.int32)
