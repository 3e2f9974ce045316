"""Nodes that move elements, from the graph to the engine."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pelemay.graph import ArrayConstant, DType
from support.nodes import Case

Array = Any


def numbered(*shape: int, dtype: Any = np.float32) -> Array:
    return np.arange(int(np.prod(shape))).reshape(shape).astype(dtype)


def i64(*values: int) -> Array:
    return np.array(values, np.int64)


X = numbered(2, 3, 4, 5)


@pytest.mark.parametrize("shape", [(6, 20), (2, 3, 20), (0, -1), (5, 4, 3, 2), (120,)], ids=str)
def test_reshape(shape: tuple[int, ...]) -> None:
    Case("Reshape", (X, i64(*shape)), {}, (1,)).check()


def test_axes_of_one() -> None:
    x = numbered(1, 3, 1, 4)
    Case("Squeeze", (x, i64(0, -2)), {}, (1,)).check()
    Case("Squeeze", (x,), {}).check()
    Case("Unsqueeze", (x, i64(0, 3)), {}, (1,)).check()
    Case("Flatten", (x,), {"axis": 2}).check()
    Case("Identity", (x,), {}).check()


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))), ids=str)
def test_transpose(order: tuple[int, ...]) -> None:
    Case("Transpose", (X,), {"perm": order}).check()


def test_transpose_without_order() -> None:
    Case("Transpose", (X,), {}).check()


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (3, 1, 5), (1,), (6, 2, 1, 4, 1)], ids=str)
def test_expand(shape: tuple[int, ...]) -> None:
    Case("Expand", (numbered(1, 1, 1, 1), i64(*shape)), {}, (1,)).check()
    Case("Expand", (numbered(2, 3, 4, 1), i64(2, 1, 4, 6)), {}, (1,)).check()
    Case("Expand", (numbered(1), i64(*shape)), {}, (1,)).check()


@pytest.mark.parametrize("times", [(1, 1, 1, 1), (2, 1, 3, 1), (1, 2, 1, 2), (2, 2, 2, 2)], ids=str)
def test_tile(times: tuple[int, ...]) -> None:
    Case("Tile", (X, i64(*times)), {}, (1,)).check()


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_concat_and_split(axis: int) -> None:
    parts = np.array_split(numbered(6, 7, 8), 3, axis=axis)
    Case("Concat", tuple(np.ascontiguousarray(p) for p in parts), {"axis": axis}).check()
    Case("Split", (numbered(6, 7, 8),), {"axis": axis, "num_outputs": 3}).check()
    sizes = i64(2, 0, numbered(6, 7, 8).shape[axis] - 2)
    Case("Split", (numbered(6, 7, 8), sizes), {"axis": axis}, (1,)).check()


SLICES = [
    ((0, 0), (2, 2), None, None),
    ((1,), (100,), (-1,), (2,)),
    ((-1,), (-100,), (3,), (-1,)),
    ((5, -1), (-6, 0), (3, 1), (-2, -1)),
    ((3,), (1,), (2,), None),
    ((-3, 1), (-1, 9), (0, 2), (1, 1)),
]


@pytest.mark.parametrize("case", SLICES, ids=str)
def test_slice(case: Any) -> None:
    starts, ends, axes, steps = (None if v is None else i64(*v) for v in case)
    Case("Slice", (X, starts, ends, axes, steps), {}, (1, 2, 3, 4)).check()


@pytest.mark.parametrize("mode", ["constant", "reflect", "edge", "wrap"])
@pytest.mark.parametrize(
    "pads", [(0, 0, 1, 2, 0, 0, 3, 1), (0, 1, 0, 4, 0, 2, 0, 3), (1, 1, 1, 1, 1, 1, 1, 1)], ids=str
)
def test_pad(mode: str, pads: tuple[int, ...]) -> None:
    Case("Pad", (X, i64(*pads)), {"mode": mode}, (1,)).check()


def test_pad_with_a_value() -> None:
    pads, value = i64(1, 0, 2, 0), np.array(7, np.float32)
    for known in ((1, 2), (1,)):
        Case("Pad", (numbered(3, 4), pads, value), {}, known).check()
    Case("Pad", (numbered(3, 4), i64(2, 1), value, i64(-1)), {}, (1, 3)).check()


def test_pads_below_zero() -> None:
    for pads in ((-1, 0, 2, -1), (-1, -1, -1, -2), (0, -3, 0, 4)):
        Case("Pad", (numbered(5, 6), i64(*pads)), {}, (1,)).check()
    Case("Pad", (numbered(5, 6), i64(-1, 2, 0, -1)), {"mode": "reflect"}, (1,)).check()


def test_pads_longer_than_the_data() -> None:
    for mode in ("reflect", "wrap", "edge"):
        Case("Pad", (numbered(3), i64(7, 8)), {"mode": mode}, (1,)).check()


@pytest.mark.parametrize("shape", [(10, 7, 3), (6, 10, 8), (5, 3, 1)], ids=str)
def test_center_crop_pad(shape: tuple[int, ...]) -> None:
    Case("CenterCropPad", (numbered(6, 7, 4), i64(*shape)), {}, (1,)).check()
    Case("CenterCropPad", (numbered(6, 7, 4), i64(*shape[:2])), {"axes": (0, 2)}, (1,)).check()


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
@pytest.mark.parametrize("block", [2, 3])
def test_blocks(mode: str, block: int) -> None:
    attributes = {"blocksize": block, "mode": mode}
    Case("DepthToSpace", (numbered(2, 2 * block**2, 3, 5),), attributes).check()
    Case("SpaceToDepth", (numbered(2, 3, 3 * block, 2 * block),), attributes).check()


COLUMNS: list[tuple[tuple[int, ...], tuple[int, ...], int, dict[str, Any]]] = [
    ((5, 5), (1, 5), 5, {}),
    ((5, 5), (3, 3), 9, {}),
    ((6, 7), (2, 3), 9, {"strides": (2, 2)}),
    ((6, 6), (2, 2), 25, {"pads": (1, 0, 0, 1), "dilations": (2, 2)}),
    ((4, 4, 4), (2, 2, 2), 27, {}),
    ((9,), (3,), 9, {"pads": (1, 1)}),
]


@pytest.mark.parametrize(("size", "kernel", "windows", "how"), COLUMNS, ids=str)
def test_columns(size: Any, kernel: Any, windows: int, how: Any) -> None:
    x = numbered(2, 3 * int(np.prod(kernel)), windows)
    Case("Col2Im", (x, i64(*size), i64(*kernel)), how, (1, 2)).check()


def test_shapes_as_values() -> None:
    Case("Shape", (X,), {"start": 1, "end": -1}).check()
    Case("Size", (X,), {}).check()


@pytest.mark.parametrize("dtype", [np.uint8, np.float16, np.int64, np.bool_])
def test_types(dtype: Any) -> None:
    x = numbered(4, 6, dtype=dtype)
    Case("Transpose", (x,), {}).check()
    Case("Pad", (x, i64(1, 1, 1, 1)), {}, (1,)).check()
    Case("Cast", (x,), {"to": DType.FLOAT64}).check()


def test_bits_as_another_type() -> None:
    Case("BitCast", (numbered(3, 5, dtype=np.int32),), {"to": DType.FLOAT32}).check()


def test_nothing() -> None:
    empty = numbered(0, 3)
    Case("Transpose", (empty,), {}).check()
    Case("Concat", (empty, numbered(2, 3)), {"axis": 0}).check()
    Case("Reshape", (empty, i64(3, 0)), {"allowzero": 1}, (1,)).check()
    Case("Slice", (numbered(3, 3), i64(2), i64(1)), {}, (1, 2)).check()
    Case("Tile", (empty, i64(2, 2)), {}, (1,)).check()


@settings(max_examples=60)
@given(data=st.data())
def test_slices(data: Any) -> None:
    shape = tuple(data.draw(st.lists(st.integers(1, 6), min_size=1, max_size=4)))
    count = data.draw(st.integers(1, len(shape)))
    axes = data.draw(st.permutations(range(len(shape))))[:count]
    bound = st.integers(-8, 8)
    step = st.integers(-3, 3).filter(bool)
    starts, ends, steps = (
        data.draw(st.lists(s, min_size=count, max_size=count)) for s in (bound, bound, step)
    )
    inputs = (numbered(*shape), i64(*starts), i64(*ends), i64(*axes), i64(*steps))
    Case("Slice", inputs, {}, (1, 2, 3, 4)).check(workers=(1, 2), sets=("scalar",))


@pytest.mark.parametrize("k", [-9, -2, 0, 1, 9])
@pytest.mark.parametrize("shape", [(4, 4), (3, 6), (6, 3), (0, 3)], ids=str)
def test_eyes(shape: tuple[int, int], k: int) -> None:
    Case("EyeLike", (numbered(*shape),), {"k": k, "dtype": DType.INT32}).check()


def test_ranges() -> None:
    for values in ((1, 9, 2), (5, -4, -3), (3, 3, 1)):
        numbers = tuple(np.array(v, np.int64) for v in values)
        Case("Range", numbers, {}, (0, 1, 2)).check()
    Case("Range", tuple(np.array(v, np.float32) for v in (0, 1, 0.25)), {}, (0, 1, 2)).check()


def test_one_value(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in (np.array([7], np.int32), np.array([0.5], np.float32)):
        full = np.full((3, 4), value[0])
        case = Case("ConstantOfShape", (i64(3, 4),), {"value": ArrayConstant.of(value)}, (0,))
        with monkeypatch.context() as patch:
            patch.setattr(Case, "meaning", lambda _self, *, wide, y=full: [y])
            case.check()
    Case("ConstantOfShape", (i64(2, 0),), {}, (0,)).check()


@pytest.mark.parametrize("op", ["HannWindow", "HammingWindow", "BlackmanWindow"])
def test_windows(op: str) -> None:
    Case(op, (np.array(9, np.int64),), {"periodic": 0}, (0,)).check(of_largest=True)


def test_dropout_outside_of_training() -> None:
    Case("Dropout", (X,), {}).check()
    inputs = (X, np.array(0.5, np.float32), np.array(False))
    Case("Dropout", inputs, {}, (1, 2), wanted=(0, 1)).check()
    inputs = (X, np.array(0, np.float32), np.array(True))
    Case("Dropout", inputs, {}, (1, 2), wanted=(0, 1)).check()
