"""Constant weights of products and convolutions, scaled by their input's or output's channels.

In: a node of the dialect. Out: :class:`Weights`, which gives other constants that are computed from
the stored ones when they are read.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from pelemay.graph import Constant, Graph, Node
from pelemay.passes.derived import Array, derived


@dataclass(frozen=True)
class Weights:
    """A constant, and what its axes are.

    Attributes
    ----------
    constant : Constant
        The weights as the node has them.
    wide : tuple of int
        A shape in which groups, outputs and inputs have axes of their own.
    output_shape, input_shape : tuple of int
        Shapes in which a vector of output or input channels broadcasts to ``wide``.
    takes_input_shift : bool
        Whether every output sees every input: there is no padding.
    """

    constant: Constant
    wide: tuple[int, ...]
    output_shape: tuple[int, ...]
    input_shape: tuple[int, ...]
    takes_input_scale: bool = True
    takes_input_shift: bool = True

    def with_output_scale(self, factor: Constant) -> Weights:
        """Each output channel multiplied by its factor."""
        return self._scaled(factor, self.output_shape)

    def with_input_scale(self, factor: Constant) -> Weights:
        """Each input channel multiplied by its factor."""
        return self._scaled(factor, self.input_shape)

    def _scaled(self, factor: Constant, shape: tuple[int, ...]) -> Weights:
        wide = self.wide

        def compute(w: Array, f: Array) -> Array:
            return (w.reshape(wide) * f.reshape(shape)).reshape(w.shape)

        rows = int(np.prod(shape))
        by_row = rows == self.constant.shape[0] and shape == _leading(wide, rows)
        name = "Scale rows" if by_row else "Mul"
        made = derived(name, compute, self.constant, factor, shape=self.constant.shape)
        return replace(self, constant=made)

    def applied_to(self, vector: Constant) -> Constant:
        """What the product gives for an input that is the same everywhere: one for each output."""
        wide, shape = self.wide, self.input_shape
        inner = tuple(i for i, size in enumerate(self.output_shape) if size == 1)

        def compute(w: Array, v: Array) -> npt.NDArray[np.float32]:
            total = (w.reshape(wide).astype(np.float64) * v.reshape(shape)).sum(axis=inner)
            return np.asarray(total, np.float32).reshape(-1)

        count = int(np.prod(self.output_shape))
        return derived("MatMul", compute, self.constant, vector, shape=(count,))


def _leading(wide: tuple[int, ...], rows: int) -> tuple[int, ...]:
    """The shape of one factor for each of the first ``rows`` indices."""
    count = next((i for i in range(len(wide) + 1) if np.prod(wide[:i]) == rows), 0)
    return (*wide[:count], *(1,) * (len(wide) - count))


def weights_of(graph: Graph, node: Node) -> Weights | None:
    """The weights of a Conv, ConvTranspose or MatMul of the dialect, if they are a constant.

    Parameters
    ----------
    graph : Graph
        Has the constant.
    node : Node
        The product.
    """
    constant = graph.constants.get(node.inputs[1])
    if constant is None:
        return None
    if node.op == "MatMul":
        return _of_product(node, constant)
    group = node.attributes.get("group", 1)
    pads = node.attributes.get("pads", ())
    assert isinstance(group, int)
    assert isinstance(pads, tuple)
    return _of_convolution(node, constant, group, padded=any(pads))


def _of_product(node: Node, constant: Constant) -> Weights | None:
    if len(constant.shape) != 2 or node.attributes.get("alpha", 1.0) != 1.0:
        return None
    rows, columns = constant.shape
    inputs = not node.attributes.get("trans_a", 0)
    if node.attributes.get("trans_b", 0):
        return Weights(constant, (rows, columns), (rows, 1), (1, columns), inputs, inputs)
    return Weights(constant, (rows, columns), (1, columns), (rows, 1), inputs, inputs)


def _of_convolution(node: Node, constant: Constant, group: int, *, padded: bool) -> Weights:
    first, second, *kernel = constant.shape
    wide = (group, first // group, second, *kernel)
    ones = (1,) * len(kernel)
    leading, following = (group, first // group, 1, *ones), (group, 1, second, *ones)
    if node.op == "ConvTranspose":
        return Weights(constant, wide, following, leading, True, False)
    return Weights(constant, wide, leading, following, True, not padded)
