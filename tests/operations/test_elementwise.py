"""Arithmetic: the same over every namespace, and like onnxruntime at the edges."""

from __future__ import annotations

import numpy as np
import pytest

from pelemay.graph.operations.elementwise import ROWS

F = np.array([[-2.5, -1.5, -0.0], [0.5, 1.5, 3.0]], np.float32)
P = np.array([[0.25, 1.0, 1.5], [2.0, 4.0, 9.0]], np.float32)
U = np.array([-0.9, -0.25, 0.0, 0.25, 0.9])
I = np.array([[-7, -6, 5], [6, 7, 8]], np.int32)  # noqa: E741
J = np.array([2, -4, 3], np.int32)
B = np.array([0b1100, 0b1010, 255], np.uint8)
H = np.array([1.5, -2.25, 60000.0], np.float16)

CASES = [
    ("Add", (F, P), {}),
    ("Add", (B, B), {}),
    ("Sub", (F, P[:, :1]), {}),
    ("Mul", (I, J), {}),
    ("Div", (F, P), {}),
    ("Div", (I, J), {}),
    ("Div", (B, np.array([5], np.uint8)), {}),
    ("Mod", (I, J), {}),
    ("Mod", (I, J), {"fmod": 1}),
    ("Mod", (F, P), {"fmod": 1}),
    ("Mod", (F, -P), {}),
    ("Pow", (F, np.array([2, 3, 1], np.int64)), {}),
    ("Pow", (I, np.array([2, 3, 0], np.int64)), {}),
    ("Pow", (np.array([1, -1, 2, -1], np.int32), np.array([-3, -3, -1, -2], np.int32)), {}),
    ("Pow", (I, np.array([2.0, 1.0, 0.5], np.float32)), {}),
    ("Sum", (F, P, F), {}),
    ("Mean", (H, H, H), {}),
    ("Max", (F, P, F[:1]), {}),
    ("Min", (I, J), {}),
    ("Abs", (I,), {}),
    ("Abs", (B,), {}),
    ("Neg", (F,), {}),
    ("Reciprocal", (P,), {}),
    ("Sqrt", (P,), {}),
    ("Exp", (F,), {}),
    ("Log", (P,), {}),
    ("Ceil", (F,), {}),
    ("Floor", (F,), {}),
    ("Round", (F,), {}),
    ("Sign", (F,), {}),
    ("Sin", (U,), {}),
    ("Cos", (U,), {}),
    ("Tan", (U,), {}),
    ("Asin", (U,), {}),
    ("Acos", (U,), {}),
    ("Atan", (U,), {}),
    ("Sinh", (U,), {}),
    ("Cosh", (U,), {}),
    ("Asinh", (U,), {}),
    ("Acosh", (1 + U * U,), {}),
    ("Atanh", (U,), {}),
    ("BitShift", (B, np.array([1, 8, 2], np.uint8)), {"direction": "LEFT"}),
    ("BitShift", (B, np.array([1, 8, 2], np.uint8)), {"direction": "RIGHT"}),
    ("BitShift", (I, np.array([1, 40, -1], np.int32)), {"direction": "RIGHT"}),
    ("BitwiseAnd", (I, J), {}),
    ("BitwiseOr", (I, J), {}),
    ("BitwiseXor", (B, B[::-1]), {}),
    ("BitwiseNot", (B,), {}),
]


@pytest.mark.parametrize(("name", "inputs", "attributes"), CASES)
def test_every_namespace_gives_what_numpy_gives(agree, name, inputs, attributes):
    agree(name, *inputs, **attributes)


def test_every_operation_has_a_case():
    assert {row.name for row in ROWS} == {name for name, _, _ in CASES}


@pytest.mark.parametrize(
    ("name", "inputs", "attributes"),
    [
        ("Div", (np.arange(-9, 9, dtype=np.int32), np.full(18, 4, np.int32)), {}),
        ("Div", (np.arange(-9, 9, dtype=np.int64), np.full(18, -4, np.int64)), {}),
        ("Mod", (np.arange(-9, 9, dtype=np.int32), np.full(18, -4, np.int32)), {}),
        ("Mod", (np.arange(-9, 9, dtype=np.int32), np.full(18, -4, np.int32)), {"fmod": 1}),
        ("Mod", (np.linspace(-9, 9, 37, dtype=np.float32), np.float32([[2.5], [-2.5]])),
         {"fmod": 1}),
        ("Pow", (np.int32([2, 3, -2]), np.float32([3.0, 0.5, 3.0])), {}),
        ("Pow", (np.float32([2, 3, -2]), np.int64([-3, 0, 3])), {}),
        ("Round", (np.float32([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5]),), {}),
        ("Max", (np.float32([np.nan, 1, 2]), np.float32([0, np.nan, 1])), {}),
        ("Sign", (np.float32([-np.inf, -0.0, 3]),), {}),
        ("BitShift", (np.uint8([255, 3, 128]), np.uint8([1, 7, 0])), {"direction": "LEFT"}),
    ],
)  # fmt: skip
def test_edges_are_onnxruntimes(like_onnxruntime, name, inputs, attributes):
    like_onnxruntime(name, *inputs, **attributes)


def test_shift_beyond_the_width_leaves_the_sign(run):
    x, steps = np.int8([-5, 5, -5, 5]), np.int8([8, 100, -1, -1])
    np.testing.assert_array_equal(run("BitShift", x, steps, direction="RIGHT")[0], [-1, 0, -1, 0])
    np.testing.assert_array_equal(run("BitShift", x, steps, direction="LEFT")[0], [0, 0, 0, 0])


def test_mean_of_halves_does_not_overflow(run):
    assert run("Mean", np.float16([60000]), np.float16([60000]))[0] == np.float16(60000)
