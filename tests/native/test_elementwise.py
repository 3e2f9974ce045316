"""Functions of one and two elements: types, broadcasting, strides, places."""

from __future__ import annotations

from typing import Any

import array_api_compat.numpy as xp
import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pelemay.engine import native
from pelemay.errors import PelemayError
from pelemay.graph.operations import find
from support.ops import isas, run_op, strided, workers_agree

Array = Any

FLOATS = ["float32", "float64", "float16", "bfloat16"]
SIGNED = ["int8", "int16", "int32", "int64"]
UNSIGNED = ["uint8", "uint16", "uint32", "uint64"]

CLASS = {
    **dict.fromkeys(["float32", "float16", "bfloat16"], 0),
    "float64": 1,
    **dict.fromkeys(SIGNED, 2),
    **dict.fromkeys([*UNSIGNED, "bool"], 3),
}


def dtype_of(name: str) -> np.dtype[Any]:
    return np.dtype(ml_dtypes.bfloat16) if name == "bfloat16" else np.dtype(name)


def numbers(name: str, shape: tuple[int, ...], seed: int = 0) -> Array:
    rng = np.random.default_rng(seed)
    if name == "bool":
        return rng.integers(0, 2, shape).astype(bool)
    if name in FLOATS:
        return rng.normal(size=shape).astype(np.float32).astype(dtype_of(name))
    limits = np.iinfo(name)
    small = rng.integers(max(limits.min, -9), 9, shape)
    large = rng.integers(limits.min, limits.max, shape, dtype=name, endpoint=True)
    return np.where(rng.integers(0, 2, shape), small.astype(name), large)


def code_of(name: str) -> int:
    return int(native().BINARY.index(name))


def binary(name: str, inputs: list[Array], output: Any, *, alpha: float = 1.0, **how: Any) -> Array:
    params = [code_of(name), CLASS[inputs[0].dtype.name], alpha]
    return run_op("binary", inputs, [output], params, **how)[0]


ARITHMETIC = ["Add", "Sub", "Mul", "Max", "Min"]
COMPARISONS = ["Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"]


def close(ours: Array, exact: Array, name: str) -> None:
    """Equal for integers; for floats to the last bit or two of their type."""
    if name not in FLOATS:
        np.testing.assert_array_equal(ours, exact)
        return
    limit = {"float64": 1e-14, "float32": 1e-6, "float16": 1e-3, "bfloat16": 8e-3}[name]
    np.testing.assert_allclose(
        ours.astype(np.float64), np.asarray(exact).astype(np.float64), rtol=limit, atol=0
    )


@pytest.mark.parametrize("dtype", [*FLOATS, *SIGNED, *UNSIGNED])
@pytest.mark.parametrize("name", [*ARITHMETIC, *COMPARISONS])
def test_types(name: str, dtype: str, isa: str) -> None:
    a, b = numbers(dtype, (7, 131)), numbers(dtype, (7, 131), seed=1)
    wide = [x.astype(np.float64) if dtype in FLOATS else x for x in (a, b)]
    exact = find(name).meaning(xp, *wide)
    result = np.bool_ if name in COMPARISONS else a.dtype
    close(binary(name, [a, b], (a.shape, result), isa=isa), exact, dtype)


@pytest.mark.parametrize("name", [*ARITHMETIC, "Div", "Pow", "PRelu", *COMPARISONS])
def test_not_a_number(name: str, isa: str) -> None:
    values = np.array([np.nan, 1.0, -2.0, np.inf, -np.inf, 0.0, -0.0], np.float32)
    a, b = (x.reshape(-1) for x in np.meshgrid(values, values))
    with np.errstate(all="ignore"):
        exact = find(name).meaning(xp, a.astype(np.float64), b.astype(np.float64))
    result = np.bool_ if name in COMPARISONS else np.float32
    np.testing.assert_array_equal(binary(name, [a, b], (a.shape, result), isa=isa), exact)


@pytest.mark.parametrize("dtype", [*SIGNED, *UNSIGNED])
@pytest.mark.parametrize("name", ["Div", "Mod", "FMod"])
def test_integers_are_divided(name: str, dtype: str) -> None:
    a, b = numbers(dtype, (700,)), numbers(dtype, (700,), seed=1)
    b[b == 0] = 3
    with np.errstate(all="ignore"):
        if name == "FMod":
            exact = find("Mod").meaning(xp, a, b, fmod=1)
        else:
            exact = find(name).meaning(xp, a, b)
    np.testing.assert_array_equal(binary(name, [a, b], (a.shape, a.dtype)), exact)


