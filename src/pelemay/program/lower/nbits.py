"""Products with weights of 2, 4 or 8 bits.

In: nodes ``com.microsoft::MatMulNBits`` whose weights are constants. Out: one instruction, or one
for each slice of columns where a limit for a block of weights is set. The weights stay as narrow:
they are only put in the order in which the kernel reads them.

>>> words_of(np.array([[[0x98, 0x10, 0x32, 0x54]]], np.uint8))[0, 0, 0, 0].tolist()
[16, 152, 186, 220]
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pelemay.graph import Constant, DType
from pelemay.graph.operations.microsoft import DOMAIN
from pelemay.passes.nbits import Sizes, sizes_of
from pelemay.program.pack import row_windows
from pelemay.program.panels import PANEL, panels_of
from pelemay.program.schedule import SMALL
from pelemay.program.slices import Slice, slices_of
from pelemay.program.views import part_along

if TYPE_CHECKING:
    from pelemay.graph import Node
    from pelemay.program.lowering import Lowering
    from pelemay.program.operand import Operand

Array = npt.NDArray[Any]
Pieces = Iterator[Array]

HIGHEST = {2: 0xAA, 4: 0x88, 8: 0x80}
"""By bits of a number: a byte of numbers of which only the highest bit is set.

That is the middle of their range. It is taken from each, so that the kernel's go from -8 to 7.
"""


def middle_of(bits: int) -> int:
    """What is taken from a number.

    >>> middle_of(4)
    8
    """
    return 1 << (bits - 1)


def words_of(packed: Array, bits: int = 4) -> Array:
    """Weights (columns, blocks, bytes) as the kernel reads them: (panels, blocks, words, 16, 4).

    A word is 4 bytes of one column: with 4 bits, 8 steps of the sum. Its numbers are less by the
    middle of their range, as two's complement: their highest bit is turned.
    """
    columns, blocks, nbytes = packed.shape
    filled = np.full((panels_of(columns) * PANEL, blocks, nbytes), HIGHEST[bits], np.uint8)
    filled[:columns] = packed
    split = (filled ^ HIGHEST[bits]).reshape(-1, PANEL, blocks, nbytes // 4, 4)
    return np.ascontiguousarray(split.transpose(0, 2, 3, 1, 4))


def panelled(values: Array) -> Array:
    """Numbers of blocks (columns, blocks) as (panels, blocks, 16), the last filled with zeros."""
    columns, blocks = values.shape
    filled = np.zeros((panels_of(columns) * PANEL, blocks), values.dtype)
    filled[:columns] = values
    return np.ascontiguousarray(filled.reshape(-1, PANEL, blocks).swapaxes(1, 2))


def _zeros(packed: Array, blocks: int, bits: int) -> Array:
    """Zero points (columns, blocks), less by the middle, from bytes of one or more each."""
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    numbers = packed[..., None] >> shifts & np.uint8((1 << bits) - 1)
    found = numbers.reshape(len(packed), -1)[:, :blocks].astype(np.int16) - middle_of(bits)
    return found.astype(np.int8)


@dataclass(frozen=True)
class _Weights:
    """The constants of one node, by slices of columns."""

    lowering: Lowering
    node: Node
    sizes: Sizes

    def operands(self, chosen: Slice) -> list[Operand | None]:
        """Words, scales and zero points of those columns."""
        l, sizes = self.lowering, self.sizes
        shape = (panels_of(chosen.size), sizes.blocks, PANEL)
        key = f"nbits{sizes.bits}-{sizes.block}{chosen.key(sizes.columns)}"
        words = (*shape[:2], sizes.block_bytes * PANEL)
        names = (*self.node.inputs[1:4], "")[:3]
        made: list[Operand | None] = [
            l.packed(names[0], key, words, DType.UINT8, lambda: self._words(chosen)),
            l.packed(names[1], key, shape, DType.FLOAT32, lambda: self._scales(chosen)),
        ]
        if not names[2]:
            return [*made, None]
        kind = DType.INT8 if self._constant(3).dtype is DType.UINT8 else DType.FLOAT32
        return [*made, l.packed(names[2], key, shape, kind, lambda: self._zeros(chosen))]

    def _constant(self, index: int) -> Constant:
        found = self.lowering.constant(self.node.inputs[index])
        assert found is not None
        return found

    def _rows(self, index: int, chosen: Slice) -> Pieces:
        """Rows of a constant with a row for each column, a multiple of panels at a time."""
        constant = self._constant(index)
        row = math.prod(constant.shape) // self.sizes.columns
        return row_windows(constant, PANEL, chosen.first, chosen.last, row=row)

    def _words(self, chosen: Slice) -> Pieces:
        shape = (-1, self.sizes.blocks, self.sizes.block_bytes)
        for rows in self._rows(1, chosen):
            yield words_of(rows.reshape(shape), self.sizes.bits)

    def _scales(self, chosen: Slice) -> Pieces:
        for rows in self._rows(2, chosen):
            yield panelled(rows.astype(np.float32))

    def _zeros(self, chosen: Slice) -> Pieces:
        for rows in self._rows(3, chosen):
            if rows.dtype == np.uint8:
                yield panelled(_zeros(rows, self.sizes.blocks, self.sizes.bits))
            else:
                yield panelled(rows.astype(np.float32) - np.float32(middle_of(self.sizes.bits)))


def _matmul_nbits(l: Lowering, node: Node) -> None:
    sizes = sizes_of(l.graph, node)
    if sizes is None:
        raise l.unsupported("weights that are not 2, 4 or 8 bits wide, or no constants")
    a, y = (_matrix(l, l.tensor(name)) for name in (node.inputs[0], node.outputs[0]))
    weights = _Weights(l, node, sizes)
    bias = l.tensor(node.inputs[5]) if len(node.inputs) > 5 and node.inputs[5] else None
    panel_bytes = sizes.blocks * sizes.block_bytes * PANEL
    for chosen in slices_of(sizes.columns, step_bytes=panel_bytes, limit=l.block_bytes):
        part = part_along(l, y, 1, chosen.first, chosen.size)
        added = None if bias is None else part_along(l, bias, 0, chosen.first, chosen.size)
        inputs = [a, *weights.operands(chosen), added]
        cost = part.size * sizes.steps
        l.emit("matmul_nbits", inputs, [part], (sizes.block,), cost=cost, serial=cost < SMALL)


def _matrix(l: Lowering, x: Operand) -> Operand:
    """Stacked rows as those of one matrix, where they lie evenly."""
    if x.rank == 2 and x.strides[1] == 1:
        return x
    rows = math.prod(x.shape[:-1])
    step = x.strides[-2] if x.rank > 1 else x.shape[-1]
    expected = step
    for size, stride in zip(reversed(x.shape[:-1]), reversed(x.strides[:-1]), strict=True):
        if size != 1 and stride != expected:
            raise l.unsupported(f"rows of strides {x.strides}")
        expected *= size
    return l.view_of(x, shape=(rows, x.shape[-1]), strides=(step, x.strides[-1]))


LOWERINGS = {(DOMAIN, "MatMulNBits"): _matmul_nbits}
