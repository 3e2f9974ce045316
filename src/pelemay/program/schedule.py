"""How a layer is computed: the algorithm, and the sizes in which it is cut.

In: the sizes of a convolution or matrix product. Out: a :class:`Split`, which the kernel takes as
parameters. It is chosen when the program is made, for any number of workers and any instruction
set; the sums are the same whatever the kernel then makes of it.

>>> split_of(Product(rows=49, columns=2048, steps=4608))
Split(depth=512, columns=256, rows=49)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

DEPTH = 512
"""Steps of the sum in one go: rows and weights of so many stay in the first two caches."""

COLUMNS = 256
"""Columns of a part: weights of so many, times ``DEPTH``, fill half of the second cache."""

SMALL = 1 << 14
"""Multiply-accumulates below which waking another worker takes longer than the work."""


@dataclass(frozen=True, slots=True)
class Product:
    """A matrix product: rows x steps by steps x columns.

    Parameters
    ----------
    rows, columns, steps : int
        Sizes: of the output, and of the sum.
    whole_sums : bool
        Whether sums may not be left half done in the output.
    """

    rows: int
    columns: int
    steps: int
    whole_sums: bool = False

    @property
    def cost(self) -> int:
        """Multiply-accumulates."""
        return self.rows * self.columns * self.steps


@dataclass(frozen=True, slots=True)
class Split:
    """Steps of the sum in one go; columns and rows of a part, which one worker does at a time."""

    depth: int
    columns: int
    rows: int

    @property
    def params(self) -> tuple[int, int, int]:
        """As the kernels take it."""
        return (self.depth, self.columns, self.rows)


def split_of(product: Product) -> Split:
    """The sizes for a product."""
    blocks = 1 if product.whole_sums else max(1, math.ceil(product.steps / DEPTH))
    depth = max(1, math.ceil(product.steps / blocks))
    return Split(depth, _columns(product), max(1, product.rows))


def _columns(product: Product) -> int:
    """A multiple of 32: enough parts for several workers, the weights of each still worth it."""
    columns = COLUMNS
    while columns > 64 and product.columns < 4 * columns:
        columns //= 2
    return columns