@pytest.mark.parametrize("dtype", [*SIGNED, *UNSIGNED])
@pytest.mark.parametrize("name", ["Div", "Mod", "FMod"])
def test_division_by_zero_ends_the_run(name: str, dtype: str) -> None:
    a = numbers(dtype, (300,))
    b = np.ones_like(a)
    b[299] = 0
    with pytest.raises(native().NativeError, match="E_DIVIDE"):
        binary(name, [a, b], (a.shape, a.dtype))


def test_least_integer_by_minus_one() -> None:
    for name in ("int64", "int8"):
        a = np.full(3, np.iinfo(name).min, name)
        b = np.full(3, -1, name)
        np.testing.assert_array_equal(binary("Div", [a, b], (a.shape, a.dtype)), a)
        np.testing.assert_array_equal(binary("Mod", [a, b], (a.shape, a.dtype)), a * 0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("fmod", [0, 1])
def test_remainders_of_floats(fmod: int, dtype: str, isa: str) -> None:
    a, b = numbers(dtype, (600,)) * 10, numbers(dtype, (600,), seed=1)
    ours = binary("FMod" if fmod else "Mod", [a, b], (a.shape, a.dtype), isa=isa)
    np.testing.assert_array_equal(ours, np.fmod(a, b) if fmod else np.remainder(a, b))


@pytest.mark.parametrize("dtype", [*SIGNED, *UNSIGNED])
def test_powers_of_integers(dtype: str) -> None:
    a = numbers(dtype, (400,))
    b = np.abs(numbers(dtype, (400,), seed=1) % 12).astype(dtype)
    if dtype in SIGNED:
        b[::5] = -3
        a[:20] = np.tile(np.array([1, -1, 0, 2], dtype), 5)
        b[:20] = np.repeat(np.array([-1, -2, -3, 0, 5], dtype), 4)
    with np.errstate(all="ignore"):
        exact = find("Pow").meaning(xp, a, b)
    np.testing.assert_array_equal(binary("Pow", [a, b], (a.shape, a.dtype)), exact)


def test_powers_of_floats(isa: str) -> None:
    a, b = np.abs(numbers("float32", (600,))), numbers("float32", (600,), seed=1) * 3
    exact = a.astype(np.float64) ** b.astype(np.float64)
    close(binary("Pow", [a, b], (a.shape, a.dtype), isa=isa), exact, "float32")


@pytest.mark.parametrize("name", ["And", "Or", "Xor"])
def test_logic(name: str) -> None:
    a, b = numbers("bool", (77, 5)), numbers("bool", (77, 5), seed=1)
    exact = find(name).meaning(xp, a, b)
    np.testing.assert_array_equal(binary(name, [a, b], (a.shape, np.bool_)), exact)


@pytest.mark.parametrize("dtype", [*SIGNED, *UNSIGNED])
@pytest.mark.parametrize("name", ["BitwiseAnd", "BitwiseOr", "BitwiseXor"])
def test_bits(name: str, dtype: str) -> None:
    a, b = numbers(dtype, (300,)), numbers(dtype, (300,), seed=1)
    exact = find(name).meaning(xp, a, b)
    np.testing.assert_array_equal(binary(name, [a, b], (a.shape, a.dtype)), exact)


@pytest.mark.parametrize("dtype", [*SIGNED, *UNSIGNED])
@pytest.mark.parametrize("direction", ["LEFT", "RIGHT"])
def test_shifts(direction: str, dtype: str) -> None:
    a = numbers(dtype, (80,))
    b = np.resize(np.arange(80), 80).astype(dtype)
    exact = find("BitShift").meaning(xp, a, b, direction=direction)
    name = "ShiftLeft" if direction == "LEFT" else "ShiftRight"
    np.testing.assert_array_equal(binary(name, [a, b], (a.shape, a.dtype)), exact)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int32"])
def test_slopes(dtype: str, isa: str) -> None:
    a, b = numbers(dtype, (3, 4, 65)), numbers(dtype, (4, 1), seed=1)
    wide = (a.astype(np.float64), b.astype(np.float64)) if dtype in FLOATS else (a, b)
    with np.errstate(all="ignore"):
        exact = find("PRelu").meaning(xp, *wide)
    close(binary("PRelu", [a, b], (a.shape, a.dtype), isa=isa), exact, dtype)


def test_gated(isa: str) -> None:
    a, b = numbers("float32", (5, 130)), numbers("float32", (5, 130), seed=1)
    exact = find("SwiGLU").meaning(xp, a.astype(np.float64), b.astype(np.float64), alpha=1.5)
    close(binary("SwiGLU", [a, b], (a.shape, a.dtype), alpha=1.5, isa=isa), exact, "float32")


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8", "float64"])
def test_many_inputs(dtype: str, isa: str) -> None:
    inputs = [numbers(dtype, (4, 300)), numbers(dtype, (1, 300), 1), numbers(dtype, (4, 1), 2)]
    wide = [x.astype(np.float64) if dtype in FLOATS else x for x in inputs]
    for name, meaning in (("Add", "Sum"), ("Max", "Max"), ("Min", "Min")):
        exact = find(meaning).meaning(xp, *wide)
        ours = binary(name, inputs, ((4, 300), inputs[0].dtype), isa=isa)
        if dtype in FLOATS:
            scale = np.abs(exact).max() * {"float16": 1e-3}.get(dtype, 1e-6)
            np.testing.assert_allclose(ours.astype(np.float64), exact, rtol=0, atol=scale)
        else:
            np.testing.assert_array_equal(ours, exact)


def test_mixed_types() -> None:
    """Each input has its own type, and so has the output; the class says what is computed in."""
    x, y = numbers("float32", (40,)), np.array([2], np.int64)
    ours = run_op("binary", [x, y], [((40,), np.float64)], [code_of("Pow"), 1, 0.0])[0]
    np.testing.assert_allclose(ours, x.astype(np.float64) ** 2, rtol=1e-15)


@pytest.mark.parametrize("dtype", [*FLOATS, *SIGNED, *UNSIGNED])
@pytest.mark.parametrize("name", ["Abs", "Neg", "Sign", "Relu"])
def test_signs(name: str, dtype: str) -> None:
    x = numbers(dtype, (3, 301))
    wide = x.astype(np.float64) if dtype in FLOATS else x
    if name == "Relu":
        zero = np.zeros((), x.dtype)
        ours = binary("Max", [x, zero], (x.shape, x.dtype))
    else:
        params = [native().UNARY.index(name), CLASS[dtype], 0.0, 0.0]
        ours = run_op("unary", [x], [(x.shape, x.dtype)], params)[0]
    close(ours, find(name).meaning(xp, wide), dtype)


def test_not() -> None:
    x = numbers("bool", (1000,))
    params = [native().UNARY.index("Not"), 3, 0.0, 0.0]
    np.testing.assert_array_equal(run_op("unary", [x], [(x.shape, np.bool_)], params)[0], ~x)
    bits = numbers("int16", (1000,))
    params = [native().UNARY.index("BitwiseNot"), 2, 0.0, 0.0]
    np.testing.assert_array_equal(
        run_op("unary", [bits], [(bits.shape, np.int16)], params)[0], ~bits
    )


@st.composite
def broadcasts(draw: Any) -> tuple[tuple[int, ...], list[tuple[int, ...]]]:
    """A shape, and shapes that are broadcast to it."""
    shape = tuple(draw(st.lists(st.sampled_from([0, 1, 2, 3, 5, 17, 70]), max_size=5)))
    shapes = []
    for _ in range(draw(st.integers(2, 3))):
        kept = draw(st.lists(st.booleans(), min_size=len(shape), max_size=len(shape)))
        own = tuple(n if k else 1 for n, k in zip(shape, kept, strict=True))
        ones = next((i for i, n in enumerate(own) if n != 1), len(own))
        shapes.append(own[draw(st.integers(0, ones)) :])
    return shape, shapes


def spread(x: Array, gap: int) -> Array:
    """The same elements with gaps between them."""
    if x.ndim == 0 or x.shape[-1] == 0:
        return x
    wide = np.zeros((*x.shape[:-1], x.shape[-1] * gap + 1), x.dtype)
    wide[..., : x.shape[-1] * gap : gap] = x
    return wide[..., : x.shape[-1] * gap : gap]


@settings(max_examples=150)
@given(
    case=broadcasts(),
    dtypes=st.sampled_from(["float32", "int32", "float16", "float64"]),
    gaps=st.lists(st.sampled_from([1, 1, 2, 3]), min_size=3, max_size=3),
    isa=st.sampled_from(isas()),
    workers=st.sampled_from([1, 2, 3]),
)
def test_broadcasting(
    case: tuple[tuple[int, ...], list[tuple[int, ...]]],
    dtypes: str,
    gaps: list[int],
    isa: str,
    workers: int,
) -> None:
    shape, shapes = case
    inputs = [
        spread(numbers(dtypes, own, seed), gap)
        for seed, (own, gap) in enumerate(zip(shapes, gaps, strict=False))
    ]
    wide = [x.astype(np.float64) if dtypes in FLOATS else x for x in inputs]
    with np.errstate(all="ignore"):
        exact = np.broadcast_to(find("Max").meaning(xp, *wide), shape)
    ours = binary("Max", inputs, (shape, inputs[0].dtype), isa=isa, workers=workers)
    np.testing.assert_array_equal(ours.astype(exact.dtype), exact)


def test_fewer_axes(isa: str) -> None:
    a, b = numbers("float32", (2, 3, 4, 33)), numbers("float32", (4, 33), 1)
    ours = binary("Sub", [a, b], (a.shape, a.dtype), isa=isa)
    np.testing.assert_array_equal(ours, a - b)


def test_any_number_of_workers(isa: str) -> None:
    a, b = numbers("float32", (3, 40_001)), numbers("float32", (3, 1), 1)
    params = [native().ACTIVATIONS.index("Gelu"), 0, 0.0, 0.0]
    workers_agree(
        lambda n: run_op("binary", [a, b], [(a.shape, a.dtype)], [2, 0, 0.0], isa=isa, workers=n)
    )
    workers_agree(
        lambda n: run_op("activation", [a], [(a.shape, a.dtype)], params, isa=isa, workers=n)
    )


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("dtype", ["float32", "float16", "int8", "float64"])
def test_in_place(place: int, dtype: str, isa: str) -> None:
    inputs = [numbers(dtype, (50, 70)), numbers(dtype, (50, 70), 1)]
    exact = inputs[0] - inputs[1]
    ours = binary("Sub", inputs, (exact.shape, exact.dtype), alias={0: place}, isa=isa, workers=2)
    np.testing.assert_array_equal(ours, exact)


def test_output_in_wider_pixels(isa: str) -> None:
    a, b = numbers("float32", (5, 6, 19)), numbers("float32", (19,), 1)
    out = strided(a.shape, np.float32, 31)
    np.testing.assert_array_equal(binary("Add", [a, b], out, isa=isa, workers=2), a + b)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int8", "int64", "bool"])
def test_where(dtype: str, isa: str) -> None:
    shape = (3, 5, 70)
    c = numbers("bool", (3, 1, 70))
    a, b = numbers(dtype, shape, 1), numbers(dtype, (1,), 2)
    for first, second in ((a, b), (b, a), (a, a[::-1]), (b, b)):
        second = np.ascontiguousarray(second)
        ours = run_op("where", [c, first, second], [(shape, a.dtype)], isa=isa, workers=2)[0]
        np.testing.assert_array_equal(ours, np.where(np.broadcast_to(c, shape), first, second))


@pytest.mark.parametrize(
    ("shapes", "params"),
    [
        (((3,), (4,)), [0, 0, 0.0]),
        (((3,), (3,)), [99, 0, 0.0]),
        (((3,), (3,)), [-1, 0, 0.0]),
        (((3,), (3,)), [0, 4, 0.0]),
        (((3,), (3,)), [0, 0]),
        (((3,),), [0, 0, 0.0]),
        (((2, 3), (1, 2, 3)), [0, 0, 0.0]),
    ],
)
def test_refused(shapes: tuple[tuple[int, ...], ...], params: list[Any]) -> None:
    inputs = [np.ones(shape, np.float32) for shape in shapes]
    with pytest.raises(PelemayError, match="parameters"):
        run_op("binary", inputs, [(shapes[0], np.float32)], params)


def test_classes_are_checked() -> None:
    x = np.ones(3, np.float32)
    with pytest.raises(PelemayError, match="parameters"):
        run_op("unary", [x], [(x.shape, x.dtype)], [native().UNARY.index("Not"), 0, 0.0, 0.0])
    with pytest.raises(PelemayError, match="parameters"):
        run_op("activation", [x], [(x.shape, x.dtype)], [1, 2, 0.0, 0.0])


@pytest.mark.parametrize("width", [1, 2, 3, 4, 5, 8, 9])
def test_short_rows(width: int, isa: str) -> None:
    """Rows of few elements are computed many at a time."""
    a, b = numbers("float32", (3, 700, width)), numbers("float32", (700, width + 3), 1)[:, 1:-2]
    out = strided(a.shape, np.float32, width + 2)
    for other in (b, b[:, :1], b[:1], np.float32(2).reshape(())):
        run = lambda n, other=other: [  # noqa: E731
            binary("Sub", [a, np.asarray(other)], out, isa=isa, workers=n).copy()
        ]
        np.testing.assert_array_equal(workers_agree(run)[0], a - other)
        ours = binary("Sub", [a, np.asarray(other)], out, alias={0: 0}, isa=isa)
        np.testing.assert_array_equal(ours, a - other)
