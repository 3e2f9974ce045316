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

COLUMNS_OF_ONE_ROW = 64
"""The same where weights are read only once: small, so that all workers are done together."""

WIDENED_BYTES = 4 * DEPTH * COLUMNS
"""Weights of a part, where they are widened into scratch first."""

BYTES_OF_A_PART = 4 * DEPTH * COLUMNS
"""Weights of a part of 8-bit integers: as many bytes as those of a part in float32."""

SIZE = 4
"""Outputs of a tile of Winograd's filtering, in one dimension."""

MOST_FILTERED = 1024
"""Input channels up to which the rounding errors of F(4x4, 3x3) stay below 1e-5 of the largest."""

DATA, WEIGHTS, OUTPUTS = 250, 120, 320
"""What the transforms of one vector of a tile cost, in multiply-accumulates of vectors."""

KEPT_BYTES = 768 << 10
"""Transformed weights that still leave room in the second cache."""

KEEPING_BLOCK = 7

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
    widened : bool
        Whether the weights of a part are widened into scratch before they are used.
    """

    rows: int
    columns: int
    steps: int
    whole_sums: bool = False
    widened: bool = False

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
    return split_by(product, DEPTH, COLUMNS if product.rows > 1 else COLUMNS_OF_ONE_ROW)


def split_by(product: Product, depth: int, columns: int) -> Split:
    """The sizes for a product with at most so many steps at a time, in blocks of one size.

    >>> split_by(Product(rows=10, columns=64, steps=600), 512, 256)
    Split(depth=300, columns=256, rows=10)
    """
    whole = product.whole_sums or (product.rows == 1 and not product.widened)
    blocks = 1 if whole else max(1, math.ceil(product.steps / depth))
    steps = max(1, math.ceil(product.steps / blocks))
    if product.widened:
        columns = min(columns, max(32, WIDENED_BYTES // (4 * steps) // 32 * 32))
    return Split(steps, columns, max(1, product.rows))


def whole_split_of(product: Product) -> Split:
    """The sizes for a product of 8-bit integers, whose sums are made in one go.

    >>> whole_split_of(Product(rows=49, columns=2048, steps=4608))
    Split(depth=4608, columns=96, rows=49)
    """
    most = COLUMNS if product.rows > 1 else COLUMNS_OF_ONE_ROW
    columns = min(most, max(32, BYTES_OF_A_PART // max(1, product.steps) // 32 * 32))
    return Split(product.steps, columns, max(1, product.rows))


@dataclass(frozen=True, slots=True)
class Filtering:
    """A 3x3 convolution by Winograd's minimal filtering.

    Parameters
    ----------
    size : int
        Outputs of a tile in one dimension: 2 or 4.
    depth : int
        Input channels whose weights are transformed at a time.
    block : int
        Tiles that are transformed at a time, at most.
    keep : bool
        Whether transformed weights are kept for the next blocks of the same run.
    """

    size: int
    depth: int
    block: int
    keep: bool

    @property
    def params(self) -> tuple[int, int, int, int]:
        """As the kernel takes it."""
        return (self.size, self.depth, self.block, int(self.keep))


def filtering_of(
    images: int, height: int, width: int, inputs: int, outputs: int
) -> Filtering | None:
    """How to compute a 3x3 convolution of stride 1 by filtering; None where the sum is faster.

    Parameters
    ----------
    images, height, width : int
        Of the output.
    inputs, outputs : int
        Channels.

    Examples
    --------
    >>> filtering_of(1, 14, 14, 256, 256)
    Filtering(size=4, depth=64, block=28, keep=False)
    >>> filtering_of(1, 14, 14, 3, 64) is None
    True
    """
    if inputs > MOST_FILTERED:
        return None
    tiles = images * math.ceil(height / SIZE) * math.ceil(width / SIZE)
    groups, vectors = math.ceil(outputs / 16), math.ceil(inputs / 16)
    points = (SIZE + 2) ** 2
    products = points * tiles * inputs * groups
    transforms = DATA * tiles * vectors + WEIGHTS * inputs * groups + OUTPUTS * tiles * groups
    if products + transforms > 0.9 * 9 * images * height * width * inputs * groups:
        return None
    keep = points * inputs * groups * 16 * 4 <= KEPT_BYTES and tiles >= 4 * KEEPING_BLOCK
    if keep:
        return Filtering(SIZE, inputs, KEEPING_BLOCK, keep=True)
    return Filtering(SIZE, min(inputs, 64), 28, keep=False)
