"""Where products of 8-bit integers read and write: wide pixels, rows of rings; what is refused."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from pelemay.errors import ModelError
from pelemay.program.qpanels import BIAS, MULTIPLIERS, SUMS, Behind, packed
from support.integers import integers
from support.ops import Held, run_op, strided, workers_agree

U8, F = np.uint8, np.float32
C = 21


class Layer:
    """A layer of 3x3, pads 1, over (1, 13, 11, 21)."""

    def __init__(self, opcode: str, stride: int = 1) -> None:
        self.opcode, self.stride = opcode, stride
        depthwise = opcode == "qdepthwise"
        self.group, self.steps = (C, 9) if depthwise else (1, 9 * C)
        self.x = integers(U8, (1, 13, 11, C), 1)
        behind = Behind(None, np.arange(C, dtype=np.int32), np.full(C, 0.004, F))
        self.panels = packed(integers(np.int8, (C, self.steps), 2), behind)
        self.height = -(-13 // stride)
        self.shape = (1, self.height, -(-11 // stride), C)

    def params(self, rows: tuple[int, int]) -> list[int | float]:
        geometry = [1, 3, 3, 1, self.stride, self.stride, 1, 1, 1, 0, 1, 1, self.group]
        shared = [*geometry, *rows, SUMS | BIAS | MULTIPLIERS, 128, 100, 0, 255]
        return shared if self.group > 1 else [*shared, self.steps, 32, 20]

    def run(self, output: Any, rows: tuple[int, int], x: Any = None, **more: Any) -> Any:
        inputs = [self.x if x is None else x, self.panels, None, None]
        return run_op(self.opcode, inputs, [output], self.params(rows), weights=(1,), **more)[0]


KINDS = ("qconv", "qdepthwise")


@pytest.mark.parametrize("opcode", KINDS)
@pytest.mark.parametrize("stride", [1, 2])
def test_wide_pixels(opcode: str, stride: int, dot_isa: str) -> None:
    layer = Layer(opcode, stride)
    whole = layer.run((layer.shape, U8), (0, layer.height), isa="scalar")
    x = strided(layer.x.shape, U8, 24)
    x[...] = layer.x

    def run(workers: int) -> list[Any]:
        y = strided(layer.shape, U8, 23)
        return [layer.run(y, (0, layer.height), x, isa=dot_isa, workers=workers)]

    np.testing.assert_array_equal(workers_agree(run)[0], whole)


def ring_of(rows: Any, first: int, last: int, size: int) -> Any:
    """Rows [first, last) of an image in a ring of ``size`` slots; the others are garbage."""
    ring = np.full((1, size, *rows.shape[2:]), U8(99))
    for y in range(first, last):
        ring[:, y % size] = rows[:, y]
    return ring


@pytest.mark.parametrize("opcode", KINDS)
@pytest.mark.parametrize("stride", [1, 2])
def test_row_ranges_and_rings(opcode: str, stride: int, dot_isa: str) -> None:
    """Bands of 1 to 3 rows, from a ring of rows into another, give the bits of the whole."""
    layer = Layer(opcode, stride)
    whole = layer.run((layer.shape, U8), (0, layer.height), isa=dot_isa)
    row = 0
    for count in itertools.cycle((1, 2, 3)):
        end = min(row + count, layer.height)
        first, last = max(row * stride - 1, 0), min((end - 1) * stride + 2, 13)
        held = Held(ring_of(layer.x, first, last, 8), 13)
        out = Held(np.full((1, 4, *layer.shape[2:]), U8(7)), layer.height)
        y = layer.run(out, (row, end), held, isa=dot_isa, workers=2)
        for i in range(row, end):
            np.testing.assert_array_equal(y[:, i % 4], whole[:, i])
        untouched = set(range(4)) - {i % 4 for i in range(row, end)}
        assert all((y[:, i] == 7).all() for i in untouched)
        row = end
        if row == layer.height:
            break


PARAMS: dict[str, tuple[int, int]] = {
    "a window of none": (1, 0),
    "a stride of none": (4, 0),
    "groups that do not divide": (12, 2),
    "rows beyond": (14, 14),
    "rows in disorder": (13, 14),
    "rows behind panels that are not there": (15, 31),
    "no sums": (15, 14),
    "a zero point beyond": (16, 256),
    "a zero point of y beyond": (17, -1),
    "a bound beyond": (19, 300),
    "a part of the sum": (20, 100),
    "columns that are no panels": (21, 20),
    "no rows": (22, 0),
}


@pytest.mark.parametrize("name", PARAMS)
@pytest.mark.parametrize("opcode", KINDS)
def test_refused_parameters(name: str, opcode: str) -> None:
    layer = Layer(opcode)
    params = layer.params((0, 13))
    place, value = PARAMS[name]
    if place >= len(params):
        pytest.skip("depthwise has no such parameter")
    params[place] = value
    with pytest.raises(ModelError):
        run_op(opcode, [layer.x, layer.panels, None, None], [(layer.shape, U8)], params)


@pytest.mark.parametrize("opcode", KINDS)
def test_refused_operands(opcode: str) -> None:
    layer = Layer(opcode)
    good: list[Any] = [layer.x, layer.panels, None, None]
    wrong = {
        0: (layer.x.astype(F), layer.x[..., :20], layer.x[:, :, :, None]),
        1: (layer.panels[:, :-1], layer.panels[:1], layer.panels.view(U8), layer.panels[..., 0]),
        2: (np.zeros(2, U8), np.zeros((), np.int8)),
        3: (np.zeros(C - 1, F), np.zeros(C, np.float64), np.zeros((1, C), F)),
    }
    for place, others in wrong.items():
        for other in others:
            inputs = [*good[:place], other, *good[place + 1 :]]
            with pytest.raises(ModelError):
                run_op(opcode, inputs, [(layer.shape, U8)], layer.params((0, 13)))
    for shape, dtype in ((layer.shape, np.int16), ((1, 13, 11, 42), U8), ((2, 13, 11, C), U8)):
        with pytest.raises(ModelError):
            run_op(opcode, good, [(shape, dtype)], layer.params((0, 13)))


A, B = integers(U8, (6, 10), 1), integers(np.int8, (10, 7), 2)
PANELS = packed(B.T, Behind(None, None, np.ones(7, F)))
PRODUCT = (0, 1, SUMS | MULTIPLIERS, 128, 0, 0, 255, 0, 32, 6)
LEFT_OUT = [None] * 5


@pytest.mark.parametrize(
    ("inputs", "params", "y"),
    [
        ([A, PANELS, *LEFT_OUT], {2: SUMS}, (6, 7)),
        ([A, PANELS, *LEFT_OUT], {2: SUMS | BIAS}, (6, 7)),
        ([A, PANELS, *LEFT_OUT], {8: 0}, (6, 7)),
        ([A, PANELS, *LEFT_OUT], {9: 0}, (6, 7)),
        ([A, PANELS, *LEFT_OUT], {1: 0}, (6, 7)),
        ([A, PANELS, *LEFT_OUT], {}, (6, 17)),
        ([A, PANELS, *LEFT_OUT], {}, (5, 7)),
        ([A, PANELS, None, None, np.zeros((), np.int8), None, None], {}, (6, 7)),
        ([A, B, *LEFT_OUT], {1: 0, 2: SUMS}, (6, 7)),
        ([A, B, None, np.ones((), F), None, None, None], {1: 0, 2: SUMS | BIAS}, (6, 7)),
        ([A, B.T, None, np.ones((), F), None, None, None], {1: 0, 2: SUMS}, (6, 7)),
        ([A, B, None, np.ones(6, F), None, None, None], {1: 0, 2: SUMS}, (6, 7)),
        ([A, B, None, np.ones((), F), np.zeros((), U8), None, None], {1: 0, 2: SUMS}, (6, 7)),
        ([A, B, None, np.ones((), F), None, np.ones(7, F), None], {1: 0, 2: SUMS | BIAS}, (6, 7)),
    ],
)
def test_refused_products(inputs: list[Any], params: dict[int, int], y: tuple[int, ...]) -> None:
    values = [params.get(i, value) for i, value in enumerate(PRODUCT)]
    with pytest.raises(ModelError):
        run_op("qmatmul", inputs, [(y, U8)], values)


def test_what_is_refused_is_near_what_runs() -> None:
    run_op("qmatmul", [A, PANELS, *LEFT_OUT], [((6, 7), U8)], PRODUCT)
    raw = (0, 0, SUMS, *PRODUCT[3:])
    run_op("qmatmul", [A, B, None, np.ones((), F), None, None, None], [((6, 7), U8)], raw)
    for opcode in KINDS:
        layer = Layer(opcode)
        layer.run((layer.shape, U8), (0, 13))
