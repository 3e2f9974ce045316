"""Products with narrow weights: every instruction set against float64, whatever the workers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pelemay.engine import native
from pelemay.errors import ModelError
from pelemay.program.lower.nbits import panelled, words_of
from support.ops import run_op

ROWS = (1, 3, 8, 21)


class Product:
    """Operands of one product, and what it should give, in float64."""

    def __init__(
        self, m: int, n: int, k: int, block: int, zeros: str = "", seed: int = 0, bits: int = 4
    ) -> None:
        rng = np.random.default_rng(seed)
        blocks = -(-k // block)
        self.block, self.bits = block, bits
        self.a = rng.standard_normal((m, k)).astype(np.float32)
        self.packed = rng.integers(0, 256, (n, blocks, block * bits // 8)).astype(np.uint8)
        self.scales = rng.uniform(0.5, 2, (n, blocks)).astype(np.float32)
        self.bias = rng.standard_normal(n).astype(np.float32)
        kinds = {"int8": rng.integers(-8, 8, (n, blocks)).astype(np.int8), "": None}
        kinds["float32"] = rng.uniform(-8, 8, (n, blocks)).astype(np.float32)
        self.zeros: Any = kinds[zeros]
        self.shape = (m, n)

    @property
    def inputs(self) -> list[Any]:
        words = words_of(self.packed, self.bits)
        words = words.reshape(*words.shape[:2], -1)
        zeros = None if self.zeros is None else panelled(self.zeros)
        return [self.a, words, panelled(self.scales), zeros, self.bias]

    def expected(self) -> Any:
        """With the numbers of each byte taken apart in the plainest way."""
        ones = (1 << self.bits) - 1
        parts = [self.packed >> shift & ones for shift in range(0, 8, self.bits)]
        numbers = np.stack(parts, -1).reshape(*self.scales.shape, -1)
        zeros = 0.0 if self.zeros is None else self.zeros[..., None].astype(np.float64)
        real = (numbers - 2.0 ** (self.bits - 1) - zeros) * self.scales[..., None]
        weights = real.reshape(self.shape[1], -1)[:, : self.a.shape[1]]
        return self.a.astype(np.float64) @ weights.T + self.bias

    def run(self, isa: str, workers: int = 1, inputs: list[Any] | None = None) -> Any:
        given = self.inputs if inputs is None else inputs
        made = [(self.shape, np.float32)]
        options: Any = {"isa": isa, "workers": workers, "weights": (1, 2)}
        return run_op("matmul_nbits", given, made, (self.block,), **options)[0]


@pytest.mark.parametrize("zeros", ["", "int8", "float32"])
@pytest.mark.parametrize("rows", ROWS)
def test_products(isa: str, rows: int, zeros: str) -> None:
    product = Product(rows, 40, 96, 32, zeros)
    y = product.run(isa)
    np.testing.assert_allclose(y, product.expected(), rtol=1e-4, atol=3e-3)
    for workers in (2, 3):
        np.testing.assert_array_equal(product.run(isa, workers), y)


@pytest.mark.parametrize("bits", [2, 8])
@pytest.mark.parametrize("rows", [1, 21])
def test_other_bits(isa: str, rows: int, bits: int) -> None:
    """Sums of numbers of 8 bits are 16 times as large, and so is what is lost of them."""
    for block, zeros in ((32, "int8"), (64, "")):
        product = Product(rows, 40, 100, block, zeros, bits=bits)
        y = product.run(isa)
        np.testing.assert_allclose(y, product.expected(), rtol=1e-4, atol=3e-3 * bits**2 / 16)
        np.testing.assert_array_equal(product.run(isa, 2), y)


@pytest.mark.parametrize(("k", "block"), [(7, 8), (100, 32), (64, 16), (257, 128), (33, 64)])
def test_blocks_that_are_not_full(isa: str, k: int, block: int) -> None:
    product = Product(5, 19, k, block, "int8")
    np.testing.assert_allclose(product.run(isa), product.expected(), rtol=1e-4, atol=3e-3)


def test_a_row_does_not_depend_on_those_beside_it(isa: str) -> None:
    product = Product(21, 32, 64, 32)
    y, inputs = product.run(isa), product.inputs
    for row in range(21):
        one = Product(1, 32, 64, 32)
        found = one.run(isa, inputs=[product.a[row : row + 1], *inputs[1:]])
        np.testing.assert_array_equal(found[0], y[row])


def test_rows_with_gaps(isa: str) -> None:
    product = Product(3, 16, 32, 32)
    wide = np.zeros((3, 50), np.float32)
    wide[:, :32] = product.a
    found = product.run(isa, inputs=[wide[:, :32], *product.inputs[1:]])
    np.testing.assert_array_equal(found, product.run(isa))


def _changed(product: Product, number: int, value: Any) -> list[Any]:
    inputs = product.inputs
    inputs[number] = value
    return inputs


@pytest.mark.parametrize(
    ("number", "value"),
    [
        (0, np.zeros((2, 33), np.float32)),
        (1, np.zeros((1, 1, 256), np.uint8)),
        (1, np.zeros((2, 1, 255), np.uint8)),
        (1, np.zeros((2, 1, 256), np.int8)),
        (2, np.zeros((2, 1, 15), np.float32)),
        (3, np.zeros((2, 2, 16), np.int8)),
        (3, np.zeros((2, 1, 16), np.uint8)),
        (4, np.zeros(31, np.float32)),
        (1, np.zeros((2, 1, 64), np.uint8)),
        (1, np.zeros((2, 1, 1024), np.uint8)),
        (2, None),
    ],
)
def test_operands_that_do_not_fit_are_refused(number: int, value: Any) -> None:
    product = Product(2, 32, 32, 32)
    product.run(native().ISAS[0])
    with pytest.raises((ModelError, native().NativeError)):
        run_op("matmul_nbits", _changed(product, number, value), [((2, 32), np.float32)], (32,))


@pytest.mark.parametrize("block", [0, -8, 12, 1 << 17, 96, 30])
def test_blocks_that_do_not_fit_are_refused(block: int) -> None:
    product = Product(2, 32, 32, 32)
    with pytest.raises((ModelError, native().NativeError)):
        run_op("matmul_nbits", product.inputs, [((2, 32), np.float32)], (block,))
