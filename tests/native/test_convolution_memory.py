"""Where convolutions read and write: wide pixels, a residual in the output, rows of rings."""

from __future__ import annotations

import itertools
from typing import Any

import array_api_compat.numpy as xp
import numpy as np
import pytest

from pelemay.graph.operations.fused import conv
from pelemay.program.panels import window_panels
from support.ops import Held, run_op, strided, workers_agree

KINDS = ("conv", "depthwise", "winograd", "winograd 2x2")
SPLIT = (27, 32, 20)
FILTERING = {"winograd": (4, 16, 3, 0), "winograd 2x2": (2, 21, 5, 1)}


def floats(shape: tuple[int, ...], seed: int) -> Any:
    return np.random.default_rng(seed).normal(0, 1, shape).astype(np.float32)


class Layer:
    """A layer of 3x3, stride s, pads 1, over (1, 13, 11, 21)."""

    def __init__(self, opcode: str, stride: int = 1) -> None:
        if opcode in FILTERING and stride != 1:
            pytest.skip("filtering is for stride 1")
        self.kind, self.opcode, self.stride = opcode, opcode.split()[0], stride
        depthwise = opcode == "depthwise"
        self.group = 21 if depthwise else 1
        self.x = floats((1, 13, 11, 21), 1)
        self.w = floats((21, 1 if depthwise else 21, 3, 3), 2)
        self.bias = floats((21,), 3)
        self.packed = np.concatenate(list(window_panels(self.w, 1)))
        self.residual = floats(self.expected().shape, 4)

    def expected(self, *, residual: bool = False, after: bool = False) -> Any:
        wide = [a.astype(np.float64) for a in (self.x, self.w, self.bias)]
        y = conv(
            xp,
            *wide,
            self.residual.astype(np.float64) if residual else None,
            strides=(self.stride,) * 2,
            pads=(1, 1, 1, 1),
            group=self.group,
            activation="Tanh" if after else "Relu",
            residual_position="after" if after else "before",
        )
        return np.asarray(y)

    def params(self, rows: tuple[int, int], *, after: bool = False) -> list[int | float]:
        geometry = [1, 3, 3, 1, self.stride, self.stride, 1, 1, 1, 0, 1, 1, self.group]
        shared = [*geometry, 8 if after else 1, 0.0, 0.0, int(after), *rows, 0]
        split = (21 * 9 if after else SPLIT[0], *SPLIT[1:])
        return [*shared, *{"conv": split, "depthwise": ()}.get(self.kind, FILTERING.get(self.kind))]

    def run(self, output: Any, rows: tuple[int, int], **more: Any) -> Any:
        x, residual = more.pop("x", self.x), more.pop("residual", None)
        after = more.pop("after", False)
        inputs = [x, self.packed, self.bias, residual]
        params = self.params(rows, after=after)
        return run_op(self.opcode, inputs, [output], params, weights=(1, 2), **more)[0]


def assert_close(y: Any, expected: Any) -> None:
    np.testing.assert_allclose(y, expected, 0, 1e-5 * float(np.abs(expected).max()))


@pytest.mark.parametrize("opcode", KINDS)
@pytest.mark.parametrize("stride", [1, 2])
def test_wide_pixels(opcode: str, stride: int, isa: str) -> None:
    layer = Layer(opcode, stride)
    expected = layer.expected(residual=True)
    x, residual = strided(layer.x.shape, np.float32, 24), strided(expected.shape, np.float32, 30)
    x[...], residual[...] = layer.x, layer.residual

    def run(workers: int) -> list[Any]:
        y = strided(expected.shape, np.float32, 23)
        whole = (0, expected.shape[1])
        return [layer.run(y, whole, x=x, residual=residual, isa=isa, workers=workers)]

    assert_close(workers_agree(run)[0], expected)


@pytest.mark.parametrize("opcode", KINDS)
@pytest.mark.parametrize("after", [False, True])
def test_residual_in_the_output(opcode: str, after: bool, isa: str) -> None:
    layer = Layer(opcode)
    expected = layer.expected(residual=True, after=after)

    def run(workers: int) -> list[Any]:
        shape = (expected.shape, np.float32)
        more = {"residual": layer.residual, "alias": {0: 3}, "after": after}
        return [layer.run(shape, (0, 13), isa=isa, workers=workers, **more)]

    assert_close(workers_agree(run)[0], expected)


def ring_of(rows: Any, first: int, last: int, size: int) -> Any:
    """Rows [first, last) of an image in a ring of ``size`` slots; the others are garbage."""
    ring = np.full((1, size, *rows.shape[2:]), np.float32(1e30))
    for y in range(first, last):
        ring[:, y % size] = rows[:, y]
    return ring


@pytest.mark.parametrize("opcode", KINDS)
@pytest.mark.parametrize("stride", [1, 2])
def test_row_ranges_and_rings(opcode: str, stride: int, isa: str) -> None:
    """Bands of 1 to 4 rows, from a ring of rows into another, give the bits of the whole.

    Filtering takes rows by fours, or by twos: other bands are other sums.
    """
    layer = Layer(opcode, stride)
    height = layer.expected().shape[1]
    out_shape = layer.expected().shape
    whole = layer.run((out_shape, np.float32), (0, height), isa=isa, residual=layer.residual)
    assert_close(whole, layer.expected(residual=True))
    row = 0
    bands = {"winograd": (4,), "winograd 2x2": (2, 4)}.get(opcode, (1, 2, 3))
    for count in itertools.cycle(bands):
        end = min(row + count, height)
        first, last = max(row * stride - 1, 0), min((end - 1) * stride + 2, 13)
        held = Held(ring_of(layer.x, first, last, 8), 13)
        residual = Held(ring_of(layer.residual, row, end, 4), height)
        out = Held(np.full((1, 4, *out_shape[2:]), np.float32(7)), height)
        y = layer.run(out, (row, end), x=held, residual=residual, isa=isa, workers=2)
        for i in range(row, end):
            np.testing.assert_array_equal(y[:, i % 4], whole[:, i])
        untouched = set(range(4)) - {i % 4 for i in range(row, end)}
        assert all((y[:, i] == 7).all() for i in untouched)
        row = end
        if row == height:
            break
