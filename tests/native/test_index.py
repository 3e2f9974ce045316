"""Reading and writing by index: meanings, all ranges of indices, order of updates."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pelemay.errors import ExecutionError, PelemayError
from support.nodes import Case
from support.ops import run_op, strided, workers_agree

Array = Any
F32 = np.float32
KINDS = ["none", "add", "mul", "max", "min"]


def numbered(*shape: int, dtype: Any = F32) -> Array:
    return np.arange(int(np.prod(shape))).reshape(shape).astype(dtype)


def indices(size: int, *shape: int, seed: int = 0, dtype: Any = np.int64) -> Array:
    """Indices of an axis, from both ends."""
    return np.random.default_rng(seed).integers(-size, size, shape).astype(dtype)


X = numbered(4, 5, 6)


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
@pytest.mark.parametrize("shape", [(), (1,), (7,), (2, 3), (2, 2, 2)], ids=str)
@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_gather(axis: int, shape: tuple[int, ...], dtype: Any) -> None:
    Case("Gather", (X, indices(X.shape[axis], *shape, dtype=dtype)), {"axis": axis}).check()


@pytest.mark.parametrize("dtype", [np.uint8, np.float16, np.int64, np.bool_])
def test_gather_of_any_type(dtype: Any) -> None:
    for axis in (0, 1):
        case = Case("Gather", (numbered(9, 5, dtype=dtype), indices(5, 11)), {"axis": axis})
        case.check(sets=("scalar",))


def test_rows_of_a_table() -> None:
    """Embeddings: a table among the weights."""
    Case("Gather", (numbered(1000, 300), indices(1000, 2, 37)), {}, (0,)).check()


@pytest.mark.parametrize("axis", [0, 1, 2, -2])
def test_gather_elements(axis: int) -> None:
    size = X.shape[axis]
    Case("GatherElements", (X, indices(size, *X.shape)), {"axis": axis}).check()
    shape = tuple(9 if i == axis % 3 else n - 1 for i, n in enumerate(X.shape))
    Case("GatherElements", (X, indices(size, *shape, dtype=np.int32)), {"axis": axis}).check()


TUPLES = [
    ((4, 5, 6), (3, 1), 0),
    ((4, 5, 6), (3, 2), 0),
    ((4, 5, 6), (2, 3, 3), 0),
    ((4, 5, 6), (4, 2), 1),
    ((4, 5, 6), (4, 7, 1), 1),
    ((2, 3, 4, 5), (2, 3, 9, 1), 2),
    ((2, 3, 4, 5), (2, 3, 1), 2),
]


@pytest.mark.parametrize(("data", "shape", "lead"), TUPLES, ids=str)
def test_gather_nd(data: Any, shape: Any, lead: int) -> None:
    columns = [indices(data[lead + i], *shape[:-1], seed=i) for i in range(shape[-1])]
    tuples = np.stack(columns, axis=-1)
    Case("GatherND", (numbered(*data), tuples), {"batch_dims": lead}).check()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_scatter_elements(axis: int, kind: str) -> None:
    shape = tuple(9 if i == axis % 3 else n - 1 for i, n in enumerate(X.shape))
    updates = np.random.default_rng(3).normal(size=shape).astype(F32)
    places = indices(X.shape[axis], *shape)
    attributes = {"axis": axis, "reduction": kind}
    Case("ScatterElements", (X, places, updates), attributes).check(rtol=1e-5, of_largest=True)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int64, np.float64, np.float16])
def test_scatter_of_any_type(dtype: Any, kind: str) -> None:
    x, updates = numbered(7, 3, dtype=dtype), numbered(9, 3, dtype=dtype) % dtype(4) + dtype(1)
    case = Case("ScatterElements", (x, indices(7, 9, 3), updates), {"reduction": kind})
    case.check(sets=("scalar",), of_largest=True, rtol=1e-3 if dtype is np.float16 else 1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("data", [(5,), (5, 3), (5, 4, 130), (6, 4, 3, 2)], ids=str)
@pytest.mark.parametrize("depth", [1, 2])
def test_scatter_nd(data: Any, depth: int, kind: str) -> None:
    depth = min(depth, len(data))
    columns = [indices(data[i], 3, 4, seed=i) for i in range(depth)]
    shape = (3, 4, *data[depth:])
    updates = np.random.default_rng(3).normal(size=shape).astype(F32)
    inputs = (numbered(*data), np.stack(columns, axis=-1), updates)
    Case("ScatterND", inputs, {"reduction": kind}).check(rtol=1e-5, of_largest=True)


def test_the_last_update_wins() -> None:
    x, places = np.zeros((3, 200), F32), np.array([[1], [1], [-2]], np.int64)
    updates = numbered(3, 200)
    y = Case("ScatterND", (x, places, updates), {}).run(workers=3)[0]
    np.testing.assert_array_equal(y[1], updates[2])


@pytest.mark.parametrize("mode", ["linear", "circular"])
@pytest.mark.parametrize("axis", [1, 2, -2])
def test_tensor_scatter(mode: str, axis: int) -> None:
    cache = numbered(3, 5, 6, 4)
    shape = tuple(3 if i == axis % 4 else n for i, n in enumerate(cache.shape))
    updates = -numbered(*shape) - 1
    attributes = {"axis": axis, "mode": mode}
    for first in ([0, 1, 2], [4, 2, 3]):
        inputs = (cache, updates, np.array(first, np.int64))
        Case("TensorScatter", inputs, attributes).check()
    Case("TensorScatter", (cache, updates), attributes).check()


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint8, F32])
def test_one_hot(axis: int, dtype: Any) -> None:
    places = np.array([[0, 3, 4], [5, 1, 2]]).astype(dtype)
    if dtype is not np.uint8:
        places = places - dtype(2)
    for values in (np.array([2, 5], F32), np.array([0, 1], np.int64), np.array([False, True])):
        inputs = (places, np.array(4, np.int64), values)
        Case("OneHot", inputs, {"axis": axis}, (1,)).check()


@pytest.mark.parametrize("upper", [0, 1])
@pytest.mark.parametrize("k", [-9, -2, 0, 1, 4, 99])
def test_triangles(upper: int, k: int) -> None:
    for shape in ((5, 5), (2, 3, 4, 7), (2, 7, 4)):
        inputs = (numbered(*shape) + 1, np.array(k, np.int64))
        Case("Trilu", inputs, {"upper": upper}, (1,)).check()


@pytest.mark.parametrize(("batch", "time"), [(0, 1), (1, 0)])
def test_reverse_sequence(batch: int, time: int) -> None:
    for shape in ((4, 4), (4, 4, 3)):
        inputs = (numbered(*shape), np.array([1, 4, 0, 3], np.int64))
        Case("ReverseSequence", inputs, {"batch_axis": batch, "time_axis": time}).check()


def test_nothing() -> None:
    none = np.zeros((0, 3), np.int64)
    Case("Gather", (X, none), {}).check()
    Case("Gather", (numbered(3, 0), indices(3, 2)), {}).check()
    Case("GatherND", (X, none), {}).check()
    Case("ScatterND", (X, none, np.zeros(0, F32)), {}).check()
    Case(
        "ScatterElements", (X, np.zeros((0, 1, 1), np.int64), np.zeros((0, 1, 1), F32)), {}
    ).check()


OUT_OF_RANGE = [
    ("Gather", (X, np.array([4])), {}),
    ("Gather", (X, np.array([0, 1, -7])), {"axis": 2}),
    ("Gather", (numbered(0, 3), np.array([0])), {}),
    ("GatherElements", (X, np.full((1, 1, 300), 4)[:, :, :6].copy()), {}),
    ("GatherND", (X, np.array([[0, 5]])), {}),
    ("GatherND", (X, np.array([[2**40]])), {}),
    ("ScatterElements", (X, np.array([[[4]]]), np.ones((1, 1, 1), F32)), {}),
    ("ScatterElements", (X, np.array([[[-(2**62)]]]), np.ones((1, 1, 1), F32)), {}),
    ("ScatterND", (X, np.array([[-5]]), np.ones((1, 5, 6), F32)), {}),
    ("ReverseSequence", (numbered(3, 2), np.array([4, 1])), {}),
    ("ReverseSequence", (numbered(3, 2), np.array([-1, 1])), {}),
]


@pytest.mark.parametrize("number", range(len(OUT_OF_RANGE)))
def test_out_of_range_ends_the_run(number: int, isa: str, monkeypatch: pytest.MonkeyPatch) -> None:
    op, inputs, attributes = OUT_OF_RANGE[number]
    case = Case(op, inputs, attributes)
    shape = {"Gather": inputs[1].shape + X.shape[1:], "GatherND": (1, 6)}.get(op, X.shape)
    if op == "Gather":
        axis = attributes.get("axis", 0)
        shape = (*inputs[0].shape[:axis], *inputs[1].shape, *inputs[0].shape[axis + 1 :])
    if op == "GatherND":
        shape = (1, *inputs[0].shape[inputs[1].shape[-1] :])
    if op == "GatherElements":
        shape = inputs[1].shape
    if op == "ReverseSequence":
        shape = inputs[0].shape
    monkeypatch.setattr(Case, "meaning", lambda _self, *, wide: [np.zeros(shape, F32)])
    for workers in (1, 3):
        with pytest.raises(ExecutionError, match="out of range"):
            case.run(workers=workers, isa=isa)


def test_strides(isa: str) -> None:
    """Inputs with gaps, and an output in wider pixels."""
    table = numbered(40, 30)[::2, 3:21]
    places = np.ascontiguousarray(indices(20, 50, seed=1))
    out = strided((50, 18), F32, 23)
    run = lambda n: run_op(  # noqa: E731
        "gather", [table, places.reshape(50, 1)], [out], (0,), isa=isa, workers=n
    )
    np.testing.assert_array_equal(workers_agree(run)[0], table[places])


@settings(max_examples=60)
@given(data=st.data())
def test_any_gather(data: Any) -> None:
    shape = tuple(data.draw(st.lists(st.integers(1, 7), min_size=1, max_size=4)))
    axis = data.draw(st.integers(0, len(shape) - 1))
    count = tuple(data.draw(st.lists(st.integers(0, 5), max_size=2)))
    places = indices(shape[axis], *count, seed=data.draw(st.integers(0, 9)))
    case = Case("Gather", (numbered(*shape), places), {"axis": axis})
    case.check(sets=("scalar",))


@pytest.mark.parametrize(
    ("opcode", "shapes", "params"),
    [
        ("gather", ((4, 5), (3, 5), (3, 5)), (2,)),
        ("gather", ((4, 5), (3, 5), (3, 6)), (0,)),
        ("gather", ((4,), (3, 5), (3, 5)), (0,)),
        ("gather_nd", ((1, 4, 5), (1, 2, 2), (1, 2, 5)), ()),
        ("scatter", ((4, 5), (9, 6), (9, 5)), (0, 0)),
        ("scatter", ((4, 5), (9, 5), (9, 5)), (0, 5)),
        ("scatter_nd", ((4, 5), (3, 2), (3, 5)), (0,)),
        ("one_hot", ((2, 4, 3), (2, 4), (2,)), ()),
    ],
)
def test_refused(opcode: str, shapes: Any, params: Any) -> None:
    first, second, third = shapes
    data, places, more = np.ones(first, F32), np.zeros(second, np.int64), np.ones(third, F32)
    scatters = opcode.startswith(("scatter", "one"))
    inputs = [places, more] if scatters else [data, places]
    with pytest.raises(PelemayError, match="parameters"):
        run_op(opcode, inputs, [(first if scatters else third, F32)], params)
