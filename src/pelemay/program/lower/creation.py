"""Values made from a shape, a range or a window's size, which are known before the run.

In: nodes of the family "creation" whose inputs are constants. Out: a copy of a literal, repeated
where all elements are the same. Random numbers have no kernel.

>>> ("", "RandomNormal") in LOWERINGS
False
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import array_api_compat.numpy as xp
import numpy as np

from pelemay.graph.operations import find
from pelemay.program.lower.reduction import ints_of
from pelemay.program.views import copy, fill, given, option

if TYPE_CHECKING:
    from pelemay.graph import Node
    from pelemay.program.lowering import Lowering

LARGEST = 1 << 20
"""Elements of a literal that a program may hold for one node."""


def _constant_of_shape(l: Lowering, node: Node) -> None:
    value = option(node, "value")
    y = l.tensor(node.outputs[0])
    fill(l, 0 if value is None else np.asarray(value.array()).reshape(-1)[0], y)


def _known(l: Lowering, node: Node) -> None:
    """What the meaning gives for constant inputs."""
    y = l.tensor(node.outputs[0])
    constants = [l.constant(name) for name in node.inputs]
    row = find(node.op)
    if row is None or y.size > LARGEST:
        raise l.unsupported(f"a literal of {y.size} elements")
    arrays = [c.array() for c in constants if c is not None]
    if len(arrays) < len(constants):
        raise l.unsupported("its inputs are not known before the run")
    copy(l, l.literal(np.asarray(row.meaning(xp, *arrays, **node.attributes)), y.dtype), y)


def _eye_like(l: Lowering, node: Node) -> None:
    """Zeros, and ones at the places of the diagonal."""
    y = l.tensor(node.outputs[0])
    fill(l, 0, y)
    rows, columns = y.shape
    k = option(node, "k")
    first = (0, k) if k >= 0 else (-k, 0)
    length = max(min(rows - first[0], columns - first[1]), 0)
    offset = (first[0] * y.strides[0] + first[1] * y.strides[1]) * y.dtype.numpy.itemsize
    if length:
        fill(l, 1, l.view_of(y, offset=offset, shape=(length,), strides=(sum(y.strides),)))


def _dropout(l: Lowering, node: Node) -> None:
    """Nothing is dropped outside of training, or with a ratio of 0."""
    ratio = l.constant(given(node, 1))
    some = ratio is None or float(np.asarray(ratio.array()).reshape(-1)[0]) != 0
    if some and any(ints_of(l, node, 2) or ()):
        raise l.unsupported("random numbers have no kernel")
    x = l.tensor(node.inputs[0])
    if node.outputs[0]:
        copy(l, x, l.tensor(node.outputs[0]))
    if len(node.outputs) > 1 and node.outputs[1]:
        fill(l, True, l.tensor(node.outputs[1]))


LOWERINGS: dict[tuple[str, str], Callable[[Lowering, Node], None]] = {
    ("", "BlackmanWindow"): _known,
    ("", "ConstantOfShape"): _constant_of_shape,
    ("", "Dropout"): _dropout,
    ("", "EyeLike"): _eye_like,
    ("", "HammingWindow"): _known,
    ("", "HannWindow"): _known,
    ("", "Range"): _known,
}
