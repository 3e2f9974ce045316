"""A factor and a sum for each channel, gathered from one operation after the other.

In: nodes that combine a value with constants which differ along its last axis only. Out: one
:class:`Affine`, whose constants are computed when they are read.

>>> from pelemay.graph import ArrayConstant
>>> two, one = ArrayConstant.of([2.0], "float32"), ArrayConstant.of([1.0], "float32")
>>> found = Affine().then("Add", one, first=False).then("Mul", two, first=False)
>>> found.factor.array(), found.shift.array()
(array([2.], dtype=float32), array([2.], dtype=float32))
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pelemay.graph import Constant, Graph, Node
from pelemay.passes.derived import derived, scaled, summed
from pelemay.passes.matching import constant_for_axes, is_standard, shape_of


@dataclass(frozen=True)
class Affine:
    """``x * factor + shift`` with one number for each channel."""

    factor: Constant | None = None
    shift: Constant | None = None

    def then(self, op: str, constant: Constant, *, first: bool) -> Affine | None:
        """With one more operation, whose first operand is the constant if ``first``.

        None for a quotient of the constant, which is no such thing.
        """
        if op == "Div":
            return None if first else self.then("Mul", _inverse(constant), first=False)
        if op == "Sub":
            if not first:
                return self.then("Add", _negative(constant), first=False)
            minus = _negative(_ones(constant))
            turned = self.then("Mul", minus, first=False)
            return None if turned is None else turned.then("Add", constant, first=False)
        if op == "Mul":
            factor = constant if self.factor is None else scaled(self.factor, constant)
            return Affine(factor, None if self.shift is None else scaled(self.shift, constant))
        shift = constant if self.shift is None else summed(self.shift, constant)
        return Affine(self.factor, shift)


def _inverse(constant: Constant) -> Constant:
    return derived("Reciprocal", lambda x: 1 / x, constant, shape=constant.shape)


def _negative(constant: Constant) -> Constant:
    return derived("Neg", lambda x: -x, constant, shape=constant.shape)


def _ones(constant: Constant) -> Constant:
    return derived("Expand", np.ones_like, constant, shape=constant.shape)


def affine_step(graph: Graph, node: Node, value: str) -> tuple[Constant, bool] | None:
    """The constant of an operation with one number for each channel, and whether it is first.

    Parameters
    ----------
    graph : Graph
        Has the constant, and the type of the value.
    node : Node
        Add, Sub, Mul or Div of a value and a constant; anything else gives None.
    value : str
        The operand that is no constant. Its channels are its last axis.
    """
    if not is_standard(node, "Add", "Div", "Mul", "Sub") or len(set(node.inputs)) != 2:
        return None
    first = node.inputs[1] == value
    constant = graph.constants.get(node.inputs[0 if first else 1])
    shape = shape_of(graph, value)
    if constant is None or not shape or shape != shape_of(graph, node.outputs[0]):
        return None
    if node.op == "Div" and first:
        return None
    found = constant_for_axes(constant, shape, (len(shape) - 1,))
    return None if found is None else (found, first)
