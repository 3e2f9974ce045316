"""Changing the element type.

In: nodes Cast, CastLike, BitCast. Out: one instruction; a copy where the bits stay.

>>> sorted(op for _, op in LOWERINGS)
['BitCast', 'Cast', 'CastLike']
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pelemay.program.views import SMALL, copy

if TYPE_CHECKING:
    from pelemay.graph import Node
    from pelemay.program.lowering import Lowering


def cast(l: Lowering, node: Node) -> None:
    """By value; types below one byte, small floats and strings have no kernel."""
    x, y = l.tensor(node.inputs[0]), l.tensor(node.outputs[0])
    if x.dtype is y.dtype:
        copy(l, x, y)
    elif y.size:
        l.emit("cast", [x], [y], serial=y.size < SMALL)


def bit_cast(l: Lowering, node: Node) -> None:
    """The same bits."""
    x, y = l.bits(node.inputs[0]), l.bits(node.outputs[0])
    copy(l, l.view_of(x, dtype=y.dtype), y)


LOWERINGS: dict[tuple[str, str], Callable[[Lowering, Node], None]] = {
    ("", "BitCast"): bit_cast,
    ("", "Cast"): cast,
    ("", "CastLike"): cast,
}
